/** How the leader of a classic group shares out partitions. The rules are Kafka's, so that members of other clients agree. */
import type { TopicPartition } from '../messages.ts';
import type { Subscription } from './consumer-protocol.ts';

export interface GroupMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly subscription: Subscription;
}

/** Partitions by member id; every member has an entry. */
export type GroupAssignment = Map<string, TopicPartition[]>;

export interface Assignor {
  readonly name: string;
  /** 'cooperative': members keep what stays theirs while the group changes; 'eager': all give up everything first. */
  readonly mode: 'eager' | 'cooperative';
  /** `partitionCounts` holds the topics that exist. */
  assign(members: readonly GroupMember[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment;
  /** What a member tells the next leader beside its topics: of what it was given last, and in which generation; -1: nothing yet. */
  userData(given: readonly TopicPartition[], generation: number): Buffer | null;
}

/** Static members first, by their instance id, then the others by member id. */
export function compareMembers(a: GroupMember, b: GroupMember): number {
  if (a.groupInstanceId !== null && b.groupInstanceId !== null)
    return compareText(a.groupInstanceId, b.groupInstanceId);
  if (a.groupInstanceId !== null) return -1;
  if (b.groupInstanceId !== null) return 1;
  return compareText(a.memberId, b.memberId);
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function comparePartitions(a: TopicPartition, b: TopicPartition): number {
  return compareText(a.topic, b.topic) || a.partition - b.partition;
}

export function emptyAssignment(members: readonly GroupMember[]): GroupAssignment {
  return new Map(members.map((member) => [member.memberId, []]));
}

export function partitionKey(item: TopicPartition): string {
  return `${item.topic}/${item.partition}`;
}
