/** Groups for the assignors' tests: written by hand, and arbitrary ones. */
import * as fc from 'fast-check';
import type { AssignedPartitions } from '../../../../../broker/groups/consumer/assigned-partitions.ts';
import type {
  Assignor,
  AssignorInput,
  AssignorMember,
} from '../../../../../broker/groups/consumer/assignors/assignor.ts';

/** Partitions by topic, for each member. */
export type Assignment = Record<string, Record<string, readonly number[]>>;

export interface MemberOptions {
  readonly instanceId?: string;
  readonly assigned?: Record<string, number[]>;
}

export interface Group {
  /** Partitions by topic. */
  readonly counts: ReadonlyMap<string, number>;
  readonly members: readonly AssignorMember[];
}

export function member(
  memberId: string,
  topics: readonly string[],
  options: MemberOptions = {},
): AssignorMember {
  return {
    memberId,
    instanceId: options.instanceId ?? null,
    rackId: null,
    subscribedTopics: new Set(topics),
    assigned: new Map(Object.entries(options.assigned ?? {})),
  };
}

export function group(counts: Record<string, number>, ...members: AssignorMember[]): Group {
  return { counts: new Map(Object.entries(counts)), members };
}

export function inputOf({ counts, members }: Group): AssignorInput {
  return {
    members: new Map(members.map((one) => [one.memberId, one])),
    partitionCount: (topicId) => counts.get(topicId) ?? 0,
  };
}

export function assign(assignor: Assignor, of: Group): ReadonlyMap<string, AssignedPartitions> {
  return assignor.assign(inputOf(of));
}

export function assignmentBy(assignor: Assignor, of: Group): Assignment {
  return Object.fromEntries(
    Array.from(assign(assignor, of), ([memberId, assigned]) => [memberId, Object.fromEntries(assigned)]),
  );
}

/** The same group after what it was assigned has become what its members have. */
export function settled(assignor: Assignor, of: Group): Group {
  const assigned = assign(assignor, of);
  return {
    ...of,
    members: of.members.map((one) => ({ ...one, assigned: assigned.get(one.memberId) ?? new Map() })),
  };
}

/** `topic:partition`, of all topics. */
export function partitionsOf(assigned: AssignedPartitions | undefined): string[] {
  return Array.from(assigned ?? [], ([topicId, partitions]) =>
    partitions.map((partition) => `${topicId}:${partition}`),
  ).flat();
}

/** Member ids by partition; of several that have it, the first by id. Only of those that are there, and subscribed to. */
export function validHolders({ counts, members }: Group): Map<string, string> {
  const holders = new Map<string, string>();
  for (const { memberId, subscribedTopics, assigned } of byId(members)) {
    for (const [topicId, partitions] of assigned) {
      if (!subscribedTopics.has(topicId)) continue;
      for (const partition of partitions) {
        const name = `${topicId}:${partition}`;
        if (partition < (counts.get(topicId) ?? 0) && !holders.has(name)) holders.set(name, memberId);
      }
    }
  }
  return holders;
}

export function byId(members: readonly AssignorMember[]): AssignorMember[] {
  return members.toSorted((left, right) => (left.memberId < right.memberId ? -1 : 1));
}

const topicIds = ['a', 'b', 'c', 'd', 'e'];
const memberIds = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7'];

/** Some topics are gone, or larger or smaller than what members had of them; members may claim the same partition. */
const previous = fc
  .dictionary(fc.constantFrom(...topicIds, 'gone'), fc.uniqueArray(fc.nat(11), { minLength: 1 }))
  .map(
    (assigned): AssignedPartitions =>
      new Map(Object.entries(assigned).map(([id, numbers]) => [id, numbers.toSorted(ascending)])),
  );

const counts = fc.uniqueArray(fc.tuple(fc.constantFrom(...topicIds), fc.integer({ min: 0, max: 9 })), {
  selector: ([topicId]) => topicId,
});

const identity = fc.record({
  memberId: fc.constantFrom(...memberIds),
  instanceId: fc.option(fc.constantFrom(...memberIds.map((id) => `i${id}`).toReversed())),
  rackId: fc.option(fc.constantFrom('r1', 'r2')),
  assigned: fc.oneof(fc.constant<AssignedPartitions>(new Map()), previous),
});

/** Members' own subscriptions, which may be equal all the same. */
export const anyGroup: fc.Arbitrary<Group> = counts.chain((sizes) => {
  const subscription = fc
    .subarray(sizes.map(([topicId]) => topicId))
    .map((topics) => ({ subscribedTopics: new Set(topics) }));
  const one = fc.tuple(identity, subscription).map(([who, what]): AssignorMember => ({ ...who, ...what }));
  return groupOf(sizes, one);
});

/** Everybody subscribes to all topics. */
export const equalGroup: fc.Arbitrary<Group> = counts.chain((sizes) =>
  groupOf(
    sizes,
    identity.map((who) => ({ ...who, subscribedTopics: new Set(sizes.map(([topicId]) => topicId)) })),
  ),
);

function groupOf(sizes: readonly [string, number][], one: fc.Arbitrary<AssignorMember>): fc.Arbitrary<Group> {
  const members = fc.uniqueArray(one, {
    minLength: 1,
    comparator: (left, right) =>
      left.memberId === right.memberId || (left.instanceId !== null && left.instanceId === right.instanceId),
  });
  return members.map((all) => ({ counts: new Map(sizes), members: all }));
}

export function ascending(left: number, right: number): number {
  return left - right;
}
