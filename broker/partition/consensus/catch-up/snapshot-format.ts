/**
 * A snapshot of a state machine, as a file in Kafka's format for snapshots of its metadata (storage-format.md, "Snapshots"): record
 * batches, the first of which is a control batch that begins the snapshot and the last one that ends it. What Raft has to know
 * of the place in the log that it stands for travels in the header as a tagged field, which a reader of Kafka's schema goes past.
 *
 * Pure but for the reading of a file; who keeps the files is `snapshot-store.ts`.
 */
import type { DiskFile } from '../../../../platform/disk.ts';
import {
  BatchBuilder,
  ProtocolError,
  Reader,
  Writer,
  codec,
  crc32c,
  decodeBatch,
  decodeControlRecord,
  encodeControlBatch,
  readBatchHeader,
  verifyBatchCrc,
} from '../../../../protocol/index.ts';
import type { SnapshotHeaderRecord } from '../../../../protocol/index.ts';
import { scanBatches } from '../../../log/reading/batch-scan.ts';
import { decodeConfiguration, encodeConfiguration } from '../../../raft/configuration-codec.ts';
import type { PlacedConfiguration } from '../../../raft/configuration.ts';

/** The place in the log whose state a snapshot has: everything before it, and nothing after. */
export interface SnapshotPoint {
  /** One past the offset of the last record. */
  readonly endOffset: number;
  /** Raft index and term of the last entry. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The configuration that holds there. */
  readonly configuration: PlacedConfiguration;
}

/** What a whole snapshot holds. */
export interface SnapshotContent {
  readonly point: SnapshotPoint;
  readonly checksum: number;
  readonly sizeBytes: number;
}

/** The tagged field in the header: far above those that Kafka uses. */
const pointTag = 10_000;
const pointVersion = 0;
/** Uncompressed, but for a larger record. */
const batchBytesMax = 512 * 1024;
const chunkBytes = 1024 * 1024;

/** The batches of a snapshot, in order. `timestampMs`: of the last record that it stands for, as far as that is known. */
export function* encodeSnapshot(
  point: SnapshotPoint,
  timestampMs: number,
  records: Iterable<Buffer>,
): Generator<Buffer> {
  const common = { timestamp: timestampMs, partitionLeaderEpoch: point.lastTerm };
  const header = codec('SnapshotHeaderRecord', 0).encode({
    version: 0,
    lastContainedLogTimestamp: timestampMs,
    unknownTaggedFields: [{ tag: pointTag, data: encodePoint(point) }],
  });
  yield encodeControlBatch('SNAPSHOT_HEADER', header, common);
  let baseOffset = 1;
  for (const builder of inBatches(records, common, () => baseOffset)) {
    yield builder.build();
    baseOffset += builder.recordCount;
  }
  const footer = codec('SnapshotFooterRecord', 0).encode({ version: 0 });
  yield encodeControlBatch('SNAPSHOT_FOOTER', footer, { ...common, baseOffset });
}

function* inBatches(
  records: Iterable<Buffer>,
  { timestamp, partitionLeaderEpoch }: { readonly timestamp: number; readonly partitionLeaderEpoch: number },
  baseOffset: () => number,
): Generator<BatchBuilder> {
  const begin = (): BatchBuilder =>
    new BatchBuilder({ baseOffset: baseOffset(), partitionLeaderEpoch, sizeBytesMax: batchBytesMax });
  let builder = begin();
  for (const value of records) {
    const record = { timestamp, key: null, value };
    if (builder.tryAppend(record)) continue;
    yield builder;
    builder = begin();
    builder.tryAppend(record);
  }
  if (builder.recordCount > 0) yield builder;
}

/**
 * Checks all of a snapshot and hands out the values of its records, in order: slices that are good until the next one.
 * Undefined where it is not whole. Rejects with a DiskError.
 */
export async function readSnapshotFile(
  file: DiskFile,
  visit?: (value: Buffer) => void,
): Promise<SnapshotContent | undefined> {
  const sizeBytes = await file.size();
  const reading = new Reading(visit);
  const range = { from: 0, to: sizeBytes, chunkBytes };
  const end = await scanBatches(file, range, ({ buffer, at, sizeBytes: batchBytes }) =>
    reading.take(buffer.subarray(at, at + batchBytes)),
  );
  const { point, checksum, hasEnded } = reading;
  return end.fault === undefined && hasEnded && point !== undefined
    ? { point, checksum, sizeBytes }
    : undefined;
}

class Reading {
  readonly #visit: ((value: Buffer) => void) | undefined;
  point: SnapshotPoint | undefined;
  checksum = 0;
  hasEnded = false;
  #nextOffset = 0;

  constructor(visit: ((value: Buffer) => void) | undefined) {
    this.#visit = visit;
  }

  /** What is wrong with the next batch. */
  take(batch: Buffer): string | undefined {
    this.checksum = crc32c(batch, this.checksum);
    if (!verifyBatchCrc(batch)) return 'the CRC does not fit the batch';
    const header = readBatchHeader(batch);
    if (this.hasEnded || header.baseOffset !== this.#nextOffset) return 'the batch is out of its place';
    this.#nextOffset = header.lastOffset + 1;
    try {
      return header.isControl ? this.#takeControl(batch) : this.#takeData(batch);
    } catch (error) {
      if (error instanceof ProtocolError) return error.message;
      throw error;
    }
  }

  #takeControl(batch: Buffer): string | undefined {
    for (const record of decodeBatch(batch)) {
      const control = decodeControlRecord(record);
      if (control.type === 'SNAPSHOT_HEADER') this.point = pointOf(control.body);
      else if (control.type === 'SNAPSHOT_FOOTER') this.hasEnded = true;
    }
    return this.point === undefined ? 'a snapshot begins with its header' : undefined;
  }

  #takeData(batch: Buffer): string | undefined {
    if (this.point === undefined) return 'a snapshot begins with its header';
    if (this.#visit === undefined) return undefined;
    for (const { value } of decodeBatch(batch)) {
      if (value === null) return 'a record without a value';
      this.#visit(value);
    }
    return undefined;
  }
}

/** version int8, end offset int64, last index int64, last term int32, index of the configuration int64; then the configuration */
function encodePoint({ endOffset, lastIndex, lastTerm, configuration }: SnapshotPoint): Buffer {
  const writer = new Writer(160);
  writer.int8(pointVersion);
  writer.int64(endOffset);
  writer.int64(lastIndex);
  writer.int32(lastTerm);
  writer.int64(configuration.index);
  writer.raw(encodeConfiguration(configuration.configuration));
  return writer.finish();
}

/** Undefined where the header does not say it, as in a snapshot of Kafka's. */
function pointOf(header: SnapshotHeaderRecord): SnapshotPoint | undefined {
  const field = header.unknownTaggedFields?.find(({ tag }) => tag === pointTag);
  if (field === undefined) return undefined;
  const reader = new Reader(field.data);
  if (reader.int8() !== pointVersion) return undefined;
  const [endOffset, lastIndex, lastTerm, index] = [
    reader.int64(),
    reader.int64(),
    reader.int32(),
    reader.int64(),
  ];
  const configuration = decodeConfiguration(reader.rest());
  return configuration && { endOffset, lastIndex, lastTerm, configuration: { index, configuration } };
}
