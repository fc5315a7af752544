/**
 * Deletions of records in one partition's log (DeleteRecords): entries of the log like any other, so that the log start does
 * not go back when another replica leads. One takes effect when it is committed, in the order of the log; after a restart
 * those that the log start does not show yet take effect again.
 */
import { decodeDeleteRecords } from '../log/raft-only.ts';
import type { PlacedRaftOnlyEntry } from '../log/raft-only.ts';

export interface DeletableLog {
  readonly logStartOffset: number;
  /** Durable when it resolves; offsets at or below the present start do nothing. */
  advanceLogStart(offset: number): Promise<void>;
}

export class RecordDeletions {
  readonly #log: DeletableLog;
  readonly #onFailure: (error: unknown) => void;
  /** In the order of the log; those that are not committed yet. */
  readonly #waiting: { readonly endIndex: number; readonly offset: number }[] = [];
  /** Ends when the log starts where the last committed deletion says, or that has failed. */
  #last: Promise<boolean> = Promise.resolve(true);

  constructor(log: DeletableLog, onFailure: (error: unknown) => void) {
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** An entry that ends at `endIndex` deletes the records below `offset`. */
  add(endIndex: number, offset: number): void {
    this.#waiting.push({ endIndex, offset });
  }

  /** The log is this one, from its start on. */
  begin(entries: Iterable<PlacedRaftOnlyEntry>): void {
    this.truncated(0);
    for (const entry of entries) this.appended(entry);
  }

  /** An entry of Raft's own stands in the log; one of other kinds is passed over. */
  appended({ kind, index, payload }: PlacedRaftOnlyEntry): void {
    const offset = kind === 'delete-records' ? decodeDeleteRecords(payload) : undefined;
    if (offset !== undefined && offset > this.#log.logStartOffset) this.add(index + 1, offset);
  }

  /** All entries at or above `endIndex` are gone, none of which was committed. */
  truncated(endIndex: number): void {
    while (this.#waiting.length > 0 && this.#waiting.at(-1)!.endIndex > endIndex) this.#waiting.pop();
  }

  /** All entries below `endIndex` are committed, and all records below `highWatermark`. */
  committed(endIndex: number, highWatermark: number): void {
    let offset = -1;
    while (this.#waiting.length > 0 && this.#waiting[0]!.endIndex <= endIndex) {
      offset = Math.max(offset, this.#waiting.shift()!.offset);
    }
    if (offset <= this.#log.logStartOffset) return;
    const start = Math.min(offset, highWatermark);
    this.#last = this.#last.then(async () => {
      try {
        await this.#log.advanceLogStart(start);
        return true;
      } catch (error) {
        this.#onFailure(error);
        return false;
      }
    });
  }

  /** Resolves when what is committed until now has taken effect; false where that has failed. */
  settled(): Promise<boolean> {
    return this.#last;
  }
}
