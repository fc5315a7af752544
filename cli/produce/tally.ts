import type { RecordMetadata } from '../../client/index.ts';

export interface InvalidLine {
  readonly line: number;
  readonly reason: string;
}

export interface WrittenPartition {
  readonly partition: number;
  readonly records: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** What became of the records of one `produce`. */
export class Tally {
  readonly invalid: InvalidLine[] = [];
  /** The line at which reading stopped for good. */
  stoppedAt: number | undefined;
  #acknowledged = 0;
  #failed = 0;
  #pending = 0;
  #failure: { readonly error: unknown } | undefined;
  #onSettled: (() => void) | undefined;
  readonly #partitions = new Map<number, { records: number; firstOffset: number; lastOffset: number }>();

  get acknowledged(): number {
    return this.#acknowledged;
  }

  get failed(): number {
    return this.#failed;
  }

  /** The first record that could not be delivered. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Counts a record when its fate is known. */
  sent(outcome: Promise<RecordMetadata>): void {
    this.#pending += 1;
    outcome.then(
      (metadata) => this.#succeeded(metadata),
      (error: unknown) => {
        this.#failed += 1;
        this.#failure ??= { error };
        this.#settle();
      },
    );
  }

  /** Resolves when the fate of every record is known. */
  settled(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  partitions(): WrittenPartition[] {
    return [...this.#partitions]
      .map(([partition, written]) => ({ partition, ...written }))
      .sort((a, b) => a.partition - b.partition);
  }

  #succeeded({ partition, offset }: RecordMetadata): void {
    this.#acknowledged += 1;
    const written = this.#partitions.get(partition);
    if (written === undefined) {
      this.#partitions.set(partition, { records: 1, firstOffset: offset, lastOffset: offset });
    } else {
      written.records += 1;
      written.firstOffset = Math.min(written.firstOffset, offset);
      written.lastOffset = Math.max(written.lastOffset, offset);
    }
    this.#settle();
  }

  #settle(): void {
    this.#pending -= 1;
    if (this.#pending === 0) this.#onSettled?.();
  }
}
