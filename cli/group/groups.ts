/** What the commands on groups have in common: groups that must exist, and the partitions that a group reads, with how far it is. */
import { KafkaError } from '../../client/index.ts';
import type { Admin, GroupDescription, TopicPartition } from '../../client/index.ts';
import { missing } from '../client.ts';
import { knownOffsets } from '../known-offsets.ts';
import type { LedPartition } from '../known-offsets.ts';

export interface GroupPartition {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to read; `null` where nothing is committed. */
  readonly committed: number | null;
  /** Where the log begins; `null`, here and below, where the topic is gone, or the partition has no leader that answers. */
  readonly start: number | null;
  readonly end: number | null;
  /** Records left to read; `null` where it is not known, which is not the same as 0. */
  readonly lag: number | null;
  /** Since the first of them was written; `null` where that is not known. */
  readonly lagSeconds: number | null;
  readonly memberId: string | null;
  readonly clientId: string | null;
}

export async function refuseMissing(admin: Admin, names: readonly string[]): Promise<void> {
  const known = new Set((await admin.listGroups()).map((group) => group.groupId));
  for (const name of names) {
    if (!known.has(name)) throw missing('group', name, known);
  }
}

/** Every partition that is committed or assigned, in order of topic and partition. */
export async function partitionsOf(
  admin: Admin,
  group: GroupDescription,
  nowMs: number,
): Promise<GroupPartition[]> {
  const committed = new Map(
    (await admin.fetchGroupOffsets(group.groupId)).map((offset) => [keyOf(offset), offset]),
  );
  const readers = new Map(
    group.members.flatMap((member) =>
      member.assignment.map((each) => [keyOf(each), { ...each, member }] as const),
    ),
  );
  const named = [...new Map<string, TopicPartition>([...committed, ...readers]).values()];
  const leaders = await leadersOf(admin, new Set(named.map(({ topic }) => topic)));
  const rows = named.map(({ topic, partition }) => ({
    topic,
    partition,
    leader: leaders.get(`${topic}/${partition}`),
  }));
  const present = rows.filter((row): row is LedPartition => row.leader !== undefined);
  const starts = byPartition(present, await knownOffsets(admin, present, 'earliest'));
  const ends = byPartition(present, await knownOffsets(admin, present, 'latest'));
  const known = rows.map(({ topic, partition }) => {
    const key = keyOf({ topic, partition });
    const offset = committed.get(key)?.offset ?? null;
    const [start, end] = [starts.get(key) ?? null, ends.get(key) ?? null];
    const first = offset === null || start === null ? null : Math.max(offset, start);
    const lag = first === null || end === null ? null : Math.max(0, end - first);
    const { memberId, clientId } = readers.get(key)?.member ?? { memberId: null, clientId: null };
    return { topic, partition, committed: offset, start, end, lag, first, memberId, clientId };
  });
  const behind = known.flatMap(({ topic, partition, first, lag }) =>
    first === null || lag === null || lag === 0 ? [] : [{ topic, partition, offset: first }],
  );
  const times = byPartition(behind, await timesOf(admin, behind));
  return known
    .map(({ topic, partition, committed: offset, start, end, lag, memberId, clientId }): GroupPartition => {
      const writtenMs = times.get(keyOf({ topic, partition })) ?? null;
      const ageSeconds = writtenMs === null ? null : Math.max(0, nowMs - writtenMs) / 1_000;
      const lagSeconds = lag === 0 ? 0 : ageSeconds;
      return { topic, partition, committed: offset, start, end, lag, lagSeconds, memberId, clientId };
    })
    .sort(byTopic);
}

/** A leader that does not answer hides no more than the times. */
async function timesOf(
  admin: Admin,
  positions: Parameters<Admin['recordTimes']>[0],
): Promise<readonly (number | null)[]> {
  if (positions.length === 0) return [];
  try {
    return await admin.recordTimes(positions, { signal: AbortSignal.timeout(timesLimitMs) });
  } catch (error) {
    const isSilent = error instanceof KafkaError && (error.retriable || error.code === 'ABORTED');
    if (!isSilent) throw error;
    return positions.map(() => null);
  }
}

const timesLimitMs = 5_000;

function byPartition<Value>(
  partitions: readonly { readonly topic: string; readonly partition: number }[],
  values: readonly (Value | null)[],
): Map<string, Value | null> {
  return new Map(partitions.map((each, place) => [keyOf(each), values[place] ?? null]));
}

export function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}

export function byTopic(
  one: { readonly topic: string; readonly partition: number },
  other: { readonly topic: string; readonly partition: number },
): number {
  if (one.topic === other.topic) return one.partition - other.partition;
  return one.topic < other.topic ? -1 : 1;
}

/** By partition of those topics that exist; -1 while there is none. */
async function leadersOf(admin: Admin, topics: ReadonlySet<string>): Promise<Map<string, number>> {
  const existing = (await admin.listTopics({ internal: true })).map(({ name }) => name);
  const names = existing.filter((name) => topics.has(name));
  const described = names.length === 0 ? [] : await admin.describeTopics(names);
  return new Map(
    described.flatMap(({ name, partitions }) =>
      partitions.map(({ partition, leader }) => [`${name}/${partition}`, leader] as const),
    ),
  );
}
