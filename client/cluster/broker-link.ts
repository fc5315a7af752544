/**
 * The way to one broker address for one purpose: at most one connection at a time, made when it is first needed and
 * made anew, after a pause that grows, when it was lost. Purposes have links of their own, because answers come in
 * order: a fetch that waits must not hold up a produce.
 */
import { codec, ErrorCode, type ApiVersionsResponse, type Reader } from '../../protocol/index.ts';
import type { ByteStream } from '../../platform/network.ts';
import type { BrokerAddress, Components } from '../components.ts';
import { showAddress } from '../components.ts';
import { brokerError, closedError, KafkaError, toKafkaError } from '../errors.ts';
import { authenticate } from '../sasl/authenticate.ts';
import { connectionChannel, connectionLostChannel } from '../telemetry/channels.ts';
import type { ConnectionLost } from '../telemetry/payloads.ts';
import { traced } from '../telemetry/traced.ts';
import { backoffMs, sleep } from '../waiting.ts';
import { apiVersionsFirstTry, BrokerVersions, describeApi } from './apis.ts';
import { Connection } from './connection.ts';

export interface BrokerLinkOptions {
  readonly address: BrokerAddress;
  /** For messages: 'broker 1 at 127.0.0.1:9092'. */
  readonly peer: string;
  /** Said after the reason when no connection can be made. */
  readonly hint: string;
}

export class BrokerLink {
  readonly #components: Components;
  readonly #options: BrokerLinkOptions;
  #connection: Connection | undefined;
  /** The attempt under way, which all who ask share. */
  #connecting: Promise<Connection> | undefined;
  #connectingSinceMs = 0;
  /** Attempts that failed since the last success. */
  #failures = 0;
  /** Not before this time is the next attempt made. */
  #nextAttemptMs = 0;
  readonly #closing = new AbortController();

  constructor(components: Components, options: BrokerLinkOptions) {
    this.#components = components;
    this.#options = options;
  }

  get address(): BrokerAddress {
    return this.#options.address;
  }

  /** The open connection whose versions are known, if there is one right now. */
  get current(): Connection | undefined {
    if (this.#connecting !== undefined) return undefined;
    return this.#connection?.isOpen === true ? this.#connection : undefined;
  }

  /** How long the broker has said nothing though it should have: an answer is due, or a connection. */
  get silentMs(): number {
    if (this.#connecting === undefined) return this.#connection?.silentMs ?? 0;
    return Math.max(0, this.#components.clock.monotonicMs() - this.#connectingSinceMs);
  }

  /** Whether the last attempt failed and the pause after it is not over. */
  get isResting(): boolean {
    return this.#failures > 0 && this.#components.clock.monotonicMs() < this.#nextAttemptMs;
  }

  /** An open connection whose versions are known. Rejects with CONNECTION_FAILED and the like; waits out the pause after a failure. */
  connection(): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(closedError('connection'));
    const open = this.current;
    if (open !== undefined) return Promise.resolve(open);
    this.#connecting ??= this.#connectTraced().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  close(): void {
    this.#closing.abort();
    this.#connection?.close(closedError('client'));
    this.#connection = undefined;
  }

  #connectTraced(): Promise<Connection> {
    if (!connectionChannel.hasSubscribers) return this.#connect();
    const { clientId } = this.#components.settings;
    const { peer, address } = this.#options;
    return traced(connectionChannel, { clientId, peer, ...address }, () => this.#connect());
  }

  async #connect(): Promise<Connection> {
    const { clock, network, settings, logger } = this.#components;
    const { peer } = this.#options;
    const pauseMs = this.#nextAttemptMs - clock.monotonicMs();
    this.#connectingSinceMs = clock.monotonicMs() + Math.max(0, pauseMs);
    // Closing ends the pause, and what is being connected.
    const { signal } = this.#closing;
    if (pauseMs > 0) await sleep(clock, pauseMs, signal).catch(() => undefined);
    this.#throwIfClosed();
    try {
      const connection = await this.#open(
        await network.connect(this.#options.address, {
          timeoutMs: settings.connectTimeoutMs,
          signal,
          ...(settings.tls === undefined ? {} : { tls: settings.tls }),
        }),
      );
      logger.debug({ peer, failures: this.#failures }, 'connected');
      this.#failures = 0;
      this.#nextAttemptMs = 0;
      return connection;
    } catch (error) {
      this.#throwIfClosed();
      this.#noteFailure();
      const failure = this.#describe(error);
      if (failure.code !== 'CLOSED')
        logger.warn({ err: failure, peer, failures: this.#failures }, 'could not connect');
      throw failure;
    }
  }

  async #open(stream: ByteStream): Promise<Connection> {
    const { clock, random, settings } = this.#components;
    const connection = new Connection(stream, {
      clock,
      clientId: settings.clientId,
      peer: this.#options.peer,
    });
    if (this.#isClosed) {
      connection.close(closedError('client'));
      this.#throwIfClosed();
    }
    this.#connection = connection;
    connection.onEnd((error) => {
      if (this.#connection === connection) this.#connection = undefined;
      if (error.code !== 'CLOSED') this.#tellLost(error);
    });
    connection.versions = await negotiate(connection, settings.connectTimeoutMs);
    const { sasl, connectTimeoutMs: timeoutMs } = settings;
    if (sasl !== undefined) {
      try {
        await authenticate(connection, { clock, random, sasl, timeoutMs });
      } catch (error) {
        connection.close(toKafkaError(error, `authenticate to ${this.#options.peer}`));
        throw error;
      }
    }
    return connection;
  }

  #tellLost(error: KafkaError): void {
    const { logger, settings } = this.#components;
    const { peer } = this.#options;
    logger.info({ err: error, peer }, 'lost a connection');
    if (!connectionLostChannel.hasSubscribers) return;
    const event: ConnectionLost = { clientId: settings.clientId, peer, error };
    connectionLostChannel.publish(event);
  }

  #noteFailure(): void {
    const { clock, random, settings } = this.#components;
    this.#failures++;
    const pauseMs = backoffMs(random, this.#failures, settings.retryBackoffMs, settings.retryBackoffMaxMs);
    this.#nextAttemptMs = clock.monotonicMs() + pauseMs;
  }

  #describe(error: unknown): KafkaError {
    if (error instanceof KafkaError && error.code === 'CLOSED') return error;
    const why = error instanceof Error ? error.message : String(error);
    // A broker that answers is there.
    const hint = error instanceof KafkaError && !error.retriable ? '' : this.#options.hint;
    const message = `Could not connect to ${this.#options.peer}: ${why} ${hint}`.trimEnd();
    if (error instanceof KafkaError) return new KafkaError(error.code, message, { cause: error });
    return new KafkaError('CONNECTION_FAILED', message, { cause: error });
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw closedError('connection');
  }
}

export function peerName(address: BrokerAddress, nodeId?: number): string {
  return nodeId === undefined
    ? `the broker at ${showAddress(address)}`
    : `broker ${nodeId} at ${showAddress(address)}`;
}

/**
 * Asks for ApiVersions, from the newest version down: a broker that does not know the version answers in the form of
 * version 0 with error 35 and the range that it knows.
 */
async function negotiate(connection: Connection, timeoutMs: number): Promise<BrokerVersions> {
  const body = { clientSoftwareName: 'kappalog', clientSoftwareVersion: '0.1.0' };
  const ask = (version: number): Promise<ApiVersionsResponse> =>
    connection.sendDecoding('ApiVersions', version, body, { timeoutMs }, (reader) =>
      readApiVersions(reader, version),
    );
  let response = await ask(apiVersionsFirstTry);
  if (response.errorCode === ErrorCode.UNSUPPORTED_VERSION) {
    const key = describeApi('ApiVersions').key;
    const range = response.apiKeys.find((api) => api.apiKey === key);
    response = await ask(Math.min(range?.maxVersion ?? 0, apiVersionsFirstTry - 1));
  }
  if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, 'agree on versions');
  return new BrokerVersions(response);
}

function readApiVersions(reader: Reader, version: number): ApiVersionsResponse {
  const start = reader.position;
  const isRefused = reader.int16() === ErrorCode.UNSUPPORTED_VERSION;
  reader.position = start;
  return codec('ApiVersionsResponse', isRefused ? 0 : version).read(reader);
}
