/**
 * One connection to one broker. Requests are pipelined; answers come in the order of their requests, which is
 * checked. A request that is not answered in time ends the connection, because everything behind it waits too. When
 * it ends, every unanswered request is rejected; whether the broker carried them out is then unknown.
 */
import { codec, encodeRequest, Reader, type Codec } from '../../protocol/index.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { ByteStream } from '../../platform/network.ts';
import { abortedError, KafkaError, toKafkaError } from '../errors.ts';
import { requestChannel } from '../telemetry/channels.ts';
import { traced } from '../telemetry/traced.ts';
import { describeApi, BrokerVersions, type ApiName, type RequestOf, type ResponseOf } from './apis.ts';
import { FrameReader } from './frame-reader.ts';

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly clientId: string;
  /** For messages: the broker's address, and where it came from. */
  readonly peer: string;
}

export interface SendOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** It goes out also while others are held. */
  readonly isAhead?: boolean;
}

interface Pending {
  readonly correlationId: number;
  readonly api: ApiName;
  readonly sentAtMs: number;
  readonly deadlineMs: number;
  /** Reads the answer's header and body; called once, unless `fail` is. */
  readonly succeed: (reader: Reader) => void;
  readonly fail: (error: KafkaError) => void;
}

const correlationIdMax = 0x7fffffff;
/** What a broker answers before it knows who asks. */
const firstApis: ReadonlySet<ApiName> = new Set(['ApiVersions', 'SaslHandshake', 'SaslAuthenticate']);

export class Connection {
  readonly #stream: ByteStream;
  readonly #options: ConnectionOptions;
  readonly #frames: FrameReader;
  /** Unanswered requests, oldest first. */
  readonly #pending: Pending[] = [];
  #nextCorrelationId = 0;
  /** It has answered more than which versions it serves, or who it talks to. */
  #isServing = false;
  #heardAtMs = 0;
  #timer: Timer | undefined;
  #timerDeadlineMs = Infinity;
  #closeError: KafkaError | undefined;
  readonly #onEnd: ((error: KafkaError) => void)[] = [];
  /** Requests that wait to go out; undefined while they need not. */
  #held: (() => void)[] | undefined;
  /** What the broker serves; known once ApiVersions is answered. */
  versions = new BrokerVersions({ apiKeys: [] });

  /** Takes the stream over. To be called in the macrotask in which the stream came to be. */
  constructor(stream: ByteStream, options: ConnectionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#frames = new FrameReader((frame) => this.#onFrame(frame));
    stream.onData((chunk) => this.#onData(chunk));
    stream.onClose((error) => {
      const why =
        (error === undefined ? 'the broker closed the connection' : error.message) + this.#suspicion;
      this.#end(
        new KafkaError('CONNECTION_FAILED', `Lost the connection to ${options.peer}: ${why}`, {
          cause: error,
        }),
      );
    });
  }

  get isOpen(): boolean {
    return this.#closeError === undefined;
  }

  /** Requests that wait for their answer. */
  get inFlight(): number {
    return this.#pending.length;
  }

  /** How long the broker has owed an answer and said nothing; 0 where nothing is due. */
  get silentMs(): number {
    const oldest = this.#pending[0];
    if (oldest === undefined) return 0;
    return this.#options.clock.monotonicMs() - Math.max(oldest.sentAtMs, this.#heardAtMs);
  }

  get peer(): string {
    return this.#options.peer;
  }

  /** Runs once, when the connection has ended. */
  onEnd(handler: (error: KafkaError) => void): void {
    this.#onEnd.push(handler);
  }

  /** Requests that are made from here on go out when they are released, in their order. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const begin of held) begin();
  }

  /** Sends one request and resolves with its decoded answer. Rejects with CONNECTION_FAILED, TIMED_OUT, ABORTED or BAD_RESPONSE. */
  send<A extends ApiName>(
    api: A,
    version: number,
    body: RequestOf<A>,
    options: SendOptions,
  ): Promise<ResponseOf<A>> {
    return this.sendDecoding(api, version, body, options, (reader) =>
      (codec(`${api}Response`, version) as Codec<ResponseOf<A>>).read(reader),
    );
  }

  /** As `send`, with a reader of one's own for the answer's body. */
  sendDecoding<A extends ApiName, R>(
    api: A,
    version: number,
    body: RequestOf<A>,
    options: SendOptions,
    decode: (reader: Reader) => R,
  ): Promise<R> {
    if (!requestChannel.hasSubscribers) return this.#ask(api, version, body, options, decode);
    const { clientId, peer } = this.#options;
    const trace = { clientId, peer, api, apiKey: describeApi(api).key, apiVersion: version };
    return traced(requestChannel, trace, () => this.#ask(api, version, body, options, decode));
  }

  #ask<A extends ApiName, R>(
    api: A,
    version: number,
    body: RequestOf<A>,
    options: SendOptions,
    decode: (reader: Reader) => R,
  ): Promise<R> {
    const { signal } = options;
    return new Promise<R>((resolve, reject) => {
      if (signal?.aborted === true) return reject(abortedError(signal, `ask for ${api}`));
      const onAbort = (): void => reject(abortedError(signal!, `ask for ${api}`));
      const fail = (error: KafkaError): void => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#begin(options.isAhead === true, () => {
        if (this.#closeError !== undefined) return fail(this.#closeError);
        if (signal?.aborted === true) return undefined;
        const frame = this.#frame(api, version, body, fail);
        if (frame === undefined) return undefined;
        const sentAtMs = this.#options.clock.monotonicMs();
        this.#await({
          correlationId: frame.correlationId,
          api,
          sentAtMs,
          deadlineMs: sentAtMs + options.timeoutMs,
          succeed: (reader) => {
            signal?.removeEventListener('abort', onAbort);
            skipResponseHeader(api, version, reader);
            const response = decode(reader);
            if (reader.remaining > 0)
              throw new KafkaError('BAD_RESPONSE', `The answer to ${api} is too long.`);
            resolve(response);
          },
          fail,
        });
        this.#stream.write(frame.bytes);
        return undefined;
      });
    });
  }

  /** Sends a request that has no answer (Produce with acks 0); resolves when its bytes have left or the connection has ended. */
  sendUnanswered<A extends ApiName>(api: A, version: number, body: RequestOf<A>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#begin(false, () => {
        if (this.#closeError !== undefined) return reject(this.#closeError);
        const frame = this.#frame(api, version, body, reject);
        if (frame !== undefined) this.#stream.write(frame.bytes, resolve);
        return undefined;
      });
    });
  }

  #begin(isAhead: boolean, begin: () => void): void {
    if (this.#held === undefined || isAhead) begin();
    else this.#held.push(begin);
  }

  /** Ends at once; unanswered requests are rejected with `error`. */
  close(error: KafkaError): void {
    this.#stream.destroy();
    this.#end(error);
  }

  /** A broker that wants to know first who it talks to says nothing, but ends. */
  get #suspicion(): string {
    const isUnserved = !this.#isServing && this.#pending.some(({ api }) => !firstApis.has(api));
    return isUnserved
      ? ', which it does at this moment where its listener asks for SASL: see the option `sasl`'
      : '';
  }

  #takeCorrelationId(): number {
    const id = this.#nextCorrelationId;
    this.#nextCorrelationId = correlationIdAfter(id);
    return id;
  }

  /** A request that cannot be written fails alone: nothing waits for its answer, and nothing of it has left. */
  #frame<A extends ApiName>(
    api: A,
    version: number,
    body: RequestOf<A>,
    fail: (error: KafkaError) => void,
  ): { readonly bytes: Buffer[]; readonly correlationId: number } | undefined {
    const correlationId = this.#takeCorrelationId();
    const head = { api, apiVersion: version, correlationId, clientId: this.#options.clientId };
    try {
      return { bytes: encodeRequest(head, body), correlationId };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const text = `Could not write the request ${api}: ${why}.`;
      fail(new KafkaError('INVALID_ARGUMENT', text, { cause: error }));
      return undefined;
    }
  }

  #await(pending: Pending): void {
    this.#pending.push(pending);
    this.#arm(pending.deadlineMs);
  }

  /** One timer serves all requests: it is set for the earliest deadline, and set anew when it fires too early. */
  #arm(deadlineMs: number): void {
    if (deadlineMs >= this.#timerDeadlineMs) return;
    this.#timer?.cancel();
    this.#timerDeadlineMs = deadlineMs;
    this.#timer = this.#options.clock.after(Math.max(0, deadlineMs - this.#options.clock.monotonicMs()), () =>
      this.#onTimer(),
    );
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#timerDeadlineMs = Infinity;
    const nowMs = this.#options.clock.monotonicMs();
    const late = this.#pending.find((pending) => pending.deadlineMs <= nowMs);
    if (late !== undefined) {
      this.close(new KafkaError('TIMED_OUT', `${this.#options.peer} did not answer ${late.api} in time.`));
      return;
    }
    const earliestMs = Math.min(...this.#pending.map((pending) => pending.deadlineMs));
    if (earliestMs !== Infinity) this.#arm(earliestMs);
  }

  #onData(chunk: Buffer): void {
    if (this.#closeError !== undefined) return;
    this.#heardAtMs = this.#options.clock.monotonicMs();
    try {
      this.#frames.push(chunk);
    } catch (error) {
      this.close(toKafkaError(error, `read what ${this.#options.peer} sent`));
    }
  }

  #onFrame(frame: Buffer): void {
    const pending = this.#pending[0];
    const correlationId = frame.readInt32BE(0);
    if (pending === undefined || pending.correlationId !== correlationId) {
      const wanted = pending === undefined ? 'none was waited for' : `${pending.correlationId} was due`;
      throw new KafkaError(
        'BAD_RESPONSE',
        `${this.#options.peer} answered request ${correlationId}, but ${wanted}.`,
      );
    }
    this.#pending.shift();
    this.#isServing ||= !firstApis.has(pending.api);
    try {
      pending.succeed(new Reader(frame));
    } catch (error) {
      const failure = toKafkaError(error, `read the answer of ${this.#options.peer} to ${pending.api}`);
      pending.fail(failure);
      throw failure;
    }
    if (this.#pending.length === 0) this.#disarm();
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerDeadlineMs = Infinity;
  }

  #end(error: KafkaError): void {
    if (this.#closeError !== undefined) return;
    this.#closeError = error;
    this.#disarm();
    for (const pending of this.#pending.splice(0)) pending.fail(error);
    this.release();
    for (const tell of this.#onEnd) tell(error);
  }
}

/** The field is an INT32: after 2^31 - 1 comes 0. */
export function correlationIdAfter(id: number): number {
  return id === correlationIdMax ? 0 : id + 1;
}

/** ApiVersions answers always have header version 0, so that they can be read before anything is known of the broker. */
function skipResponseHeader(api: ApiName, version: number, reader: Reader): void {
  codec('ResponseHeader', describeApi(api).responseHeaderVersion(version)).read(reader);
}
