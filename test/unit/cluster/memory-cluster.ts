/** A `Cluster` on a log in memory, whose commits and whose work on replicas a test can hold back. */
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { Cluster } from '../../../broker/cluster/cluster.ts';
import type { MetadataFollower, MetadataLog } from '../../../broker/cluster/metadata/metadata-log.ts';
import type { ReplicaHost } from '../../../broker/cluster/partitions/replica-work.ts';
import type { ReplicaIdentity } from '../../../broker/partition/replica-types.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { uuid } from './cluster-fixtures.ts';

/** Opened: passes at once. Closed: holds all that come until it is opened. */
export class Gate {
  #open = true;
  #waiting: (() => void)[] = [];

  close(): void {
    this.#open = false;
  }

  open(): void {
    this.#open = true;
    for (const pass of this.#waiting.splice(0)) pass();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(): Promise<void> {
    if (this.#open) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** The log of a node that is alone, and leads from the first moment on. */
export class MemoryMetadataLog implements MetadataLog {
  readonly batches: Buffer[][];
  readonly commits = new Gate();
  readonly isLeader = true;
  readonly isReady = true;
  readonly term = 1;
  readonly leaderNode = 1;
  readonly memberNodes: ReadonlySet<number> = new Set([1]);
  readonly failed = false;
  failure: Error | undefined;
  #follower: MetadataFollower | undefined;

  constructor(batches: readonly Buffer[][] = []) {
    this.batches = [...batches];
  }

  get endOffset(): number {
    return this.batches.flat().length;
  }

  start(follower: MetadataFollower): Promise<void> {
    this.#follower = follower;
    let endOffset = 0;
    for (const records of this.batches) {
      endOffset += records.length;
      follower.committed({ records, endOffset });
    }
    return Promise.resolve();
  }

  async append(records: readonly Buffer[]): Promise<number> {
    await this.commits.pass();
    if (this.failure !== undefined) throw this.failure;
    this.batches.push([...records]);
    const { endOffset } = this;
    this.#follower?.committed({ records, endOffset });
    return endOffset;
  }

  confirm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Remembers what it was asked to do; holds what is open. */
export class MemoryReplicaHost implements ReplicaHost {
  readonly calls: string[] = [];
  readonly openNow = new Map<string, ReplicaIdentity>();
  readonly opening = new Gate();
  readonly removing = new Gate();
  failure: Error | undefined;

  async open(replicas: readonly ReplicaIdentity[]): Promise<void> {
    this.calls.push(`open ${replicas.map(({ topic, partition }) => `${topic}-${partition}`).join(' ')}`);
    await this.opening.pass();
    if (this.failure !== undefined) throw this.failure;
    for (const replica of replicas) this.openNow.set(`${replica.topic}-${replica.partition}`, replica);
    this.calls.push('opened');
  }

  async remove(topic: string): Promise<void> {
    this.calls.push(`remove ${topic}`);
    await this.removing.pass();
    for (const [key, replica] of this.openNow) if (replica.topic === topic) this.openNow.delete(key);
    this.calls.push('removed');
  }

  removeReplica({ topic, partition }: ReplicaIdentity): Promise<void> {
    this.calls.push(`remove ${topic}-${partition}`);
    this.openNow.delete(`${topic}-${partition}`);
    return Promise.resolve();
  }
}

export interface MemoryCluster {
  readonly cluster: Cluster;
  readonly log: MemoryMetadataLog;
  readonly host: MemoryReplicaHost;
  readonly config: BrokerConfig;
  readonly failures: [topic: string, error: unknown][];
}

export const nodeOne = {
  nodeId: 1,
  incarnationId: uuid(900),
  endpoints: [{ name: 'PLAINTEXT', host: 'localhost', port: 9092, securityProtocol: 0 }],
  rack: 'r1',
  host: null,
  logDirectories: [uuid(1000)],
};

/** Started, and with node 1 registered unless `register` is false. */
export async function openMemoryCluster(
  options: {
    batches?: readonly Buffer[][];
    settings?: Readonly<Record<string, string>>;
    register?: boolean;
  } = {},
): Promise<MemoryCluster> {
  let ids = 0;
  const log = new MemoryMetadataLog(options.batches);
  const host = new MemoryReplicaHost();
  const config = new BrokerConfig(new Map(Object.entries(options.settings ?? {})));
  const failures: [string, unknown][] = [];
  const cluster = new Cluster({
    nodeId: 1,
    log,
    clock: new ManualClock(),
    ids: { uuid: () => uuid(++ids) },
    config,
    replicas: host,
    onReplicaFailure: (topic, error) => failures.push([topic, error]),
  });
  await cluster.start();
  if (options.register !== false) {
    await cluster.register(nodeOne);
  }
  return { cluster, log, host, config, failures };
}

/** Lets everything run that does not wait for a gate. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 50; round++) await Promise.resolve();
}
