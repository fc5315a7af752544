/**
 * How many partitions of each topic a member is to have. Evenness is a matter of these numbers alone; which partitions they are is
 * decided once they stand (`assignmentOf`), so that a member keeps as many of its own as its number allows, whatever happened to
 * the number on the way.
 *
 * Invariants: a member has a share only of topics to which it subscribes, and none of 0; the shares of a topic and what is free of
 * it are together as many as its partitions.
 */
import { assert } from '../../../../platform/assert.ts';
import type { AssignedPartitions } from '../assigned-partitions.ts';
import type { IndexedGroup, IndexedTopic } from './indexed-group.ts';

export class Shares {
  /** Partitions of each member, of all topics together. */
  readonly totals: Int32Array;
  /** Partitions of each topic that no member has. */
  readonly free: Int32Array;
  readonly #byMember: readonly Map<number, number>[];

  /** What members had. */
  constructor({ memberIds, topics }: IndexedGroup) {
    this.totals = new Int32Array(memberIds.length);
    this.free = Int32Array.from(topics, ({ holders }) => holders.length);
    this.#byMember = memberIds.map(() => new Map());
    topics.forEach(({ holders }, topic) => {
      for (const member of holders) if (member !== -1) this.give(member, topic);
    });
  }

  /** Shares by topic. */
  of(member: number): ReadonlyMap<number, number> {
    return this.#byMember[member]!;
  }

  /** One partition more, which must be free. */
  give(member: number, topic: number): void {
    const shares = this.#byMember[member]!;
    shares.set(topic, (shares.get(topic) ?? 0) + 1);
    this.totals[member]!++;
    this.free[topic]!--;
  }

  /** One partition less, which is free then. */
  take(member: number, topic: number): void {
    const shares = this.#byMember[member]!;
    const share = shares.get(topic);
    assert(share !== undefined, 'A partition is taken from a member that has none of the topic.');
    if (share === 1) shares.delete(topic);
    else shares.set(topic, share - 1);
    this.totals[member]!--;
    this.free[topic]!++;
  }
}

/** Each member's share as partitions. Nothing may be free any more. */
export function assignmentOf(group: IndexedGroup, shares: Shares): ReadonlyMap<string, AssignedPartitions> {
  const wanted = group.topics.map((): [member: number, share: number][] => []);
  for (const member of group.memberIds.keys()) {
    for (const [topic, share] of shares.of(member)) wanted[topic]!.push([member, share]);
  }
  const assigned = group.memberIds.map(() => new Map<string, number[]>());
  group.topics.forEach((topic, index) => {
    for (const [partition, member] of sharedOut(topic, wanted[index]!).entries()) {
      const partitions = assigned[member]!.get(topic.topicId);
      if (partitions === undefined) assigned[member]!.set(topic.topicId, [partition]);
      else partitions.push(partition);
    }
  });
  return new Map(group.memberIds.map((memberId, member) => [memberId, assigned[member]!]));
}

/** For each partition its member: the one that had it, where its share is large enough for it. */
function sharedOut({ holders }: IndexedTopic, wanted: readonly [member: number, share: number][]): number[] {
  const left = new Map(wanted);
  const members = Array.from(holders, (holder) => (takeOne(left, holder) ? holder : -1));
  const receivers = left.keys();
  let receiver = receivers.next();
  return members.map((member) => {
    if (member !== -1) return member;
    while (!receiver.done && left.get(receiver.value) === 0) receiver = receivers.next();
    assert(!receiver.done, 'A topic has more partitions than its shares together.');
    takeOne(left, receiver.value);
    return receiver.value;
  });
}

function takeOne(left: Map<number, number>, member: number): boolean {
  const share = left.get(member);
  if (share === undefined || share === 0) return false;
  left.set(member, share - 1);
  return true;
}
