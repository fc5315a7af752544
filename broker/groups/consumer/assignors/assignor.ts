/**
 * Server-side assignors (KIP-848): who of a consumer group is to have which partitions. Pure functions of the group's members and the
 * sizes of topics; the group's coordinator calls them whenever it makes a target assignment.
 *
 * Invariants of every assignor: a partition of a topic that anybody subscribes to is given to exactly one of those who do, and no other
 * partition is given to anybody; equal inputs have equal outputs, in whatever order their maps and sets are. So what a member
 * had of topics that are gone, or of partitions that are, is not given again.
 */
import type { AssignedPartitions } from '../assigned-partitions.ts';
import { rangeAssignor } from './range-assignor.ts';
import { uniformAssignor } from './uniform-assignor.ts';

export interface AssignorMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** Topic ids; all of them exist. Members with the same set object are known to be equal without a look at it. */
  readonly subscribedTopics: ReadonlySet<string>;
  /** What the previous target assignment gave it. */
  readonly assigned: AssignedPartitions;
}

export interface AssignorInput {
  /** By member id. */
  readonly members: ReadonlyMap<string, AssignorMember>;
  /** Partitions of a topic that exists; 0 where it does not. */
  readonly partitionCount: (topicId: string) => number;
}

export interface Assignor {
  /** As members ask for it, and `group.consumer.assignors` names it. */
  readonly name: string;
  /** Every member of the input is in the result. Deterministic. */
  assign(input: AssignorInput): ReadonlyMap<string, AssignedPartitions>;
}

/** By name. The first is Kafka's default. */
export const assignors: ReadonlyMap<string, Assignor> = new Map(
  [uniformAssignor, rangeAssignor].map((assignor) => [assignor.name, assignor]),
);
