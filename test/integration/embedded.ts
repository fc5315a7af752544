/** Embedded brokers for tests that need a whole one: what they log is kept, and their disk can be held or fail. */
import { startBroker } from '../../broker/index.ts';
import type { Broker, BrokerOptions, Logger } from '../../broker/index.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import type { DiskOperation, MemoryDiskOptions } from '../../platform/memory-disk.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { encodeBatch } from '../../protocol/index.ts';
import type { Encodable, FetchRequest, MessageTypes } from '../../protocol/index.ts';
import { WireConnection } from './wire-connection.ts';

export class KeptLog implements Logger {
  /** `level: sentence`, oldest first. */
  readonly lines: string[] = [];
  readonly debugLines: string[] = [];

  debug(_fields: object, message: string): void {
    this.debugLines.push(message);
  }

  info(_fields: object, message: string): void {
    this.lines.push(`info: ${message}`);
  }

  warn(_fields: object, message: string): void {
    this.lines.push(`warn: ${message}`);
  }

  error(_fields: object, message: string): void {
    this.lines.push(`error: ${message}`);
  }
}

/** Operations on the disk that match wait here until they are let go. */
export class DiskGate {
  #matches: (operation: DiskOperation, path: string) => boolean = () => false;
  readonly #held: (() => void)[] = [];
  #onHeld: (() => void) | undefined;

  readonly delay: NonNullable<MemoryDiskOptions['delay']> = (operation, path) => {
    if (!this.#matches(operation, path)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#held.push(resolve);
      this.#onHeld?.();
    });
  };

  /** From now on these are held; resolves when one is. */
  hold(matches: (operation: DiskOperation, path: string) => boolean): Promise<void> {
    this.#matches = matches;
    return new Promise((resolve) => {
      this.#onHeld = resolve;
    });
  }

  /** Lets all that are held go on, and holds no more. */
  open(): void {
    this.#matches = () => false;
    for (const go of this.#held.splice(0)) go();
  }
}

export interface Embedded extends AsyncDisposable {
  readonly broker: Broker;
  readonly log: KeptLog;
  connect(): Promise<WireConnection>;
}

/** A broker on a disk in memory, which the gate holds where one is given. Connections made by `connect` end with it. */
export async function embed(
  options: BrokerOptions & { readonly disk?: MemoryDisk; readonly gate?: DiskGate } = {},
): Promise<Embedded> {
  const { gate, disk = new MemoryDisk(gate === undefined ? {} : { delay: gate.delay }), ...rest } = options;
  const log = new KeptLog();
  const platform = { ...realPlatform(), disk };
  const broker = await startBroker({ port: 0, storage: 'memory', platform, logger: log, ...rest });
  const connections: WireConnection[] = [];
  return {
    broker,
    log,
    async connect() {
      const connection = await WireConnection.open(broker.port);
      connections.push(connection);
      return connection;
    },
    async [Symbol.asyncDispose]() {
      gate?.open();
      for (const connection of connections) await connection[Symbol.asyncDispose]();
      await broker.close();
    },
  };
}

export async function createTopic(
  connection: WireConnection,
  name: string,
  numPartitions = 1,
): Promise<void> {
  const { topics } = await connection.call('CreateTopics', 5, {
    topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 10_000,
  });
  if (topics[0]!.errorCode !== 0) throw new Error(`${name}: ${topics[0]!.errorMessage}`);
}

export interface Sequence {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** One batch of these values for one partition. */
export function produceOf(
  topic: string,
  values: readonly string[],
  options: { partition?: number; acks?: number; sequence?: Sequence; timeoutMs?: number } = {},
): Encodable<MessageTypes['ProduceRequest']> {
  const records = encodeBatch(
    values.map((value) => ({ timestamp: 1_700_000_000_000, value: Buffer.from(value) })),
    { ...options.sequence },
  );
  return {
    transactionalId: null,
    acks: options.acks ?? -1,
    timeoutMs: options.timeoutMs ?? 10_000,
    topicData: [{ name: topic, partitionData: [{ index: options.partition ?? 0, records }] }],
  };
}

/** Produce's version in these tests: the newest that goes by names. */
export const produceVersion = 9;
/** Fetch's version in these tests: the newest that goes by names. */
export const fetchVersion = 12;

export function fetchOf(
  topic: string,
  partitions: readonly { partition?: number; fetchOffset: number; partitionMaxBytes?: number }[],
  options: Partial<Encodable<FetchRequest>> = {},
): Encodable<FetchRequest> {
  return {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 10_000_000,
    topics: [
      {
        topic,
        partitions: partitions.map(({ partition = 0, fetchOffset, partitionMaxBytes = 1_000_000 }) => ({
          partition,
          fetchOffset,
          partitionMaxBytes,
          currentLeaderEpoch: -1,
          lastFetchedEpoch: -1,
        })),
      },
    ],
    ...options,
  };
}
