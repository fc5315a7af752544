/**
 * The file `sync-journal` of one data directory while the node runs: appends frames, one at a time, each with one write and
 * one sync; knows which of its two halves is free. Which logs a half covers, and when their own files have been synced, is
 * the Syncer's business, which alone calls this.
 *
 * Frames of a half share a generation; generation g lies in half g % 2. The header says up to which generation all is in the
 * segments ("done"). Invariant: a half is written to only when the generation that was in it is durably done. So what a
 * replay reads, the generations done + 1 and done + 2, is never half overwritten, and a forget outlives the records that it
 * makes void: those are in its own generation or in the one before, which is done first.
 *
 * A failure is final: nothing is appended any more, what it holds stays for the next start, and the logs sync their own files.
 */
import { assert } from '../../../platform/assert.ts';
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import {
  blockBytes,
  encodeFrame,
  frameFixedBytes,
  halvesPosition,
  paddedBytes,
} from './sync-journal-format.ts';
import type { JournalForget, JournalHeader, JournalRecord } from './sync-journal-format.ts';
import { journalName, writeHeader } from './sync-journal-replay.ts';

export interface SyncJournalOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly halfBytes: number;
  /** Makes up what only this journal's frames have in them. */
  readonly salt: () => number;
  /** Told once; afterwards syncs go on without the journal. */
  readonly onFailure: (error: unknown) => void;
}

/** Left at the end of each half for frames that only forget: logs can still be cut and removed when no record fits. */
const reservedBytes = 4 * blockBytes;
const zerosBytes = 1024 * 1024;

export class SyncJournal {
  readonly #options: SyncJournalOptions;
  #file: DiskFile | undefined;
  #header: JournalHeader;
  /** 'absent': not made yet. 'making': nothing can be appended yet. 'failed': nothing ever will. */
  #state: 'absent' | 'making' | 'ready' | 'failed' | 'closed';
  #making: Promise<void> | undefined;
  #failure: unknown;
  #generation: number;
  /** Where the next frame goes, in its half. */
  #position = 0;
  #frame = 0;
  /** Writes and syncs, one after the other: of two syncs of one file at a time only one is told that the disk failed. */
  #last: Promise<void> = Promise.resolve();
  /** No half is taken up any more: a log's file could not be synced, and only the records here can restore it. */
  #isStuck = false;

  constructor(
    options: SyncJournalOptions,
    existing?: { readonly file: DiskFile; readonly header: JournalHeader },
  ) {
    const empty = {
      halfBytes: options.halfBytes,
      doneGeneration: 0,
      isInUse: false,
      sequence: 0,
      salt: options.salt(),
    };
    this.#options = options;
    this.#file = existing?.file;
    this.#header = existing?.header ?? empty;
    this.#state = existing === undefined ? 'absent' : 'ready';
    this.#generation = this.#header.doneGeneration + 1;
  }

  /** Takes records now, or will once it has been made. */
  get isUsable(): boolean {
    return this.#state !== 'failed' && this.#state !== 'closed' && !this.#isStuck;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** Number of the last frame that has been begun. */
  get frame(): number {
    return this.#frame;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Records of this generation and older ones are never replayed. */
  get doneGeneration(): number {
    return this.#header.doneGeneration;
  }

  /** Bytes that a frame with records may have now; 0 where the next half is not free. */
  get roomBytes(): number {
    if (this.#state !== 'ready' || this.#isStuck) return 0;
    const room = this.#header.halfBytes - reservedBytes - this.#position;
    return Math.max(0, room) - frameFixedBytes;
  }

  get hasFrames(): boolean {
    return this.#position > 0;
  }

  /** Whether the half that is not in use is free. */
  get canSwitch(): boolean {
    return this.#state === 'ready' && !this.#isStuck && this.#generation - 1 <= this.#header.doneGeneration;
  }

  /** The next frame goes to the other half, with the next generation. */
  switchHalves(): void {
    assert(this.canSwitch, 'a half is free when its generation is done');
    this.#generation++;
    this.#position = 0;
  }

  /** Makes the file, where there is none yet. A disk that is full leaves things as they are: without a journal. */
  prepare(): void {
    if (this.#state !== 'absent') return;
    this.#state = 'making';
    this.#making = this.#make().then(
      () => {
        if (this.#state === 'making') this.#state = 'ready';
      },
      (error: unknown) => this.#fail(error),
    );
  }

  async #make(): Promise<void> {
    const { disk, directory } = this.#options;
    const path = `${directory}/${journalName}`;
    this.#file = await disk.open(path, 'create');
    try {
      await this.#fill(this.#file);
    } catch (error) {
      // On a full disk every megabyte counts.
      await disk.remove(path);
      throw error;
    }
    await disk.syncDirectory(directory);
  }

  async #fill(file: DiskFile): Promise<void> {
    const { halfBytes } = this.#header;
    const zeros = Buffer.alloc(zerosBytes);
    const endBytes = halvesPosition + 2 * halfBytes;
    for (let position = 0; position < endBytes; position += zeros.length) {
      await file.write([zeros.subarray(0, endBytes - position)], position);
    }
    await file.sync();
    await this.#putHeader({});
  }

  /**
   * Durable when it resolves: the caller keeps to `roomBytes`, and waits for one before the next. Rejects with a DiskError
   * that is final; then nothing of it may be relied on.
   */
  async append(forgets: readonly JournalForget[], records: readonly JournalRecord[]): Promise<void> {
    assert(this.#state === 'ready' && this.#file !== undefined, 'a journal that takes frames');
    const frame = encodeFrame(
      { generation: this.#generation, number: ++this.#frame, forgets, records },
      this.#header.salt,
    );
    const position = this.#position;
    this.#position += frame.length;
    assert(this.#position <= this.#header.halfBytes, 'a frame lies within its half');
    const half = halvesPosition + (this.#generation % 2) * this.#header.halfBytes;
    await this.#inLine(async (file) => {
      // Once in the life of a journal: without it, nobody would look for frames.
      if (!this.#header.isInUse) await this.#putHeader({ isInUse: true });
      await file.write([frame], half + position);
      await file.sync();
    });
  }

  /** Whether a frame of so many bytes, without records, can be appended. */
  hasRoomToForget(sizeBytes: number): boolean {
    if (this.#state !== 'ready') return false;
    return this.#position + paddedBytes(frameFixedBytes + sizeBytes) <= this.#header.halfBytes;
  }

  /** Every log that has records of this generation has synced its file since. Rejects with a DiskError. */
  async done(generation: number): Promise<void> {
    if (this.#isStuck || this.#state !== 'ready' || generation <= this.#header.doneGeneration) return;
    await this.#inLine(() => this.#putHeader({ doneGeneration: generation }));
  }

  /** A file that it covers could not be synced: what it holds is kept for the next start. */
  stick(): void {
    this.#isStuck = true;
  }

  get isStuck(): boolean {
    return this.#isStuck;
  }

  /**
   * It has failed, but every log that it covers has synced its own file since: takes it out of the way, so that nothing of it
   * is ever replayed. The file goes by a change of the directory, as its own bytes can no longer be relied on.
   */
  async retire(): Promise<void> {
    assert(this.#state === 'failed', 'a journal that has failed');
    const { disk, directory } = this.#options;
    await this.#last;
    await disk.rename(`${directory}/${journalName}`, `${directory}/${journalName}.failed`);
    await disk.syncDirectory(directory);
    this.#header = { ...this.#header, doneGeneration: this.#generation };
  }

  /** `isDone`: all that it holds is in the segments, durably, and the next start need not look. */
  async close(isDone: boolean): Promise<void> {
    await this.#making;
    await this.#last;
    const wasReady = this.#state === 'ready';
    this.#state = 'closed';
    try {
      if (wasReady && isDone && !this.#isStuck && this.#header.isInUse) {
        await this.#putHeader({ doneGeneration: this.#generation, isInUse: false });
      }
    } finally {
      await this.#file?.close();
    }
  }

  #inLine(action: (file: DiskFile) => Promise<void>): Promise<void> {
    const next = this.#last.then(async () => {
      if (this.#file === undefined || this.#state === 'failed') throw this.#failure;
      try {
        await action(this.#file);
      } catch (error) {
        this.#fail(error);
        throw error;
      }
    });
    // Whoever asked has the rejection; the next one only waits for its turn.
    this.#last = next.catch(() => undefined);
    return next;
  }

  /** Counts as written only when it is durable. */
  async #putHeader(change: Partial<JournalHeader>): Promise<void> {
    assert(this.#file !== undefined, 'a journal with a file');
    const header = { ...this.#header, ...change, sequence: this.#header.sequence + 1 };
    await writeHeader(this.#file, header);
    this.#header = header;
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#options.onFailure(error);
  }
}
