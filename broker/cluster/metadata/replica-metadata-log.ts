/**
 * The metadata log, kept in a replica: each operation's records are one batch, so that all or none are there.
 *
 * What is committed is read back from the log, on the leader as on the others: that is the one way in which anything gets
 * into the image. What became of an append is told by what stands at its place once that is committed: its own batch, known by the
 * term, or another leader's. An append whose leader lost its place is so decided when the next leader commits something; if that
 * takes too long, its outcome is unknown.
 */
import {
  decodeBatch,
  encodeBatch,
  iterateBatches,
  readBatchHeader,
  verifyBatchCrc,
} from '../../../protocol/index.ts';
import type { BatchSlice } from '../../../protocol/index.ts';
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { Replica } from '../../partition/replica.ts';
import { membersOf } from '../../raft/configuration.ts';
import { nodeOf } from '../../raft/member.ts';
import { MetadataLogError } from './metadata-log.ts';
import type { MetadataFollower, MetadataLog } from './metadata-log.ts';
import type { MetadataSnapshots } from './metadata-snapshots.ts';

/** What this needs of a replica. */
export type MetadataReplica = Pick<
  Replica,
  | 'append'
  | 'configuration'
  | 'confirmRead'
  | 'failed'
  | 'closed'
  | 'highWatermark'
  | 'isLeader'
  | 'isSoleVoter'
  | 'leaderNode'
  | 'logEndOffset'
  | 'logStartOffset'
  | 'read'
  | 'ready'
  | 'term'
  | 'unwatch'
  | 'watch'
>;

interface Pending {
  readonly endOffset: number;
  readonly term: number;
  /** Runs from when leadership was lost. */
  timer: Timer | undefined;
  resolve(endOffset: number): void;
  reject(error: MetadataLogError): void;
}

const readBytes = 1024 * 1024;
/** How long a leader that was deposed waits to hear what became of its last append. */
const outcomeMsMax = 5_000;

export class ReplicaMetadataLog implements MetadataLog {
  readonly #replica: MetadataReplica;
  readonly #clock: Clock;
  readonly #snapshots: MetadataSnapshots | undefined;
  #follower: MetadataFollower | undefined;
  /** Appends that are neither committed nor known to be lost, in order. */
  #pending: Pending[] = [];
  /** One past the last record that the follower was told. */
  #toldOffset = 0;
  #closed = false;
  /** The loop that follows the log. */
  #following: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};

  /** Without `snapshots` the log must be whole. */
  constructor(replica: MetadataReplica, clock: Clock, snapshots?: MetadataSnapshots) {
    this.#replica = replica;
    this.#clock = clock;
    this.#snapshots = snapshots;
  }

  /** Not once this is closed: nothing can become of what is asked then, though the replica may lead on for a while. */
  get isLeader(): boolean {
    return this.#replica.isLeader && !this.#closed && !this.failed && !this.#replica.closed;
  }

  get isReady(): boolean {
    return this.isLeader && this.#replica.ready;
  }

  get term(): number {
    return this.#replica.term;
  }

  get leaderNode(): number | undefined {
    return this.#replica.leaderNode;
  }

  get memberNodes(): ReadonlySet<number> {
    return new Set(membersOf(this.#replica.configuration).map(nodeOf));
  }

  get failed(): boolean {
    return this.#replica.failed;
  }

  get endOffset(): number {
    return this.#replica.logEndOffset;
  }

  async start(follower: MetadataFollower): Promise<void> {
    this.#follower = follower;
    await this.#install();
    await this.#catchUp();
    this.#following = this.#follow();
  }

  append(records: readonly Buffer[]): Promise<number> {
    if (this.#closed) return Promise.reject(closed());
    const timestamp = this.#clock.wallMs();
    const batch = encodeBatch(records.map((value) => ({ timestamp, key: null, value })));
    const outcome = this.#replica.append(batch, readBatchHeader(batch));
    if (outcome.kind !== 'appended') return Promise.reject(this.#refusal());
    const endOffset = outcome.baseOffset + records.length;
    const { term } = outcome;
    return new Promise((resolve, reject) => {
      this.#pending.push({ endOffset, term, timer: undefined, resolve, reject });
      this.#review();
    });
  }

  async confirm(): Promise<void> {
    if (!this.isReady) throw this.#refusal();
    // The only voter leads for as long as it does not know better.
    if (this.#replica.isSoleVoter) return;
    if ((await this.#replica.confirmRead()) === undefined) throw this.#refusal();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#rejectAll(closed());
    this.#wake();
    await this.#following;
    await this.#snapshots?.settled();
  }

  /** Goes on from the newest snapshot: at the start, and where the log has been replaced by one that begins later. */
  async #install(): Promise<void> {
    const snapshot = await this.#snapshots?.load();
    if (snapshot !== undefined && snapshot.endOffset > this.#toldOffset) {
      this.#toldOffset = snapshot.endOffset;
      this.#follower?.installed(snapshot);
      const message =
        "another leader's snapshot took the place of the log; whether the change was made is unknown";
      this.#rejectUpTo(snapshot.endOffset, new MetadataLogError('unknown', message));
    }
    const { logStartOffset } = this.#replica;
    if (this.#toldOffset >= logStartOffset) return;
    const message = `the metadata log begins at ${logStartOffset}, and no snapshot reaches that far`;
    throw new MetadataLogError('failed', message);
  }

  async #follow(): Promise<void> {
    try {
      while (!this.#closed) {
        await this.#moved();
        if (this.#closed) return;
        await this.#catchUp();
        this.#review();
        this.#follower?.moved();
        if (this.#replica.closed || this.failed) return;
      }
    } catch (error) {
      this.#rejectAll(new MetadataLogError('unknown', 'the metadata log cannot be read', { cause: error }));
      this.#follower?.failed(error);
    }
  }

  /** Resolves when there may be something to tell, or to look at. */
  #moved(): Promise<void> {
    if (this.#toldOffset < this.#replica.highWatermark) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#replica.unwatch(this.#wake);
        resolve();
      };
      this.#replica.watch(this.#wake);
    });
  }

  async #catchUp(): Promise<void> {
    while (this.#toldOffset < this.#replica.highWatermark && !this.#closed) {
      if (this.#toldOffset < this.#replica.logStartOffset) await this.#install();
      const fromOffset = this.#toldOffset;
      const bytes = await this.#read(fromOffset);
      // The log was replaced meanwhile: what was asked for is in a snapshot.
      if (bytes === undefined) continue;
      for (const batch of iterateBatches(bytes)) this.#tell(batch);
      if (this.#toldOffset === fromOffset) {
        throw new MetadataLogError('failed', `the metadata log cannot be read at ${fromOffset}`);
      }
    }
  }

  async #read(offset: number): Promise<Buffer | undefined> {
    try {
      const read = await this.#replica.read(offset, readBytes, true);
      const bytes = Buffer.concat(read.parts);
      read.release();
      return bytes;
    } catch (error) {
      if (offset < this.#replica.logStartOffset) return undefined;
      throw error;
    }
  }

  #tell({ header, bytes }: BatchSlice): void {
    const endOffset = header.lastOffset + 1;
    // Rot since the log was opened: nothing may be made of it.
    if (!verifyBatchCrc(bytes)) {
      throw new MetadataLogError('failed', `the metadata log is damaged at offset ${header.baseOffset}`);
    }
    const records = decodeBatch(bytes).flatMap(({ offset, value }) =>
      offset < this.#toldOffset || value === null ? [] : [value],
    );
    this.#toldOffset = endOffset;
    this.#follower?.committed({ records, endOffset });
    this.#snapshots?.applied(bytes.length, endOffset, () => this.#follower?.snapshot() ?? []);
    while (this.#pending[0] !== undefined && this.#pending[0].endOffset <= endOffset) {
      const pending = this.#pending.shift()!;
      pending.timer?.cancel();
      const isOwn = pending.endOffset === endOffset && pending.term === header.partitionLeaderEpoch;
      if (isOwn) pending.resolve(endOffset);
      else pending.reject(new MetadataLogError('not-leader', 'another node took over the metadata log'));
    }
  }

  /** What is to become of appends whose leader leads no more. */
  #review(): void {
    if (this.#pending.length === 0) return;
    if (this.failed || this.#replica.closed) {
      this.#rejectAll(this.#replica.isSoleVoter ? this.#refusal() : unknown());
      return;
    }
    for (const pending of this.#pending) {
      if (pending.timer !== undefined || (this.isLeader && this.term === pending.term)) continue;
      pending.timer = this.#clock.after(outcomeMsMax, () => {
        this.#pending = this.#pending.filter((other) => other !== pending);
        pending.reject(unknown());
      });
    }
  }

  #rejectAll(error: MetadataLogError): void {
    this.#rejectUpTo(Infinity, error);
  }

  #rejectUpTo(endOffset: number, error: MetadataLogError): void {
    const after = this.#pending.findIndex((pending) => pending.endOffset > endOffset);
    for (const pending of this.#pending.splice(0, after < 0 ? Infinity : after)) {
      pending.timer?.cancel();
      pending.reject(error);
    }
  }

  #refusal(): MetadataLogError {
    if (this.failed) {
      const message = 'the metadata log has failed: its disk takes no writes; see the log of this node';
      return new MetadataLogError('failed', message);
    }
    return new MetadataLogError('not-leader', 'this node does not lead the metadata log');
  }
}

function unknown(): MetadataLogError {
  const message = 'this node lost the metadata log to another; whether the change was made is unknown';
  return new MetadataLogError('unknown', message);
}

function closed(): MetadataLogError {
  return new MetadataLogError('closed', 'this node stops');
}
