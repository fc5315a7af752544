/** Replicas that are moved between the data directories of a node, through the client, while records are written and read. */
import { describe, expect, it, vi } from 'vitest';
import { Kappalog } from '../../client/index.ts';
import type { Admin, LogDirPartition } from '../../client/index.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { embed } from './embedded.ts';
import type { Embedded } from './embedded.ts';

const directories = ['/a', '/b'];
const within = { timeout: 20_000, interval: 20 };
const rateSetting = 'replica.alter.log.dirs.io.max.bytes.per.second';

function clientOf(node: Embedded): Kappalog {
  return new Kappalog({ brokers: `127.0.0.1:${node.broker.port}` });
}

/** By directory: the partitions in it, those to be marked. */
async function placesOf(admin: Admin, topic: string, broker = 1): Promise<Record<string, string[]>> {
  const described = await admin.describeLogDirs({ topics: [topic], brokers: [broker] });
  return Object.fromEntries(described.map(({ path, partitions }) => [path, partitions.map(nameOf)]));
}

function nameOf({ partition, isFuture }: LogDirPartition): string {
  return isFuture ? `${partition} future` : String(partition);
}

async function homeOf(admin: Admin, topic: string, broker = 1): Promise<string> {
  const places = await placesOf(admin, topic, broker);
  return Object.entries(places).find(([, names]) => names.includes('0'))![0];
}

function otherThan(path: string): string {
  return path === '/a' ? '/b' : '/a';
}

async function move(admin: Admin, topic: string, path: string, broker = 1) {
  const results = await admin.alterReplicaLogDirs([{ broker, topic, partition: 0, path }]);
  return results.map(({ error }) => error?.code ?? null);
}

async function setRate(admin: Admin, rate: string | null): Promise<void> {
  const change = rate === null ? { remove: [rateSetting] } : { set: { [rateSetting]: rate } };
  await admin.alterConfigs([{ type: 'broker', name: '1', ...change }]);
}

/** Writes values one after the other until it is told to end. */
class Writer {
  readonly #work: Promise<void>;
  #isEnding = false;
  count = 0;

  constructor(client: Kappalog, topic: string) {
    this.#work = this.#write(client, topic);
  }

  async #write(client: Kappalog, topic: string): Promise<void> {
    await using producer = client.producer();
    while (!this.#isEnding) {
      const values = Array.from({ length: 100 }, () => `${this.count++} `.padEnd(200, 'x'));
      await producer.sendMany(
        topic,
        values.map((value) => ({ value, partition: 0 })),
      );
    }
  }

  async end(): Promise<number> {
    this.#isEnding = true;
    await this.#work;
    return this.count;
  }
}

async function readAll(client: Kappalog, topic: string): Promise<number[]> {
  await using admin = client.admin();
  const [end] = await admin.listOffsets([{ topic, partition: 0, at: 'latest' }]);
  await using consumer = client.consumer({
    assign: [{ topic, partition: 0, offset: 'earliest', endOffset: end!.offset }],
  });
  return (await Array.fromAsync(consumer)).map(({ value }) => Number.parseInt(value!.toString(), 10));
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, value) => value);
}

async function movedTo(admin: Admin, topic: string, path: string, broker = 1): Promise<void> {
  const places = { [otherThan(path)]: [], [path]: ['0'] };
  await vi.waitFor(async () => expect(await placesOf(admin, topic, broker)).toEqual(places), within);
}

describe('a replica', () => {
  it('is moved to another directory and back while it is written to, and all is there, once, in order', async () => {
    const disk = new MemoryDisk();
    let count = 0;
    {
      await using node = await embed({ disk, dataDir: directories });
      await using client = clientOf(node);
      const admin = client.admin();
      await admin.createTopics([{ name: 't', partitions: 1, configs: { 'segment.bytes': '1048576' } }]);
      const writer = new Writer(client, 't');
      for (let round = 0; round < 4; round++) {
        const before = writer.count;
        await vi.waitFor(() => expect(writer.count).toBeGreaterThan(before + 8000), within);
        const path = otherThan(await homeOf(admin, 't'));
        expect(await move(admin, 't', path)).toEqual([null]);
        await movedTo(admin, 't', path);
      }
      count = await writer.end();
      expect(await readAll(client, 't')).toEqual(upTo(count));
      const home = await homeOf(admin, 't');
      expect(await disk.list(home)).toContain('t-0');
      const left = (await disk.list(otherThan(home))).filter((name) => /-\d|future|delete|stray/.test(name));
      expect(left.filter((name) => !name.startsWith('__cluster_metadata'))).toEqual([]);
      expect(node.log.lines).toEqual([]);
    }
    await using node = await embed({ disk, dataDir: directories });
    await using client = clientOf(node);
    expect(await readAll(client, 't')).toEqual(upTo(count));
    expect(node.log.lines).toEqual([]);
  });

  it('shows as a future one meanwhile, at the rate that is set, until the move is called off', async () => {
    await using node = await embed({ dataDir: directories });
    await using client = clientOf(node);
    const admin = client.admin();
    await admin.createTopics([{ name: 't', partitions: 1 }]);
    await setRate(admin, '1000');
    const writer = new Writer(client, 't');
    await vi.waitFor(() => expect(writer.count).toBeGreaterThan(3000), within);
    await writer.end();
    const home = await homeOf(admin, 't');
    const other = otherThan(home);
    expect(await move(admin, 't', other)).toEqual([null]);
    await vi.waitFor(async () => {
      const described = await admin.describeLogDirs();
      const [future] = described.find(({ path }) => path === other)!.partitions;
      expect(future).toMatchObject({ topic: 't', partition: 0, isFuture: true });
      expect(future!.sizeBytes).toBeGreaterThan(0);
      expect(future!.offsetLag).toBeGreaterThan(0);
    }, within);
    // The same again is no news; where it lies calls it off.
    expect(await move(admin, 't', other)).toEqual([null]);
    expect(await placesOf(admin, 't')).toEqual({ [home]: ['0'], [other]: ['0 future'] });
    expect(await move(admin, 't', home)).toEqual([null]);
    await movedTo(admin, 't', home);
    expect(await move(admin, 't', other)).toEqual([null]);
    await vi.waitFor(async () => {
      expect(await placesOf(admin, 't')).toEqual({ [home]: ['0'], [other]: ['0 future'] });
    }, within);
    await setRate(admin, null);
    await movedTo(admin, 't', other);
    expect(await readAll(client, 't')).toEqual(upTo(writer.count));
    expect(node.log.lines).toEqual([]);
  });

  it('that a stop of the node leaves half moved is moved after the next start', async () => {
    const disk = new MemoryDisk();
    let count = 0;
    let other = '';
    {
      await using node = await embed({ disk, dataDir: directories });
      await using client = clientOf(node);
      const admin = client.admin();
      await admin.createTopics([{ name: 't', partitions: 1 }]);
      await setRate(admin, '0');
      const writer = new Writer(client, 't');
      await vi.waitFor(() => expect(writer.count).toBeGreaterThan(1000), within);
      count = await writer.end();
      other = otherThan(await homeOf(admin, 't'));
      await move(admin, 't', other);
      await vi.waitFor(async () => {
        expect((await disk.list(other)).some((name) => name.endsWith('-future'))).toBe(true);
      }, within);
    }
    await using node = await embed({ disk, dataDir: directories });
    await using client = clientOf(node);
    const admin = client.admin();
    await vi.waitFor(async () => {
      expect((await placesOf(admin, 't'))[other]).toEqual(['0 future']);
    }, within);
    await setRate(admin, null);
    await movedTo(admin, 't', other);
    expect(await readAll(client, 't')).toEqual(upTo(count));
    expect((await disk.list(other)).filter((name) => name.endsWith('-future'))).toEqual([]);
  });

  it('whose topic is deleted while it is moved goes, and so does the copy', async () => {
    const disk = new MemoryDisk();
    await using node = await embed({ disk, dataDir: directories });
    await using client = clientOf(node);
    const admin = client.admin();
    await admin.createTopics([{ name: 't', partitions: 1 }]);
    await setRate(admin, '0');
    const writer = new Writer(client, 't');
    await vi.waitFor(() => expect(writer.count).toBeGreaterThan(100), within);
    await writer.end();
    await move(admin, 't', otherThan(await homeOf(admin, 't')));
    await admin.deleteTopics(['t']);
    await vi.waitFor(async () => {
      for (const path of directories) {
        expect((await disk.list(path)).filter((name) => /^t-|future/.test(name))).toEqual([]);
      }
    }, within);
    expect(node.log.lines).toEqual([]);
  });

  it('is refused where there is no such directory or partition, and remembered where it is not here yet', async () => {
    await using cluster = await EmbeddedCluster.start({ dataDir: directories });
    await using client = new Kappalog({ brokers: cluster.addresses });
    const admin = client.admin();
    await admin.createTopics([{ name: 't', assignments: [[1]] }]);
    expect(await move(admin, 't', '/c')).toEqual(['LOG_DIR_NOT_FOUND']);
    expect(await move(admin, 'unknown', '/a')).toEqual(['UNKNOWN_TOPIC_OR_PARTITION']);
    await using producer = client.producer();
    await producer.sendMany('t', [{ value: '0' }, { value: '1' }]);
    for (const path of directories) {
      expect(await move(admin, 't', path, 2)).toEqual(['REPLICA_NOT_AVAILABLE']);
      await admin.alterPartitionReassignments([{ topic: 't', partition: 0, replicas: [1, 2] }]);
      await movedTo(admin, 't', path, 2);
      await admin.alterPartitionReassignments([{ topic: 't', partition: 0, replicas: [1] }]);
      await vi.waitFor(async () => {
        expect(await placesOf(admin, 't', 2)).toEqual({ '/a': [], '/b': [] });
      }, within);
    }
    const connection = await cluster.connect(1);
    const { results } = await connection.call('AlterReplicaLogDirs', 1, {
      dirs: [{ path: '/a/', topics: [{ name: 't', partitions: [0, 7] }] }],
    });
    expect(results).toEqual([
      {
        topicName: 't',
        partitions: [
          { partitionIndex: 0, errorCode: ErrorCode.NONE },
          { partitionIndex: 7, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
        ],
      },
    ]);
  });

  it('of several is moved with its votes: as a follower, and as the leader, which it becomes again', async () => {
    await using cluster = await EmbeddedCluster.start({ dataDir: directories });
    await using client = new Kappalog({ brokers: cluster.addresses });
    const admin = client.admin();
    await admin.createTopics([{ name: 't', assignments: [[1, 2, 3]] }]);
    const leaderOf = async (): Promise<number> =>
      (await admin.describeTopics(['t']))[0]!.partitions[0]!.leader;
    expect(await leaderOf()).toBe(1);
    const writer = new Writer(client, 't');
    for (const broker of [1, 2, 3, 1]) {
      const before = writer.count;
      await vi.waitFor(() => expect(writer.count).toBeGreaterThan(before + 300), within);
      const path = otherThan(await homeOf(admin, 't', broker));
      expect(await move(admin, 't', path, broker)).toEqual([null]);
      await movedTo(admin, 't', path, broker);
      await vi.waitFor(async () => expect(await leaderOf()).toBe(1), within);
    }
    const count = await writer.end();
    expect(await readAll(client, 't')).toEqual(upTo(count));
    await vi.waitFor(async () => {
      const [described] = await admin.describeTopics(['t']);
      expect(described!.partitions[0]!.inSyncReplicas.toSorted((left, right) => left - right)).toEqual([
        1, 2, 3,
      ]);
    }, within);
    for (const id of [1, 2, 3]) {
      expect(cluster.node(id).log.lines.filter((line) => /error|moved/.test(line))).toEqual([]);
    }
  });
});
