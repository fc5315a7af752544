import { describe, expect, test } from 'vitest';
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import { noTopicId } from '../../../broker/groups/group-commands.ts';
import { ConsumerClient, Topics } from './consumer/consumer-client.ts';
import { commitCommand, durablePart, MachineDriver, stabilize } from './machine-driver.ts';

const minuteMs = 60_000;

describe('a commit', () => {
  test('without members makes a simple group', () => {
    const driver = new MachineDriver();
    expect(driver.commit({ 't-0': 5, 't-1': 7, 'u-0': 0 })).toEqual(['NONE', 'NONE', 'NONE']);
    expect(driver.group()).toMatchObject({ state: 'Empty', protocolType: undefined, generationId: 0 });
    expect(driver.committed()).toEqual({ 't-0': 5, 't-1': 7, 'u-0': 0 });
    expect(driver.commit({ 't-0': 3 })).toEqual(['NONE']);
    expect(driver.committed()).toEqual({ 't-0': 3, 't-1': 7, 'u-0': 0 });
    expect(driver.records).toHaveLength(4);
    expect(durablePart(driver.reloaded())).toEqual(durablePart(driver));
  });

  test('into an unknown group with a generation is refused', () => {
    const driver = new MachineDriver();
    expect(driver.commit({ 't-0': 5 }, { generationId: 0 })).toEqual(['GROUP_ID_NOT_FOUND']);
    expect(driver.commit({ 't-0': 5 }, { generationId: 0, supportsGroupIdNotFound: false })).toEqual([
      'ILLEGAL_GENERATION',
    ]);
    expect(driver.group()).toBeUndefined();
    expect(driver.records).toEqual([]);
  });

  test('of a member counts in its own generation only', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    stabilize(driver, [a]);
    expect(a.commit({ 't-0': 1 })).toEqual(['NONE']);
    a.generationId = 0;
    expect(a.commit({ 't-0': 2 })).toEqual(['ILLEGAL_GENERATION']);
    a.generationId = 2;
    expect(a.commit({ 't-0': 2 })).toEqual(['ILLEGAL_GENERATION']);
    a.generationId = 1;
    expect(driver.commit({ 't-0': 2 }, { memberId: 'x', generationId: 1 })).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(driver.commit({ 't-0': 2 })).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(driver.commit({ 't-0': 2 }, { memberId: a.memberId })).toEqual(['ILLEGAL_GENERATION']);
    expect(driver.committed()).toEqual({ 't-0': 1 });
  });

  test('goes through while members rejoin, and not while assignments are awaited', () => {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a'), driver.member('b')];
    stabilize(driver, [a]);
    b.join();
    expect(driver.group()!.state).toBe('PreparingRebalance');
    expect(a.commit({ 't-0': 1 })).toEqual(['NONE']);
    a.join();
    a.accept();
    expect(driver.group()!.state).toBe('CompletingRebalance');
    expect(a.commit({ 't-0': 2 })).toEqual(['REBALANCE_IN_PROGRESS']);
    expect(driver.committed()).toEqual({ 't-0': 1 });
  });

  test('into a group that has lost its members is taken from outside only', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    stabilize(driver, [a]);
    a.leave();
    expect(a.commit({ 't-0': 1 })).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(driver.commit({ 't-0': 2 })).toEqual(['NONE']);
    expect(driver.commit({ 't-0': 3 }, { memberId: 'anyone' })).toEqual(['NONE']);
  });

  test('keeps metadata, leader epoch and topic id, and refuses metadata that is too long', () => {
    const driver = new MachineDriver({ offsetMetadataSizeMax: 4 });
    const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
    const partition = {
      partitionIndex: 0,
      committedOffset: 9,
      committedLeaderEpoch: 3,
      committedMetadata: 'abcd',
    };
    const topics = [
      {
        name: 't',
        topicId,
        partitions: [partition, { ...partition, partitionIndex: 1, committedMetadata: 'abcde' }],
      },
    ];
    const reply = driver.answer(commitCommand({}, { topics }));
    expect(reply.topics[0]!.partitions.map(({ errorCode }) => errorName(errorCode))).toEqual([
      'NONE',
      'OFFSET_METADATA_TOO_LARGE',
    ]);
    for (const each of [driver, driver.reloaded()]) {
      const fetched = each.answer({
        kind: 'fetch-offsets',
        groupId: 'g',
        topics: [{ name: 't', topicId, partitionIndexes: [0, 1] }],
      });
      expect(fetched.topics).toEqual([
        {
          name: 't',
          topicId,
          partitions: [
            {
              partitionIndex: 0,
              committedOffset: 9,
              committedLeaderEpoch: 3,
              metadata: 'abcd',
              errorCode: 0,
            },
            { partitionIndex: 1, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
          ],
        },
      ]);
    }
  });

  test('for a topic that was deleted does not count for its namesake', () => {
    const driver = new MachineDriver();
    const partitions = [
      { partitionIndex: 0, committedOffset: 9, committedLeaderEpoch: -1, committedMetadata: null },
    ];
    driver.answer(
      commitCommand({}, { topics: [{ name: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partitions }] }),
    );
    const fetch = (topicId: string) =>
      driver.answer({
        kind: 'fetch-offsets',
        groupId: 'g',
        topics: [{ name: 't', topicId, partitionIndexes: [0] }],
      }).topics[0]!.partitions[0]!.committedOffset;
    expect(fetch('AAAAAAAAAAAAAAAAAAAAAQ')).toBe(9);
    expect(fetch('AAAAAAAAAAAAAAAAAAAAAg')).toBe(-1);
    expect(fetch(noTopicId)).toBe(9);
  });
});

describe('a fetch', () => {
  test('from an unknown group finds nothing, without an error', () => {
    const driver = new MachineDriver();
    const topics = [{ name: 't', topicId: noTopicId, partitionIndexes: [4] }];
    expect(driver.answer({ kind: 'fetch-offsets', groupId: 'g', topics })).toEqual({
      errorCode: ErrorCode.NONE,
      topics: [
        {
          name: 't',
          topicId: noTopicId,
          partitions: [
            { partitionIndex: 4, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
          ],
        },
      ],
    });
    expect(driver.answer({ kind: 'fetch-offsets', groupId: 'g', topics: null }).topics).toEqual([]);
    expect(driver.group()).toBeUndefined();
  });
});

describe('deleting', () => {
  test('a group takes its offsets with it', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    stabilize(driver, [a]);
    a.commit({ 't-0': 1 });
    expect(errorName(driver.answer({ kind: 'delete-group', groupId: 'g' }).errorCode)).toBe(
      'NON_EMPTY_GROUP',
    );
    a.leave();
    expect(errorName(driver.answer({ kind: 'delete-group', groupId: 'g' }).errorCode)).toBe('NONE');
    expect(driver.group()).toBeUndefined();
    expect(driver.records.slice(-2).map(({ value }) => value)).toEqual([null, null]);
    expect(driver.reloaded().machine.groups.size).toBe(0);
    expect(errorName(driver.answer({ kind: 'delete-group', groupId: 'g' }).errorCode)).toBe(
      'GROUP_ID_NOT_FOUND',
    );
  });

  test('offsets leaves the others', () => {
    const driver = new MachineDriver();
    driver.commit({ 't-0': 1, 't-1': 2, 'u-0': 3 });
    const topics = [{ name: 't', partitionIndexes: [0, 7] }];
    const reply = driver.answer({ kind: 'delete-offsets', groupId: 'g', topics });
    expect(reply).toEqual({
      errorCode: ErrorCode.NONE,
      topics: [
        {
          name: 't',
          partitions: [
            { partitionIndex: 0, errorCode: ErrorCode.NONE },
            { partitionIndex: 7, errorCode: ErrorCode.NONE },
          ],
        },
      ],
    });
    expect(driver.committed()).toEqual({ 't-1': 2, 'u-0': 3 });
    expect(driver.reloaded().committed()).toEqual({ 't-1': 2, 'u-0': 3 });
    expect(driver.records).toHaveLength(4);
  });

  test('all offsets of a simple group ends it', () => {
    const driver = new MachineDriver();
    driver.commit({ 't-0': 1 });
    driver.answer({ kind: 'delete-offsets', groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] });
    expect(driver.group()).toBeUndefined();
    expect(driver.reloaded().machine.groups.size).toBe(0);
  });

  test('offsets of live groups stops at what they read', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    stabilize(driver, [a]);
    a.commit({ 't-0': 1, 'u-0': 2 });
    const topics = ['t', 'u'].map((name) => ({ name, partitionIndexes: [0] }));
    const reply = driver.answer({ kind: 'delete-offsets', groupId: 'g', topics });
    expect(reply.topics.map(({ partitions }) => errorName(partitions[0]!.errorCode))).toEqual([
      'GROUP_SUBSCRIBED_TO_TOPIC',
      'NONE',
    ]);
    const other = driver.member('w', {
      groupId: 'w',
      protocolType: 'connect',
      protocols: [{ name: 'x', metadata: Buffer.from('?') }],
    });
    stabilize(driver, [other]);
    expect(errorName(driver.answer({ kind: 'delete-offsets', groupId: 'w', topics }).errorCode)).toBe(
      'NON_EMPTY_GROUP',
    );
    expect(errorName(driver.answer({ kind: 'delete-offsets', groupId: 'x', topics }).errorCode)).toBe(
      'GROUP_ID_NOT_FOUND',
    );
    expect(errorName(driver.answer({ kind: 'delete-offsets', groupId: '', topics }).errorCode)).toBe(
      'INVALID_GROUP_ID',
    );
  });

  test('a topic takes what groups committed for it', () => {
    const driver = new MachineDriver();
    driver.commit({ 't-0': 1, 'u-0': 2 });
    driver.commit({ 't-3': 1 }, { groupId: 'h' });
    expect(driver.answer({ kind: 'forget-topics', names: new Set(['t']) })).toEqual({ removedOffsets: 2 });
    expect(driver.committed('g')).toEqual({ 'u-0': 2 });
    expect([...driver.machine.groups.keys()]).toEqual(['g']);
    expect(durablePart(driver.reloaded())).toEqual(durablePart(driver));
  });
});

describe('retention', () => {
  const config = { offsetsRetentionMs: 60 * minuteMs, offsetsRetentionCheckIntervalMs: 10 * minuteMs };

  test('of a simple group runs from each commit, and ends the group', () => {
    const driver = new MachineDriver(config);
    driver.commit({ 't-0': 1 });
    driver.advance(30 * minuteMs);
    driver.commit({ 't-1': 2 });
    driver.advance(30 * minuteMs);
    expect(driver.committed()).toEqual({ 't-1': 2 });
    driver.advance(30 * minuteMs);
    expect(driver.group()).toBeUndefined();
    expect(driver.reloaded().machine.groups.size).toBe(0);
  });

  test('of a group runs from when its last member left', () => {
    const driver = new MachineDriver(config);
    const a = driver.member('a', { sessionTimeoutMs: 1_000_000 });
    stabilize(driver, [a]);
    a.commit({ 't-0': 1, 'gone-0': 4 });
    for (let step = 0; step < 10; step += 1) {
      driver.advance(10 * minuteMs);
      expect(a.heartbeat()).toBe('NONE');
    }
    // A live group keeps all, whatever its age, and whether anybody reads it still.
    expect(driver.committed()).toEqual({ 't-0': 1, 'gone-0': 4 });
    a.leave();
    const leftMs = driver.nowMs;
    driver.advance(59 * minuteMs);
    expect(driver.committed()).toEqual({ 't-0': 1, 'gone-0': 4 });
    expect(driver.group()!.state).toBe('Empty');
    driver.advance(11 * minuteMs);
    expect(driver.nowMs - leftMs).toBe(70 * minuteMs);
    expect(driver.group()).toBeUndefined();
    expect(driver.reloaded().machine.groups.size).toBe(0);
  });

  test('of a consumer group runs from when its last member left, also over a coordinator that takes over', () => {
    const topics = new Topics({ t: 1 });
    const driver = new MachineDriver(config, [], { topics });
    const a = new ConsumerClient(driver, { memberId: 'a' });
    a.heartbeat();
    driver.commit({ 't-0': 1, 'u-0': 2 }, { memberId: 'a', generationId: a.epoch });
    for (let step = 0; step < 300; step += 1) {
      driver.advance(minuteMs / 2);
      a.heartbeat();
    }
    expect(driver.committed()).toEqual({ 't-0': 1, 'u-0': 2 });
    a.leave();
    driver.advance(55 * minuteMs);
    const next = driver.reloaded();
    next.advance(4 * minuteMs);
    expect(next.committed()).toEqual({ 't-0': 1, 'u-0': 2 });
    next.advance(20 * minuteMs);
    expect(next.machine.groups.size).toBe(0);
    expect(next.reloaded().machine.groups.size).toBe(0);
  });

  test('is looked after in slices, between which there is time for others', () => {
    const driver = new MachineDriver(config);
    const groups = Array.from({ length: 25_000 }, (_, number) => `g${number}`);
    for (const groupId of groups) driver.commit({ 't-0': 1 }, { groupId });
    driver.advance(60 * minuteMs);
    const left = [groups.length];
    for (let ms = 0; ms < 100; ms += 1) {
      driver.advance(1);
      const { size } = driver.machine.groups;
      if (size !== left.at(-1)) left.push(size);
    }
    // A group and its offset count for two.
    expect(left).toEqual([25_000, 20_000, 15_000, 10_000, 5_000, 0]);
    expect(driver.reloaded().machine.groups.size).toBe(0);
  });

  test('that a client chose itself goes before', () => {
    const driver = new MachineDriver(config);
    driver.commit({ 't-0': 1 }, { retentionTimeMs: 5 * minuteMs });
    driver.commit({ 't-1': 2 }, { retentionTimeMs: 500 * minuteMs });
    driver.advance(10 * minuteMs);
    expect(driver.committed()).toEqual({ 't-1': 2 });
    driver.advance(400 * minuteMs);
    expect(driver.reloaded().committed()).toEqual({ 't-1': 2 });
  });

  test('of what a group whose subscriptions cannot be read has committed does not end while it lives', () => {
    const driver = new MachineDriver(config);
    const a = driver.member('a', {
      sessionTimeoutMs: 1_000_000,
      protocols: [{ name: 'range', metadata: Buffer.from([0]) }],
    });
    stabilize(driver, [a]);
    a.commit({ 't-0': 1 });
    for (let step = 0; step < 10; step += 1) {
      driver.advance(10 * minuteMs);
      a.heartbeat();
    }
    expect(driver.committed()).toEqual({ 't-0': 1 });
  });
});
