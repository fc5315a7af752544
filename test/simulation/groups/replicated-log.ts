/**
 * A partition of `__consumer_offsets` as its coordinators see it: terms of leadership, of which only the newest commits anything. What
 * Raft does is taken for granted here (the simulator of clusters looks at it): what is committed stays, of the rest of a leader's log
 * the next one has as much as chance will have.
 */
import { CoordinatorLogError } from '../../../broker/coordinator/coordinator-log.ts';
import type {
  CoordinatorLog,
  CoordinatorLogObserver,
  CoordinatorLogRead,
  CoordinatorRecord,
} from '../../../broker/coordinator/coordinator-log.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Random } from '../../../platform/random.ts';
import { encodeBatch } from '../../../protocol/index.ts';

interface Entry {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly endOffset: number;
}

export class ReplicatedLog {
  readonly clock: Clock;
  readonly random: Random;
  readonly #commitMsMax: number;
  #entries: readonly Entry[] = [];
  #leader: LeadersLog | undefined;
  /** Of the newest leader. */
  term = 0;
  /** Until then leaders take nothing, as while leadership is on its way to another node. */
  refusesUntilMs = 0;
  /** So many reads fail from now on. */
  failingReads = 0;

  constructor(options: { readonly clock: Clock; readonly random: Random; readonly commitMsMax: number }) {
    this.clock = options.clock;
    this.random = options.random;
    this.#commitMsMax = options.commitMsMax;
  }

  /** What is committed, for whoever looks at it from outside. */
  get endOffset(): number {
    return endOf(this.#entries);
  }

  /** Another term begins; the leader of the last one does not hear of it by this. */
  elect(): LeadersLog {
    this.term++;
    const tail = this.#leader?.uncommitted ?? [];
    const kept = tail.slice(0, this.random.below(tail.length + 1));
    this.#leader = new LeadersLog(this, this.term, [...this.#entries, ...kept], this.endOffset);
    return this.#leader;
  }

  drawCommitMs(): number {
    return (this.#commitMsMax * this.random.below(1001)) / 1000;
  }

  isLed(term: number): boolean {
    return this.term === term;
  }

  commit(entries: readonly Entry[]): void {
    this.#entries = entries;
  }
}

/** As the leader of one term has it. */
export class LeadersLog implements CoordinatorLog {
  readonly term: number;
  readonly startOffset = 0;
  readonly #log: ReplicatedLog;
  readonly #entries: Entry[];
  readonly #ready = Promise.withResolvers<number>();
  #committed: number;
  #observer: CoordinatorLogObserver | undefined;
  #lost: CoordinatorLogError | undefined;

  constructor(log: ReplicatedLog, term: number, entries: Entry[], committedOffset: number) {
    this.#log = log;
    this.term = term;
    this.#entries = entries;
    this.#committed = committedOffset;
    // Nobody may wait for it any more when it is lost.
    this.#ready.promise.catch(() => {});
    // The first entry of a term has no offset of its own.
    this.#commitLater(endOf(entries), (offset) => this.#ready.resolve(offset));
  }

  get committedOffset(): number {
    return this.#committed;
  }

  get uncommitted(): readonly Entry[] {
    return this.#entries.filter(({ endOffset }) => endOffset > this.#log.endOffset);
  }

  /** The node learns that it leads no more, or is gone. */
  lose(): void {
    if (this.#lost !== undefined) return;
    this.#lost = new CoordinatorLogError('not-leader', 'another node leads');
    this.#ready.reject(this.#lost);
    this.#observer?.lost(this.#lost);
  }

  ready(): Promise<number> {
    return this.#ready.promise;
  }

  async read(range: {
    offset: number;
    endOffset: number;
    sizeBytesMax: number;
  }): Promise<CoordinatorLogRead> {
    await this.#pause();
    if (this.#log.failingReads > 0) {
      this.#log.failingReads--;
      throw new CoordinatorLogError('failed', 'the disk cannot be read');
    }
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for (const { bytes, baseOffset, endOffset } of this.#entries) {
      if (endOffset <= range.offset || baseOffset >= range.endOffset) continue;
      if (parts.length > 0 && sizeBytes + bytes.length > range.sizeBytesMax) break;
      parts.push(Buffer.from(bytes));
      sizeBytes += bytes.length;
    }
    return { parts, release: () => parts.forEach((part) => part.fill(0xdd)) };
  }

  append(records: readonly CoordinatorRecord[]): { readonly endOffset: number } {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#log.refusesUntilMs > this.#log.clock.monotonicMs()) {
      throw new CoordinatorLogError('refused', 'leadership is on its way to another node');
    }
    const baseOffset = endOf(this.#entries);
    const endOffset = baseOffset + records.length;
    const bytes = encodeBatch(records, { baseOffset, partitionLeaderEpoch: this.term });
    this.#entries.push({ bytes, baseOffset, endOffset });
    this.#commitLater(endOffset, (offset) => this.#observer?.committed(offset));
    return { endOffset };
  }

  async confirmLeadership(): Promise<boolean> {
    await this.#pause();
    return this.#lost === undefined && this.#log.isLed(this.term);
  }

  observe(observer: CoordinatorLogObserver): void {
    this.#observer = observer;
  }

  #commitLater(endOffset: number, tell: (committedOffset: number) => void): void {
    this.#log.clock.after(this.#log.drawCommitMs(), () => {
      // A leader that is gone, or was deposed, has no majority any more.
      if (this.#lost !== undefined || !this.#log.isLed(this.term)) return;
      if (endOffset > this.#log.endOffset || this.#committed < endOffset) {
        this.#log.commit(
          this.#entries.filter((entry) => entry.endOffset <= Math.max(endOffset, this.#log.endOffset)),
        );
        this.#committed = Math.max(this.#committed, endOffset);
      }
      tell(this.#committed);
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#log.clock.after(this.#log.drawCommitMs(), resolve);
    });
  }
}

function endOf(entries: readonly Entry[]): number {
  return entries.at(-1)?.endOffset ?? 0;
}
