/** The cleaner and the commit log together: what consumers read, what a crash leaves, what else may happen meanwhile. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CommitLog } from '../../../../broker/log/commit-log.ts';
import { slotBytes } from '../../../../broker/log/compaction/key-map.ts';
import { LogCleaner } from '../../../../broker/log/compaction/log-cleaner.ts';
import { CountedYield } from '../../../../platform/counted-yield.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { decodeBatch, encodeBatch, iterateBatches } from '../../../../protocol/index.ts';
import type { LogConfig } from '../../../../broker/log/log-types.ts';
import { scrubSegment } from '../../../../broker/log/recovery/scrub-segment.ts';
import { flushed, openLog, startTerm } from '../log-harness.ts';

const config: Partial<LogConfig> = {
  compacts: true,
  deletes: false,
  segmentBytes: 700,
  indexIntervalBytes: 150,
  minCleanableDirtyRatio: 0,
};

function newCleaner(disk: MemoryDisk, clock: ManualClock, yielding = new CountedYield()): LogCleaner {
  return new LogCleaner({
    disk,
    clock,
    yielding,
    random: new SeededRandom(3),
    settings: () => ({
      dedupeBufferBytes: 12 * slotBytes,
      loadFactor: 0.9,
      ioBufferBytes: 4096,
      bytesPerSecondMax: Infinity,
    }),
  });
}

/** By offset, `key=value`. */
type Model = Map<number, string>;

function append(log: CommitLog, model: Model, keys: readonly number[], round: number): void {
  const records = keys.map((key, place) => ({
    timestamp: 1000 + round,
    key: Buffer.from(`k${key}`),
    value: Buffer.from(`v${round}.${place}`.padEnd(30, '.')),
  }));
  const { baseOffset } = log.append(encodeBatch(records), log.lastTerm);
  for (const [place, { key, value }] of records.entries()) {
    model.set(baseOffset + place, `${key.toString()}=${value.toString()}`);
  }
}

/** What must be left of records below an end: the last of each key. */
function compacted(model: Model, endOffset: number): Model {
  const last = new Map<string, number>();
  for (const [offset, text] of model) if (offset < endOffset) last.set(text.split('=')[0]!, offset);
  return new Map(
    [...model].filter(([offset, text]) => offset >= endOffset || last.get(text.split('=')[0]!) === offset),
  );
}

/** As a consumer reads: on from the offset after the last batch of each answer. */
async function readLog(log: CommitLog, maxBytes = 500): Promise<Model> {
  const seen: Model = new Map();
  let offset = log.logStartOffset;
  while (offset < log.logEndOffset) {
    const read = await log.read({ offset, endOffset: log.logEndOffset, maxBytes, minOneBatch: true });
    const bytes = Buffer.concat(read.parts.map((part) => Buffer.from(part)));
    read.release();
    let next = offset;
    for (const { header, bytes: batch } of iterateBatches(bytes)) {
      next = header.lastOffset + 1;
      for (const record of decodeBatch(batch)) {
        if (record.offset >= offset)
          seen.set(record.offset, `${record.key!.toString()}=${record.value!.toString()}`);
      }
    }
    expect(next).toBeGreaterThan(offset);
    offset = next;
  }
  return seen;
}

/** What scrubbing finds wrong with the full segments and their indexes. */
async function scrubFaults(disk: MemoryDisk, log: CommitLog): Promise<unknown[]> {
  const faults: unknown[] = [];
  for (const segment of log.fullSegments()) {
    const outcome = await scrubSegment(log, segment, { disk, pace: async () => true });
    if (outcome.kind !== 'sound') faults.push(outcome);
  }
  return faults;
}

const limitsOf = (log: CommitLog) => ({
  endOffset: log.logEndOffset,
  lastOffsetsOfProducers: new Map<number, number>(),
});

const anyBatches = fc.array(fc.array(fc.nat({ max: 14 }), { minLength: 1, maxLength: 5 }), {
  minLength: 5,
  maxLength: 40,
  size: 'max',
});

describe('a compacted commit log', () => {
  it('reads as the model says, cleaned again and again, across clean stops', async () => {
    let dropped = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anyBatches, { minLength: 1, maxLength: 3, size: 'max' }), async (rounds) => {
        const disk = new MemoryDisk();
        const clock = new ManualClock();
        let { log } = await openLog({ disk, clock, config });
        startTerm(log, 1);
        let model: Model = new Map();
        for (const [round, batches] of rounds.entries()) {
          for (const keys of batches) append(log, model, keys, round);
          await flushed(log);
          const { endOffset } = log.fullSegments().at(-1) ?? { endOffset: 0 };
          const outcome = await newCleaner(disk, clock).cleanLog(log, limitsOf(log));
          expect(outcome.kind).toBe(endOffset > 0 ? 'cleaned' : 'nothing-to-clean');
          const before = model.size;
          model = compacted(model, endOffset);
          dropped += before - model.size;
          expect(await readLog(log)).toEqual(model);
          expect(log.cleanedEndOffset).toBe(endOffset);
          startTerm(log, round + 2);
          await log.flushAndClose();
          const reopened = await openLog({ disk, clock, config });
          expect(reopened.recovery).toMatchObject({ kind: 'clean', damage: undefined });
          ({ log } = reopened);
          expect(await scrubFaults(disk, log)).toEqual([]);
          expect(log.cleanedEndOffset).toBe(endOffset);
          expect(await readLog(log)).toEqual(model);
        }
        await log.flushAndClose();
      }),
      { numRuns: 60 },
    );
    expect(dropped).toBeGreaterThan(1000);
  });

  it('loses nothing in a crash at any step of a cleaning', async () => {
    let crashed = 0;
    for (let seed = 0; seed < 150; seed++) {
      const random = new SeededRandom(seed);
      const operationsMax = 1 + random.below(220);
      let operations = 0;
      let isCleaning = false;
      const before = new MemoryDisk({
        crashes: random.fork('crash'),
        faults: () => (isCleaning && ++operations > operationsMax ? 'io' : undefined),
      });
      await before.makeDirectory('/data');
      await before.syncDirectory('/');
      const clock = new ManualClock();
      const { log } = await openLog({ disk: before, clock, config });
      startTerm(log, 1);
      const model: Model = new Map();
      for (let round = 0; round < 60; round++) append(log, model, [random.below(9), random.below(9)], round);
      await flushed(log);
      const { endOffset } = log.fullSegments().at(-1)!;
      isCleaning = true;
      const { kind } = await newCleaner(before, clock).cleanLog(log, limitsOf(log));
      if (kind !== 'cleaned') crashed++;
      isCleaning = false;
      const disk = before.crash();
      const reopened = await openLog({ disk, clock, config });
      expect(reopened.recovery.damage, `seed ${seed}`).toBeUndefined();
      const seen = await readLog(reopened.log);
      // Each record of the old log is there or the last of its key is.
      const final = compacted(model, endOffset);
      for (const [offset, text] of final)
        expect(seen.get(offset), `seed ${seed}, offset ${offset}`).toBe(text);
      for (const [offset, text] of seen)
        expect(text, `seed ${seed}, offset ${offset}`).toBe(model.get(offset));
      const again = await newCleaner(disk, clock).cleanLog(reopened.log, limitsOf(reopened.log));
      expect(['cleaned', 'nothing-to-clean'], `seed ${seed}`).toContain(again.kind);
      expect(await readLog(reopened.log), `seed ${seed}`).toEqual(final);
      const names = await disk.list(reopened.log.directory);
      expect(names.filter((name) => /\.(cleaned|swap)$/.test(name))).toEqual([]);
      await reopened.log.flushAndClose();
    }
    expect(crashed).toBeGreaterThan(30);
  });

  it('is called off when the log is cut or closed under it', async () => {
    for (const ending of ['truncate', 'close'] as const) {
      for (let turn = 1; turn < 12; turn += 2) {
        const disk = new MemoryDisk();
        const clock = new ManualClock();
        const { log } = await openLog({ disk, clock, config });
        startTerm(log, 1);
        const model: Model = new Map();
        for (let round = 0; round < 60; round++) append(log, model, [round % 7, round % 5], round);
        await flushed(log);
        const [first, second] = log.fullSegments();
        const cutOffset = second!.baseOffset;
        const yielding = new CountedYield(async (count) => {
          if (count !== turn) return;
          if (ending === 'truncate') await log.truncateTo(log.indexOfOffset(cutOffset));
          else await log.flushAndClose();
        });
        const { kind } = await newCleaner(disk, clock, yielding).cleanLog(log, limitsOf(log));
        expect(kind).toBe('called-off');
        if (ending === 'truncate') await log.flushAndClose();
        const { log: reopened, recovery } = await openLog({ disk, clock, config });
        expect(recovery.damage).toBeUndefined();
        const seen = await readLog(reopened);
        const kept = ending === 'truncate' ? [...model].filter(([offset]) => offset < cutOffset) : [...model];
        expect(first!.endOffset).toBe(cutOffset);
        for (const [offset, text] of compacted(new Map(kept), cutOffset)) expect(seen.get(offset)).toBe(text);
        await reopened.flushAndClose();
      }
    }
  });

  it('is called off, not refused, when segments go or are cut at any moment of it', async () => {
    const outcomes = new Set<string>();
    for (const ending of ['truncate', 'log start'] as const) {
      for (let turns = 0; turns < 450; turns += 3) {
        // What is cut waits for the disk, and the cleaning goes on meanwhile.
        let operation = 0;
        const disk = new MemoryDisk({
          delay: async () => {
            for (let left = operation++ % 7; left > 0; left--) await Promise.resolve();
          },
        });
        const clock = new ManualClock();
        const { log } = await openLog({ disk, clock, config });
        startTerm(log, 1);
        const model: Model = new Map();
        // Of several terms: those of what is cut are unknown from when it is.
        for (let round = 0; round < 40; round++) {
          if (round % 4 === 3) startTerm(log, round);
          append(log, model, [round % 7, round % 5], round);
        }
        await flushed(log);
        const cutOffset = log.fullSegments()[ending === 'truncate' ? 0 : 2]!.endOffset;
        const cleaner = newCleaner(disk, clock);
        const cleaning = cleaner.cleanLog(log, limitsOf(log));
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        if (ending === 'truncate') await log.truncateTo(log.indexOfOffset(cutOffset));
        else await log.advanceLogStart(cutOffset);
        outcomes.add((await cleaning).kind);
        expect(cleaner.uncleanable.size).toBe(0);
        expect(log.damage).toEqual([]);
        await log.flushAndClose();
      }
    }
    expect([...outcomes].filter((kind) => kind !== 'called-off' && kind !== 'cleaned')).toEqual([]);
    expect(outcomes).toContain('called-off');
  });

  it('is called off, not failed, when a segment goes while its file is being opened', async () => {
    const waiting: { act?: () => Promise<void> } = {};
    const disk = new MemoryDisk({
      delay: async (operation) => {
        const { act } = waiting;
        if (operation !== 'open' || act === undefined) return;
        delete waiting.act;
        await act();
      },
    });
    const clock = new ManualClock();
    const { log } = await openLog({ disk, clock, config });
    startTerm(log, 1);
    const model: Model = new Map();
    for (let round = 0; round < 40; round++) append(log, model, [round % 7, round % 5], round);
    await flushed(log);
    const { endOffset } = log.fullSegments()[0]!;
    waiting.act = () => log.advanceLogStart(endOffset);
    const outcome = await newCleaner(disk, clock).cleanLog(log, limitsOf(log));
    expect([log.logStartOffset, outcome.kind]).toEqual([endOffset, 'called-off']);
    expect(log.damage).toEqual([]);
    await log.flushAndClose();
  });

  it('leaves a segment alone that ends with entries of Raft which are not committed', async () => {
    const disk = new MemoryDisk();
    const clock = new ManualClock();
    const { log } = await openLog({ disk, clock, config });
    startTerm(log, 1);
    const model: Model = new Map();
    for (let round = 0; round < 40; round++) {
      append(log, model, [round % 7, round % 5], round);
      log.appendRaftOnly({ kind: 'configuration', term: 1, payload: Buffer.alloc(20) });
    }
    await flushed(log);
    const full = log.fullSegments();
    const place = full.findIndex(({ endOffset }, at) => {
      return at > 2 && full[at + 1]!.startIndex > log.indexOfOffset(endOffset - 1) + 1;
    });
    const { endOffset } = full[place]!;
    const endIndex = log.indexOfOffset(endOffset - 1) + 1;
    const limits = { ...limitsOf(log), endOffset, endIndex };
    expect((await newCleaner(disk, clock).cleanLog(log, limits)).kind).toBe('cleaned');
    expect(log.cleanedEndOffset).toBe(full[place - 1]!.endOffset);
    await log.truncateTo(endIndex);
    expect([log.endIndex, log.logEndOffset]).toEqual([endIndex, endOffset]);
    await log.flushAndClose();
  });

  it('may have been begun and compacted by Kafka', async () => {
    const disk = new MemoryDisk();
    const clock = new ManualClock();
    await disk.makeDirectory('/data/t-0');
    const write = async (name: string, bytes: Buffer): Promise<void> => {
      const file = await disk.open(`/data/t-0/${name}`, 'create');
      await file.write([bytes], 0);
      await file.close();
    };
    const kafkaBatch = (baseOffset: number, epoch: number, keys: readonly string[]): Buffer =>
      encodeBatch(
        keys.map((key) => ({ timestamp: 1000, key: Buffer.from(key), value: Buffer.from('kafka') })),
        { baseOffset, partitionLeaderEpoch: epoch },
      );
    // Its own compaction has left gaps within and between the segments.
    await write(
      `${'3'.padStart(20, '0')}.log`,
      Buffer.concat([kafkaBatch(5, 0, ['k1', 'k2']), kafkaBatch(9, 2, ['k3'])]),
    );
    await write(
      `${'20'.padStart(20, '0')}.log`,
      Buffer.concat([kafkaBatch(22, 2, ['k4']), kafkaBatch(30, 7, ['k2', 'k5'])]),
    );
    await write('leader-epoch-checkpoint', Buffer.from('0\n3\n0 5\n2 9\n7 30\n'));
    const { log } = await openLog({ disk, clock, config });
    startTerm(log, 8);
    const model: Model = new Map();
    for (let round = 0; round < 20; round++) append(log, model, [1, 3, round % 2], round);
    await flushed(log);
    expect(await scrubFaults(disk, log)).toEqual([]);
    const { kind } = await newCleaner(disk, clock).cleanLog(log, limitsOf(log));
    expect(kind).toBe('cleaned');
    expect(await scrubFaults(disk, log)).toEqual([]);
    await log.flushAndClose();
    const { log: again, recovery } = await openLog({ disk, clock, config });
    expect(recovery.damage).toBeUndefined();
    const kept = compacted(model, again.cleanedEndOffset);
    const fromKafka: [number, string][] = [
      [22, 'k4=kafka'],
      [30, 'k2=kafka'],
      [31, 'k5=kafka'],
    ];
    expect(await readLog(again)).toEqual(new Map([...fromKafka, ...kept]));
    expect([22, 30, 31].map((offset) => again.epochAt(offset))).toEqual([2, 7, 7]);
    await again.flushAndClose();
  });
});
