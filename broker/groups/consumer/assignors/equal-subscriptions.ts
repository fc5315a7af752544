/**
 * Even shares where all members subscribe to the same topics. Each gets the same number of partitions, or one more where they do not
 * come out even; those have one more that had the most, so that no more moves than has to.
 *
 * Each topic is spread over the members as well, as far as that moves nothing more: members give up what they have most of, and
 * partitions are dealt out one to each in turn.
 */
import { assert } from '../../../../platform/assert.ts';
import type { IndexedGroup } from './indexed-group.ts';
import type { Shares } from './shares.ts';

export function shareByEqualSubscriptions(group: IndexedGroup, shares: Shares): void {
  const quotas = quotasOf(group, shares);
  quotas.forEach((quota, member) => {
    const surplus = shares.totals[member]! - quota;
    if (surplus <= 0) return;
    for (const topic of mostOf(shares.of(member)).slice(0, surplus)) shares.take(member, topic);
  });
  const receivers = inTurn(group, (member) => shares.totals[member]! < quotas[member]!);
  for (const topic of group.topics.keys()) {
    for (let left = shares.free[topic]!; left > 0; left--) {
      const { value: receiver } = receivers.next();
      assert(receiver !== undefined, 'The quotas are together as many as the partitions.');
      shares.give(receiver, topic);
    }
  }
}

/** How many partitions each member is to have. */
function quotasOf({ memberIds, topics }: IndexedGroup, { totals }: Shares): Int32Array {
  const partitionCount = topics.reduce((sum, { holders }) => sum + holders.length, 0);
  const quotas = new Int32Array(memberIds.length).fill(Math.floor(partitionCount / memberIds.length));
  const byTotal = Array.from(memberIds.keys()).toSorted((left, right) => totals[right]! - totals[left]!);
  for (const member of byTotal.slice(0, partitionCount % memberIds.length)) quotas[member]!++;
  return quotas;
}

/** The topic of each partition of a member, such that to give up the first ones leaves it with a like share of each topic. */
function mostOf(shares: ReadonlyMap<number, number>): number[] {
  const ranked: { topic: number; rank: number }[] = [];
  for (const [topic, share] of shares) {
    for (let rank = 0; rank < share; rank++) ranked.push({ topic, rank });
  }
  ranked.sort((left, right) => right.rank - left.rank || left.topic - right.topic);
  return ranked.map(({ topic }) => topic);
}

/** The members that have room, one after the other, and then again those that have it still. */
function* inTurn(
  { memberIds }: IndexedGroup,
  hasRoom: (member: number) => boolean,
): Generator<number, undefined> {
  let open = Array.from(memberIds.keys()).filter(hasRoom);
  while (open.length > 0) {
    yield* open;
    open = open.filter(hasRoom);
  }
}
