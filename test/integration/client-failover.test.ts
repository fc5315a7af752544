/** Members of groups of both protocols keep what they have while their coordinator goes, and every record is read once. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Kappalog, type Admin, type Consumer, type ConsumerOptions } from '../../client/index.ts';
import { freePort } from '../support/free-port.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import type { WireConnection } from './wire-connection.ts';

const partitionCount = 6;
const within = { timeout: 30_000, interval: 20 };

let cluster: EmbeddedCluster;
let client: Kappalog;
let admin: Admin;

beforeAll(async () => {
  // They are found again where they were.
  const ports = [await freePort(), await freePort(), await freePort()];
  const settings = {
    'group.initial.rebalance.delay.ms': '0',
    'group.consumer.min.heartbeat.interval.ms': '10',
    'group.consumer.heartbeat.interval.ms': '100',
    'group.consumer.min.assignment.interval.ms': '0',
    'group.consumer.assignment.interval.ms': '0',
  };
  const own = (nodeId: number): { port: number } => ({ port: ports[nodeId - 1]! });
  cluster = await EmbeddedCluster.start({ settings }, new Map(), own);
  client = new Kappalog({ brokers: cluster.addresses });
  admin = client.admin();
}, 60_000);
afterAll(async () => {
  await client.close();
  await cluster[Symbol.asyncDispose]();
});

async function coordinatorOf(groupId: string): Promise<number> {
  const connection: WireConnection = await cluster.connect(cluster.running[0]!);
  const { coordinators } = await connection.call('FindCoordinator', 4, {
    keyType: 0,
    coordinatorKeys: [groupId],
  });
  return coordinators[0]!.nodeId;
}

class Group {
  readonly name: string;
  readonly seen: string[] = [];
  /** What members were told beside what they were given. */
  readonly told: string[] = [];
  readonly members: Consumer[] = [];
  readonly #reading: Promise<void>[] = [];
  written = 0;

  constructor(name: string) {
    this.name = name;
  }

  start(options: ConsumerOptions): void {
    const member = client.consumer({
      groupId: this.name,
      topics: [this.name],
      autoCommitIntervalMs: 50,
      ...options,
      rebalance: {
        onRevoked: (partitions) => void this.told.push(`revoked ${partitions.length}`),
        onLost: (partitions) => void this.told.push(`lost ${partitions.length}`),
      },
    });
    this.members.push(member);
    this.#reading.push(this.#read(member));
  }

  get shares(): number[] {
    return this.members.map((member) => member.assignment().length);
  }

  async write(): Promise<void> {
    await using producer = client.producer();
    const rows = Array.from({ length: 60 }, (_, index) => this.written + index);
    await producer.sendMany(
      this.name,
      rows.map((row) => ({ value: String(row), partition: row % partitionCount })),
    );
    this.written += 60;
  }

  async readOnce(): Promise<void> {
    await expect.poll(() => this.seen.length, within).toBe(this.written);
    expect(new Set(this.seen).size).toBe(this.written);
    const ends = Array.from({ length: partitionCount }, () => this.written / partitionCount);
    const committed = async (): Promise<number[]> =>
      (await admin.fetchGroupOffsets(this.name)).map(({ offset }) => offset);
    await expect.poll(committed, within).toEqual(ends);
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
    await Promise.all(this.#reading);
  }

  async #read(member: Consumer): Promise<void> {
    for await (const { partition, offset } of member) this.seen.push(`${partition}:${offset}`);
  }
}

const modes: [string, ConsumerOptions][] = [
  ['eager', { heartbeatIntervalMs: 100 }],
  ['cooperative', { heartbeatIntervalMs: 100, assignors: ['cooperative-sticky'] }],
  ['consumer', { groupProtocol: 'consumer' }],
];

it.each(modes)(
  'a group of the kind %s loses nothing with its coordinator',
  async (mode, options) => {
    const group = new Group(`failing-over-${mode}`);
    await admin.createTopics([{ name: group.name, partitions: partitionCount, replicationFactor: 3 }]);
    for (let count = 0; count < 3; count++) group.start(options);
    await expect.poll(() => group.shares, within).toEqual([2, 2, 2]);
    await group.write();
    await group.readOnce();
    group.told.length = 0;
    const gone = await coordinatorOf(group.name);
    await cluster.stopNode(gone);
    await group.write();
    await group.readOnce();
    await expect.poll(() => coordinatorOf(group.name), within).not.toBe(gone);
    await cluster.startNode(gone);
    await group.write();
    await group.readOnce();
    expect([group.told, group.shares]).toEqual([[], [2, 2, 2]]);
    // It goes on by the same rules with its next coordinator.
    await group.members[1]!.close();
    await expect.poll(() => group.shares.toSorted((a, b) => a - b), within).toEqual([0, 3, 3]);
    await group.write();
    await group.readOnce();
    await group.close();
  },
  90_000,
);
