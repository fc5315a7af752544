/**
 * What clients know of topics: what they asked for, what was acknowledged, and which value they have seen at which offset. A value
 * that was seen committed stays where it is for ever, and no value is there twice.
 */
import { decodeBatch, iterateBatches } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';

export class PartitionBook {
  readonly name: string;
  readonly #values = new Map<number, string>();
  readonly #offsets = new Map<string, number>();
  /** Offsets of acknowledged values. */
  readonly acknowledged = new Map<number, string>();
  /** By epoch: which node acknowledged in it. */
  readonly #leaders = new Map<number, number>();
  /** By leader epoch: the highest end that clients were told. */
  readonly #ends = new Map<number, number>();
  /** Which node acknowledged what was written at an offset at the first attempt. */
  readonly #acknowledgedBy = new Map<number, number>();
  /** Above all that was seen. */
  endOffset = 0;

  constructor(name: string) {
    this.name = name;
  }

  get highestEpoch(): number {
    return Math.max(-1, ...this.#leaders.keys());
  }

  /** Something that can be read, or was acknowledged. */
  saw(offset: number, value: string): void {
    const known = this.#values.get(offset);
    check(
      known === undefined || known === value,
      () => `${this.name} has ${value} at ${offset}, not ${known}`,
    );
    const place = this.#offsets.get(value);
    check(
      place === undefined || place === offset,
      () => `${this.name} has ${value} at ${place} and ${offset}`,
    );
    this.#values.set(offset, value);
    this.#offsets.set(value, offset);
    this.endOffset = Math.max(this.endOffset, offset + 1);
  }

  acknowledge(baseOffset: number, values: readonly string[], nodeId: number | undefined): void {
    for (const [place, value] of values.entries()) {
      this.saw(baseOffset + place, value);
      this.acknowledged.set(baseOffset + place, value);
    }
    if (nodeId !== undefined) this.#acknowledgedBy.set(baseOffset, nodeId);
  }

  /** What a leader has answered to a question that began when `before` was known. */
  toldEnd(epoch: number, offset: number, before: number | undefined): void {
    check(
      before === undefined || offset >= before,
      () => `the end of ${this.name} went back from ${before} to ${offset} in epoch ${epoch}`,
    );
    this.#ends.set(epoch, Math.max(this.#ends.get(epoch) ?? 0, offset));
  }

  get endsTold(): ReadonlyMap<number, number> {
    return new Map(this.#ends);
  }

  /** Looks at batches from `fromOffset` on; returns the offset after them. */
  read(records: Buffer, fromOffset: number, highWatermark: number): number {
    let next = fromOffset;
    let epoch = -1;
    for (const { header, bytes } of iterateBatches(records)) {
      const lastOffset = header.baseOffset + header.lastOffsetDelta;
      check(lastOffset < highWatermark, () => `${this.name}: ${lastOffset} was read below ${highWatermark}`);
      check(
        header.partitionLeaderEpoch >= epoch,
        () => `${this.name}: epochs go back at ${header.baseOffset}`,
      );
      epoch = header.partitionLeaderEpoch;
      this.#ledBy(epoch, this.#acknowledgedBy.get(header.baseOffset));
      next = lastOffset + 1;
      if (header.isControl) continue;
      for (const { offset, value } of decodeBatch(bytes)) this.saw(offset, value!.toString());
    }
    return next;
  }

  /** Everything up to `endOffset` was read: what was acknowledged must have been seen, each producer's values in order. */
  checkAll(read: ReadonlyMap<number, string>): void {
    for (const [offset, value] of this.acknowledged) {
      check(
        read.get(offset) === value,
        () => `${this.name} has lost ${value} at ${offset}: ${read.get(offset)}`,
      );
    }
    for (const [offset, value] of this.#values) {
      check(read.get(offset) === value, () => `${this.name} has lost ${value} at ${offset}, which was read`);
    }
    const latest = new Map<string, number>();
    for (const offset of [...read.keys()].sort((a, b) => a - b)) {
      const [producer = '', number] = read.get(offset)!.split(':');
      const before = latest.get(producer) ?? -1;
      check(Number(number) > before, () => `${this.name}: ${producer}:${number} comes after ${before}`);
      latest.set(producer, Number(number));
    }
  }

  #ledBy(epoch: number, nodeId: number | undefined): void {
    if (nodeId === undefined) return;
    const known = this.#leaders.get(epoch);
    check(
      known === undefined || known === nodeId,
      () => `nodes ${known} and ${nodeId} both acknowledged for ${this.name} in epoch ${epoch}`,
    );
    this.#leaders.set(epoch, nodeId);
  }
}

export type Settled = 'asked' | 'done';

/** One topic; its name is never used for another one. */
export class TopicBook {
  readonly name: string;
  readonly partitions: readonly PartitionBook[];
  creation: Settled = 'asked';
  deletion: Settled | undefined;
  /** Of the setting that the simulation changes: what was acknowledged last, and what may have become of other requests. */
  setting: string | undefined;
  readonly maybeSettings = new Set<string | undefined>();

  constructor(name: string, partitions: number) {
    this.name = name;
    this.partitions = Array.from({ length: partitions }, (_, index) => new PartitionBook(`${name}-${index}`));
  }

  get isLive(): boolean {
    return this.creation === 'done' && this.deletion === undefined;
  }
}
