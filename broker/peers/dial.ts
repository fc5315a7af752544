/** Connects to another node and greets it. */
import { toError } from '../../platform/to-error.ts';
import { NetworkError } from '../../platform/network.ts';
import type { Address, ByteStream } from '../../platform/network.ts';
import { decodeAnswer, encodeHello, judgeWelcome } from './peer-handshake.ts';
import type { ConnectionLane, Fault, Hello, Welcome, RefusalCode } from './peer-handshake.ts';
import { addressText } from './peer-settings.ts';
import type { PeerServices } from './peer-settings.ts';
import { isMalformed, PeerStream } from './peer-stream.ts';

/**
 * Why there is no connection: 'gone' where the machine says that nobody is there (any more); 'unreachable' where nothing is
 * known; 'refused' where the node there does not want to, or is the wrong one.
 */
export class DialError extends Error {
  readonly code: 'gone' | 'unreachable' | 'refused';
  /** Why, where it is refused. */
  readonly refusal: RefusalCode | undefined;

  constructor(
    code: DialError['code'],
    message: string,
    options: { readonly cause?: unknown; readonly refusal?: RefusalCode } = {},
  ) {
    super(message, options);
    this.name = 'DialError';
    this.code = code;
    this.refusal = options.refusal;
  }
}

/** Why a question was not answered where the node that was asked wants nothing of this one; undefined for other errors. */
export function refusalOf(error: Error): RefusalCode | undefined {
  return error.cause instanceof DialError ? error.cause.refusal : undefined;
}

export interface DialGoal {
  readonly address: Address;
  /** -1: whoever is there. */
  readonly nodeId: number;
  readonly lane: ConnectionLane;
}

export interface Dialed {
  readonly peer: PeerStream;
  readonly welcome: Welcome;
}

/** What to do with a connection from its first turn on. */
export interface DialHandlers {
  /** In the turn in which the welcome came: frames may follow at once. */
  readonly onUp: (dialed: Dialed) => void;
  /** It was up, and has ended. */
  readonly onEnd: (peer: PeerStream, error: Error | undefined) => void;
  /** It never was up. */
  readonly onFailure: (error: DialError) => void;
}

/** Exactly one of `onUp` (then `onEnd`) and `onFailure` runs, later than this call. Returns what ends the attempt at once. */
export function dial(services: PeerServices, goal: DialGoal, handlers: DialHandlers): () => void {
  const attempt = new DialAttempt(services, goal, handlers);
  return () => attempt.cancel();
}

class DialAttempt {
  readonly #services: PeerServices;
  readonly #goal: DialGoal;
  readonly #handlers: DialHandlers;
  readonly #hello: Hello;
  #peer: PeerStream | undefined;
  #timer: { cancel(): void } | undefined;
  #state: 'dialing' | 'up' | 'over' = 'dialing';

  constructor(services: PeerServices, goal: DialGoal, handlers: DialHandlers) {
    this.#services = services;
    this.#goal = goal;
    this.#handlers = handlers;
    this.#hello = {
      versions: services.spokenVersions,
      lane: goal.lane,
      goal: goal.nodeId,
      identity: services.identity(),
      listens: services.listens(),
    };
    const { tls } = services;
    services.network
      .connect(goal.address, {
        timeoutMs: services.limits.connectTimeoutMs,
        byBytes: true,
        ...(tls === undefined ? {} : { tls }),
      })
      .then(
        (stream) => this.#greet(stream),
        (error: unknown) => this.#fail(toError(error)),
      );
  }

  cancel(): void {
    this.#fail(new NetworkError('unreachable', 'The node is closing.'));
  }

  #greet(stream: ByteStream): void {
    if (this.#state === 'over') {
      stream.onClose(() => undefined);
      stream.destroy();
      return;
    }
    const { clock, scratch, limits } = this.#services;
    this.#peer = new PeerStream(stream, {
      clock,
      scratch,
      onGreeting: (body) => this.#welcomed(body),
      onEnd: (error) => this.#ended(error),
    });
    this.#timer = clock.after(limits.handshakeTimeoutMs, () =>
      this.#fail(new NetworkError('timeout', `It did not greet within ${limits.handshakeTimeoutMs} ms.`)),
    );
    stream.write([encodeHello(this.#hello)]);
  }

  #welcomed(body: Buffer): void {
    const answer = decodeAnswer(body);
    const fault = answer.kind === 'refusal' ? answer : judgeWelcome(this.#hello, answer);
    if (fault !== undefined) {
      this.#refused(fault);
    } else if (answer.kind === 'welcome') {
      this.#timer?.cancel();
      this.#state = 'up';
      this.#services.passed(this.#cause(''));
      this.#handlers.onUp({ peer: this.#peer!, welcome: answer });
    }
  }

  #refused(fault: Fault): void {
    const { nodeId } = this.#goal;
    const address = addressText(this.#goal.address);
    this.#services.counters.refusals++;
    const who =
      nodeId === -1 ? `The node at ${address}` : `The node at ${address}, the address of node ${nodeId},`;
    const message = `${who} cannot be talked to: ${fault.reason}.`;
    // What passes by itself is nothing to tell of.
    if (fault.code !== 'not-formed') {
      this.#services.notice(this.#cause(fault.code), {
        kind: 'refused',
        message,
        nodeId: nodeId === -1 ? undefined : nodeId,
        address,
      });
    }
    this.#end(new DialError('refused', message, { refusal: fault.code }));
  }

  #cause(code: string): string {
    return `dial ${this.#goal.nodeId} ${addressText(this.#goal.address)} ${code}`;
  }

  #ended(error: Error | undefined): void {
    if (this.#state === 'up') {
      this.#state = 'over';
      this.#handlers.onEnd(this.#peer!, error);
    } else {
      this.#fail(error ?? new NetworkError('reset', hungUp));
    }
  }

  #fail(error: Error): void {
    if (this.#state !== 'dialing') return;
    const { address, nodeId } = this.#goal;
    const to = nodeId === -1 ? addressText(address) : `node ${nodeId} at ${addressText(address)}`;
    if (isMalformed(error)) this.#services.counters.malformed++;
    const message = `No connection to ${to}: ${error.message}${error.message.endsWith('.') ? '' : '.'}`;
    if (!this.#services.isClosing()) {
      this.#services.notice(this.#cause('unreachable'), {
        kind: 'unreachable',
        message,
        nodeId: nodeId === -1 ? undefined : nodeId,
        address: addressText(address),
      });
    }
    this.#end(new DialError(isGone(error) ? 'gone' : 'unreachable', message, { cause: error }));
  }

  #end(error: DialError): void {
    if (this.#state !== 'dialing') return;
    this.#state = 'over';
    this.#timer?.cancel();
    this.#peer?.destroy();
    this.#handlers.onFailure(error);
  }
}

/** Instead of a greeting. */
const hungUp =
  'It hung up without a greeting; nodes talk to each other either all with TLS (--internal-tls-cert, -key and -ca) or all without it.';

function isGone(error: Error): boolean {
  return error instanceof NetworkError && (error.code === 'refused' || error.code === 'reset');
}
