/**
 * One partition on this node: a member of its Raft group, with the commit log, the producers' states, and those who wait for a
 * position to move. The only way into a partition's log; consensus moves its positions.
 *
 * Invariants (docs: correctness of positions): flushed <= appended; committed <= appended; last stable offset <= high
 * watermark = committed, as a Kafka offset. Leadership is not readiness: until the first entry of its own term commits, a
 * leader takes appends and serves reads up to the high watermark it knows, and `ready` is false.
 */
import { unpooled } from '../../platform/buffer-pool.ts';
import type { Lease } from '../../platform/buffer-pool.ts';
import { readBatchHeader } from '../../protocol/index.ts';
import type { BatchHeader } from '../../protocol/index.ts';
import type { CommitLog } from '../log/commit-log.ts';
import type { CleanableLog, CleanerLimits } from '../log/compaction/cleanable-log.ts';
import type { DeletedSegments, LogRead, RecoveryReport } from '../log/log-types.ts';
import type { ScrubbedLog } from '../log/recovery/scrub-segment.ts';
import { encodeDeleteRecords } from '../log/raft-only.ts';
import { isSoleVoter } from '../raft/configuration.ts';
import type { Configuration, PlacedConfiguration } from '../raft/configuration.ts';
import { nodeOf } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';
import type { ForceRefusal, Raft, Role } from '../raft/raft.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { ConfirmedReads } from './confirmed-reads.ts';
import type { SnapshotStore } from './consensus/catch-up/snapshot-store.ts';
import type { ConsensusListener } from './consensus/consensus-types.ts';
import { Consensus } from './consensus/consensus.ts';
import { KeptConfiguration } from './kept-configuration.ts';
import { LeadershipTransfer } from './leadership-transfer.ts';
import type { LogDirectory } from './log-directory.ts';
import type { MovableLog } from './moves/future-copy.ts';
import type { LogProducers } from './log-producers.ts';
import type { ReplicaMemory } from './replica-memory.ts';
import { noteDeparture } from './departed-replicas.ts';
import { RecordDeletions } from './record-deletions.ts';
import { keyOf } from './vote-records.ts';
import { appendRefusals } from './replica-types.ts';
import type {
  AppendOutcome,
  DeletionRefusal,
  OpenedReplica,
  ReplicaFailure,
  ReplicaIdentity,
  ReplicaOptions,
} from './replica-types.ts';

/** Bytes of one log that may wait to be written: what requests that wait for no answer leave when a disk hangs. */
const queuedBytesMax = 64 * 1024 * 1024;
/** Offsets before a snapshot that stay in the log, for followers that are not far behind. */
const keptBeforeSnapshot = 10_000;

export class Replica {
  readonly identity: ReplicaIdentity;
  readonly topic: string;
  readonly partition: number;
  readonly recovery: RecoveryReport;
  readonly home: LogDirectory;
  readonly member: MemberId;
  readonly #options: ReplicaOptions;
  readonly #log: CommitLog;
  readonly #consensus: Consensus;
  readonly #producers: LogProducers;
  readonly #kept: KeptConfiguration;
  /** Whether it has kept what it acknowledged. */
  readonly memory: ReplicaMemory;
  /** Of a state machine's log. */
  readonly snapshots: SnapshotStore | undefined;
  readonly #deletions: RecordDeletions;
  #reads: ConfirmedReads | undefined;
  /** Who waits for which copies, and who is in sync. */
  readonly acknowledgements: Acknowledgements;
  /** Its term or vote could not be made durable; tried again as time goes on. */
  electionError: unknown;
  /** Called once each, then forgotten, when the high watermark or the role has moved or the replica has ended. */
  #watchers: Set<() => void> | undefined;
  /** The leader epoch, as Kafka calls it: of the last leader that is known, not of a term in which only a vote was given. */
  term = 0;
  #leader: MemberId | undefined;
  readonly #transfer = new LeadershipTransfer();
  #failure: ReplicaFailure | undefined;
  /** It has ended here, by a stop of the node or its topic's deletion. */
  closed = false;

  constructor(options: ReplicaOptions, opened: OpenedReplica) {
    const { identity, home, consensus, disk } = options;
    const { log, configuration } = opened;
    this.#options = options;
    this.identity = identity;
    ({ topic: this.topic, partition: this.partition } = identity);
    ({ recovery: this.recovery, snapshots: this.snapshots } = opened);
    ({ memory: this.memory, member: this.member } = opened);
    this.home = home;
    const cause = this.recovery.damage;
    if (cause !== undefined) this.#failure = { kind: 'damage', cause };
    this.#log = log;
    this.#producers = opened.producers;
    this.#kept = new KeptConfiguration(disk, log.directory, configuration);
    this.#deletions = new RecordDeletions(this, (error) => options.events.deletionFailed(this, error));
    this.#deletions.begin(log.raftOnlyEntries());
    const group = keyOf(identity);
    this.#consensus = new Consensus({
      group,
      settings: options.settings,
      peers: consensus.peers,
      random: options.random.fork(group),
      hardState: options.hardState ?? { term: 0, votedFor: undefined },
      ...opened,
      host: consensus,
      listener: this.#listener(),
    });
    this.acknowledgements = new Acknowledgements({
      ...options,
      log,
      consensus: this.#consensus,
      silentMs: (id) => consensus.silentMs(id),
    });
  }

  get isLeader(): boolean {
    return this.#consensus.raft.role === 'leader';
  }

  /** The node that leads it, as far as known here. */
  get leaderNode(): number | undefined {
    return this.#leader === undefined ? undefined : nodeOf(this.#leader);
  }

  /** Whether it may say where the log ends: its term's first entry has committed, or nothing will be added. */
  get ready(): boolean {
    return this.#consensus.raft.isReady || (this.#isLastCopy && !this.failed);
  }

  /** Recovery met damage below the durable floor: this replica never leads until it has been repaired, and refuses appends. */
  get damaged(): boolean {
    return this.#failure?.kind === 'damage';
  }

  /** It can neither be written nor read. */
  get failed(): boolean {
    return this.#failure !== undefined && this.#failure.kind !== 'damage';
  }

  /** Whether clients may read from it here. */
  get servesReads(): boolean {
    return !this.failed && !this.closed && (this.isLeader || this.#isLastCopy);
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset;
  }

  /** Records below it are committed. Never goes back, but where data was lost after power failures under `write.caching`. */
  get highWatermark(): number {
    return this.#isLastCopy ? this.#log.logEndOffset : this.#consensus.highWatermark;
  }

  /** Without open transactions the last stable offset is the high watermark. */
  get lastStableOffset(): number {
    return this.highWatermark;
  }

  /** For those who maintain logs; only the replica appends and moves positions. */
  get log(): CleanableLog & ScrubbedLog & MovableLog & Pick<CommitLog, 'queuedBytes' | 'segmentCount'> {
    return this.#log;
  }

  /** Recovery or scrubbing has met damage in it. */
  get hasDamage(): boolean {
    return this.damaged || this.#log.damage.length > 0;
  }

  get producerCount(): number {
    return this.#producers.states.count;
  }

  /** Who belongs to the group now, committed or not. */
  get configuration(): Configuration {
    return this.#consensus.raft.configuration;
  }

  /** The newest that is committed. */
  get committedConfiguration(): PlacedConfiguration {
    return this.#consensus.committedConfiguration();
  }

  /** Whether this node's vote alone decides in the group. */
  get isSoleVoter(): boolean {
    return isSoleVoter(this.configuration, this.#consensus.raft.id);
  }

  /** Joins its group. A sole voter, or the one who is to lead a new group, does not wait for others to do so. */
  start(): void {
    const { consensus, intended, events } = this.#options;
    consensus.join(this.#consensus);
    const lost = this.memory.joined(this.#consensus, this.#options);
    if (lost !== undefined) events.memoryLost(this, lost);
    const { id, configuration, hardState } = this.#consensus.raft;
    const isFirst = intended?.revision === 0 && intended.members[0] === id && hardState.term === 0;
    if (this.isSoleVoter && configuration.learners.length === 0) this.#consensus.campaign();
    else if (isFirst) consensus.campaign(this.#consensus);
  }

  /**
   * Appends one validated batch of a client. The batch and its memory belong to the log from here on: its offset and epoch are
   * set in place. Nothing is durable yet: wait for the outcome by `acknowledgements`.
   */
  append(batch: Buffer, header: BatchHeader, lease: Lease = unpooled): AppendOutcome {
    if (this.#failure !== undefined) return { kind: 'refused', error: 'KAFKA_STORAGE_ERROR' };
    if (!this.isLeader || this.closed) return { kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' };
    if (header.producerId >= 0) {
      const verdict = this.#producers.states.check(header);
      if (verdict.kind === 'error') return { kind: 'refused', error: verdict.error };
      if (verdict.kind === 'duplicate') {
        const { baseOffset, lastOffset, timestamp } = verdict;
        const { term, logStartOffset } = this;
        const endIndex = this.#endIndexOf(lastOffset);
        return { kind: 'duplicate', term, baseOffset, endIndex, timestamp, logStartOffset };
      }
    }
    if (this.#log.queuedBytes > queuedBytesMax) return { kind: 'refused', error: 'REQUEST_TIMED_OUT' };
    this.acknowledgements.beforeAppend();
    const appended = this.#consensus.append(batch, lease);
    if (appended.kind === 'refused') return { kind: 'refused', error: appendRefusals[appended.reason] };
    const { term, baseOffset, endIndex, logStartOffset } = appended;
    this.#producers.appended(header, baseOffset);
    return { kind: 'appended', term, baseOffset, endIndex, logStartOffset };
  }

  /** Deletes the records below `offset`; tells when that is committed and the log starts there, durably. */
  async deleteRecords(offset: number): Promise<'done' | DeletionRefusal> {
    if (this.#failure !== undefined) return 'KAFKA_STORAGE_ERROR';
    if (!this.isLeader || this.closed) return 'NOT_LEADER_OR_FOLLOWER';
    if (offset < 0 || offset > this.highWatermark) return 'OFFSET_OUT_OF_RANGE';
    if (offset <= this.#log.logStartOffset) return 'done';
    const appended = this.#consensus.appendRaftOnly('delete-records', encodeDeleteRecords(offset));
    const refusal = (hasFailed: boolean) => (hasFailed ? 'KAFKA_STORAGE_ERROR' : 'NOT_LEADER_OR_FOLLOWER');
    if (appended.kind === 'refused') return refusal(appended.reason === 'failed');
    const isDone = await new Promise<boolean>((done) => this.acknowledgements.whenCommitted(appended, done));
    if (!isDone) return refusal(this.failed);
    if (!(await this.#deletions.settled()) || this.#log.logStartOffset < offset) return 'KAFKA_STORAGE_ERROR';
    return 'done';
  }

  /** Runs once when the high watermark or the role has moved, or neither will again. */
  watch(watcher: () => void): void {
    (this.#watchers ??= new Set()).add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers?.delete(watcher);
  }

  /** Committed batches from the one that holds `offset` on; `offset` lies in [log start, high watermark]. */
  read(offset: number, maxBytes: number, minOneBatch: boolean): LogRead | Promise<LogRead> {
    return this.#log.read({ offset, endOffset: this.highWatermark, maxBytes, minOneBatch });
  }

  offsetForTimestamp(timestamp: number): ReturnType<CommitLog['offsetForTimestamp']> {
    return this.#log.offsetForTimestamp(timestamp, this.highWatermark);
  }

  maxTimestamp(): ReturnType<CommitLog['maxTimestamp']> {
    return this.#log.maxTimestamp(this.highWatermark);
  }

  epochAt(offset: number): number {
    return this.#log.epochAt(offset);
  }

  /** The largest epoch at or below the one asked, and where it ends; the leader's own ends at the log's end. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } | undefined {
    return this.#log.endOffsetForEpoch(epoch);
  }

  /** Retention, among what is committed. Rejects with a DiskError. */
  async deleteOldSegments(): Promise<readonly DeletedSegments[]> {
    if (this.closed || this.#failure !== undefined) return [];
    if (this.#log.segmentCount > 1) await this.keepConfiguration();
    const deleted = await this.#log.deleteOldSegments(this.highWatermark);
    this.#consensus.logStartMoved();
    return deleted;
  }

  /** Before the log loses some of its beginning: who belongs to the group must not go with it. Rejects with a DiskError. */
  keepConfiguration(): Promise<void> {
    return this.#kept.keep(this.#consensus.durableConfiguration());
  }

  /** What compaction must leave as it is; undefined where the log is to be left alone. */
  cleanerLimits(): CleanerLimits | undefined {
    if (this.closed || this.#failure !== undefined) return undefined;
    const endOffset = Math.min(this.highWatermark, this.lastStableOffset);
    const { committedEndIndex: endIndex } = this.#consensus;
    return { endOffset, endIndex, lastOffsetsOfProducers: this.#producers.states.lastOffsets(endOffset) };
  }

  /** Compaction has been at work: entries below its end cannot be had any more. */
  cleaned(): void {
    this.#consensus.logStartMoved();
  }

  /** Keeps these records as the state at this offset, then lets the log lose what is before it. Rejects with a DiskError. */
  async takeSnapshot(endOffset: number, records: Iterable<Buffer>): Promise<void> {
    await this.#consensus.takeSnapshot(endOffset, records);
    const start = endOffset - keptBeforeSnapshot;
    if (start > this.#log.logStartOffset) await this.advanceLogStart(start);
  }

  expireProducers(): void {
    this.#producers.states.expire();
  }

  /** As time goes by, or their nodes are fenced, members fall out of sync. */
  reviewInSync(): void {
    if (this.acknowledgements.review()) this.#options.events.leadershipChanged(this);
  }

  /**
   * A linearizable read: all that was committed before this call ends at or below this index. Undefined where this node does not
   * lead, or did not any more.
   */
  confirmRead(): Promise<number | undefined> {
    this.#reads ??= new ConfirmedReads();
    return this.#reads.ask((token) => this.#consensus.requestRead(token));
  }

  changeMembers(...members: Parameters<Raft['changeMembers']>): ReturnType<Raft['changeMembers']> {
    return this.#consensus.changeMembers(...members);
  }

  forceConfiguration(...members: Parameters<Raft['forceConfiguration']>): ForceRefusal | undefined {
    const refusal = this.#consensus.forceConfiguration(...members);
    if (refusal === undefined) this.memory.restored();
    return refusal;
  }

  /** Hands leadership to the voter on that node; false where it is none, or does not take it in time. */
  transferLeadership(nodeId: number): Promise<boolean> {
    const to = this.configuration.voters.find((voter) => nodeOf(voter) === nodeId);
    const isRefused = to === undefined || this.#consensus.transferLeadership(to) !== undefined;
    return isRefused ? Promise.resolve(false) : this.#transfer.begin(to);
  }

  /** The data directory that it lies in has failed: nothing of it can be relied on any more. */
  goOffline(cause: unknown): void {
    this.#fail({ kind: 'directory', cause });
  }

  /** The term or vote could not be made durable. */
  electionFailed(error: unknown): void {
    this.electionError = error;
    this.#wakeWatchers();
  }

  /** Leaves its group; everything is written and synced, the producers' states kept; nobody waits any more. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.#options.consensus.leave(this.#consensus);
    try {
      await this.#settled();
      await this.#log.flushAndClose();
      if (this.#failure !== undefined) return;
      await this.#producers.keep();
      await this.memory.endCleanly();
    } finally {
      this.#endWaiting();
    }
  }

  /** Leaves its group and removes the partition's files, crash-safely. `mayReturn`: the group goes on, and may want it back. */
  async delete({ mayReturn = false } = {}): Promise<void> {
    this.closed = true;
    this.#options.consensus.leave(this.#consensus);
    this.#endWaiting();
    await this.#settled();
    if (mayReturn) await noteDeparture(this.#options, this.#log);
    await this.#log.delete();
  }

  /** Nothing is done to the log any more. */
  async #settled(): Promise<void> {
    await this.#consensus.settled();
    await this.#producers.settled();
    await this.#deletions.settled();
    await this.#kept.end();
  }

  /** What a damaged log still holds was durable, and so committed, where this node is the only voter. */
  get #isLastCopy(): boolean {
    return this.damaged && this.isSoleVoter;
  }

  /** One past the entry with this offset. What was deleted since was committed, so that nobody need wait for it: 0. */
  #endIndexOf(offset: number): number {
    return offset < this.#log.logStartOffset ? 0 : this.#log.indexOfOffset(offset) + 1;
  }

  #listener(): ConsensusListener {
    const { events } = this.#options;
    const changed = (): void => events.leadershipChanged(this);
    return {
      roleChanged: (role, term, leader) => this.#roleChanged(role, term, leader),
      committed: () => this.#advanced(),
      stored: () => this.acknowledgements.moved(),
      answered: (from) => {
        if (this.acknowledgements.answered(from)) changed();
      },
      batchReceived: (batch) => {
        const header = readBatchHeader(batch);
        this.#producers.appended(header, header.baseOffset);
      },
      raftOnlyAppended: (entry) => this.#deletions.appended(entry),
      truncated: async (endIndex) => {
        this.#deletions.truncated(endIndex);
        await this.#producers.truncated();
      },
      configurationChanged: () => {
        if (this.isLeader) this.acknowledgements.follow();
        changed();
      },
      configurationCommitted: changed,
      transferEnded: (to, reason) => {
        if (this.#transfer.isTo(to)) this.#transfer.ended(reason === 'handed-over');
      },
      readConfirmed: (token, endIndex) => this.#reads?.confirmed(token, endIndex),
      dataLost: (fromIndex, endIndex) => {
        this.keepConfiguration().catch((cause: unknown) => this.#fail({ kind: 'truncation', cause }));
        events.dataLost(this, { fromIndex, endIndex });
      },
      repaired: () => {
        if (this.damaged) this.#failure = undefined;
        this.memory.restored();
        changed();
      },
      catchUpRefused: changed,
      catchUpFailed: (error) => events.catchUpFailed(this, error),
      logReplaced: async (kept) => {
        this.#kept.replaced(kept);
        this.#deletions.begin(this.#log.raftOnlyEntries());
        await this.#producers.truncated();
      },
      readFailed: (error) => events.readFailed(this, error),
      failed: (failure) => this.#fail(failure),
    };
  }

  #roleChanged(role: Role, term: number, leader: MemberId | undefined): void {
    if (leader !== undefined) this.term = term;
    this.#leader = leader;
    if (role === 'leader') {
      this.electionError = undefined;
      this.acknowledgements.follow();
    } else {
      this.acknowledgements.end();
      if (leader !== undefined) this.#transfer.ended(this.#transfer.isTo(leader));
    }
    this.#wakeWatchers();
    this.#options.events.leadershipChanged(this);
  }

  #advanced(): void {
    const { committedEndIndex, highWatermark } = this.#consensus;
    this.#deletions.committed(committedEndIndex, highWatermark);
    this.acknowledgements.moved();
    this.#wakeWatchers();
  }

  /** For `deleteRecords` alone, once that is committed. Rejects with a DiskError. */
  async advanceLogStart(offset: number): Promise<void> {
    await this.keepConfiguration();
    await this.#log.advanceLogStart(offset);
    this.#consensus.logStartMoved();
  }

  #wakeWatchers(): void {
    const watchers = this.#watchers;
    this.#watchers = undefined;
    if (watchers !== undefined) for (const watcher of watchers) watcher();
  }

  #fail(failure: ReplicaFailure): void {
    if (this.#failure !== undefined && this.#failure.kind !== 'damage') return;
    this.#failure = failure;
    this.#options.consensus.leave(this.#consensus);
    this.#endWaiting();
    this.#options.events.failed(this, failure);
  }

  #endWaiting(): void {
    this.acknowledgements.end();
    this.#reads?.end();
    this.#transfer.ended(false);
    this.#wakeWatchers();
  }
}
