/**
 * One classic group: its members, its state and its committed offsets. It knows what a group is and which changes of
 * state are legal; who asks, which records are written and when timers run is decided in membership.ts, sync.ts and rebalance.ts.
 *
 * Invariants: the leader is a member, or there is none; every member supports at least one protocol that all support;
 * `staticMembers` and the members' instance ids say the same; a Stable group has a protocol and every member an
 * assignment; the generation only grows.
 */
import { assert } from '../../platform/assert.ts';
import { ShardTimer } from '../coordinator/shard-timers.ts';
import type { RequestId } from '../coordinator/state-machine.ts';
import type { CoordinatedGroup } from './any-group.ts';
import type { GroupTimerEvent, JoinProtocol } from './group-commands.ts';
import type { CommittedOffsets } from './committed-offsets.ts';
import { newCommittedOffsets } from './committed-offsets.ts';
import { subscribedTopics } from './consumer-subscription.ts';

/**
 * Empty: no members, perhaps offsets. PreparingRebalance: members are to rejoin. CompletingRebalance: all have joined, the
 * leader's assignment is awaited. Stable: every member has its assignment. (Kafka's Dead is a group that is not there.)
 */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable';

const legalPredecessors: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ['PreparingRebalance'],
  PreparingRebalance: ['Empty', 'CompletingRebalance', 'Stable'],
  CompletingRebalance: ['PreparingRebalance'],
  Stable: ['CompletingRebalance'],
};

/** The protocol type of consumers, whose subscriptions the coordinator can read. */
const consumerProtocolType = 'consumer';

export interface Member {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  /** In order of preference; the buffers are the group's own. */
  protocols: readonly JoinProtocol[];
  /** Empty until the leader has given it one in the current generation. */
  assignment: Buffer;
  /** True until its first JoinGroup is answered: such a member knows no id and sends no heartbeats. */
  isNew: boolean;
  awaitingJoin: RequestId | undefined;
  awaitingSync: RequestId | undefined;
  readonly sessionTimer: ShardTimer<GroupTimerEvent>;
}

export const noAssignment = Buffer.alloc(0);

export class Group implements CoordinatedGroup {
  readonly groupId: string;
  state: GroupState = 'Empty';
  /** The state before the current one; undefined for a group that has just been made. */
  previousState: GroupState | undefined = undefined;
  /** Wall time (ms) of the last change of state; -1 where it is not known. */
  stateTimestampMs: number;
  generationId = 0;
  /** Undefined for a group that never had members (a "simple" one). */
  protocolType: string | undefined = undefined;
  protocolName: string | undefined = undefined;
  leaderId: string | undefined = undefined;
  readonly members = new Map<string, Member>();
  /** Member ids by instance id. */
  readonly staticMembers = new Map<string, string>();
  /** Ids given out (MEMBER_ID_REQUIRED) that have not come back yet, with the timer that ends the wait. */
  readonly pendingMembers = new Map<string, ShardTimer<GroupTimerEvent>>();
  /** Members of this generation from which no SyncGroup has come yet. */
  readonly pendingSync = new Set<string>();
  /** How many members support each protocol. */
  readonly #protocolSupport = new Map<string, number>();
  /** Members whose JoinGroup waits. */
  awaitingJoinCount = 0;
  /** Since the last round of the initial delay a member was added: it is worth waiting for more. */
  newMemberAdded = false;
  /** What remains of the rebalance timeout for further rounds of the initial delay; undefined outside of one. */
  initialDelay: { readonly remainingMs: number } | undefined = undefined;
  /** Topics that the members subscribe to; undefined where the coordinator cannot tell. */
  subscribedTopics: ReadonlySet<string> | undefined = undefined;
  /**
   * No member has shared the partitions out in this generation: the group was a consumer group until now. It is recorded without a
   * leader then, and rebalances where it is loaded so.
   */
  isRebalanceDue = false;
  /** Whether the log holds a metadata record of this group. */
  hasRecord = false;
  readonly offsets: CommittedOffsets;
  readonly joinTimer: ShardTimer<GroupTimerEvent>;
  readonly syncTimer: ShardTimer<GroupTimerEvent>;

  /** `offsets`: what has been committed already. */
  constructor(groupId: string, stateTimestampMs: number, offsets = newCommittedOffsets()) {
    this.groupId = groupId;
    this.offsets = offsets;
    this.stateTimestampMs = stateTimestampMs;
    this.joinTimer = new ShardTimer({ kind: 'join', groupId });
    this.syncTimer = new ShardTimer({ kind: 'sync', groupId });
  }

  get usesConsumerProtocol(): boolean {
    return this.protocolType === consumerProtocolType;
  }

  /** Nobody is in it, or about to be. */
  get isEmpty(): boolean {
    return this.state === 'Empty' && this.pendingMembers.size === 0;
  }

  /** From when it became empty; of a simple group from each commit. */
  get retentionFrom(): number | 'commit' | undefined {
    if (this.state !== 'Empty') return undefined;
    return this.protocolType === undefined ? 'commit' : this.stateTimestampMs;
  }

  /** Nothing would be lost with it: it was made by a request that came to nothing. */
  get isForgettable(): boolean {
    return (
      this.state === 'Empty' &&
      !this.hasRecord &&
      this.pendingMembers.size === 0 &&
      this.offsets.topics.size === 0
    );
  }

  get hasAllMembersJoined(): boolean {
    return this.members.size === this.awaitingJoinCount && this.pendingMembers.size === 0;
  }

  /** The longest of the members' rebalance timeouts. */
  get rebalanceTimeoutMs(): number {
    let timeoutMs = 0;
    for (const member of this.members.values()) timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs);
    return timeoutMs;
  }

  get canRebalance(): boolean {
    return legalPredecessors.PreparingRebalance.includes(this.state);
  }

  transitionTo(state: GroupState, wallMs: number): void {
    assert(
      legalPredecessors[state].includes(this.state),
      `group ${this.groupId} must not go from ${this.state} to ${state}`,
    );
    this.previousState = this.state;
    this.state = state;
    this.stateTimestampMs = wallMs;
  }

  /** Whether a member with these protocols may join: an empty group takes any, others need one that all support. */
  supports(protocolType: string, protocols: readonly JoinProtocol[]): boolean {
    if (this.state === 'Empty') return protocolType !== '' && protocols.length > 0;
    return (
      this.protocolType === protocolType &&
      protocols.some(({ name }) => (this.#protocolSupport.get(name) ?? 0) === this.members.size)
    );
  }

  /** The first member's protocol type becomes the group's. */
  add(member: Member, protocolType: string): void {
    if (this.members.size === 0) this.protocolType = protocolType;
    assert(
      this.protocolType === protocolType,
      `members of group ${this.groupId} must share one protocol type`,
    );
    assert(
      !this.members.has(member.memberId),
      `member ${member.memberId} is already in group ${this.groupId}`,
    );
    if (member.groupInstanceId !== null) {
      assert(
        !this.staticMembers.has(member.groupInstanceId),
        `instance ${member.groupInstanceId} is already a member`,
      );
      this.staticMembers.set(member.groupInstanceId, member.memberId);
    }
    this.leaderId ??= member.memberId;
    this.members.set(member.memberId, member);
    this.#countProtocols(member, 1);
    if (member.awaitingJoin !== undefined) this.awaitingJoinCount += 1;
  }

  /** Takes a member out; its waiting requests must have been answered. Another member becomes leader where it was. */
  remove(member: Member): void {
    assert(
      member.awaitingJoin === undefined && member.awaitingSync === undefined,
      'a removed member must not wait',
    );
    this.members.delete(member.memberId);
    this.#countProtocols(member, -1);
    if (member.groupInstanceId !== null) this.staticMembers.delete(member.groupInstanceId);
    this.pendingSync.delete(member.memberId);
    if (this.leaderId === member.memberId) this.leaderId = firstKey(this.members);
  }

  /** Puts a static member's new incarnation in the place of the old one, whose requests must have been answered. */
  replaceStatic(oldMember: Member, newMember: Member): void {
    assert(newMember.groupInstanceId !== null, 'only a static member can be replaced');
    const wasLeader = this.leaderId === oldMember.memberId;
    const wasPendingSync = this.pendingSync.has(oldMember.memberId);
    const protocolType = this.protocolType!;
    this.remove(oldMember);
    this.add(newMember, protocolType);
    if (wasLeader) this.leaderId = newMember.memberId;
    if (wasPendingSync) this.pendingSync.add(newMember.memberId);
  }

  setProtocols(member: Member, protocols: readonly JoinProtocol[]): void {
    this.#countProtocols(member, -1);
    member.protocols = protocols;
    this.#countProtocols(member, 1);
  }

  /**
   * Makes sure that the leader has rejoined, choosing one who has where it has not. False where nobody has rejoined (or the
   * group has no members).
   */
  maybeElectJoinedLeader(): boolean {
    if (this.leaderId === undefined) return false;
    if (this.members.get(this.leaderId)!.awaitingJoin !== undefined) return true;
    for (const member of this.members.values()) {
      if (member.awaitingJoin === undefined) continue;
      this.leaderId = member.memberId;
      return true;
    }
    return false;
  }

  /**
   * The protocol with the most votes: each member votes for the first of its own that all members support. Of equals,
   * the one voted for first.
   */
  selectProtocol(): string {
    const votes = new Map<string, number>();
    for (const member of this.members.values()) {
      const vote = member.protocols.find(({ name }) => this.#protocolSupport.get(name) === this.members.size);
      assert(vote !== undefined, `member ${member.memberId} shares no protocol with its group`);
      votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
    }
    let selected: string | undefined;
    for (const [name, count] of votes)
      if (selected === undefined || count > votes.get(selected)!) selected = name;
    assert(selected !== undefined, `group ${this.groupId} has no members to choose a protocol`);
    return selected;
  }

  /** Begins the next generation, with whoever is a member now. */
  beginGeneration(wallMs: number): void {
    this.generationId += 1;
    this.isRebalanceDue = false;
    this.pendingSync.clear();
    this.protocolName = this.members.size === 0 ? undefined : this.selectProtocol();
    this.transitionTo(this.members.size === 0 ? 'Empty' : 'CompletingRebalance', wallMs);
    this.noteSubscriptions();
  }

  /** Works out which topics the members subscribe to, from their metadata. */
  noteSubscriptions(): void {
    this.subscribedTopics = this.usesConsumerProtocol
      ? subscribedTopics([...this.members.values()].map((member) => this.metadataOf(member)))
      : undefined;
  }

  /** Whether a live member may be reading the topic: it then keeps its offsets. */
  isSubscribedTo(topic: string): boolean {
    return this.subscribedTopics?.has(topic) ?? this.usesConsumerProtocol;
  }

  /** A member's metadata for the protocol of the current generation. */
  metadataOf(member: Member): Buffer {
    return member.protocols.find(({ name }) => name === this.protocolName)?.metadata ?? noAssignment;
  }

  #countProtocols(member: Member, by: 1 | -1): void {
    for (const name of new Set(member.protocols.map((protocol) => protocol.name))) {
      const count = (this.#protocolSupport.get(name) ?? 0) + by;
      if (count === 0) this.#protocolSupport.delete(name);
      else this.#protocolSupport.set(name, count);
    }
  }
}

/** Whether a member that joins again brings what it brought before. */
export function hasSameProtocols(
  member: Pick<Member, 'protocols'>,
  protocols: readonly JoinProtocol[],
): boolean {
  return (
    member.protocols.length === protocols.length &&
    member.protocols.every(
      ({ name, metadata }, index) =>
        name === protocols[index]!.name && metadata.equals(protocols[index]!.metadata),
    )
  );
}

/** Copies of protocols out of a request's buffer, which must not be kept alive by them. */
export function ownProtocols(protocols: readonly JoinProtocol[]): JoinProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}

function firstKey(map: ReadonlyMap<string, unknown>): string | undefined {
  for (const key of map.keys()) return key;
  return undefined;
}
