/** Random records through every codec, and batches that are damaged or lie. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeBatch,
  decodeFetched,
  encodeBatch,
  iterateBatches,
  iterateFetched,
  ProtocolError,
  readBatchHeader,
  recompressBatch,
  validateBatchRecords,
  verifyBatchCrc,
} from '../../../protocol/index.ts';
import type { BatchOptions, CompressionCodec, NewRecord } from '../../../protocol/index.ts';
import { writeBatchCrc } from '../../../protocol/record-batch.ts';
import { loadVectors, vectorsOf } from '../../vectors/load-vectors.ts';

const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

const bytes = fc
  .oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ minLength: 50, maxLength: 400 }))
  .map((data) => Buffer.from(data));
const nullable = fc.option(bytes, { nil: null });
const records: fc.Arbitrary<NewRecord[]> = fc.array(
  fc.record({
    timestamp: fc.oneof(
      fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
      fc.integer({ min: -1, max: 2 ** 52 }),
    ),
    key: nullable,
    value: nullable,
    headers: fc.array(
      fc.record(
        { key: fc.string({ unit: 'grapheme', maxLength: 10 }), value: nullable },
        { noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 30 },
);
const options: fc.Arbitrary<BatchOptions> = fc.record({
  baseOffset: fc.maxSafeInteger().map((value) => Math.floor(Math.abs(value) / 2)),
  compression: fc.constantFrom(...codecs),
  producerId: fc.integer({ min: -1, max: 2 ** 40 }),
  producerEpoch: fc.integer({ min: -1, max: 32_767 }),
  baseSequence: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  partitionLeaderEpoch: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  isTransactional: fc.boolean(),
});

describe('random batches', () => {
  it('hold their records and say what they hold', () => {
    fc.assert(
      fc.property(records, options, (given, fields) => {
        const batch = encodeBatch(given, fields);
        const header = readBatchHeader(batch);
        const { compression, ...numbers } = fields;
        expect(header).toMatchObject({ ...numbers, compression, recordCount: given.length });
        expect(header.lastOffset).toBe(fields.baseOffset! + given.length - 1);
        expect(header.sizeBytes).toBe(batch.length);
        expect(header.maxTimestamp).toBe(Math.max(...given.map(({ timestamp }) => timestamp)));
        expect(verifyBatchCrc(batch)).toBe(true);
        expect(validateBatchRecords(batch, { requireSequentialOffsets: true })).toBeUndefined();
        expect(decodeBatch(batch)).toEqual(
          given.map((record, index) => ({ ...record, offset: fields.baseOffset! + index })),
        );
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  it('hold the same in another codec', () => {
    fc.assert(
      fc.property(records, options, fc.constantFrom(...codecs), (given, fields, codec) => {
        const batch = encodeBatch(given, fields);
        const other = recompressBatch(batch, codec);
        expect(verifyBatchCrc(other)).toBe(true);
        expect(decodeBatch(other)).toEqual(decodeBatch(batch));
        const { compression, crc, attributes, batchLength, sizeBytes, ...same } = readBatchHeader(batch);
        expect(readBatchHeader(other)).toMatchObject({ ...same, compression: codec });
        expect([compression, crc, attributes, batchLength, sizeBytes].length).toBe(5);
      }),
      { numRuns: 150, seed: 8 },
    );
  });

  it('stand one after another, and a last one that is cut off is left out', () => {
    fc.assert(
      fc.property(fc.array(records, { minLength: 1, maxLength: 4 }), fc.nat(), (lists, cut) => {
        const batches = lists.map((list, index) => encodeBatch(list, { baseOffset: index * 100 }));
        const all = Buffer.concat(batches);
        expect([...iterateBatches(all)].map((slice) => slice.bytes)).toEqual(batches);
        const last = batches.at(-1)!;
        const short = all.subarray(0, all.length - 1 - (cut % last.length));
        expect([...iterateBatches(short)].map((slice) => slice.bytes)).toEqual(batches.slice(0, -1));
        expect([...iterateFetched(short)].map((slice) => slice.bytes)).toEqual(batches.slice(0, -1));
      }),
      { numRuns: 60, seed: 9 },
    );
  });
});

const decompressedBytesMax = 1 << 20;

/** Runs what reads batches; tells how it ended. Anything but a value or a ProtocolError fails the test. */
function outcomeOf(run: () => unknown): string {
  try {
    run();
    return 'value';
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

describe('damaged batches', () => {
  const vectors = vectorsOf(loadVectors(), 'recordBatch').map(({ hex }) => Buffer.from(hex, 'hex'));
  const steps = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.integer({ min: 0, max: 255 })),
    { minLength: 1, maxLength: 5 },
  );

  it('give records or a ProtocolError, and never more than the limit', () => {
    const outcomes = new Map<string, number>();
    fc.assert(
      fc.property(fc.constantFrom(...vectors), steps, fc.boolean(), (vector, changes, repairsCrc) => {
        const damaged = Buffer.from(vector);
        for (const [at, byte] of changes) damaged[Math.floor(at * damaged.length)] = byte;
        // Most damage is caught by the CRC; what a hostile peer sends has a good one.
        if (repairsCrc && damaged[16] === 2 && damaged.readInt32BE(8) === damaged.length - 12)
          writeBatchCrc(damaged, 0);
        const limits = { decompressedBytesMax };
        const decoded = outcomeOf(() => {
          for (const batch of iterateFetched(damaged)) {
            let size = 0;
            for (const record of decodeFetched(batch, limits)) {
              size += (record.key?.length ?? 0) + (record.value?.length ?? 0);
            }
            expect(size).toBeLessThanOrEqual(Math.max(decompressedBytesMax, damaged.length));
          }
        });
        outcomes.set(decoded, (outcomes.get(decoded) ?? 0) + 1);
        outcomeOf(() => {
          for (const { bytes: batch } of iterateBatches(damaged)) validateBatchRecords(batch, limits);
        });
      }),
      { numRuns: 6000, seed: 10 },
    );
    for (const outcome of [
      'value',
      'bad-record',
      'bad-batch',
      'bad-compression',
      'unsupported-magic',
      'bad-crc',
    ]) {
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(0);
    }
  });

  it('with compressed records of random bytes give a ProtocolError', () => {
    fc.assert(
      fc.property(fc.constantFrom(...codecs.slice(1)), fc.uint8Array({ maxLength: 300 }), (codec, data) => {
        const empty = encodeBatch([{ timestamp: 1, value: Buffer.alloc(1) }], { compression: codec });
        const batch = Buffer.concat([empty.subarray(0, 61), Buffer.from(data)]);
        batch.writeInt32BE(batch.length - 12, 8);
        expect(outcomeOf(() => decodeBatch(batch, { decompressedBytesMax }))).not.toBe('value');
      }),
      { numRuns: 2000, seed: 11 },
    );
  });
});
