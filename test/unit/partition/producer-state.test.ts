import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProducerStates } from '../../../broker/partition/producer-state.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { codec, crc32c, encodeBatch, readBatchHeader } from '../../../protocol/index.ts';
import type { BatchHeader } from '../../../protocol/index.ts';

const expirationMs = 1000;

function states(clock = new ManualClock()): ProducerStates {
  return new ProducerStates({ clock, expirationMs: () => expirationMs });
}

function header(
  baseSequence: number,
  count: number,
  { producerId = 7, producerEpoch = 0, timestamp = 50 } = {},
): BatchHeader {
  const records = Array.from({ length: count }, () => ({ timestamp, value: Buffer.from('v') }));
  return readBatchHeader(encodeBatch(records, { producerId, producerEpoch, baseSequence }));
}

describe('ProducerStates', () => {
  it('takes an unknown producer at any sequence and then only what follows', () => {
    const known = states();
    expect(known.check(header(40, 3))).toEqual({ kind: 'accept' });
    known.append(header(40, 3), 100);
    expect(known.check(header(43, 1))).toEqual({ kind: 'accept' });
    for (const sequence of [42, 44, 0]) {
      expect(known.check(header(sequence, 1))).toEqual({
        kind: 'error',
        error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      });
    }
  });

  it('knows each of the last five batches again, with the offset it got first, and no earlier one', () => {
    const known = states();
    for (let batch = 0; batch < 7; batch++)
      known.append(header(batch * 2, 2, { timestamp: batch }), 100 + batch * 2);
    for (let batch = 2; batch < 7; batch++) {
      const baseOffset = 100 + batch * 2;
      expect(known.check(header(batch * 2, 2))).toEqual({
        kind: 'duplicate',
        baseOffset,
        lastOffset: baseOffset + 1,
        timestamp: batch,
      });
    }
    expect(known.check(header(2, 2)).kind).toBe('error');
    expect(known.check(header(4, 1)).kind).toBe('error');
  });

  it('goes on with 0 after the largest sequence, also inside a batch', () => {
    const known = states();
    known.append(header(2 ** 31 - 2, 4), 0);
    expect(known.check(header(2, 1))).toEqual({ kind: 'accept' });
    expect(known.check(header(2 ** 31 - 2, 4)).kind).toBe('duplicate');
    const exact = states();
    exact.append(header(2 ** 31 - 2, 2), 0);
    expect(exact.check(header(0, 1))).toEqual({ kind: 'accept' });
  });

  it('fences an older epoch and has a newer one begin at 0', () => {
    const known = states();
    known.append(header(0, 5, { producerEpoch: 3 }), 0);
    expect(known.check(header(5, 1, { producerEpoch: 2 }))).toEqual({
      kind: 'error',
      error: 'INVALID_PRODUCER_EPOCH',
    });
    expect(known.check(header(5, 1, { producerEpoch: 4 })).kind).toBe('error');
    expect(known.check(header(0, 1, { producerEpoch: 4 }))).toEqual({ kind: 'accept' });
    known.append(header(0, 1, { producerEpoch: 4 }), 5);
    expect(known.check(header(1, 1, { producerEpoch: 4 }))).toEqual({ kind: 'accept' });
  });

  it("forgets by the broker's time of the last append, whatever the timestamps of the records say", () => {
    const clock = new ManualClock();
    const known = states(clock);
    known.append(header(0, 1, { producerId: 1, timestamp: 0 }), 0);
    clock.advance(600);
    known.append(header(0, 1, { producerId: 2, timestamp: 0 }), 1);
    clock.advance(600);
    known.expire();
    expect(known.count).toBe(1);
    expect(known.check(header(9, 1, { producerId: 2 })).kind).toBe('error');
    expect(known.check(header(9, 1, { producerId: 1 }))).toEqual({ kind: 'accept' });
  });

  it('gives the same verdicts after a snapshot and its restoration', () => {
    const step = fc.record({
      producerId: fc.integer({ min: 1, max: 3 }),
      producerEpoch: fc.integer({ min: 0, max: 2 }),
      baseSequence: fc.nat({ max: 12 }),
      count: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(step, { minLength: 1, maxLength: 40 }),
        (steps, probes) => {
          const clock = new ManualClock();
          const known = states(clock);
          let offset = 0;
          for (const { baseSequence, count, ...producer } of steps) {
            const next = header(baseSequence, count, producer);
            if (known.check(next).kind !== 'accept') continue;
            known.append(next, offset);
            offset += count;
          }
          const restored = ProducerStates.restore(known.snapshot(), {
            clock,
            expirationMs: () => expirationMs,
          })!;
          expect(restored.count).toBe(known.count);
          for (const { baseSequence, count, ...producer } of probes) {
            const probe = header(baseSequence, count, producer);
            expect(restored.check(probe)).toEqual(known.check(probe));
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('tells the last offset of each producer below an end, which compaction keeps', () => {
    const known = states();
    expect(known.lastOffsets(1000)).toEqual(new Map());
    known.append(header(0, 2, { producerId: 9 }), 100);
    known.append(header(0, 1, { producerId: 8 }), 102);
    known.append(header(2, 3, { producerId: 9 }), 103);
    expect(known.lastOffsets(106)).toEqual(
      new Map([
        [9, 105],
        [8, 102],
      ]),
    );
    expect(known.lastOffsets(105)).toEqual(
      new Map([
        [9, 101],
        [8, 102],
      ]),
    );
  });

  it("writes Kafka's format: a version, a CRC of what follows it, entries of 46 bytes, oldest batch first", () => {
    const known = states();
    known.append(header(0, 2, { producerId: 9, producerEpoch: 4, timestamp: 1000 }), 100);
    known.append(header(2, 3, { producerId: 9, producerEpoch: 4, timestamp: 2000 }), 110);
    const bytes = known.snapshot();
    expect(bytes).toHaveLength(2 + 4 + 4 + 2 * 46);
    expect([bytes.readInt16BE(0), bytes.readUInt32BE(2)]).toEqual([1, crc32c(bytes.subarray(6))]);
    const common = { producerId: 9, epoch: 4, coordinatorEpoch: -1, currentTxnFirstOffset: -1 };
    expect(codec('ProducerSnapshot', 1).decode(bytes.subarray(2)).producerEntries).toEqual([
      { ...common, lastSequence: 1, lastOffset: 101, offsetDelta: 1, timestamp: 1000 },
      { ...common, lastSequence: 4, lastOffset: 112, offsetDelta: 2, timestamp: 2000 },
    ]);
  });

  it('refuses a snapshot with any bit changed', () => {
    const known = states();
    known.append(header(0, 5), 0);
    const bytes = known.snapshot();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(
        ProducerStates.restore(damaged, { clock: new ManualClock(), expirationMs: () => 1 }),
      ).toBeUndefined();
    }
  });
});
