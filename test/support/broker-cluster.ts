/**
 * Three brokers as operating-system processes that form one cluster on loopback: Kappalog from this tree, or Apache Kafka with
 * KRaft to compare with, each node broker and controller at once. Nodes can be stopped and started again one at a time.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { WireConnection } from '../integration/wire-connection.ts';
import { formatKafkaStorage, startBroker } from './broker-process.ts';
import type { BrokerKind, BrokerProcess, BrokerSpec } from './broker-process.ts';
import type { ChildProcesses } from './child-processes.ts';

export interface BrokerClusterSpec {
  /** Three ports for each node from here on: Kafka's, HTTP, that between nodes. */
  readonly port: number;
  /** Holds a directory for each node. */
  readonly directory: string;
  /** Data directories of each node; one where absent. */
  readonly dataDirectories?: number;
  /** Of every node, by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Java heap of each node of Apache Kafka. */
  readonly heap?: string;
}

const nodeIds = [1, 2, 3];
const host = '127.0.0.1';
const metadataVersion = 12;
const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export class BrokerCluster {
  readonly kind: BrokerKind;
  /** `host:port` of every node, with commas. */
  readonly address: string;
  readonly #children: ChildProcesses;
  readonly #specs: ReadonlyMap<number, BrokerSpec>;
  readonly #nodes = new Map<number, BrokerProcess>();

  private constructor(kind: BrokerKind, children: ChildProcesses, specs: ReadonlyMap<number, BrokerSpec>) {
    this.kind = kind;
    this.#children = children;
    this.#specs = specs;
    this.address = [...specs.values()].map(({ port }) => `${host}:${port}`).join(',');
  }

  /** Resolves when every node knows of all. */
  static async start(
    kind: BrokerKind,
    children: ChildProcesses,
    spec: BrokerClusterSpec,
  ): Promise<BrokerCluster> {
    const specs = new Map(nodeIds.map((nodeId) => [nodeId, specOf(kind, spec, nodeId)]));
    const cluster = new BrokerCluster(kind, children, specs);
    if (kind === 'kafka') for (const each of specs.values()) await formatKafkaStorage(children, each);
    await Promise.all(nodeIds.map((nodeId) => cluster.startNode(nodeId)));
    await cluster.untilComplete();
    return cluster;
  }

  /** Those that run, in order of their numbers. */
  get nodes(): readonly BrokerProcess[] {
    return nodeIds.flatMap((nodeId) => this.#nodes.get(nodeId) ?? []);
  }

  /** One that runs. */
  node(nodeId: number): BrokerProcess {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`Node ${nodeId} does not run.`);
    return node;
  }

  get nodeIds(): readonly number[] {
    return nodeIds;
  }

  get pids(): readonly number[] {
    return this.nodes.map(({ pid }) => pid);
  }

  /** Resolves when it answers. */
  async startNode(nodeId: number): Promise<void> {
    const node = await startBroker(this.kind, this.#children, this.#specs.get(nodeId)!);
    this.#nodes.set(nodeId, node);
  }

  /** SIGTERM; resolves when it has ended, with its exit code. */
  async stopNode(nodeId: number): Promise<number | null> {
    const node = this.#nodes.get(nodeId);
    this.#nodes.delete(nodeId);
    return (await node?.stop()) ?? null;
  }

  /** SIGKILL; resolves when it has ended. */
  async killNode(nodeId: number): Promise<void> {
    const node = this.#nodes.get(nodeId);
    this.#nodes.delete(nodeId);
    await node?.kill();
  }

  /** It stops, and all its data directories are gone. */
  async loseDisk(nodeId: number): Promise<void> {
    const spec = this.#specs.get(nodeId)!;
    await this.stopNode(nodeId);
    rmSync(spec.directory, { recursive: true, force: true });
    if (this.kind === 'kafka') await formatKafkaStorage(this.#children, spec);
  }

  async stop(): Promise<void> {
    await Promise.all(nodeIds.map((nodeId) => this.stopNode(nodeId)));
  }

  /** At once. */
  async kill(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    this.#nodes.clear();
  }

  /** Resolves when every node that runs shows all of them to clients. */
  async untilComplete(): Promise<void> {
    const running = this.nodes.length;
    await this.#untilAllSee('the whole cluster', null, ({ brokers }) => brokers === running);
  }

  /** Resolves when every node shows each partition of a topic with a leader and all replicas in sync. Returns how long that took. */
  async untilInSync(topic: string, partitions: number): Promise<number> {
    const begin = performance.now();
    await this.#untilAllSee(`${topic} in sync`, topic, ({ inSync }) => inSync === partitions);
    return performance.now() - begin;
  }

  async #untilAllSee(what: string, topic: string | null, holds: (view: View) => boolean): Promise<void> {
    const untilMs = performance.now() + 120_000;
    for (const node of this.nodes) {
      const connection = await WireConnection.open(node.port);
      try {
        for (;;) {
          const view = await viewOf(connection, topic);
          if (holds(view)) break;
          if (performance.now() > untilMs) {
            throw new Error(`${this.kind} does not see ${what} after 120 s but ${JSON.stringify(view)}.`);
          }
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      } finally {
        await connection[Symbol.asyncDispose]();
      }
    }
  }
}

/** What one node's Metadata says. */
interface View {
  readonly brokers: number;
  /** Partitions of the topic that have a leader and no replica out of sync. */
  readonly inSync: number;
}

async function viewOf(connection: WireConnection, topic: string | null): Promise<View> {
  const { brokers, topics } = await connection.call('Metadata', metadataVersion, {
    topics: topic === null ? [] : [{ topicId: noTopicId, name: topic }],
    allowAutoTopicCreation: false,
  });
  const partitions = topics[0]?.partitions ?? [];
  const inSync = partitions.filter(
    ({ leaderId, isrNodes, replicaNodes }) => leaderId >= 0 && isrNodes.length === replicaNodes.length,
  );
  return { brokers: brokers.length, inSync: inSync.length };
}

function specOf(kind: BrokerKind, spec: BrokerClusterSpec, nodeId: number): BrokerSpec {
  const portOf = (id: number): number => spec.port + 3 * (id - 1);
  const port = portOf(nodeId);
  const voters = nodeIds.map((id) => `${id}@${host}:${portOf(id) + 2}`).join(',');
  const directory = join(spec.directory, `node-${nodeId}`);
  const furtherDirectories = Array.from({ length: (spec.dataDirectories ?? 1) - 1 }, (_, at) =>
    join(directory, `data-${at + 2}`),
  );
  if (kind === 'kappalog') {
    return {
      port,
      httpPort: port + 1,
      directory,
      furtherDirectories,
      ...(spec.settings === undefined ? {} : { settings: spec.settings }),
      arguments: ['--node-id', `${nodeId}`, '--internal-port', `${port + 2}`, '--voters', voters],
    };
  }
  const settings = {
    'node.id': `${nodeId}`,
    'controller.quorum.voters': voters,
    'offsets.topic.replication.factor': '3',
    'transaction.state.log.replication.factor': '3',
    'share.coordinator.state.topic.replication.factor': '3',
    ...spec.settings,
  };
  return {
    port,
    directory,
    furtherDirectories,
    settings,
    ...(spec.heap === undefined ? {} : { heap: spec.heap }),
  };
}
