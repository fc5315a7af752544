/** Groups on a real broker: over TCP, on a disk, with restarts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startBroker } from '../../../broker/index.ts';
import type { Broker } from '../../../broker/index.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import { subscription } from './machine-driver.ts';
import { WireClient } from './wire-client.ts';

const assignment = Buffer.from('everything');

async function start(
  dataDir: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ broker: Broker; client: WireClient }> {
  const settings = {
    'group.initial.rebalance.delay.ms': '0',
    'offsets.topic.num.partitions': '4',
    'group.min.session.timeout.ms': '100',
    ...more,
  };
  const broker = await startBroker({ port: 0, dataDir, settings });
  const client = await WireClient.open(broker.port);
  onTestFinished(async () => {
    client.close();
    await broker.close();
  });
  return { broker, client };
}

async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(joinPath(tmpdir(), 'kappalog-groups-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

function joinRequest(memberId = '') {
  return {
    groupId: 'g',
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    memberId,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription(['t']) }],
  };
}

async function joinAndSync(client: WireClient): Promise<string> {
  const found = await client.call('FindCoordinator', 4, { coordinatorKeys: ['g'] });
  expect(found.coordinators).toMatchObject([{ key: 'g', errorCode: ErrorCode.NONE, host: '127.0.0.1' }]);
  const { memberId } = await client.call('JoinGroup', 5, joinRequest());
  const joined = await client.call('JoinGroup', 5, joinRequest(memberId));
  expect(joined).toMatchObject({ errorCode: ErrorCode.NONE, generationId: 1, leader: memberId });
  const assignments = [{ memberId, assignment }];
  const synced = await client.call('SyncGroup', 3, { groupId: 'g', generationId: 1, memberId, assignments });
  expect(synced).toMatchObject({ errorCode: ErrorCode.NONE, assignment });
  return memberId;
}

async function commit(
  client: WireClient,
  memberId: string,
  committedOffset: number,
  committedMetadata: string | null = null,
): Promise<number | undefined> {
  const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata }];
  const reply = await client.call('OffsetCommit', 7, {
    groupId: 'g',
    generationIdOrMemberEpoch: memberId === '' ? -1 : 1,
    memberId,
    topics: [{ name: 't', partitions }],
  });
  return reply.topics[0]?.partitions[0]?.errorCode;
}

async function committed(client: WireClient): Promise<number | undefined> {
  const reply = await client.call('OffsetFetch', 5, {
    groupId: 'g',
    topics: [{ name: 't', partitionIndexes: [0] }],
  });
  expect(reply.errorCode).toBe(ErrorCode.NONE);
  return reply.topics[0]?.partitions[0]?.committedOffset;
}

async function makeTopic(client: WireClient): Promise<void> {
  const topics = [{ name: 't', numPartitions: 1, replicationFactor: 1 }];
  expect((await client.call('CreateTopics', 5, { topics, timeoutMs: 5_000 })).topics).toMatchObject([
    { name: 't', errorCode: ErrorCode.NONE },
  ]);
}

test('members, their assignments and offsets outlive the broker', async () => {
  const dataDir = await dataDirectory();
  const first = await start(dataDir);
  await makeTopic(first.client);
  const memberId = await joinAndSync(first.client);
  expect(await commit(first.client, memberId, 42)).toBe(ErrorCode.NONE);
  await first.broker.close();

  const { client } = await start(dataDir);
  const member = { groupId: 'g', generationId: 1, memberId };
  expect(await client.call('Heartbeat', 3, member)).toMatchObject({ errorCode: ErrorCode.NONE });
  expect(await client.call('SyncGroup', 3, member)).toMatchObject({ errorCode: ErrorCode.NONE, assignment });
  expect(await committed(client)).toBe(42);
  expect(await commit(client, memberId, 43)).toBe(ErrorCode.NONE);
  expect(await committed(client)).toBe(43);
  expect((await client.call('DescribeGroups', 5, { groups: ['g'] })).groups).toMatchObject([
    { groupState: 'Stable', members: [{ memberId, clientId: 'wire', clientHost: '/127.0.0.1' }] },
  ]);
});

test('a broker that stops sends waiting members away at once', async () => {
  const { broker, client } = await start(await dataDirectory());
  await makeTopic(client);
  const memberId = await joinAndSync(client);
  const other = await WireClient.open(broker.port);
  onTestFinished(() => other.close());
  const waiting = other.call('JoinGroup', 3, joinRequest());
  while ((await client.call('Heartbeat', 3, { groupId: 'g', generationId: 1, memberId })).errorCode === 0)
    continue;
  const startedMs = performance.now();
  const closed = broker.close();
  expect(await waiting).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR });
  await closed;
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

test('deleting a topic deletes what was committed for it', async () => {
  const { client } = await start(await dataDirectory());
  await makeTopic(client);
  await client.call('FindCoordinator', 4, { coordinatorKeys: ['g'] });
  expect(await commit(client, '', 7)).toBe(ErrorCode.NONE);
  expect(await committed(client)).toBe(7);
  await client.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 5_000 });
  await makeTopic(client);
  expect(await committed(client)).toBe(-1);
  expect((await client.call('ListGroups', 4, {})).groups).toEqual([]);
});

test('a group’s topic that is deleted is made again, empty', async () => {
  const { client } = await start(await dataDirectory());
  await makeTopic(client);
  await joinAndSync(client);
  const deleted = await client.call('DeleteTopics', 5, {
    topicNames: ['__consumer_offsets'],
    timeoutMs: 5_000,
  });
  expect(deleted.responses).toMatchObject([{ errorCode: ErrorCode.NONE }]);
  await joinAndSync(client);
  expect((await client.call('ListGroups', 4, {})).groups).toMatchObject([
    { groupId: 'g', groupState: 'Stable' },
  ]);
});

test('the log of committed offsets is compacted while it is written, and all is there after a restart', async () => {
  const dataDir = await dataDirectory();
  const settings = {
    'offsets.topic.num.partitions': '1',
    'offsets.topic.segment.bytes': '1048576',
    'log.initial.task.delay.ms': '0',
    'log.cleaner.backoff.ms': '1',
  };
  const { broker, client } = await start(dataDir, settings);
  await makeTopic(client);
  await client.call('FindCoordinator', 4, { coordinatorKeys: ['g'] });
  const sizeBytes = async (): Promise<number> => {
    const { results } = await client.call('DescribeLogDirs', 2, {
      topics: [{ topic: '__consumer_offsets', partitions: [0] }],
    });
    return results[0]!.topics[0]!.partitions[0]!.partitionSize;
  };
  await expect.poll(() => commit(client, '', 0)).toBe(ErrorCode.NONE);
  const note = 'n'.repeat(4_000);
  const commits = 1_200;
  for (let offset = 1; offset <= commits; offset++) {
    expect(await commit(client, '', offset, note)).toBe(ErrorCode.NONE);
  }
  // All have one key: beside the segment that is written to there is a record or two left.
  await expect.poll(sizeBytes, { timeout: 20_000 }).toBeLessThan(1.1 * 1_048_576);
  await broker.close();
  const second = await start(dataDir, settings);
  const loading = async (): Promise<number> =>
    (await second.client.call('OffsetFetch', 5, { groupId: 'g', topics: [] })).errorCode;
  await expect.poll(loading).toBe(ErrorCode.NONE);
  expect(await committed(second.client)).toBe(commits);
});
