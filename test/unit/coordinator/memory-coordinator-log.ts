/** A coordinator's log in memory, whose commits and failures the test decides. */
import { CoordinatorLogError } from '../../../broker/coordinator/coordinator-log.ts';
import type {
  CoordinatorLog,
  CoordinatorLogErrorCode,
  CoordinatorLogObserver,
  CoordinatorLogRead,
  CoordinatorRecord,
} from '../../../broker/coordinator/coordinator-log.ts';
import { encodeBatch, readBatchHeader } from '../../../protocol/index.ts';

export class MemoryCoordinatorLog implements CoordinatorLog {
  readonly term: number;
  startOffset = 0;
  committedOffset: number;
  endOffset: number;
  batches: Buffer[];
  /** Commit as soon as the appending step is over. */
  autoCommit = true;
  failure: CoordinatorLogError | undefined = undefined;
  readFailure: Error | undefined = undefined;
  /** It takes nothing just now. */
  refusesAppends = false;
  /** As `refusesAppends`, after so many. */
  appendsLeft = Infinity;
  openReads = 0;
  readonly #ready = Promise.withResolvers<number>();
  #observer: CoordinatorLogObserver | undefined = undefined;

  /** Goes on with the batches of an earlier term. */
  constructor(term = 1, batches: readonly Buffer[] = []) {
    this.term = term;
    this.batches = [...batches];
    const last = batches.at(-1);
    this.endOffset = last === undefined ? 0 : readBatchHeader(last).lastOffset + 1;
    this.committedOffset = this.endOffset;
  }

  becomeReady(): void {
    this.#ready.resolve(this.committedOffset);
  }

  lose(code: CoordinatorLogErrorCode): void {
    this.failure = new CoordinatorLogError(code, 'lost');
    this.#ready.reject(this.failure);
    this.#observer?.lost(this.failure);
  }

  ready(): Promise<number> {
    return this.#ready.promise;
  }

  async read(range: {
    offset: number;
    endOffset: number;
    sizeBytesMax: number;
  }): Promise<CoordinatorLogRead> {
    if (this.readFailure !== undefined) throw this.readFailure;
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for (const batch of this.batches) {
      const header = readBatchHeader(batch);
      if (header.lastOffset < range.offset || header.baseOffset >= range.endOffset) continue;
      if (parts.length > 0 && sizeBytes + batch.length > range.sizeBytesMax) break;
      parts.push(Buffer.from(batch));
      sizeBytes += batch.length;
    }
    this.openReads += 1;
    const release = () => {
      this.openReads -= 1;
      for (const part of parts) part.fill(0xdd);
    };
    return { parts, release };
  }

  append(records: readonly CoordinatorRecord[]): { readonly endOffset: number } {
    if (this.failure !== undefined) throw this.failure;
    if (this.refusesAppends || this.appendsLeft === 0) throw new CoordinatorLogError('refused', 'not now');
    this.appendsLeft -= 1;
    this.batches.push(encodeBatch(records, { baseOffset: this.endOffset, partitionLeaderEpoch: this.term }));
    this.endOffset += records.length;
    if (this.autoCommit) queueMicrotask(() => this.commit());
    return { endOffset: this.endOffset };
  }

  /** Another may lead by now, and this one not know it. */
  isDeposed = false;

  confirmLeadership(): Promise<boolean> {
    return Promise.resolve(this.failure === undefined && !this.isDeposed);
  }

  /** Commits all (or all below `offset`). */
  commit(offset = this.endOffset): void {
    if (offset <= this.committedOffset) return;
    this.committedOffset = offset;
    this.#observer?.committed(offset);
  }

  observe(observer: CoordinatorLogObserver): void {
    this.#observer = observer;
  }

  /** What the next leader finds: the committed batches. */
  successor(): MemoryCoordinatorLog {
    const committed = this.batches.filter(
      (batch) => readBatchHeader(batch).lastOffset < this.committedOffset,
    );
    return new MemoryCoordinatorLog(this.term + 1, committed);
  }
}
