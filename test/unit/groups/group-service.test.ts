import { expect, test } from 'vitest';
import { defaultConsumerGroupConfig, defaultGroupConfig } from '../../../broker/groups/group-config.ts';
import { GroupService } from '../../../broker/groups/group-service.ts';
import { noTopicId } from '../../../broker/groups/group-commands.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import { MemoryCoordinatorLog } from '../coordinator/memory-coordinator-log.ts';
import { noTopics } from './machine-driver.ts';

function serviceOf() {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const groups = new GroupService({
    clock,
    ids: new RandomIds(new SeededRandom(7)),
    config: () => defaultGroupConfig,
    consumerConfig: () => defaultConsumerGroupConfig,
    topics: () => noTopics,
    partitionCount: () => 1,
    batchSizeBytesMax: () => 1_000_000,
    onShardFailure: (_, cause) => failures.push(cause),
    onLargePatterns: (_, patterns) => failures.push(patterns),
  });
  const commit = async (committedOffset: number) => {
    const offset = { partitionIndex: 0, committedOffset, committedLeaderEpoch: -1, committedMetadata: null };
    const reply = await groups.commitOffsets({
      groupId: 'g',
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      supportsGroupIdNotFound: true,
      topics: [{ name: 't', topicId: noTopicId, partitions: [offset] }],
    });
    return reply.topics[0]!.partitions[0]!.errorCode;
  };
  const fetched = async () => {
    const { errorCode, topics } = await groups.fetchOffsets({ groupId: 'g', topics: null });
    return errorCode === ErrorCode.NONE
      ? topics.map(({ partitions }) => partitions[0]!.committedOffset)
      : errorCode;
  };
  return { clock, failures, groups, commit, fetched };
}

test('groups that could not be loaded are loaded again after a while, and what was committed is there', async () => {
  const { clock, failures, groups, commit, fetched } = serviceOf();
  const log = new MemoryCoordinatorLog();
  log.becomeReady();
  await groups.lead(0, () => log);
  expect(await commit(5)).toBe(ErrorCode.NONE);
  const successor = log.successor();
  successor.becomeReady();
  successor.readFailure = new Error('bad sector');
  await groups.lead(0, () => successor);
  expect(await fetched()).toBe(ErrorCode.NOT_COORDINATOR);
  // Nobody is to take what is left for all that there is.
  const list = () => groups.listGroups({ states: new Set(), types: new Set() });
  expect(await list()).toEqual({ errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups: [] });
  expect(groups.shardCounts).toEqual({ loading: 0, active: 0, failed: 1 });
  successor.readFailure = undefined;
  clock.advance(999);
  expect(groups.stateOf(0)).toBe('failed');
  clock.advance(1);
  await expect.poll(() => groups.stateOf(0)).toBe('active');
  expect([await fetched(), failures]).toEqual([[5], [new Error('bad sector')]]);
  expect((await list()).groups.map(({ groupId }) => groupId)).toEqual(['g']);
  expect(groups.shardCounts).toEqual({ loading: 0, active: 1, failed: 0 });
  groups.resign(0);
  expect(groups.shardCounts).toEqual({ loading: 0, active: 0, failed: 0 });
});

test('a coordinator that another has taken over from gives no offsets', async () => {
  const { groups, commit, fetched } = serviceOf();
  const log = new MemoryCoordinatorLog();
  log.becomeReady();
  await groups.lead(0, () => log);
  await commit(5);
  expect(await fetched()).toEqual([5]);
  log.isDeposed = true;
  expect(await fetched()).toBe(ErrorCode.NOT_COORDINATOR);
});

test('a commit that the log refuses for a while is taken in the end', async () => {
  const { clock, groups, commit, fetched } = serviceOf();
  const log = new MemoryCoordinatorLog();
  log.becomeReady();
  await groups.lead(0, () => log);
  log.refusesAppends = true;
  const held = commit(5);
  expect(await commit(6)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE);
  log.refusesAppends = false;
  clock.advance(20);
  expect([await held, await fetched()]).toEqual([ErrorCode.NONE, [5]]);
});
