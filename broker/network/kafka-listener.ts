/**
 * The Kafka port: takes connections within their limits, ends idle ones, and on a stop lets each answer what it has begun.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import type { BufferPool } from '../../platform/buffer-pool.ts';
import type { Address, ByteStream, Listener, Network, NetworkError } from '../../platform/network.ts';
import type { Logger } from '../logger.ts';
import { Connection } from './connection.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { RequestMemory } from './request-memory.ts';

export interface KafkaListenerOptions {
  readonly name: string;
  readonly address: Address;
  readonly network: Network;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly memory: RequestMemory;
  readonly pool: BufferPool;
  readonly logger: Logger;
  readonly limits: ConnectionLimits;
}

export interface ConnectionLimits {
  readonly requestBytesMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** A connection without a request for so long, or that does not take its answers, is ended; -1: never. */
  readonly idleMsMax: number;
}

/** Small requests arrive here, several in one read; of a large one only the beginning does. */
const scratchBytes = 64 * 1024;
const failureIntervalMs = 10_000;

export class KafkaListener {
  readonly #options: KafkaListenerOptions;
  readonly #connections = new Set<Connection>();
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes);
  readonly #perAddress = new Map<string, number>();
  #listener: Listener | undefined;
  #sweep: Timer | undefined;
  #onEmpty: (() => void) | undefined;
  /** When a connection that could not be taken was last told of in the log. */
  #failureToldMs = -Infinity;
  /** Connections that came before the node was ready to serve; undefined once it is. */
  #early: Set<ByteStream> | undefined = new Set();

  private constructor(options: KafkaListenerOptions) {
    this.#options = options;
  }

  /** Binds; connections wait until `serve`. Rejects with a NetworkError where the address cannot be bound. */
  static async open(options: KafkaListenerOptions): Promise<KafkaListener> {
    const listener = new KafkaListener(options);
    listener.#listener = await options.network.listen(options.address, (stream) => listener.#accept(stream));
    listener.#listener.onFailure((error) => listener.#tellFailure(error));
    listener.#scheduleSweep();
    return listener;
  }

  /** From here on requests are read; connections made before have waited. */
  serve(): void {
    const early = this.#early ?? new Set();
    this.#early = undefined;
    for (const stream of early) {
      this.#accept(stream);
      stream.resume();
    }
  }

  get address(): Address {
    return this.#listener!.address;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Takes no more connections and requests; resolves when all that had begun is answered, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#sweep?.cancel();
    for (const stream of this.#early ?? []) stream.destroy();
    await this.#listener!.close();
    if (this.#connections.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const deadline = this.#options.clock.after(timeoutMs, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    for (const connection of this.#connections) connection.drain();
    await emptied;
    deadline.cancel();
  }

  #accept(stream: ByteStream): void {
    if (this.#early !== undefined) {
      const early = this.#early;
      stream.pause();
      early.add(stream);
      // Whoever listens for its end later would not hear of it.
      stream.onClose(() => early.delete(stream));
      return;
    }
    const { limits, logger, clock, dispatcher, memory, pool, name } = this.#options;
    const address = stream.remote.host;
    const fromAddress = this.#perAddress.get(address) ?? 0;
    const reason =
      this.#connections.size >= limits.connectionsMax
        ? `max.connections is ${limits.connectionsMax}`
        : fromAddress >= limits.connectionsPerAddressMax
          ? `max.connections.per.ip is ${limits.connectionsPerAddressMax}`
          : undefined;
    if (reason !== undefined) {
      logger.warn({ peer: address }, `connection refused: ${reason}`);
      stream.onClose(() => {});
      stream.destroy();
      return;
    }
    this.#perAddress.set(address, fromAddress + 1);
    this.#connections.add(
      new Connection(stream, {
        listener: name,
        dispatcher,
        memory,
        pool,
        scratch: this.#scratch,
        requestBytesMax: limits.requestBytesMax,
        logger,
        monotonicMs: () => clock.monotonicMs(),
        onEnd: (connection) => this.#forget(connection, address),
      }),
    );
  }

  /** One line for a flood of them: each would otherwise write its own. */
  #tellFailure(error: NetworkError): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#failureToldMs < failureIntervalMs) return;
    this.#failureToldMs = nowMs;
    const advice =
      error.code === 'too-many-open-files'
        ? 'the limit of open files is reached; raise it with ulimit -n, or lower max.connections'
        : error.message;
    this.#options.logger.error({ err: error }, `connections cannot be taken: ${advice}`);
  }

  #forget(connection: Connection, address: string): void {
    this.#connections.delete(connection);
    const left = this.#perAddress.get(address)! - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  #scheduleSweep(): void {
    const { idleMsMax } = this.#options.limits;
    if (idleMsMax < 0) return;
    this.#sweep = this.#options.clock.after(Math.min(Math.max(idleMsMax / 4, 10), 60_000), () => {
      const oldestMs = this.#options.clock.monotonicMs() - idleMsMax;
      for (const connection of this.#connections) {
        if (connection.handling || connection.lastActiveMs >= oldestMs) continue;
        const { host, port } = connection.stream.remote;
        this.#options.logger.debug(
          { peer: `${host}:${port}` },
          `connection closed: idle for longer than connections.max.idle.ms (${idleMsMax})`,
        );
        connection.destroy();
      }
      this.#scheduleSweep();
    });
  }
}
