/**
 * A term's leader: what it has appended, what a quorum holds, whether a quorum still follows, who reads, who is to take over.
 * Exists for one term of one member; everything here is forgotten with the leadership.
 *
 * Invariants: it only appends to its log; it commits by counting only entries of its own term, and with one all before it
 * (thesis, 3.6.2, figure 8); it counts itself as a voter only while it is one.
 */
import { assert } from '../../platform/assert.ts';
import { isJoint, isVoter } from './configuration.ts';
import type { Configuration } from './configuration.ts';
import type { Group } from './group.ts';
import type { MemberId } from './member.ts';
import { changeRefusal, firstStep, withoutOutgoing } from './membership.ts';
import type { ChangeRefusal, Members } from './membership.ts';
import type { AppendAnswer, Snapshot, SnapshotAnswer } from './messages.ts';
import type { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { Reads } from './reads.ts';
import { Replication } from './replication.ts';

export type TransferRefusal = 'not-leader' | 'not-voter' | 'transferring';

interface Transfer {
  readonly to: MemberId;
  readonly deadline: number;
  /** It has been told to take over. */
  isHandedOver: boolean;
}

export class Leader {
  readonly #group: Group;
  readonly replication: Replication;
  readonly #reads: Reads;
  readonly #since: number;
  /** Index of the entry that began this term. */
  readonly #termStartIndex: number;
  #transfer: Transfer | undefined;
  /** Once any was told to, another member may campaign at any time, and voters do not protect this leader from it: no lease holds. */
  #hasHandedOver = false;

  constructor(group: Group, snapshot: Snapshot | undefined, forced: Configuration | undefined) {
    this.#group = group;
    this.#since = group.peers.now;
    this.replication = new Replication(group, snapshot);
    this.#reads = new Reads(group, () => {
      this.replication.barrier();
      return this.replication.readSequence;
    });
    this.#termStartIndex = group.appendOwn({ kind: 'term-start' });
    if (forced !== undefined) this.#configure(forced);
    this.replication.sendToAll();
  }

  /** Whether the first entry of its own term has committed: only then does it know all that is committed. */
  get isTermStartCommitted(): boolean {
    return this.#group.committedEndIndex > this.#termStartIndex;
  }

  get isTransferring(): boolean {
    return this.#transfer !== undefined;
  }

  get wantsTicks(): boolean {
    if (this.#transfer !== undefined || this.#reads.isWaiting) return true;
    for (const follower of this.replication.followers) {
      if (!this.replication.isSettled(follower) && !this.replication.isSilent(follower)) return true;
    }
    return false;
  }

  /** When the first of what is unanswered is asked again, or waited for no longer. */
  get quietUntil(): number {
    const { peers, settings } = this.#group;
    const { heartbeatTicks } = settings.timing;
    let tick = this.#transfer?.deadline ?? Infinity;
    if (this.#reads.isWaiting) tick = Math.min(tick, peers.now + heartbeatTicks);
    for (const follower of this.replication.followers) {
      if (this.replication.isSettled(follower) || this.replication.isSilent(follower)) continue;
      tick = Math.min(tick, this.replication.repeatAt(follower));
    }
    return tick;
  }

  /** Whether a quorum has shown within an election timeout that it follows (thesis, 6.2). */
  get hasQuorum(): boolean {
    const { peers, settings } = this.#group;
    const heardAt = this.#quorumOf((follower) => Math.max(this.#since, this.#contactAt(follower)));
    return peers.now - heardAt < settings.timing.electionTicks;
  }

  /**
   * Whether no other leader can have been elected yet. Counted from when the messages were sent, as the promise runs from their
   * arrival, which is later, but for what a follower's clock has not yet made a tick of.
   */
  get holdsLease(): boolean {
    const { peers, settings } = this.#group;
    if (settings.leases === undefined || this.#hasHandedOver) return false;
    const promisedAt = this.#quorumOf((follower) => this.#contactAt(follower));
    return peers.now - promisedAt < settings.timing.electionTicks - settings.leases.driftTicks - 1;
  }

  /** One past the last entry that at least `copies` members hold durably, learners not counted. */
  endIndexHeldBy(copies: number): number {
    const { configuration, countedEndIndex, id } = this.#group;
    const ends = configuration.voters
      .map((voter) => (voter === id ? countedEndIndex : (this.replication.of(voter)?.matchedEndIndex ?? 0)))
      .sort((a, b) => b - a);
    return ends[copies - 1] ?? 0;
  }

  /** The caller has appended up to the log's present end. */
  appended(): void {
    this.replication.sendToAll();
  }

  /** More of the log is written or flushed here. */
  stored(): void {
    if (this.#maybeCommit()) this.replication.sendToAll();
    this.#confirmReads();
  }

  answered(answer: AppendAnswer): void {
    const follower = this.replication.of(answer.from);
    if (follower === undefined) return;
    const isNews = this.replication.answered(follower, answer);
    if (isNews && this.#maybeCommit()) this.replication.sendToAll();
    this.#confirmReads();
    this.#maybeHandOver();
  }

  chunkAnswered(answer: SnapshotAnswer): void {
    const follower = this.replication.of(answer.from);
    if (follower === undefined) return;
    follower.followsSince ??= this.#group.peers.now;
    this.replication.chunkAnswered(follower, answer.snapshotId, answer.position);
  }

  /** Returns the change's entry, or why there is none. Followed by a second entry when it commits, if it is of voters. */
  change(members: Members): ChangeRefusal | undefined {
    if (this.#transfer !== undefined) return 'transferring';
    if (!this.isTermStartCommitted) return 'change-under-way';
    const refusal = changeRefusal(this.#group, this.replication, members);
    if (refusal !== undefined) return refusal;
    this.#configure(firstStep(this.#group.configuration, members));
    this.replication.sendToAll();
    this.stored();
    return undefined;
  }

  read(token: number): void {
    this.#reads.add(token, this.isTermStartCommitted, this.holdsLease);
    this.#confirmReads();
  }

  transfer(to: MemberId): TransferRefusal | undefined {
    const { configuration, id, peers, settings } = this.#group;
    if (to === id || !configuration.voters.includes(to)) return 'not-voter';
    if (this.#transfer !== undefined) return this.#transfer.to === to ? undefined : 'transferring';
    this.#transfer = { to, deadline: peers.now + settings.timing.electionTicks, isHandedOver: false };
    const follower = this.replication.of(to);
    assert(follower !== undefined, 'every other voter has its progress');
    this.#maybeHandOver();
    this.replication.maybeSend(follower);
    return undefined;
  }

  tick(): void {
    const { outbox, peers } = this.#group;
    const transfer = this.#transfer;
    if (transfer !== undefined && peers.now >= transfer.deadline) {
      this.#transfer = undefined;
      outbox.put({ kind: 'transfer-ended', to: transfer.to, reason: 'timed-out' });
    }
    this.replication.tick();
  }

  /** The node is heard again: what was sent to it may be lost, and its members may have given this leader up. */
  nodeHeard(nodeId: number): void {
    for (const follower of this.#on(nodeId)) {
      follower.repeats = 0;
      this.#speakTo(follower);
    }
  }

  nodeRestarted(nodeId: number): void {
    for (const follower of this.#on(nodeId)) {
      follower.reset(this.#group.log.endIndex);
      this.replication.maybeSend(follower);
    }
  }

  /** The node does not count this group among those in which it follows. */
  unfollowed(nodeId: number): void {
    for (const follower of this.#on(nodeId)) this.#strayed(follower);
  }

  /** A member campaigns, so it follows nobody: it hears of this leader. */
  campaigned(member: MemberId): void {
    const follower = this.replication.of(member);
    if (follower !== undefined) this.#strayed(follower);
  }

  /** Whether this leader has led itself out of the group, and that is committed (thesis, 4.2.2). */
  get isRemoved(): boolean {
    const { committedEndIndex, configuration, configurations, id } = this.#group;
    return !isVoter(configuration, id) && configurations.last.index < committedEndIndex;
  }

  /** The leadership has ended. */
  end(): void {
    this.#reads.abort();
    if (this.#transfer === undefined) return;
    const { to, isHandedOver } = this.#transfer;
    this.#group.outbox.put({ kind: 'transfer-ended', to, reason: isHandedOver ? 'handed-over' : 'aborted' });
  }

  /** Leaves: everybody is told, and who comes first among those that have everything is to campaign at once. */
  resign(): void {
    const { configuration, id, log, outbox, term } = this.#group;
    const complete = configuration.voters.filter(
      (voter) => voter !== id && this.replication.of(voter)?.matchedEndIndex === log.endIndex,
    );
    const successor = complete.find((voter) => !this.replication.isSilent(this.replication.of(voter)!));
    for (const { member } of this.replication.followers) {
      const kind = member === successor ? 'timeout-now' : 'resignation';
      outbox.send({ kind, to: member, term });
    }
  }

  #strayed(follower: Progress): void {
    follower.followsSince = undefined;
    // What it was sent just now may be on its way; ticks see to it that it is asked again.
    if (this.#group.peers.now >= this.replication.repeatAt(follower)) this.#speakTo(follower);
  }

  #speakTo(follower: Progress): void {
    if (follower.state === 'replicate') follower.becomeProbe(follower.receivedEndIndex);
    follower.isProbing = false;
    this.replication.maybeSend(follower);
  }

  #on(nodeId: number): Progress[] {
    return [...this.replication.followers].filter((follower) => follower.nodeId === nodeId);
  }

  #configure(configuration: Configuration): void {
    this.#group.appendOwn({ kind: 'configuration', configuration });
    this.replication.reconfigure();
    const { to } = this.#transfer ?? {};
    if (to !== undefined && !configuration.voters.includes(to)) {
      this.#transfer = undefined;
      this.#group.outbox.put({ kind: 'transfer-ended', to, reason: 'aborted' });
    }
  }

  /** Commits what a quorum holds, if it ends in this term. Returns whether that is news. */
  #maybeCommit(): boolean {
    const group = this.#group;
    const { configurations, log } = group;
    const wasTermStartCommitted = this.isTermStartCommitted;
    const endIndex = this.#quorumOf((follower) => follower.matchedEndIndex, group.countedEndIndex);
    if (endIndex <= group.committedEndIndex) return false;
    if (log.termAt(endIndex - 1) !== group.term) return false;
    group.commitTo(endIndex);
    if (!wasTermStartCommitted && this.isTermStartCommitted) this.#reads.termStartCommitted();
    const { configuration, index } = configurations.last;
    if (isJoint(configuration) && index < group.committedEndIndex) {
      this.#configure(withoutOutgoing(configuration));
      this.#maybeCommit();
    }
    return true;
  }

  /** What a quorum has of something that grows; of this member itself, `own`. */
  #quorumOf(valueOf: (follower: Progress) => number, own = this.#group.peers.now): number {
    const { configuration, id } = this.#group;
    return quorumValue(configuration, (member) => {
      if (member === id) return own;
      const follower = this.replication.of(member);
      assert(follower !== undefined, 'every other voter has its progress');
      return valueOf(follower);
    });
  }

  /** When this member sent what its follower has since answered, at the latest. */
  #contactAt(follower: Progress): number {
    const { followsSince, answeredSendAt, nodeId } = follower;
    const confirmedAt = this.#group.peers.confirmedAt(nodeId);
    // Heartbeats of before it followed in this term promise nothing for this group.
    const isConfirmed = followsSince !== undefined && confirmedAt >= followsSince;
    return isConfirmed ? Math.max(answeredSendAt, confirmedAt) : answeredSendAt;
  }

  #confirmReads(): void {
    if (!this.#reads.isWaiting) return;
    const { readSequence } = this.replication;
    this.#reads.confirmed(this.#quorumOf((follower) => follower.readSequence, readSequence));
  }

  #maybeHandOver(): void {
    const transfer = this.#transfer;
    const { log, outbox, term } = this.#group;
    if (transfer === undefined) return;
    const { to } = transfer;
    if (this.replication.of(to)?.matchedEndIndex !== log.endIndex) return;
    this.#hasHandedOver = true;
    transfer.isHandedOver = true;
    outbox.send({ kind: 'timeout-now', to, term });
  }
}
