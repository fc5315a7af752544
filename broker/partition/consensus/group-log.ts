/**
 * A commit log as consensus sees it: appends and truncations take effect one after the other, though a truncation takes its
 * time; positions carry the generation that consensus counts cuts by; entries are read for followers, Raft's own among them.
 *
 * While a cut is under way or in line, what is appended waits behind it; `isAtRest` is false, and entries at or above
 * `placedEndIndex` are not those that consensus means. Without one, appends are in the log when the call returns.
 */
import { assert } from '../../../platform/assert.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import { batchField } from '../../../protocol/index.ts';
import type { Appended, CommitLog } from '../../log/commit-log.ts';
import type { LogFailure } from '../../log/log-types.ts';
import { encodeRaftOnly } from '../../log/raft-only.ts';
import type { PlacedRaftOnlyEntry, RaftOnlyEntry } from '../../log/raft-only.ts';
import { decodeConfiguration, encodeConfiguration } from '../../raft/configuration-codec.ts';
import type { PlacedConfiguration } from '../../raft/configuration.ts';
import type { TermLogState, TermStart } from '../../raft/term-log.ts';
import { indexesWithin } from './received-entries.ts';
import type { ReceivedBatch } from './received-entries.ts';

export interface GroupLogEvents {
  /** A batch of data that a leader sent stands in the log. */
  batchReceived(batch: Buffer): void;
  /** An entry of Raft's own stands in the log. */
  raftOnlyAppended(entry: PlacedRaftOnlyEntry): void;
  /** Everything at or above `endIndex` is gone; nothing is appended until this resolves. */
  truncated(endIndex: number): Promise<void>;
  /** What is written or flushed has moved, or the log is at rest again. */
  moved(): void;
  failed(failure: LogFailure): void;
}

/** Whole batches for a follower. */
export interface ReadEntries {
  readonly parts: readonly Buffer[];
  readonly sizeBytes: number;
  /** Where they end; where the read was to begin if there are none. */
  readonly endIndex: number;
  release(): void;
}

type Operation =
  | { readonly kind: 'received'; readonly batches: readonly ReceivedBatch[] }
  | { readonly kind: 'own'; readonly entry: RaftOnlyEntry }
  | { readonly kind: 'cut'; readonly endIndex: number; readonly generation: number };

export class GroupLog {
  readonly #log: CommitLog;
  readonly #events: GroupLogEvents;
  /** In line behind a cut, which is the first while it is under way. */
  readonly #line: Operation[] = [];
  #isCutting = false;
  #hasEnded = false;
  /** Of the last cut that is done. */
  #generation = 0;
  /** Raft's entries in the log, ascending. */
  #own: PlacedRaftOnlyEntry[];
  /** While another log is put in the place of this one: up to where it held what consensus means. */
  #frozenEndIndex: number | undefined;
  #restWaiters: (() => void)[] = [];
  /** The last cut; it never rejects. */
  #cutting: Promise<void> = Promise.resolve();

  constructor(log: CommitLog, events: GroupLogEvents) {
    this.#log = log;
    this.#events = events;
    this.#own = [...log.raftOnlyEntries()];
    log.onProgress(() => this.#events.moved());
    log.onFailure((failure) => this.#fail(failure));
  }

  get isAtRest(): boolean {
    return this.#line.length === 0 && !this.isReplacing;
  }

  /** Its positions are of one log or of another. */
  get isReplacing(): boolean {
    return this.#frozenEndIndex !== undefined;
  }

  /** Up to here the log holds what consensus means by these indexes. */
  get placedEndIndex(): number {
    if (this.#frozenEndIndex !== undefined) return this.#frozenEndIndex;
    let endIndex = this.#log.endIndex;
    for (const operation of this.#line) {
      if (operation.kind === 'cut') endIndex = Math.min(endIndex, operation.endIndex);
    }
    return endIndex;
  }

  /** The offset that the entry at `index` has, or the next one is to have, with what is in line; undefined while that is not to be known. */
  offsetAt(index: number): number | undefined {
    if (index <= this.placedEndIndex) return this.#log.offsetOfIndex(index);
    let next: { readonly index: number; readonly offset: number } | undefined;
    for (const operation of this.#line) {
      if (operation.kind !== 'received') {
        next = undefined;
        continue;
      }
      for (const { index: at, batch } of operation.batches) {
        const offset = batchField.baseOffset(batch);
        if (at === index) return offset;
        const offsets = batchField.lastOffsetDelta(batch) + 1;
        next = { index: at + Math.max(1, offsets), offset: offset + offsets };
      }
    }
    return next?.index === index ? next.offset : undefined;
  }

  /** To be told to consensus along with the written and flushed ends. */
  get generation(): number {
    return this.#generation;
  }

  get ownEntries(): readonly PlacedRaftOnlyEntry[] {
    return this.#own;
  }

  /**
   * The first entry that can be read for a follower: above what retention, DeleteRecords and compaction have taken, and above
   * what Apache Kafka wrote, in which terms begin without an entry. All before it is committed.
   */
  startIndex(): number {
    const log = this.#log;
    const [segment] = log.segments();
    const first = this.#own[0];
    const baseOffset = segment?.baseOffset ?? log.logStartOffset;
    const startOffset = Math.max(log.logStartOffset, log.cleanedEndOffset);
    let startIndex: number;
    if (startOffset > baseOffset) startIndex = log.indexOfOffset(startOffset - 1) + 1;
    else startIndex = first?.offset === baseOffset ? first.index : log.indexOfOffset(baseOffset);
    const ownIndex = first?.index ?? log.endIndex;
    if (ownIndex <= startIndex) return startIndex;
    const lastTerm = log.termAt(ownIndex - 1);
    const isAdopted = lastTerm === 0 || lastTerm !== log.termAt(startIndex - 1);
    return isAdopted ? ownIndex : startIndex;
  }

  /** What consensus begins with. The log is at rest. */
  state(): TermLogState {
    const startIndex = this.startIndex();
    const startTerm = this.#log.termAt(startIndex - 1);
    const terms: TermStart[] = [];
    let lastTerm = startTerm;
    for (const { index, term } of this.#own) {
      if (index < startIndex || term <= lastTerm) continue;
      terms.push({ index, term });
      lastTerm = term;
    }
    return { startIndex, startTerm, endIndex: this.#log.endIndex, terms };
  }

  /**
   * All that stand in the log, as followers may need any of them, after `kept`, which is the only one where they are gone.
   * Undefined where one cannot be read.
   */
  configurations(kept: PlacedConfiguration): PlacedConfiguration[] | undefined {
    const placed: PlacedConfiguration[] = [];
    for (const { kind, index, payload } of this.#own) {
      if (kind !== 'configuration') continue;
      const configuration = decodeConfiguration(payload);
      if (configuration === undefined) return undefined;
      placed.push({ index, configuration });
    }
    const isBefore = kept.index < (placed[0]?.index ?? Infinity);
    return isBefore ? [kept, ...placed] : placed;
  }

  /** The newest of those in the log below `endIndex`, and `kept`. */
  configurationAt(endIndex: number, kept: PlacedConfiguration): PlacedConfiguration {
    const last = this.#own.findLast(({ kind, index }) => kind === 'configuration' && index < endIndex);
    const configuration = last === undefined ? undefined : decodeConfiguration(last.payload);
    if (last === undefined || configuration === undefined || last.index <= kept.index) return kept;
    return { index: last.index, configuration };
  }

  /** Whether that very one stands in the log. */
  holdsConfiguration({ index, configuration }: PlacedConfiguration): boolean {
    const own = this.#firstOwnFrom(index);
    const isThere = own?.index === index && own.kind === 'configuration';
    return isThere && own.payload.equals(encodeConfiguration(configuration));
  }

  /** A leader's batch of data. The log is at rest. */
  appendBatch(batch: Buffer, term: number, lease: Lease): Appended {
    assert(this.isAtRest, 'a leader appends at once');
    const appended = this.#log.append(batch, term, lease);
    this.#log.requestSync();
    return appended;
  }

  /** A leader's entry of Raft's own, which is to stand at `index`. */
  appendOwn(entry: RaftOnlyEntry): void {
    this.#put({ kind: 'own', entry });
  }

  /** What a leader sent, in the order of the log. The memory that it lies in is retained until it is placed, and by the log. */
  appendReceived(batches: readonly ReceivedBatch[]): void {
    for (const { lease } of batches) lease.retain();
    this.#put({ kind: 'received', batches });
  }

  truncate(endIndex: number, generation: number): void {
    this.#put({ kind: 'cut', endIndex, generation });
  }

  /** Another log is about to take the place of this one; resolves when nothing is under way. Nothing may be put in line from now on. */
  async beginReplacing(): Promise<void> {
    if (this.#line.length > 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => this.#restWaiters.push(resolve));
    }
    this.#frozenEndIndex = this.placedEndIndex;
  }

  /** The log is another one now. */
  reload(): void {
    this.#own = [...this.#log.raftOnlyEntries()];
  }

  /** `generation`: consensus' own, where the log was replaced; without it the log is the one of before. */
  endReplacing(generation = this.#generation): void {
    this.#frozenEndIndex = undefined;
    this.#generation = generation;
  }

  /** No cut is under way: after the end the log may be closed. */
  settled(): Promise<void> {
    return this.#cutting;
  }

  /** Nothing more is to be done to the log: what is in line is dropped. */
  end(): void {
    this.#hasEnded = true;
    this.#rest();
  }

  /**
   * Whole batches from `fromIndex` on: one, then while they fit `bytesMax`, up to `endIndex`. At once where they are recent.
   * Nothing where the beginning is gone, or the log is being cut. Rejects with a DiskError or UnsoundEntries.
   */
  read(fromIndex: number, endIndex: number, bytesMax: number): ReadEntries | Promise<ReadEntries> {
    const run = new ReadRun(fromIndex);
    const next = this.#readOn(run, endIndex, bytesMax);
    if (next === undefined) return run;
    return this.#readRest(run, next, { endIndex, bytesMax });
  }

  async #readRest(
    run: ReadRun,
    first: Promise<void>,
    limits: { readonly endIndex: number; readonly bytesMax: number },
  ): Promise<ReadEntries> {
    try {
      let next: Promise<void> | undefined = first;
      while (next !== undefined) {
        await next;
        next = this.#readOn(run, limits.endIndex, limits.bytesMax);
      }
      return run;
    } catch (error) {
      run.release();
      throw error;
    }
  }

  /** Reads on while that needs no waiting; a promise where it does, undefined at the end. */
  #readOn(run: ReadRun, limitIndex: number, bytesMax: number): Promise<void> | undefined {
    const log = this.#log;
    const endIndex = Math.min(limitIndex, this.placedEndIndex);
    while (this.isAtRest && !run.isFull && run.endIndex < endIndex && run.sizeBytes < bytesMax) {
      const own = this.#firstOwnFrom(run.endIndex);
      if (own?.index === run.endIndex) {
        run.addOwn(encodeRaftOnly(own), bytesMax);
        continue;
      }
      const offset = log.offsetOfIndex(run.endIndex);
      if (offset < log.logStartOffset) return undefined;
      const endOffset = own !== undefined && own.index < endIndex ? own.offset : log.offsetOfIndex(endIndex);
      const minOneBatch = run.sizeBytes === 0;
      const read = log.read({ offset, endOffset, maxBytes: bytesMax - run.sizeBytes, minOneBatch });
      if (read instanceof Promise) return read.then((done) => run.add(done, { offset, endOffset }));
      run.add(read, { offset, endOffset });
    }
    return undefined;
  }

  #firstOwnFrom(index: number): PlacedRaftOnlyEntry | undefined {
    let low = 0;
    let high = this.#own.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#own[middle]!.index < index) low = middle + 1;
      else high = middle;
    }
    return this.#own[low];
  }

  #put(operation: Operation): void {
    this.#line.push(operation);
    if (!this.#isCutting) this.#work();
  }

  #work(): void {
    for (let first = this.#line[0]; first !== undefined && !this.#hasEnded; first = this.#line[0]) {
      if (first.kind === 'cut') {
        this.#isCutting = true;
        this.#cutting = this.#cut(first);
        return;
      }
      this.#line.shift();
      if (first.kind === 'own') this.#placeOwn(first.entry);
      else for (const received of first.batches) this.#place(received);
      this.#log.requestSync();
    }
    this.#rest();
  }

  #rest(): void {
    for (const resolve of this.#restWaiters.splice(0)) resolve();
  }

  #place({ index, batch, raftOnly, lease }: ReceivedBatch): void {
    assert(index === this.#log.endIndex, 'what a leader sent continues the log');
    if (raftOnly !== undefined) {
      this.#placeOwn(raftOnly);
      lease.release();
      return;
    }
    assert(batchField.baseOffset(batch) === this.#log.logEndOffset, 'an index has one offset in all logs');
    this.#log.append(batch, batchField.leaderEpoch(batch), lease);
    this.#events.batchReceived(batch);
    lease.release();
  }

  #placeOwn(entry: RaftOnlyEntry): void {
    this.#log.appendRaftOnly(entry);
    const placed = this.#log.raftOnlyEntries().at(-1);
    assert(placed !== undefined, 'the log knows what it has just taken');
    this.#own.push(placed);
    this.#events.raftOnlyAppended(placed);
  }

  async #cut({ endIndex, generation }: { endIndex: number; generation: number }): Promise<void> {
    if (this.#log.failure !== undefined) return;
    try {
      await this.#log.truncateTo(endIndex);
    } catch {
      // The log has failed by that, and says so itself: nothing more is done to it.
      return;
    }
    while (this.#own.length > 0 && this.#own.at(-1)!.index >= endIndex) this.#own.pop();
    await this.#events.truncated(endIndex);
    this.#generation = generation;
    this.#line.shift();
    this.#isCutting = false;
    if (this.#hasEnded) return;
    this.#work();
    this.#events.moved();
  }

  #fail(failure: LogFailure): void {
    // A damaged log says so when it is opened.
    if (failure.kind === 'damage') return;
    this.#hasEnded = true;
    this.#events.failed(failure);
  }
}

/** The disk gives other bytes than were written: a follower cannot have these entries from here. */
export class UnsoundEntries extends Error {
  constructor(offset: number) {
    super(`What was read for a follower at offset ${offset} is not what the log holds there: it is damaged.`);
    this.name = 'UnsoundEntries';
  }
}

class ReadRun implements ReadEntries {
  readonly parts: Buffer[] = [];
  readonly #releases: (() => void)[] = [];
  endIndex: number;
  sizeBytes = 0;
  /** The next batch does not fit, or is not to be had. */
  isFull = false;

  constructor(fromIndex: number) {
    this.endIndex = fromIndex;
  }

  addOwn(batch: Buffer, bytesMax: number): void {
    this.isFull = this.sizeBytes > 0 && this.sizeBytes + batch.length > bytesMax;
    if (this.isFull) return;
    this.parts.push(batch);
    this.sizeBytes += batch.length;
    this.endIndex++;
  }

  /** Throws UnsoundEntries where that is not what the log should have within these offsets. */
  add(
    read: { readonly parts: readonly Buffer[]; readonly sizeBytes: number; release(): void },
    within: { readonly offset: number; readonly endOffset: number },
  ): void {
    this.#releases.push(() => read.release());
    const indexes = indexesWithin(read.parts, within);
    if (indexes === undefined) throw new UnsoundEntries(within.offset);
    this.isFull = read.sizeBytes === 0;
    this.parts.push(...read.parts);
    this.endIndex += indexes;
    this.sizeBytes += read.sizeBytes;
  }

  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}
