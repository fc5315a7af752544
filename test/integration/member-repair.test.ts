/** What becomes of a node whose files were damaged while it was stopped: its peers make up for it, or it says why it cannot go on. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { noCounts } from '../../broker/inspect/findings.ts';
import { findTarget } from '../../broker/inspect/inspected-files.ts';
import { verifyTarget } from '../../broker/inspect/verify.ts';
import type { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode, decodeBatch, iterateBatches } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const topic = 'kept';
const damagedNode = 3;
const partitionDirectory = `/kappalog/${topic}-0`;
const metadataDirectory = '/kappalog/__cluster_metadata-0';
const wait = { timeout: 10_000, interval: 20 };
const settings = {
  'broker.session.timeout.ms': '2000',
  'broker.heartbeat.interval.ms': '100',
  'replica.lag.time.max.ms': '1500',
};

let cluster: EmbeddedCluster;
const written: string[] = [];

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ settings });
  const connection = await cluster.connect(1);
  const made = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name: topic,
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [damagedNode, 1, 2] }],
        configs: [{ name: 'segment.bytes', value: '1048576' }],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: ErrorCode.NONE });
  await write(9);
}, 30_000);

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function leader(connection: WireConnection): Promise<number> {
  const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return topics[0]!.partitions[0]!.leaderId;
}

/** Batches of one record of 400 kB, acknowledged by all that are in sync. */
async function write(count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const value = `${written.length} `.padEnd(400_000, '.');
    await vi.waitFor(async () => {
      const asked = await cluster.connect(cluster.running[0]!);
      const to = await cluster.connect(await leader(asked));
      const { responses } = await to.call('Produce', produceVersion, produceOf(topic, [value]));
      expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NONE);
    }, wait);
    written.push(value);
  }
}

/** Everything that was acknowledged can be read from the node, as its leader. */
async function expectWhole(node: number): Promise<void> {
  const connection = await cluster.connect(node);
  await vi.waitFor(async () => {
    await (await cluster.connect(1)).call('ElectLeaders', 2, { electionType: 0, topicPartitions: null });
    expect(await leader(connection)).toBe(node);
  }, wait);
  await vi.waitFor(async () => expect(await read(connection)).toEqual(written.map(nameOf)), wait);
}

/** The beginnings of all values, from the log's start on. */
async function read(connection: WireConnection): Promise<string[]> {
  const found: string[] = [];
  for (let fetchOffset = 0, end = 1; fetchOffset < end; fetchOffset = found.length) {
    const asked = fetchOf(topic, [{ partition: 0, fetchOffset, partitionMaxBytes: 10_000_000 }]);
    const { responses } = await connection.call('Fetch', fetchVersion, asked);
    const { errorCode, records, highWatermark } = responses[0]!.partitions[0]!;
    expect({ fetchOffset, errorCode }).toEqual({ fetchOffset, errorCode: ErrorCode.NONE });
    end = highWatermark;
    for (const { bytes } of iterateBatches(records!)) {
      for (const { value } of decodeBatch(bytes)) found.push(nameOf(String(value)));
    }
  }
  return found;
}

function nameOf(value: string): string {
  return value.slice(0, value.indexOf('.'));
}

async function stopAndDamage(damage: (disk: MemoryDisk) => Promise<void>): Promise<void> {
  await cluster.stopNode(damagedNode);
  await damage(cluster.diskOf(damagedNode));
}

async function filesOf(disk: MemoryDisk, directory: string, ending: string): Promise<string[]> {
  const names = await disk.list(directory);
  return names.filter((name) => name.endsWith(ending)).map((name) => `${directory}/${name}`);
}

async function cut(disk: MemoryDisk, path: string, sizeOf: (size: number) => number): Promise<void> {
  const file = await disk.open(path, 'write');
  await file.truncate(sizeOf(await file.size()));
  await file.close();
}

async function removeAll(disk: MemoryDisk, directory: string): Promise<void> {
  await disk.removeDirectory(directory);
}

const repaired: readonly [what: string, damage: (disk: MemoryDisk) => Promise<void>][] = [
  [
    'a byte of the newest segment, and the state of the log',
    async (disk) => {
      disk.flipBit((await filesOf(disk, partitionDirectory, '.log')).at(-1)!, 70, 3);
      await disk.remove(`${partitionDirectory}/replica-state`);
    },
  ],
  [
    'half of the newest segment',
    async (disk) => cut(disk, (await filesOf(disk, partitionDirectory, '.log')).at(-1)!, (size) => size >> 1),
  ],
  [
    'a segment in the middle',
    async (disk) => disk.remove((await filesOf(disk, partitionDirectory, '.log'))[1]!),
  ],
  [
    'all segments',
    async (disk) => {
      for (const path of await filesOf(disk, partitionDirectory, '.log')) await disk.remove(path);
    },
  ],
  ['all of the partition', (disk) => removeAll(disk, partitionDirectory)],
  ['the state of the log', async (disk) => disk.flipBit(`${partitionDirectory}/replica-state`, 20, 1)],
  ['the whole file of the state of the log', (disk) => disk.remove(`${partitionDirectory}/replica-state`)],
  ['the topic id of the partition', (disk) => disk.remove(`${partitionDirectory}/partition.metadata`)],
  ['the floors', (disk) => disk.remove('/kappalog/floors')],
  ['a bit of each floor', async (disk) => disk.flipBit('/kappalog/floors', 130, 1)],
];

for (const [what, damage] of repaired) {
  it(`a node that has lost ${what} is brought up by the others`, async () => {
    await stopAndDamage(damage);
    await write(1);
    await cluster.startNode(damagedNode);
    await expectWhole(damagedNode);
    await write(1);
  }, 20_000);
}

it.each([
  ['damaged', (disk: MemoryDisk, path: string) => Promise.resolve(disk.flipBit(path, 25, 1))],
  ['missing', (disk: MemoryDisk, path: string) => disk.remove(path)],
])(
  'a replica whose configuration is %s neither votes nor leads until it is removed',
  async (_, damage) => {
    await stopAndDamage((disk) => damage(disk, `${partitionDirectory}/raft-configuration`));
    const { log } = await cluster.startNode(damagedNode);
    expect(log.lines.filter((line) => line.includes('raft-configuration is damaged, missing'))).toHaveLength(
      1,
    );
    await write(1);
    await stopAndDamage((disk) => disk.removeDirectory(partitionDirectory));
    await cluster.startNode(damagedNode);
    await expectWhole(damagedNode);
  },
  20_000,
);

it('nothing is amiss in the directories of stopped nodes that were brought up, and what is damaged there is found', async () => {
  await cluster.stopNode(damagedNode);
  const disk = cluster.diskOf(damagedNode);
  expect(await findings(disk)).toEqual([]);
  const path = `${partitionDirectory}/raft-configuration`;
  disk.flipBit(path, 25, 1);
  expect(await findings(disk)).toEqual([`damage ${path}`]);
  disk.flipBit(path, 25, 1);
  await cluster.startNode(damagedNode);
}, 20_000);

/** What `kappalog log verify` says of a data directory, but for what an operator need not act upon. */
async function findings(disk: MemoryDisk): Promise<string[]> {
  const target = await findTarget(disk, '/kappalog');
  if (typeof target === 'string') throw new Error(target);
  const found: string[] = [];
  await verifyTarget(disk, target, noCounts(), ({ kind, file }) => {
    if (kind !== 'note') found.push(`${kind} ${file}`);
  });
  return found;
}

it('a node that cannot know its votes, or has a damaged metadata log, says that it cannot be what it was', async () => {
  await cluster.stopNode(damagedNode);
  const disk = cluster.diskOf(damagedNode);
  const start = (): Promise<unknown> => cluster.startNode(damagedNode);
  const votes = '/kappalog/votes';
  disk.flipBit(votes, 30, 3);
  await expect(start()).rejects.toThrow(/^\/kappalog\/votes is damaged at byte 8: .* join as a new one\.$/);
  disk.flipBit(votes, 30, 3);
  await disk.rename(votes, '/kappalog/aside');
  await expect(start()).rejects.toThrow(/^\/kappalog\/votes is damaged at byte 0: .* join as a new one\.$/);
  await disk.rename('/kappalog/aside', votes);
  disk.flipBit((await filesOf(disk, metadataDirectory, '.log'))[0]!, 300, 3);
  const metadata = /^the metadata log in \/kappalog is damaged; .* join as a new one$/;
  await expect(start()).rejects.toThrow(metadata);
  await removeAll(disk, metadataDirectory);
  await expect(start()).rejects.toThrow(metadata);
}, 20_000);
