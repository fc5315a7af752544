/**
 * One partition on this node: a consensus group, its commit log, its producers' states, its high watermark, and those who
 * wait for one of them to move. The only way into a partition's log and the only place that moves its positions.
 *
 * Invariants (docs: correctness of positions): flushed <= appended; committed <= appended; last stable offset <= high
 * watermark = committed, as a Kafka offset. Leadership is not readiness: until the first entry of its own term commits, a
 * leader takes appends and serves reads up to the high watermark it knows, and `ready` is false.
 */
import { assert } from '../../platform/assert.ts';
import { unpooled } from '../../platform/buffer-pool.ts';
import type { Lease } from '../../platform/buffer-pool.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { BatchHeader } from '../../protocol/index.ts';
import { CommitLog } from '../log/commit-log.ts';
import type { CleanableLog, CleanerLimits } from '../log/compaction/cleanable-log.ts';
import type { DeletedSegments, LogFailure, LogOptions, LogRead, RecoveryReport } from '../log/log-types.ts';
import type { ScrubbedLog } from '../log/scrub-segment.ts';
import { decodeDeleteRecords, encodeDeleteRecords } from '../log/raft-only.ts';
import { memberId, nodeOf } from '../raft/member.ts';
import { RaftGroup } from '../raft/raft-group.ts';
import type { HardState } from '../raft/raft.ts';
import type { LogDirectory } from './log-directory.ts';
import { restoreProducers } from './producer-restore.ts';
import type { ProducerStates } from './producer-state.ts';
import { removeSnapshotsAbove, writeSnapshot } from './producer-snapshots.ts';
import { RecordDeletions } from './record-deletions.ts';
import { Waiters } from './waiters.ts';
import type { Outcome } from './waiters.ts';

export interface ReplicaIdentity {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

export interface ReplicaOptions {
  readonly identity: ReplicaIdentity;
  readonly nodeId: number;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly log: LogOptions;
  /** The data directory that holds it. */
  readonly home: LogDirectory;
  readonly hardState: HardState | undefined;
  readonly producerExpirationMs: () => number;
  /** Told once when it has failed: it takes no more appends until the node is started again. */
  readonly onFailure: (replica: Replica, failure: ReplicaFailure) => void;
  /** A producer snapshot could not be written: the next start replays more, nothing is lost. */
  readonly onSnapshotFailure: (replica: Replica, error: unknown) => void;
  /** Records that were deleted are still there: the next start deletes them again. */
  readonly onDeletionFailure: (replica: Replica, error: unknown) => void;
}

/** Why a replica takes no more appends: its log has failed, or the data directory that it lies in. */
export interface ReplicaFailure {
  readonly kind: LogFailure['kind'] | 'directory';
  readonly cause: unknown;
}

export type AppendOutcome =
  | {
      readonly kind: 'appended';
      readonly baseOffset: number;
      readonly endIndex: number;
      readonly logStartOffset: number;
    }
  | {
      readonly kind: 'duplicate';
      readonly baseOffset: number;
      readonly endIndex: number;
      readonly timestamp: number;
      readonly logStartOffset: number;
    }
  | { readonly kind: 'refused'; readonly error: AppendRefusal };

export type AppendRefusal =
  | 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  | 'INVALID_PRODUCER_EPOCH'
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'KAFKA_STORAGE_ERROR'
  | 'REQUEST_TIMED_OUT';

export type DeletionRefusal = 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER' | 'OFFSET_OUT_OF_RANGE';

/**
 * Bytes of one log that may wait to be written. Requests are bounded by the node's memory for them; this bounds what is left
 * of those that did not wait for their answer, when a disk hangs.
 */
const queuedBytesMax = 64 * 1024 * 1024;

export class Replica {
  readonly identity: ReplicaIdentity;
  readonly recovery: RecoveryReport;
  readonly #options: ReplicaOptions;
  readonly #log: CommitLog;
  readonly #raft: RaftGroup;
  readonly #producers: ProducerStates;
  readonly #deletions: RecordDeletions;
  /** Who waits for their entries to be written (acks=1) and to be committed (acks=all). */
  readonly #written = new Waiters();
  readonly #committed = new Waiters();
  /** Called once each, then forgotten, when the high watermark has moved or the replica has ended. */
  readonly #watchers = new Set<() => void>();
  /** Committed, as a Kafka offset. Invariant: never goes back, <= log end offset. */
  #highWatermark: number;
  #failure: ReplicaFailure | undefined;
  #closed = false;
  #snapshotting: Promise<void> = Promise.resolve();
  /** Of the newest producer snapshot on disk; -1 without one. */
  #snapshotOffset: number;

  private constructor(
    options: ReplicaOptions,
    log: CommitLog,
    restored: { recovery: RecoveryReport; producers: ProducerStates; snapshotOffset: number },
  ) {
    this.#options = options;
    this.identity = options.identity;
    this.recovery = restored.recovery;
    this.#log = log;
    this.#producers = restored.producers;
    this.#snapshotOffset = restored.snapshotOffset;
    const { term, votedFor } = options.hardState ?? { term: 0, votedFor: undefined };
    this.#raft = new RaftGroup({
      nodeId: options.nodeId,
      voters: [options.nodeId],
      hardState: { term, votedFor: votedFor === undefined ? -1 : nodeOf(votedFor) },
      endIndex: log.endIndex,
      lastTerm: log.lastTerm,
    });
    // What a damaged log still holds was durable, and so committed, as this node is the only voter.
    this.#highWatermark = this.damaged ? log.logEndOffset : log.logStartOffset;
    this.#deletions = new RecordDeletions(log, (error) => options.onDeletionFailure(this, error));
    for (const entry of log.raftOnlyEntries()) {
      if (entry.kind === 'delete-records') this.#addDeletion(entry.index, entry.payload);
    }
    log.onProgress(() => this.#advance());
    log.onFailure((failure) => this.#fail(failure));
    log.onRoll((baseOffset) => this.#snapshotProducers(baseOffset));
  }

  /** Recovers the log and rebuilds the producers' states; the replica is a follower until `campaign` has been carried out. */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { disk, log: logOptions } = options;
    const { log, recovery } = await CommitLog.open(logOptions);
    const { directory } = logOptions;
    const snapshots = await removeSnapshotsAbove(disk, directory, log.logEndOffset);
    const restore = { disk, clock: options.clock, expirationMs: options.producerExpirationMs };
    const producers = await restoreProducers(restore, log, snapshots);
    return new Replica(options, log, { recovery, producers, snapshotOffset: snapshots[0] ?? -1 });
  }

  get topic(): string {
    return this.identity.topic;
  }

  get partition(): number {
    return this.identity.partition;
  }

  /** The leader epoch, as Kafka calls it. */
  get term(): number {
    return this.#raft.term;
  }

  get isLeader(): boolean {
    return this.#raft.role === 'leader';
  }

  /** Whether it may say where the log ends: the first entry of its term has committed, or nothing will be added. */
  get ready(): boolean {
    return this.#raft.termStartCommitted || (this.damaged && !this.failed);
  }

  /**
   * Recovery met damage below the durable floor: this replica never leads until it has been repaired. It refuses appends
   * and serves what lies before the damage, as nobody else has it.
   */
  get damaged(): boolean {
    return this.recovery.kind === 'damaged';
  }

  /** It can neither be written nor read. */
  get failed(): boolean {
    return this.#failure !== undefined && this.#failure.kind !== 'damage';
  }

  /** Whether clients may read from it here. */
  get servesReads(): boolean {
    return !this.failed && !this.#closed && (this.isLeader || this.damaged);
  }

  /** The data directory that holds it. */
  get home(): LogDirectory {
    return this.#options.home;
  }

  /** It has ended here, by a stop of the node or its topic's deletion. */
  get closed(): boolean {
    return this.#closed;
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** Without open transactions the last stable offset is the high watermark. */
  get lastStableOffset(): number {
    return this.#highWatermark;
  }

  /** For those who maintain logs; only the replica appends and moves positions. */
  get log(): CleanableLog & ScrubbedLog {
    return this.#log;
  }

  /** Recovery or scrubbing has met damage in it. */
  get hasDamage(): boolean {
    return this.damaged || this.#log.damage.length > 0;
  }

  get queuedBytes(): number {
    return this.#log.queuedBytes;
  }

  get sizeBytes(): number {
    return this.#log.sizeBytes;
  }

  get segmentCount(): number {
    return this.#log.segmentCount;
  }

  get producerCount(): number {
    return this.#producers.count;
  }

  /** Asks for leadership; the state returned must be durable before `lead` is called. */
  campaign(): HardState {
    const { nodeId, home } = this.#options;
    assert(home.id !== undefined, 'a directory that can be voted in has an identity');
    return { term: this.#raft.campaign().term, votedFor: memberId(nodeId, home.id) };
  }

  /** The vote is durable: takes the lead and appends the first entry of the term. */
  lead(): void {
    this.#raft.voteDurable();
    const { endIndex } = this.#log.appendRaftOnly({
      kind: 'term-start',
      term: this.#raft.term,
      payload: Buffer.alloc(0),
    });
    this.#raft.termStarted(endIndex - 1);
    this.#log.requestSync();
  }

  /**
   * Appends one validated batch of a client. The batch belongs to the log from here on: its offset and epoch are set in
   * place, and its memory is retained for as long as the log refers to it. Nothing is durable yet: wait by `whenWritten` or `whenCommitted` with the outcome's `endIndex`.
   */
  append(batch: Buffer, header: BatchHeader, lease: Lease = unpooled): AppendOutcome {
    if (this.#failure !== undefined) return { kind: 'refused', error: 'KAFKA_STORAGE_ERROR' };
    if (!this.isLeader || this.#closed) return { kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' };
    if (header.producerId >= 0) {
      const verdict = this.#producers.check(header);
      if (verdict.kind === 'error') return { kind: 'refused', error: verdict.error };
      if (verdict.kind === 'duplicate') {
        return {
          kind: 'duplicate',
          baseOffset: verdict.baseOffset,
          endIndex: this.#endIndexOf(verdict.lastOffset),
          timestamp: verdict.timestamp,
          logStartOffset: this.#log.logStartOffset,
        };
      }
    }
    if (this.#log.queuedBytes > queuedBytesMax) return { kind: 'refused', error: 'REQUEST_TIMED_OUT' };
    const { baseOffset, endIndex, logStartOffset } = this.#log.append(batch, this.#raft.term, lease);
    if (header.producerId >= 0) this.#producers.append(header, baseOffset);
    this.#log.requestSync();
    return { kind: 'appended', baseOffset, endIndex, logStartOffset };
  }

  /**
   * Deletes the records below `offset`; tells when that is committed and the log starts there, durably. Nothing is to be
   * done at or below the present start.
   */
  async deleteRecords(offset: number): Promise<'done' | DeletionRefusal> {
    if (this.#failure !== undefined) return 'KAFKA_STORAGE_ERROR';
    if (!this.isLeader || this.#closed) return 'NOT_LEADER_OR_FOLLOWER';
    if (offset < 0 || offset > this.#highWatermark) return 'OFFSET_OUT_OF_RANGE';
    if (offset <= this.#log.logStartOffset) return 'done';
    const { term } = this.#raft;
    const payload = encodeDeleteRecords(offset);
    const { baseIndex, endIndex } = this.#log.appendRaftOnly({ kind: 'delete-records', term, payload });
    this.#addDeletion(baseIndex, payload);
    this.#log.requestSync();
    const isCommitted = await new Promise<boolean>((resolve) => this.whenCommitted(endIndex, resolve));
    if (!isCommitted) return this.failed ? 'KAFKA_STORAGE_ERROR' : 'NOT_LEADER_OR_FOLLOWER';
    const isDone = (await this.#deletions.settled()) && this.#log.logStartOffset >= offset;
    return isDone ? 'done' : 'KAFKA_STORAGE_ERROR';
  }

  /** For acks=1: this node has handed the bytes to the operating system. */
  whenWritten(endIndex: number, outcome: Outcome): void {
    if (this.#log.writtenEndIndex >= endIndex) outcome(true);
    else if (this.#failure !== undefined || this.#closed) outcome(false);
    else this.#written.add(endIndex, outcome);
  }

  /** For acks=all: a majority has the bytes on disk. */
  whenCommitted(endIndex: number, outcome: Outcome): void {
    if (this.#raft.committedEndIndex >= endIndex) outcome(true);
    else if (this.#failure !== undefined || this.#closed) outcome(false);
    else this.#committed.add(endIndex, outcome);
  }

  /** Runs once when the high watermark has moved or will not move again. */
  watch(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers.delete(watcher);
  }

  /** Committed batches from the one that holds `offset` on; `offset` lies in [log start, high watermark]. */
  read(offset: number, maxBytes: number, minOneBatch: boolean): LogRead | Promise<LogRead> {
    return this.#log.read({ offset, endOffset: this.#highWatermark, maxBytes, minOneBatch });
  }

  offsetForTimestamp(timestamp: number): ReturnType<CommitLog['offsetForTimestamp']> {
    return this.#log.offsetForTimestamp(timestamp, this.#highWatermark);
  }

  maxTimestamp(): ReturnType<CommitLog['maxTimestamp']> {
    return this.#log.maxTimestamp(this.#highWatermark);
  }

  epochAt(offset: number): number {
    return this.#log.epochAt(offset);
  }

  /** The largest epoch at or below the one asked, and where it ends; the leader's own ends at the log's end. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } | undefined {
    return this.#log.endOffsetForEpoch(epoch);
  }

  /** Retention, among what is committed. Rejects with a DiskError. */
  deleteOldSegments(): Promise<readonly DeletedSegments[]> {
    if (this.#closed || this.#failure !== undefined) return Promise.resolve([]);
    return this.#log.deleteOldSegments(this.#highWatermark);
  }

  /** What compaction must leave as it is; undefined where the log is to be left alone. */
  cleanerLimits(): CleanerLimits | undefined {
    if (this.#closed || this.#failure !== undefined) return undefined;
    const endOffset = Math.min(this.#highWatermark, this.lastStableOffset);
    const { committedEndIndex: endIndex } = this.#raft;
    return { endOffset, endIndex, lastOffsetsOfProducers: this.#producers.lastOffsets(endOffset) };
  }

  expireProducers(): void {
    this.#producers.expire();
  }

  /** The data directory that it lies in has failed: nothing of it can be relied on any more. */
  goOffline(cause: unknown): void {
    this.#fail({ kind: 'directory', cause });
  }

  /** Everything written and synced, the producers' states kept; nobody waits any more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#snapshotting;
    await this.#deletions.settled();
    try {
      await this.#log.flushAndClose();
      if (this.#needsSnapshot) await this.#writeSnapshot(this.#log.logEndOffset);
    } finally {
      this.#endWaiting();
    }
  }

  /** Removes the partition's files, crash-safely. */
  async delete(): Promise<void> {
    this.#closed = true;
    this.#endWaiting();
    await this.#snapshotting;
    await this.#deletions.settled();
    await this.#log.delete();
  }

  #advance(): void {
    this.#written.reached(this.#log.writtenEndIndex);
    if (!this.#raft.flushed(this.#safeEndIndex())) return;
    const committedEndIndex = this.#raft.committedEndIndex;
    assert(committedEndIndex <= this.#log.endIndex, 'committed <= appended');
    const highWatermark = this.#log.offsetOfIndex(committedEndIndex);
    assert(highWatermark >= this.#highWatermark, 'the high watermark never goes back');
    assert(highWatermark <= this.#log.logEndOffset, 'high watermark <= log end');
    this.#highWatermark = highWatermark;
    this.#deletions.committed(committedEndIndex, highWatermark);
    this.#committed.reached(committedEndIndex);
    this.#wakeWatchers();
  }

  /** One past the entry with this offset. What was deleted since was committed, so that nobody need wait for it: 0. */
  #endIndexOf(offset: number): number {
    return offset < this.#log.logStartOffset ? 0 : this.#log.indexOfOffset(offset) + 1;
  }

  #addDeletion(index: number, payload: Buffer): void {
    const offset = decodeDeleteRecords(payload);
    if (offset !== undefined && offset > this.#log.logStartOffset) this.#deletions.add(index + 1, offset);
  }

  /** Up to where this voter's copy counts: what is synced, with write.caching what is written. */
  #safeEndIndex(): number {
    const isCached = this.#options.log.config().writeCaching;
    return isCached ? this.#log.writtenEndIndex : this.#log.flushedEndIndex;
  }

  #wakeWatchers(): void {
    if (this.#watchers.size === 0) return;
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }

  #fail(failure: ReplicaFailure): void {
    if (this.#failure !== undefined && this.#failure.kind !== 'damage') return;
    this.#failure = failure;
    this.#raft.resign();
    this.#endWaiting();
    this.#options.onFailure(this, failure);
  }

  #endWaiting(): void {
    this.#written.fail();
    this.#committed.fail();
    this.#wakeWatchers();
  }

  #snapshotProducers(baseOffset: number): void {
    const bytes = this.#producers.snapshot();
    this.#snapshotting = this.#snapshotting.then(() => this.#writeSnapshot(baseOffset, bytes));
  }

  /** Not where the log is as it was, or holds nothing: most of many idle partitions. */
  get #needsSnapshot(): boolean {
    const { logEndOffset, logStartOffset } = this.#log;
    const isEmpty = logEndOffset === logStartOffset && this.#producers.count === 0;
    return this.#failure === undefined && !isEmpty && this.#snapshotOffset !== logEndOffset;
  }

  async #writeSnapshot(offset: number, bytes: Buffer = this.#producers.snapshot()): Promise<void> {
    const { disk, log } = this.#options;
    try {
      await writeSnapshot(disk, log.directory, { offset, bytes });
      this.#snapshotOffset = offset;
    } catch (error) {
      this.#options.onSnapshotFailure(this, error);
    }
  }
}
