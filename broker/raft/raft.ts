/**
 * Raft for one replicated log: who leads, what is committed, who belongs to the group. This folder is a pure core. Its inputs are
 * what has happened (a message, a tick, a completed write), its outputs are values that say what to do; it knows no clock, disk,
 * network, timer or promise, and the same inputs give the same outputs. It never sees an entry's bytes: a log is
 * a range of indexes, and the few places in it where a term begins.
 *
 *   raft.ts            this file: the inputs;  roles.ts: the passage from one role to another
 *   group.ts           what a member knows whatever its role: term, vote, log, positions
 *   election.ts        who gets a vote, and when to ask for one;  candidate.ts asks
 *   follower.ts        takes a leader's log
 *   leader.ts          commits, checks its quorum, hands over;  replication.ts and progress.ts: what each follower needs
 *   quorum.ts          majorities;  configuration.ts, membership.ts: of whom, and how that changes
 *   reads.ts           linearizable reads
 *   snapshot-*.ts      for those who lack what the log no longer has
 *   peers.ts           node-heartbeats.ts: which nodes are there, once for all groups of a node
 *   term-log.ts, messages.ts, outbox.ts, member.ts
 *
 * Who may call it: broker/partition, for one log each. After every input the caller takes the outputs and carries them out in
 * order, before the next input. Positions are Raft indexes; ends are exclusive.
 *
 * Invariants, each asserted where its field moves: term, vote and committed end never go back; flushed <= written <= end;
 * committed <= end; nothing is sent in a term that is not durable here; a leader only appends; it commits by counting only
 * entries of its own term that are flushed; no committed entry is truncated (but after power losses under `write.caching`, which is said).
 *
 * Idle groups cost nothing: a group asks for ticks only while it has something to do (output 'ticking'). A follower counts its
 * leader's node as the sign of life, through Peers; `nodeSilent`, `nodeHeard`, `nodeRestarted` wake the groups that are concerned.
 */
import { assert } from '../../platform/assert.ts';
import { Candidate } from './candidate.ts';
import type { Configuration, PlacedConfiguration } from './configuration.ts';
import { mayVote, wouldVote } from './election.ts';
import { Follower } from './follower.ts';
import { Group } from './group.ts';
import type { RaftOptions } from './group.ts';
import { Leader } from './leader.ts';
import type { TransferRefusal } from './leader.ts';
import { nodeOf } from './member.ts';
import type { MemberId } from './member.ts';
import type { ChangeRefusal, Members } from './membership.ts';
import type { Message, Snapshot, VoteAnswer, VoteRequest } from './messages.ts';
import type { HardState, Output, Role } from './outbox.ts';
import type { Progress } from './progress.ts';
import { Roles } from './roles.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import type { TermLogState } from './term-log.ts';

export type { RaftOptions, RaftSettings, Impairment } from './group.ts';
export type { HardState, Output, Role } from './outbox.ts';

export type Proposal =
  | {
      readonly kind: 'accepted';
      readonly baseIndex: number;
      readonly endIndex: number;
      readonly term: number;
    }
  | { readonly kind: 'refused'; readonly reason: 'not-leader' | 'transferring' };

export type ForceRefusal = 'leader-alive' | 'not-voter' | 'replacing-log';

export class Raft {
  readonly #group: Group;
  readonly #receiver: SnapshotReceiver;
  readonly #roles: Roles;
  #isTicking = false;

  constructor(options: RaftOptions) {
    const group = new Group(options);
    this.#group = group;
    this.#receiver = new SnapshotReceiver(group);
    this.#roles = new Roles(group, this.#receiver);
    // The entry of a newer term may have reached the disk before the term itself did, which then nobody was told.
    if (group.log.lastTerm > group.term) group.setHardState(group.log.lastTerm, undefined);
    this.#settle();
  }

  get role(): Role {
    return this.#roles.role;
  }

  get id(): MemberId {
    return this.#group.id;
  }

  get term(): number {
    return this.#group.term;
  }

  get hardState(): HardState {
    return this.#group.hardState;
  }

  get leader(): MemberId | undefined {
    return this.#group.leader;
  }

  get startIndex(): number {
    return this.#group.log.startIndex;
  }

  get endIndex(): number {
    return this.#group.log.endIndex;
  }

  get lastTerm(): number {
    return this.#group.log.lastTerm;
  }

  /** Whether entries count before they are durable, so that committed ones may be lost. */
  get countsWritten(): boolean {
    return this.#group.countsWritten;
  }

  get committedEndIndex(): number {
    return this.#group.committedEndIndex;
  }

  get writtenEndIndex(): number {
    return this.#group.writtenEndIndex;
  }

  get flushedEndIndex(): number {
    return this.#group.flushedEndIndex;
  }

  /** Completions of writes carry the generation that the log had when they were asked for. */
  get generation(): number {
    return this.#group.generation;
  }

  get configuration(): Configuration {
    return this.#group.configuration;
  }

  /** Whether it leads and knows all that is committed. */
  get isReady(): boolean {
    return this.#state instanceof Leader && this.#state.isTermStartCommitted;
  }

  get isImpaired(): boolean {
    return this.#group.impairment !== undefined;
  }

  get holdsLease(): boolean {
    return this.#state instanceof Leader && this.#state.holdsLease;
  }

  get isTicking(): boolean {
    return this.#isTicking;
  }

  /**
   * Ticks before this one would do nothing, unless another input comes first: whoever has many groups may leave them out. Only
   * of use while 'ticking'; to be asked again after every input.
   */
  get quietUntil(): number {
    return this.#roles.quietUntil;
  }

  termAt(index: number): number {
    return this.#group.log.termAt(index);
  }

  /** What the leader knows of a member; undefined elsewhere. For in-sync sets, metrics, and choosing whom to hand over to. */
  progressOf(
    member: MemberId,
  ): Readonly<Pick<Progress, 'matchedEndIndex' | 'knownCommittedEndIndex' | 'state'>> | undefined {
    if (!(this.#state instanceof Leader)) return undefined;
    return this.#state.replication.of(member);
  }

  /** One past the last entry that this many voters hold, as the leader knows; 0 elsewhere. */
  endIndexHeldBy(copies: number): number {
    return this.#state instanceof Leader ? this.#state.endIndexHeldBy(copies) : 0;
  }

  /** Everything to be done, in order, since the last call. */
  take(): Output[] {
    return this.#group.outbox.take();
  }

  /** Time has gone on by a tick, which Peers shows already. Only asked for while 'ticking'. */
  tick(): void {
    const state = this.#state;
    if (state instanceof Leader) {
      if (state.hasQuorum) state.tick();
      else this.#roles.stepDown();
    } else if (state instanceof Candidate ? state.isOverdue : state.isCampaignDue) {
      this.#roles.campaignAgain();
    }
    this.#settle();
  }

  /** A message has come, from a node's present incarnation. */
  step(message: Message): void {
    if (message.to === this.id) this.#receive(message);
    this.#settle();
  }

  /** Takes `count` entries for the log, which the caller appends at once, as the leader's term gives them. */
  propose(count: number): Proposal {
    const state = this.#state;
    if (!(state instanceof Leader)) return { kind: 'refused', reason: 'not-leader' };
    if (state.isTransferring) return { kind: 'refused', reason: 'transferring' };
    const { log, term } = this.#group;
    const baseIndex = log.endIndex;
    log.append(baseIndex + count, []);
    state.appended();
    this.#settle();
    return { kind: 'accepted', baseIndex, endIndex: log.endIndex, term };
  }

  hardStatePersisted(hardState: HardState): void {
    if (this.#group.hardStatePersisted(hardState)) this.#roles.hardStateDurable();
    this.#settle();
  }

  /** The operating system has all entries below `endIndex`; `generation` is the log's when they were appended. */
  written(endIndex: number, generation: number): void {
    this.#stored('written', endIndex, generation);
  }

  /** All entries below `endIndex` are durable. */
  flushed(endIndex: number, generation: number): void {
    this.#stored('flushed', endIndex, generation);
  }

  /** Answers 'read-entries': whole batches up to `endIndex` are at hand, to go with the message that is among the outputs. */
  entriesRead(read: number, endIndex: number, sizeBytes: number): void {
    if (this.#state instanceof Leader) this.#state.replication.entriesRead(read, endIndex, sizeBytes);
    this.#settle();
  }

  /** Answers 'read-chunk'; `sizeBytes` 0 where that snapshot is no longer there. */
  chunkRead(read: number, sizeBytes: number): void {
    if (this.#state instanceof Leader) this.#state.replication.chunkRead(read, sizeBytes);
    this.#settle();
  }

  chunkWritten(snapshotId: string, endPosition: number): void {
    this.#receiver.chunkWritten(snapshotId, endPosition, this.#state instanceof Follower);
    this.#settle();
  }

  /** A snapshot has been installed, or segments copied: the log is this one, durable, and all of it was committed by the leader. */
  logReplaced(log: TermLogState, configurations: readonly PlacedConfiguration[]): void {
    assert(this.#state instanceof Follower && this.#receiver.isReplacing, 'a log is replaced on request');
    this.#receiver.ended();
    this.#group.replaceLog(log, configurations);
    if (this.leader !== undefined) this.#state.replaced(this.leader, log.endIndex);
    this.#settle();
  }

  /** A snapshot's checksum is wrong, or the copying has failed: the log is as it was, and the leader asks again. */
  replacementFailed(): void {
    this.#receiver.ended();
    this.#settle();
  }

  /** Entries below `startIndex`, all committed and durable here, are gone from the log. */
  compacted(startIndex: number): void {
    const isSafe = startIndex <= this.committedEndIndex && startIndex <= this.flushedEndIndex;
    assert(isSafe, 'only what is committed, and durable here, is removed');
    this.#group.log.compact(startIndex);
    this.#group.configurations.compact(startIndex);
  }

  /** The newest snapshot that can be sent to others. */
  snapshotTaken(snapshot: Snapshot): void {
    this.#roles.snapshot = snapshot;
    if (this.#state instanceof Leader) this.#state.replication.snapshotTaken(snapshot);
  }

  /** Asks for leadership now: a new group's first choice, or an operator. Nothing happens while a leader is heard. */
  campaign(): void {
    const isHeld = this.#roles.isLeaderAlive || this.#group.hasPromised;
    if (!isHeld && this.#roles.isPromotable) this.#roles.preCampaign();
    this.#settle();
  }

  /** Hands leadership to a voter; ends with 'transfer-ended' unless refused. Proposals are refused meanwhile. */
  transferLeadership(to: MemberId): TransferRefusal | undefined {
    const refusal = this.#state instanceof Leader ? this.#state.transfer(to) : 'not-leader';
    this.#settle();
    return refusal;
  }

  /** Changes the members; done when 'configuration-committed' gives a configuration with these members that is not joint. */
  changeMembers(members: Members): ChangeRefusal | undefined {
    const refusal = this.#state instanceof Leader ? this.#state.change(members) : 'not-leader';
    this.#settle();
    return refusal;
  }

  /**
   * Makes these the members without the consent of a majority of the present ones, which is lost for good: entries that only
   * they held are gone, and if they return they must not be let in. For an operator who says so, never for a program.
   */
  forceConfiguration(members: Members): ForceRefusal | undefined {
    if (this.#roles.isLeaderAlive) return 'leader-alive';
    if (!members.voters.includes(this.id)) return 'not-voter';
    if (this.#receiver.isReplacing) return 'replacing-log';
    this.#group.overrideImpairment();
    this.#roles.force({ ...members, outgoing: [] });
    this.#settle();
    return undefined;
  }

  /** An operator answers for what a lost memory may lack: the member may campaign again. */
  overrideImpairment(): void {
    this.#group.overrideImpairment();
    this.#settle();
  }

  /** A linearizable read: 'read' with this token follows. Returns false where this is not the leader. */
  requestRead(token: number): boolean {
    if (!(this.#state instanceof Leader)) return false;
    this.#state.read(token);
    this.#settle();
    return true;
  }

  /** Ends its leadership of its own will: the log has failed, or the node stops. */
  resign(): void {
    if (this.#state instanceof Leader) {
      this.#state.resign();
      this.#roles.stepDown();
    }
    this.#settle();
  }

  /** The node of a member is heard, after having been silent. */
  nodeHeard(nodeId: number): void {
    if (this.#state instanceof Leader) this.#state.nodeHeard(nodeId);
    this.#settle();
  }

  /** The node of a member has not been heard for an election timeout, or does not hear this one. */
  nodeSilent(nodeId: number): void {
    const state = this.#state;
    if (state instanceof Leader && !state.hasQuorum) this.#roles.stepDown();
    else if (state instanceof Follower) state.nodeSilent(nodeId);
    this.#settle();
  }

  /** The node of a member has started anew: it leads nothing, and knows only what is durable. */
  nodeRestarted(nodeId: number): void {
    if (this.#state instanceof Leader) this.#state.nodeRestarted(nodeId);
    else if (this.leader !== undefined && nodeOf(this.leader) === nodeId) this.#roles.leaderGone(true);
    this.#settle();
  }

  /** The node of the leader says that it does not lead this group in `term`. */
  leaderGone(term: number): void {
    if (term === this.term) this.#roles.leaderGone(false);
    this.#settle();
  }

  /** The node does not follow this leader in this group. */
  unfollowed(nodeId: number): void {
    if (this.#state instanceof Leader) this.#state.unfollowed(nodeId);
    this.#settle();
  }

  #receive(message: Message): void {
    if (message.kind === 'vote' || message.kind === 'pre-vote') {
      this.#voteRequested(message);
      return;
    }
    const isPromise = message.kind === 'pre-vote-answer' && message.isGranted;
    if (message.term < this.term) {
      if (isOfLeader(message)) this.#notice(message.from);
      return;
    }
    if (message.term > this.term && !isPromise) this.#roles.follow(message.term, undefined);
    if (isOfLeader(message)) {
      this.#receiveFromLeader(message);
      return;
    }
    const state = this.#state;
    if (message.kind === 'vote-answer' || message.kind === 'pre-vote-answer') {
      if (state instanceof Candidate) this.#voteAnswered(state, message);
    } else if (message.kind === 'append-answer') {
      if (state instanceof Leader) state.answered(message);
    } else if (message.kind === 'snapshot-answer') {
      if (state instanceof Leader) state.chunkAnswered(message);
    }
  }

  #receiveFromLeader(message: OfLeader): void {
    assert(!(this.#state instanceof Leader), 'a term has one leader');
    const { leader } = this.#group;
    if (message.kind === 'resignation' || message.kind === 'timeout-now') {
      if (leader !== message.from) return;
      if (message.kind === 'resignation') this.#roles.leaderGone(true);
      else if (this.#roles.isPromotable) this.#roles.campaign(true);
      return;
    }
    assert(leader === undefined || leader === message.from, 'a term has one leader');
    if (leader === undefined || !(this.#state instanceof Follower))
      this.#roles.follow(this.term, message.from);
    const follower = this.#state;
    assert(follower instanceof Follower, 'who hears a leader follows');
    if (message.kind === 'append') {
      if (!this.#receiver.isReplacing) follower.append(message);
      else follower.heard();
    } else {
      const { sharesRemoved } = follower;
      const isCopy = message.kind === 'copy-request';
      const isNeeded = isCopy
        ? this.#receiver.copy(message, sharesRemoved)
        : this.#receiver.chunk(message, sharesRemoved);
      if (isNeeded) follower.heard();
      else follower.replaced(message.from, isCopy ? message.endIndex : message.snapshot.lastIndex + 1);
    }
  }

  #voteRequested(request: VoteRequest): void {
    const group = this.#group;
    const { from: to, kind } = request;
    const isProtected = !request.isTransfer && (this.#roles.isLeaderAlive || group.hasPromised);
    if (isProtected && this.#state instanceof Leader) this.#state.campaigned(to);
    if (kind === 'pre-vote') {
      const isGranted = !isProtected && wouldVote(group, request);
      const term = isGranted ? request.term : group.term;
      group.outbox.send({ kind: 'pre-vote-answer', to, term, isGranted });
      return;
    }
    // Not even the term is taken over: the candidate learns it when it hears the leader (thesis, 4.2.3).
    if (isProtected && request.term > group.term) return;
    const isGranted = mayVote(group, request);
    if (request.term > group.term) this.#roles.follow(request.term, undefined, isGranted ? to : undefined);
    else if (isGranted && group.hardState.votedFor === undefined) group.setHardState(group.term, to);
    if (isGranted && this.#state instanceof Follower) this.#state.heard();
    group.outbox.send({ kind: 'vote-answer', to, term: group.term, isGranted });
  }

  #voteAnswered(candidate: Candidate, answer: VoteAnswer): void {
    const result = candidate.answered(answer);
    if (result === 'lost') this.#roles.follow(this.term, undefined);
    else if (result === 'won' && candidate.kind === 'vote') this.#roles.lead();
    else if (result === 'won') this.#roles.campaign(false);
  }

  #notice(to: MemberId): void {
    this.#group.outbox.send({ kind: 'term-notice', to, term: this.term });
  }

  #stored(position: 'written' | 'flushed', endIndex: number, generation: number): void {
    const state = this.#state;
    if (this.#group.stored(position, endIndex, generation) && !(state instanceof Candidate)) state.stored();
    this.#settle();
  }

  /** What holds after every input, whatever it was. */
  #settle(): void {
    const state = this.#state;
    if (state instanceof Leader && state.isRemoved) {
      state.resign();
      this.#roles.stepDown();
    }
    const isTicking = this.#roles.wantsTicks;
    if (isTicking === this.#isTicking) return;
    this.#isTicking = isTicking;
    this.#group.outbox.put({ kind: 'ticking', isTicking });
  }

  get #state(): Follower | Candidate | Leader {
    return this.#roles.state;
  }
}

type OfLeader = Extract<
  Message,
  { kind: 'append' | 'snapshot-chunk' | 'copy-request' | 'timeout-now' | 'resignation' }
>;

/** Only a term's leader sends these. */
function isOfLeader(message: Message): message is OfLeader {
  switch (message.kind) {
    case 'append':
    case 'snapshot-chunk':
    case 'copy-request':
    case 'timeout-now':
    case 'resignation':
      return true;
    default:
      return false;
  }
}
