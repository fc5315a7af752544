/**
 * Shares are as even as subscriptions allow, and members keep what they have as far as that allows. The cooperative
 * form hands a partition to its new owner only when the old one has given it up: it is left out of this assignment, and
 * the old owner's joining again brings the next.
 */
import {
  decodeStickyUserData,
  encodeCooperativeStickyUserData,
  encodeStickyUserData,
} from '../../protocol/index.ts';
import type { TopicPartition } from '../messages.ts';
import {
  compareMembers,
  comparePartitions,
  emptyAssignment,
  partitionKey,
  type Assignor,
  type GroupAssignment,
  type GroupMember,
} from './assignor.ts';

export const stickyAssignor: Assignor = {
  name: 'sticky',
  mode: 'eager',
  userData: stickyUserData,
  assign: (members, partitionCounts) => share(members, partitionCounts, ownersByUserData(members)),
};

export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  mode: 'cooperative',
  userData: (_owned, generation) => encodeCooperativeStickyUserData(generation),
  assign(members, partitionCounts) {
    const owners = ownersBySubscription(members);
    const assignment = share(members, partitionCounts, owners);
    for (const [memberId, partitions] of assignment) {
      const ready = partitions.filter((item) => {
        const owner = owners.get(partitionKey(item))?.memberId;
        return owner === undefined || owner === memberId;
      });
      assignment.set(memberId, ready);
    }
    return assignment;
  },
};

interface Owner {
  readonly memberId: string;
  readonly generation: number;
}

type Owners = Map<string, Owner>;

function share(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
  owners: Owners,
): GroupAssignment {
  const sorted = members.toSorted(compareMembers);
  const takers = new Map(
    [...partitionCounts.keys()].map((topic) => [
      topic,
      sorted.filter((member) => member.subscription.topics.includes(topic)),
    ]),
  );
  const assignment = emptyAssignment(sorted);
  const free: TopicPartition[] = [];
  for (const [topic, count] of partitionCounts) {
    for (let partition = 0; partition < count; partition++) {
      const item = { topic, partition };
      const owner = owners.get(partitionKey(item));
      const keeper = takers.get(topic)!.find((member) => member.memberId === owner?.memberId);
      if (keeper === undefined) free.push(item);
      else assignment.get(keeper.memberId)!.push(item);
    }
  }
  for (const item of free.sort(comparePartitions)) {
    const taker = fewest(assignment, takers.get(item.topic)!);
    if (taker !== undefined) assignment.get(taker.memberId)!.push(item);
  }
  balance(assignment, takers);
  for (const partitions of assignment.values()) partitions.sort(comparePartitions);
  return assignment;
}

/**
 * Moves single partitions from members with more to members with at least two fewer, until there are none. Who has most gives first: who
 * gives more than that would be given to again, and others would lose what they had for nothing.
 */
function balance(assignment: GroupAssignment, takers: ReadonlyMap<string, readonly GroupMember[]>): void {
  for (let hasMoved = true; hasMoved;) {
    const byCount = [...assignment].toSorted(([, one], [, other]) => other.length - one.length);
    hasMoved = byCount.some(([memberId]) => giveOne(assignment, takers, memberId));
  }
}

function giveOne(
  assignment: GroupAssignment,
  takers: ReadonlyMap<string, readonly GroupMember[]>,
  memberId: string,
): boolean {
  const partitions = assignment.get(memberId)!;
  // Topics have the same takers for all of their partitions.
  const looked = new Set<string>();
  for (let index = partitions.length - 1; index >= 0; index--) {
    const item = partitions[index]!;
    if (looked.has(item.topic)) continue;
    looked.add(item.topic);
    const taker = fewest(assignment, takers.get(item.topic)!);
    if (taker === undefined || taker.memberId === memberId) continue;
    const theirs = assignment.get(taker.memberId)!;
    if (theirs.length + 1 >= partitions.length) continue;
    partitions.splice(index, 1);
    theirs.push(item);
    return true;
  }
  return false;
}

function fewest(assignment: GroupAssignment, members: readonly GroupMember[]): GroupMember | undefined {
  let best: GroupMember | undefined;
  for (const member of members) {
    const isFewer =
      best === undefined || assignment.get(member.memberId)!.length < assignment.get(best.memberId)!.length;
    if (isFewer) best = member;
  }
  return best;
}

/** Of two claims to a partition the one of the newer generation holds; of equal ones none does. */
function claim(owners: Owners, contested: Map<string, number>, item: TopicPartition, owner: Owner): void {
  const key = partitionKey(item);
  const other = owners.get(key);
  if (other !== undefined && other.generation === owner.generation) contested.set(key, owner.generation);
  if (other === undefined || other.generation < owner.generation) owners.set(key, owner);
}

function settleClaims(
  members: readonly GroupMember[],
  claims: (member: GroupMember) => { owned: readonly TopicPartition[]; generation: number },
): Owners {
  const owners: Owners = new Map();
  const contested = new Map<string, number>();
  for (const member of members) {
    const { owned, generation } = claims(member);
    for (const item of owned) claim(owners, contested, item, { memberId: member.memberId, generation });
  }
  for (const [key, generation] of contested)
    if (owners.get(key)?.generation === generation) owners.delete(key);
  return owners;
}

function ownersBySubscription(members: readonly GroupMember[]): Owners {
  return settleClaims(members, ({ subscription }) => ({
    owned: subscription.owned,
    generation: subscription.generation,
  }));
}

function ownersByUserData(members: readonly GroupMember[]): Owners {
  return settleClaims(members, ({ subscription }) => claimsOf(subscription.userData));
}

function stickyUserData(owned: readonly TopicPartition[], generation: number): Buffer | null {
  if (owned.length === 0) return null;
  const partitions = [...Map.groupBy(owned, (item) => item.topic)].map(([topic, items]) => ({
    topic,
    partitions: items.map(({ partition }) => partition),
  }));
  return encodeStickyUserData({ partitions, generation });
}

/** What cannot be read counts as nothing owned: the assignment is then less sticky, and no less right. */
function claimsOf(userData: Buffer | null): { owned: readonly TopicPartition[]; generation: number } {
  const nothing = { owned: [], generation: -1 };
  if (userData === null) return nothing;
  try {
    const { partitions, generation } = decodeStickyUserData(userData);
    const owned = partitions.flatMap(({ topic, partitions: numbers }) =>
      numbers.map((partition) => ({ topic, partition })),
    );
    return { owned, generation };
  } catch {
    return nothing;
  }
}
