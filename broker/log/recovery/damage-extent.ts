/**
 * How far a log reached that is damaged: what follows the bytes that are bad is read on, so that whoever goes by the log's end, such
 * as a voter, need not go by a floor that may be 100 ms behind. Exact where one batch is bad, whichever of its bytes that are, and an
 * estimate where there are more. Only the end is wanted: nothing of what is found is taken for valid.
 */
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { batchField, batchHeaderBytes, verifyBatchCrc } from '../../../protocol/index.ts';
import { scanBatches } from '../reading/batch-scan.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isCleanedHeader } from '../segments/cleaned-header.ts';
import type { Floor } from '../sync/durable-floors.ts';
import { isRaftOnly, readRaftOnly } from '../raft-only.ts';

export interface ReachedPlace {
  readonly term: number;
  readonly endIndex: number;
  readonly endOffset: number;
}

export interface UnreadPart {
  readonly path: string;
  readonly baseOffset: number;
  /** What is before it has been read. */
  readonly position: number;
  readonly sizeBytes: number;
}

/** Bytes that are looked through at a time for the beginning of a batch. */
const windowBytes = 64 * 1024;
/** What looks like a batch and is none, as records may hold anything, is read in vain so often. */
const attemptsMax = 10_000;

/** `parts` begin with the one whose bytes at its position are bad, and ascend. Rejects with a DiskError. */
export async function reachOf(disk: Disk, parts: readonly UnreadPart[], from: ReachedPlace): Promise<Floor> {
  const reach = new Reach(from);
  for (const part of parts) {
    reach.moveTo(part.baseOffset);
    const file = await disk.open(part.path, 'read');
    try {
      await reach.read(file, part);
    } finally {
      await file.close();
    }
  }
  return { term: reach.term, endIndex: reach.endIndex };
}

class Reach {
  term: number;
  endIndex: number;
  #endOffset: number;
  /** Bytes have been passed over since the last batch. */
  #hasSkipped = false;
  /** Nothing has been read: the batch that was refused comes first. */
  #isAtFault = true;
  #attemptsLeft = attemptsMax;

  constructor({ term, endIndex, endOffset }: ReachedPlace) {
    this.term = term;
    this.endIndex = endIndex;
    this.#endOffset = endOffset;
  }

  async read(file: DiskFile, { position, sizeBytes }: UnreadPart): Promise<void> {
    let next: number | undefined = position;
    while (next !== undefined && next < sizeBytes) {
      const end = await this.#readChain(file, next, sizeBytes);
      if (end >= sizeBytes) return;
      this.#hasSkipped = true;
      this.#isAtFault = false;
      next = await this.#nextChain(file, end, sizeBytes);
    }
  }

  /** What comes is known to begin here. */
  moveTo(baseOffset: number): void {
    const missing = baseOffset - this.#endOffset;
    // What was passed over has taken these offsets; without any it was an entry of Raft's own.
    if (missing > 0) this.endIndex += missing;
    else if (this.#hasSkipped && missing === 0) this.endIndex++;
    if (missing >= 0) this.#endOffset = baseOffset;
    this.#hasSkipped = false;
  }

  /** Returns where whole batches end. */
  async #readChain(file: DiskFile, from: number, to: number): Promise<number> {
    const range = { from, to, chunkBytes: windowBytes };
    const { position } = await scanBatches(file, range, (batch) => {
      if (!verifyBatchCrc(batch.buffer, batch.at)) return 'the CRC does not fit the batch';
      this.#take(batch);
      return undefined;
    });
    return position;
  }

  #take({ buffer, at }: ScannedBatch): void {
    if (isCleanedHeader(buffer, at)) return;
    // No CRC covers its offset and its term: if this one was refused for them, only what it holds counts.
    const isRefused = this.#isAtFault;
    this.#isAtFault = false;
    if (!isRefused) this.moveTo(batchField.baseOffset(buffer, at));
    if (isRaftOnly(buffer, at)) {
      const entry = readRaftOnly(buffer, at);
      this.endIndex = Math.max(this.endIndex, entry?.index ?? 0) + 1;
      this.term = Math.max(this.term, entry?.term ?? 0);
      return;
    }
    const offsets = batchField.lastOffsetDelta(buffer, at) + 1;
    this.endIndex += offsets;
    this.#endOffset += offsets;
    if (!isRefused) this.term = Math.max(this.term, batchField.leaderEpoch(buffer, at));
  }

  /**
   * The first place after the batch at `bad` at which whole ones begin. Records may hold what looks like a batch: one that neither
   * another one nor the end follows counts only where there is nothing better. Undefined where there is none.
   */
  async #nextChain(file: DiskFile, bad: number, sizeBytes: number): Promise<number | undefined> {
    let single: number | undefined;
    for await (const position of this.#candidates(file, bad, sizeBytes)) {
      const batches = await this.#chainAt(file, position, sizeBytes);
      if (batches === 'several') return position;
      if (batches === 'one') single ??= position;
    }
    return single;
  }

  async *#candidates(file: DiskFile, bad: number, sizeBytes: number): AsyncGenerator<number> {
    const window = Buffer.allocUnsafeSlow(windowBytes + batchHeaderBytes);
    for (let from = bad; from + batchHeaderBytes <= sizeBytes; from += windowBytes) {
      const read = await file.read(window, from);
      if (from === bad) {
        // Where its length is right, what its records hold need not be looked through.
        const next = bad + batchField.sizeBytes(window);
        if (next > bad && next + batchHeaderBytes <= sizeBytes) yield next;
      }
      for (let at = from === bad ? 1 : 0; at + batchHeaderBytes <= read && at < windowBytes; at++)
        if (mayBeBatch(window, at, sizeBytes - from)) yield from + at;
    }
  }

  /** How many whole batches begin there: several, too, where one ends the file. */
  async #chainAt(file: DiskFile, position: number, sizeBytes: number): Promise<'none' | 'one' | 'several'> {
    if (this.#attemptsLeft-- <= 0) return 'none';
    let count = 0;
    const range = { from: position, to: sizeBytes, chunkBytes: windowBytes };
    const end = await scanBatches(file, range, ({ buffer, at }) => {
      if (count === 2) return 'stop';
      if (!verifyBatchCrc(buffer, at) || batchField.baseOffset(buffer, at) < this.#endOffset) return 'stop';
      count++;
      return undefined;
    });
    if (count === 0) return 'none';
    return count > 1 || end.position === sizeBytes ? 'several' : 'one';
  }
}

function mayBeBatch(buffer: Buffer, at: number, leftBytes: number): boolean {
  const sizeBytes = batchField.sizeBytes(buffer, at);
  return batchField.magic(buffer, at) === 2 && sizeBytes >= batchHeaderBytes && at + sizeBytes <= leftBytes;
}
