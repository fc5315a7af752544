/**
 * One consumer group (KIP-848): its members, what each is to have, who has what, and its committed offsets. It knows what a group is;
 * what happens to it, and which records are written of it, is decided in `heartbeat.ts` and `fencing.ts`.
 *
 * Invariants: the group's epoch is at least that of its target assignment, and that at least each member's; a partition has at most one
 * member that holds it, or is still to give it up, and `#holders` says which; `staticMembers` and the members' instance ids say the
 * same; `#subscribers` and `#patternUsers` count how many members name each topic and each pattern. While the log is replayed the
 * holders are not looked at: of what compaction has left, the records of two members need not fit each other before the last.
 */
import { assert } from '../../../platform/assert.ts';
import { ShardTimer } from '../../coordinator/shard-timers.ts';
import type { CoordinatedGroup } from '../any-group.ts';
import type { GroupTimerEvent } from '../group-commands.ts';
import { newCommittedOffsets } from '../committed-offsets.ts';
import type { CommittedOffsets } from '../committed-offsets.ts';
import { ClassicProtocols } from '../migration/classic-protocols.ts';
import { noPartitions } from './assigned-partitions.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import { isReconciledTo } from './consumer-member.ts';
import type { ConsumerMember } from './consumer-member.ts';

/**
 * Empty: no members. Assigning: members or topics have changed since the target assignment was made. Reconciling: members have yet to
 * come to it. Stable: all have.
 */
export type ConsumerGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable';

/** The topics whose names match a pattern. */
export interface ResolvedPattern {
  /** Ascending. */
  readonly topics: readonly string[];
  /** Wall time (ms) at which they were looked for. */
  readonly resolvedAtMs: number;
}

export interface ConsumerGroupOptions {
  /** What has been committed already. */
  readonly offsets?: CommittedOffsets | undefined;
  /** It is rebuilt from the log. */
  readonly isReplayed?: boolean;
}

/** Timers of one member. */
interface MemberTimers {
  readonly session: ShardTimer<GroupTimerEvent>;
  readonly revocation: ShardTimer<GroupTimerEvent>;
  /** These two of members of the classic protocol only. */
  readonly join: ShardTimer<GroupTimerEvent>;
  readonly sync: ShardTimer<GroupTimerEvent>;
}

export class ConsumerGroup implements CoordinatedGroup {
  readonly groupId: string;
  /** Grows whenever a new target assignment is to be made. */
  epoch = 0;
  /** Wall time (ms) at which it began. With the last member that goes another one begins. */
  epochBeganAtMs = 0;
  /** Of the topics that members subscribe to, as they were when the epoch was last looked at. */
  metadataHash = 0;
  /** `TopicsView.version` as of which that was; undefined: it is to be looked at. */
  topicsVersion: number | undefined;
  /** `TopicsView.version` as of which topics were looked for that match its patterns; undefined: not since it was loaded. */
  patternsVersion: number | undefined;
  /** Wall time (ms) of that. */
  patternsRefreshedAtMs = 0;
  readonly offsets: CommittedOffsets;
  readonly assignmentTimer: ShardTimer<GroupTimerEvent>;
  /** Member ids by instance id. */
  readonly staticMembers = new Map<string, string>();
  #assignmentEpoch = 0;
  #assignedAtMs = 0;
  /** Members that have come to the target assignment. */
  #settledCount = 0;
  readonly #members = new Map<string, ConsumerMember>();
  readonly #target = new Map<string, AssignedPartitions>();
  /** Member ids by topic id and partition; undefined while the log is replayed. */
  #holders: Map<string, Map<number, string>> | undefined;
  /** How many members name the topic. */
  readonly #subscribers = new Map<string, number>();
  readonly #patternUsers = new Map<string, number>();
  readonly #patterns = new Map<string, ResolvedPattern>();
  readonly #timers = new Map<string, MemberTimers>();
  readonly #classicProtocols = new ClassicProtocols();

  constructor(groupId: string, { offsets, isReplayed = false }: ConsumerGroupOptions = {}) {
    this.groupId = groupId;
    this.offsets = offsets ?? newCommittedOffsets();
    this.assignmentTimer = new ShardTimer({ kind: 'assignment', groupId });
    this.#holders = isReplayed ? undefined : new Map();
  }

  /** All of the log has been replayed. */
  replayed(): void {
    this.#holders = new Map();
    for (const member of this.#members.values()) this.#hold(member);
  }

  get members(): ReadonlyMap<string, ConsumerMember> {
    return this.#members;
  }

  get target(): ReadonlyMap<string, AssignedPartitions> {
    return this.#target;
  }

  /** Patterns that members name, with the topics that match. */
  get patterns(): ReadonlyMap<string, ResolvedPattern> {
    return this.#patterns;
  }

  /** Names of all topics that members subscribe to. */
  get subscribedTopics(): ReadonlySet<string> {
    if (this.#patterns.size === 0) return new Set(this.#subscribers.keys());
    const topics = new Set(this.#subscribers.keys());
    for (const pattern of this.#patternUsers.keys()) {
      for (const name of this.#patterns.get(pattern)?.topics ?? []) topics.add(name);
    }
    return topics;
  }

  /** The topics that this member names, or that match its pattern. */
  topicsOf({ topicNames, topicRegex }: ConsumerMember): readonly string[] {
    const matching = topicRegex === '' ? [] : (this.#patterns.get(topicRegex)?.topics ?? []);
    return matching.length === 0 ? topicNames : [...new Set([...topicNames, ...matching])];
  }

  /** Of the members that take part by the classic protocol. */
  get classicProtocols(): Pick<ClassicProtocols, 'memberCount' | 'areSupported'> {
    return this.#classicProtocols;
  }

  get state(): ConsumerGroupState {
    if (this.#members.size === 0) return 'Empty';
    if (this.epoch > this.#assignmentEpoch) return 'Assigning';
    return this.#settledCount < this.#members.size ? 'Reconciling' : 'Stable';
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** It was written down when its first member came. */
  get isForgettable(): boolean {
    return false;
  }

  /** From when its last member went. */
  get retentionFrom(): number | undefined {
    return this.isEmpty ? this.epochBeganAtMs : undefined;
  }

  /** The epoch for which the target assignment was made. */
  get assignmentEpoch(): number {
    return this.#assignmentEpoch;
  }

  /** Wall time (ms) at which that was; 0: never. */
  get assignedAtMs(): number {
    return this.#assignedAtMs;
  }

  /** The target assignment is that of this epoch from now on. */
  assignedFor(epoch: number, atMs: number): void {
    this.#assignmentEpoch = epoch;
    this.#assignedAtMs = atMs;
    this.#settledCount = 0;
    for (const member of this.#members.values()) if (isReconciledTo(member, epoch)) this.#settledCount++;
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    const memberId = this.staticMembers.get(instanceId);
    return memberId === undefined ? undefined : this.#members.get(memberId);
  }

  targetOf(memberId: string): AssignedPartitions {
    return this.#target.get(memberId) ?? noPartitions;
  }

  /** Who has the partition, or is still to give it up. */
  holderOf(topicId: string, partition: number): string | undefined {
    return this.#holders?.get(topicId)?.get(partition);
  }

  isSubscribedTo(topic: string): boolean {
    return this.#subscribers.has(topic) || (this.#patterns.size > 0 && this.subscribedTopics.has(topic));
  }

  isPatternUsed(pattern: string): boolean {
    return this.#patternUsers.has(pattern);
  }

  setPattern(pattern: string, resolved: ResolvedPattern): void {
    this.#patterns.set(pattern, resolved);
  }

  removePattern(pattern: string): void {
    this.#patterns.delete(pattern);
  }

  /** The member as it is now, whether it was there before or not. */
  put(member: ConsumerMember): void {
    const before = this.#members.get(member.memberId);
    if (before !== undefined) this.#release(before);
    this.#members.set(member.memberId, member);
    if (isReconciledTo(member, this.#assignmentEpoch)) this.#settledCount++;
    if (member.instanceId !== null) this.staticMembers.set(member.instanceId, member.memberId);
    this.#countSubscriptions(member, 1);
    this.#classicProtocols.count(member, 1);
    this.#hold(member);
  }

  /** What it had is free, and so is its part of the target assignment. */
  remove(memberId: string): void {
    const member = this.#members.get(memberId);
    if (member === undefined) return;
    this.#release(member);
    this.#members.delete(memberId);
    this.#target.delete(memberId);
    if (member.instanceId !== null && this.staticMembers.get(member.instanceId) === memberId) {
      this.staticMembers.delete(member.instanceId);
    }
  }

  setTarget(memberId: string, assigned: AssignedPartitions): void {
    this.#target.set(memberId, assigned);
  }

  removeTarget(memberId: string): void {
    this.#target.delete(memberId);
  }

  timersOf(memberId: string): MemberTimers {
    let timers = this.#timers.get(memberId);
    if (timers === undefined) {
      const { groupId } = this;
      timers = {
        session: new ShardTimer({ kind: 'session', groupId, memberId }),
        revocation: new ShardTimer({ kind: 'revocation', groupId, memberId }),
        join: new ShardTimer({ kind: 'member-join', groupId, memberId }),
        sync: new ShardTimer({ kind: 'member-sync', groupId, memberId }),
      };
      this.#timers.set(memberId, timers);
    }
    return timers;
  }

  /** They must have been disarmed. */
  forgetTimers(memberId: string): void {
    this.#timers.delete(memberId);
  }

  #release(member: ConsumerMember): void {
    if (isReconciledTo(member, this.#assignmentEpoch)) this.#settledCount--;
    this.#countSubscriptions(member, -1);
    this.#classicProtocols.count(member, -1);
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topicId, partitions] of held) {
        const holders = this.#holders?.get(topicId);
        for (const partition of partitions) {
          if (holders?.get(partition) === member.memberId) holders.delete(partition);
        }
        if (holders?.size === 0) this.#holders!.delete(topicId);
      }
    }
  }

  #hold(member: ConsumerMember): void {
    if (this.#holders === undefined) return;
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topicId, partitions] of held) {
        let holders = this.#holders.get(topicId);
        if (holders === undefined) {
          holders = new Map();
          this.#holders.set(topicId, holders);
        }
        for (const partition of partitions) {
          assert(
            !holders.has(partition),
            `partition ${partition} of ${topicId} is with two members of group ${this.groupId}`,
          );
          holders.set(partition, member.memberId);
        }
      }
    }
  }

  #countSubscriptions({ topicNames, topicRegex }: ConsumerMember, by: 1 | -1): void {
    for (const name of topicNames) count(this.#subscribers, name, by);
    if (topicRegex !== '') count(this.#patternUsers, topicRegex, by);
  }
}

function count(counts: Map<string, number>, name: string, by: 1 | -1): void {
  const counted = (counts.get(name) ?? 0) + by;
  if (counted === 0) counts.delete(name);
  else counts.set(name, counted);
}
