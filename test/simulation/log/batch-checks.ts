/** Compares batches that a log gives with those that were appended to it. */
import { batchField, decodeBatch, iterateBatches, verifyBatchCrc } from '../../../protocol/index.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import type { LogModel, ModelEntry, ModelRecord } from './log-model.ts';

/** What a look at a log, or at a part of it, has shown. */
export class SeenBatches {
  readonly #model: LogModel;
  readonly #what: string;
  readonly #startOffset: () => number;
  readonly #latest: ReadonlyMap<string, number>;
  /** Records that are missing, rightly. */
  readonly gone = new Set<number>();
  /** Base offsets. */
  readonly batches = new Set<number>();

  /** `startOffset` tells where the log begins now: it may move while it is read. */
  constructor(model: LogModel, what: string, startOffset: () => number) {
    this.#startOffset = startOffset;
    this.#model = model;
    this.#what = what;
    this.#latest = model.cleanedMax > 0 ? model.latestOfKeys() : new Map();
  }

  /** These bytes have been read where these entries were expected. Returns the place after the last of them that was there. */
  compare(bytes: Buffer, expected: readonly ModelEntry[]): number {
    let place = 0;
    let sizeBytes = 0;
    for (const { bytes: batch } of iterateBatches(bytes)) {
      sizeBytes += batch.length;
      const baseOffset = batchField.baseOffset(batch);
      while (expected[place] !== undefined && expected[place]!.offset < baseOffset)
        this.miss(expected[place++]!);
      const entry = expected[place++];
      check(
        entry?.offset === baseOffset,
        () => `${this.#what}: no batch was expected at offset ${baseOffset}`,
      );
      this.batches.add(baseOffset);
      if (batch.equals(entry.bytes)) continue;
      for (const record of checkCleaned(batch, entry, this.#model, this.#what)) this.#lose(record);
    }
    checkEqual(sizeBytes, bytes.length, () => `${this.#what}: bytes after the last batch`);
    return place;
  }

  /** No batch is left of this entry. */
  miss(entry: ModelEntry): void {
    for (const record of entry.records) this.#lose(record);
  }

  #lose({ offset, key, value }: ModelRecord): void {
    const mayGo =
      offset < this.#model.cleanedMax && (value === undefined || this.#latest.get(key) !== offset);
    check(
      mayGo || offset < this.#startOffset(),
      () => `${this.#what}: the record at offset ${offset} is missing`,
    );
    this.gone.add(offset);
  }
}

/** A batch that is not what was appended: it has been cleaned. Returns the records that it lacks. */
function checkCleaned(batch: Buffer, entry: ModelEntry, model: LogModel, what: string): ModelRecord[] {
  const at = `${what}: the batch at offset ${entry.offset}`;
  check(entry.endOffset <= model.cleanedMax, () => `${at} is another one`);
  check(verifyBatchCrc(batch, 0), () => `${at} has a wrong CRC`);
  checkEqual(batchField.lastOffset(batch), entry.endOffset - 1, () => `${at}: last offset`);
  checkEqual(batchField.leaderEpoch(batch), entry.term, () => `${at}: epoch`);
  checkEqual(batchField.producerId(batch), entry.producerId, () => `${at}: producer`);
  const left = new Map(entry.records.map((record) => [record.offset, record]));
  let last = -1;
  for (const { offset, timestamp, key, value } of decodeBatch(batch)) {
    const record = left.get(offset);
    check(offset > last && record !== undefined, () => `${at} has a record at ${offset}`);
    last = offset;
    left.delete(offset);
    const isSame =
      record.timestamp === timestamp &&
      record.key === key?.toString() &&
      (record.value === undefined ? value === null : value !== null && record.value.equals(value));
    check(isSame, () => `${at}: the record at ${offset} is another one`);
  }
  return [...left.values()];
}

/** Of the whole log: a tombstone is not gone before the values that it deletes, and each producer's last batch has left a trace. */
export function checkCleaning(model: LogModel, seen: SeenBatches, keepsTombstones: boolean): void {
  const latest = model.latestOfKeys();
  const values = new Map<string, number>();
  for (const { key, offset, value } of model.entries.flatMap(({ records }) => records)) {
    if (offset < model.startOffset) continue;
    const isGone = seen.gone.has(offset);
    if (value !== undefined && !isGone) values.set(key, offset);
    if (value !== undefined || !isGone || latest.get(key) !== offset) continue;
    check(!keepsTombstones, () => `${model.name}: the tombstone at ${offset} is gone too early`);
    check(!values.has(key), () => {
      return `${model.name}: the tombstone at ${offset} is gone, the value at ${values.get(key)} is not`;
    });
  }
  for (const [producerId, lastOffset] of model.lastOffsetsOfProducers()) {
    const { offset } = model.entries.find(({ endOffset }) => endOffset - 1 === lastOffset)!;
    check(offset < model.startOffset || seen.batches.has(offset), () => {
      return `${model.name}: no trace is left of the last batch of producer ${producerId}, at ${offset}`;
    });
  }
}
