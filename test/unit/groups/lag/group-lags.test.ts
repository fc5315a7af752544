import { describe, expect, it } from 'vitest';
import { newCommittedOffsets, setCommittedOffset } from '../../../../broker/groups/committed-offsets.ts';
import type { CommittedOffsets } from '../../../../broker/groups/committed-offsets.ts';
import { noTopicId } from '../../../../broker/groups/group-commands.ts';
import { GroupLags } from '../../../../broker/groups/lag/group-lags.ts';
import type { GroupLagsOptions } from '../../../../broker/groups/lag/group-lags.ts';
import type { AskedPartition, FoundPartition } from '../../../../broker/groups/lag/lag-questions.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

interface Committed {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset: number;
  readonly topicId?: string;
}

function commit(
  offsets: CommittedOffsets,
  { topic = 't', partition = 0, offset, topicId = 'id of t' }: Committed,
): void {
  const value = {
    offset,
    leaderEpoch: -1,
    metadata: '',
    commitTimestampMs: 0,
    expireTimestampMs: -1,
    topicId,
  };
  setCommittedOffset(offsets, topic, partition, value);
}

class World {
  readonly clock = new ManualClock();
  readonly groups = new Map<string, CommittedOffsets>();
  /** What each node was asked. */
  readonly asked: [number, readonly AskedPartition[]][] = [];
  /** By partition of topic t. */
  readonly logs = new Map<number, FoundPartition>();
  leader: number | undefined = 1;

  open(options: Partial<GroupLagsOptions> = {}): GroupLags {
    return new GroupLags({
      clock: this.clock,
      intervalMs: 0,
      partitionsMax: 100,
      groups: () => [...this.groups].map(([groupId, offsets]) => ({ groupId, offsets })),
      topicId: (topic) => (topic === 'gone' ? undefined : `id of ${topic}`),
      leaderOf: () => this.leader,
      ask: async (nodeId, asked) => {
        this.asked.push([nodeId, asked]);
        return asked.map(([, , partition]) => this.logs.get(partition)!);
      },
      ...options,
    });
  }

  group(groupId: string, ...committed: readonly Committed[]): CommittedOffsets {
    const offsets = newCommittedOffsets();
    for (const each of committed) commit(offsets, each);
    this.groups.set(groupId, offsets);
    return offsets;
  }
}

describe('the watch over lags', () => {
  it('knows records, seconds, what was lost, the trend and when all will be read', async () => {
    const world = new World();
    const nowMs = world.clock.wallMs();
    const offsets = world.group('g', { offset: 40 }, { partition: 1, offset: 7 });
    world.logs.set(0, [0, 100, nowMs - 30_000]);
    world.logs.set(1, [9, 9, null]);
    const lags = world.open();
    expect(lags.of('g')).toBeUndefined();
    await lags.round();
    expect(lags.of('g')).toMatchObject({
      lagRecords: 60,
      maxLagRecords: 60,
      lostRecords: 2,
      maxLagSeconds: 30,
      trend: null,
      catchUpSeconds: null,
      partitions: [
        {
          topic: 't',
          partition: 0,
          committed: 40,
          start: 0,
          end: 100,
          lagRecords: 60,
          lagSeconds: 30,
          rates: null,
        },
        { partition: 1, committed: 7, lagRecords: 0, lostRecords: 2, lagSeconds: 0 },
      ],
    });
    await world.clock.advanceAsync(10_000);
    expect(lags.of('g')?.maxLagSeconds).toBe(40);
    commit(offsets, { offset: 70 });
    world.logs.set(0, [0, 110, nowMs + 5_000]);
    await lags.round();
    expect(lags.of('g')).toMatchObject({
      lagRecords: 40,
      maxLagSeconds: 5,
      trend: 'shrinking',
      catchUpSeconds: 20,
    });
    expect(lags.of('g')?.partitions[0]).toMatchObject({
      rates: { produced: 1, consumed: 3 },
      trend: 'shrinking',
    });
    // Records without a timestamp are of no known age.
    commit(offsets, { offset: 80 });
    world.logs.set(0, [0, 110, null]);
    await lags.round();
    expect(lags.of('g')?.partitions[0]).toMatchObject({ lagRecords: 30, lagSeconds: null });
  });

  it('asks for a time once for each commit', async () => {
    const world = new World();
    const offsets = world.group('g', { offset: 5 });
    world.logs.set(0, [0, 10, 1]);
    const lags = world.open();
    await lags.round();
    await lags.round();
    commit(offsets, { offset: 6 });
    await lags.round();
    expect(world.asked.map(([, asked]) => asked[0]!.slice(3))).toEqual([
      [5, true],
      [5, false],
      [6, true],
    ]);
  });

  it('says why it knows nothing', async () => {
    const world = new World();
    world.group('g', { offset: 5 });
    world.leader = undefined;
    const lags = world.open({ ask: () => Promise.reject(new Error('it is asleep')) });
    await lags.round();
    const why = (): unknown => lags.of('g')?.partitions[0]?.unknownBecause;
    expect(why()).toBe('no leader of it is known');
    expect(lags.of('g')).toMatchObject({
      lagRecords: 0,
      unknownPartitions: 1,
      catchUpSeconds: null,
      maxLagSeconds: null,
    });
    world.leader = 3;
    await lags.round();
    expect(why()).toBe('node 3, which leads it, gave no answer: it is asleep');
  });

  it('leaves out topics that are gone, and what was committed for a namesake', async () => {
    const world = new World();
    world.group(
      'g',
      { offset: 1, topic: 'gone' },
      { offset: 1, topicId: 'id of another t' },
      { offset: 1, partition: 1, topicId: noTopicId },
    );
    world.logs.set(1, [0, 3, 0]);
    const lags = world.open();
    await lags.round();
    expect(lags.of('g')?.partitions.map(({ topic, partition }) => [topic, partition])).toEqual([['t', 1]]);
  });

  it('asks in questions of a bounded size, and watches no more than it may', async () => {
    const world = new World();
    const many = Array.from({ length: 2_500 }, (_, partition) => ({ partition, offset: 0 }));
    for (const { partition } of many) world.logs.set(partition, [0, 1, 0]);
    world.group('a', ...many.slice(0, 1_500));
    world.group('b', ...many);
    const lags = world.open({ partitionsMax: 3_000 });
    const round = lags.round();
    await world.clock.advanceAsync(1);
    await round;
    expect(world.asked.map(([, asked]) => asked.length)).toEqual([1_000, 1_000, 1_000]);
    expect(lags.leftOut).toBe(1_000);
    expect(lags.of('b')?.partitions).toHaveLength(1_500);
    world.groups.delete('a');
    const next = lags.round();
    await world.clock.advanceAsync(1);
    await next;
    expect(lags.leftOut).toBe(0);
    expect([...lags.all()].map(([groupId]) => groupId)).toEqual(['b']);
  });

  it('goes round at its interval until it is closed', async () => {
    const world = new World();
    world.group('g', { offset: 5 });
    world.logs.set(0, [0, 10, 1]);
    const lags = world.open({ intervalMs: 10_000 });
    await world.clock.advanceAsync(35_000);
    expect(world.asked).toHaveLength(3);
    lags.close();
    await world.clock.advanceAsync(60_000);
    expect(world.asked).toHaveLength(3);
  });
});
