import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogDamage } from '../../../../broker/log/log-types.ts';
import { encodeAbortedTransactions } from '../../../../broker/log/segments/aborted-transactions.ts';
import { PositionTable, firstLogStart } from '../../../../broker/log/segments/position-table.ts';
import { ReadPool } from '../../../../broker/log/reading/read-pool.ts';
import { scrubSegment } from '../../../../broker/log/recovery/scrub-segment.ts';
import type { ScrubbedLog } from '../../../../broker/log/recovery/scrub-segment.ts';
import { Scrubber } from '../../../../broker/log/recovery/scrubber.ts';
import { SegmentIndexes } from '../../../../broker/log/segments/segment-files.ts';
import { Segment } from '../../../../broker/log/segments/segment.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { readWholeFile } from '../../../../platform/whole-files.ts';
import { batchField } from '../../../../protocol/index.ts';
import { appendValues, batchOf, directory, openLog, startTerm } from '../log-harness.ts';

/** A closed log's segments as a scrubber sees them. */
class ClosedLog implements ScrubbedLog {
  readonly directory: string;
  readonly damage: LogDamage[] = [];
  readonly #table: PositionTable;
  readonly #segments: readonly Segment[];
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk, table: PositionTable, segments: readonly Segment[]) {
    this.#disk = disk;
    this.directory = directory;
    this.#table = table;
    this.#segments = segments;
  }

  fullSegments(): readonly Segment[] {
    return this.#segments.filter(({ isRemoved }) => !isRemoved);
  }

  raftOnlyEntries(): readonly { readonly index: number }[] {
    return this.#table.entries;
  }

  reportDamage(damage: LogDamage): void {
    this.damage.push(damage);
  }

  async remakeIndexes(segment: Segment): Promise<boolean> {
    await new SegmentIndexes(this.#disk, new ReadPool({ disk: this.#disk, maxBytes: 1 }), () => 100).remake(
      segment,
    );
    return true;
  }

  epochAt(offset: number): number {
    return this.#table.epochAt(offset);
  }

  termAt(index: number): number {
    return this.#table.termAt(index);
  }

  indexOfOffset(offset: number): number {
    return this.#table.indexOfOffset(offset);
  }

  offsetOfIndex(index: number): number {
    return this.#table.offsetOfIndex(index);
  }
}

/** Several segments, terms, several Raft-only entries at one offset, a batch larger than a block. */
async function build(): Promise<{ disk: MemoryDisk; log: ClosedLog }> {
  const disk = new MemoryDisk();
  const { log } = await openLog({ disk, config: { segmentBytes: 1200, indexIntervalBytes: 100 } });
  startTerm(log, 1);
  for (let round = 0; round < 12; round++) {
    appendValues(log, ['a', 'b', 'c'], 1000 + ((round * 7) % 12));
    if (round % 4 === 1) startTerm(log, log.lastTerm + 1);
    if (round % 4 === 1) startTerm(log, log.lastTerm + 1);
  }
  appendValues(log, ['x'.repeat(200_000)], 5000);
  appendValues(log, ['last'], 1);
  const table = new PositionTable(firstLogStart, log.raftOnlyEntries());
  const infos = log.segments();
  await log.flushAndClose();
  const segments = infos.slice(0, -1).map((info) => {
    const segment = new Segment(directory, info.baseOffset, 0);
    Object.assign(segment, { endOffset: info.endOffset, writtenBytes: info.sizeBytes, isFull: true });
    return segment;
  });
  return { disk, log: new ClosedLog(disk, table, segments) };
}

async function scrubAll(disk: MemoryDisk, log: ScrubbedLog): Promise<string[]> {
  const kinds: string[] = [];
  for (const segment of log.fullSegments())
    kinds.push((await scrubSegment(log, segment, { disk, pace: () => Promise.resolve(true) })).kind);
  return kinds;
}

describe('scrubbing a segment', () => {
  it('finds nothing in a sound log', async () => {
    const { disk, log } = await build();
    const kinds = await scrubAll(disk, log);
    expect(kinds.length).toBeGreaterThan(2);
    expect(kinds).toEqual(kinds.map(() => 'sound'));
    expect(log.damage).toEqual([]);
  });

  it('sees any flipped bit of the log, in base offsets and terms too, and says where its batch begins', async () => {
    const { disk, log } = await build();
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), async (place, at, bit) => {
        const segments = log.fullSegments();
        const segment = segments[place % segments.length]!;
        const begins = beginsOf(await readWholeFile(disk, segment.path));
        // Half of the flips hit what CRCs do not cover.
        const begin = begins[at % begins.length]!;
        const position = place % 2 === 0 ? begin + (at % 17) : at % segment.writtenBytes;
        disk.flipBit(segment.path, position, bit);
        log.damage.length = 0;
        const outcome = await scrubSegment(log, segment, { disk, pace: () => Promise.resolve(true) });
        disk.flipBit(segment.path, position, bit);
        expect(outcome.kind).toBe('damaged');
        const batch = begins.findLast((start) => start <= position)!;
        expect(log.damage[0]).toMatchObject({ file: segment.path, position: batch, foundBy: 'scrub' });
      }),
      { numRuns: 300 },
    );
    expect(await scrubAll(disk, log)).toEqual(log.fullSegments().map(() => 'sound'));
  });

  it.each([
    [
      'a flipped bit in the offset index',
      'index',
      async (disk: MemoryDisk, path: string) => disk.flipBit(path, 3, 1),
    ],
    [
      'a flipped bit in a position',
      'index',
      async (disk: MemoryDisk, path: string) => disk.flipBit(path, 7, 0),
    ],
    [
      'a flipped bit in the time index',
      'timeindex',
      async (disk: MemoryDisk, path: string) => disk.flipBit(path, 7, 2),
    ],
    ['a missing index', 'index', (disk: MemoryDisk, path: string) => disk.remove(path)],
    ['a cut time index', 'timeindex', (disk: MemoryDisk, path: string) => cut(disk, path, 5)],
    ['an empty time index', 'timeindex', (disk: MemoryDisk, path: string) => cut(disk, path, 0)],
  ])('sees %s and makes the file again, to the byte', async (_what, kind, spoil) => {
    const { disk, log } = await build();
    const segment = log.fullSegments()[0]!;
    const path = segment.path.replace(/log$/, kind);
    const before = await readWholeFile(disk, path);
    await spoil(disk, path);
    const outcome = await scrubSegment(log, segment, { disk, pace: () => Promise.resolve(true) });
    expect(outcome).toEqual({ kind: 'repaired', reasons: [expect.stringContaining(`${path}, entry `)] });
    expect(log.damage).toEqual([]);
    expect(await readWholeFile(disk, path)).toEqual(before);
    expect((await scrubAll(disk, log))[0]).toBe('sound');
  });

  it('sees a file of aborted transactions that does not say what the markers do', async () => {
    const { disk, log } = await build();
    const segment = log.fullSegments()[0]!;
    const entry = { producerId: 1, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 };
    const file = await disk.open(segment.transactionIndexPath, 'create');
    await file.write([encodeAbortedTransactions([entry])], 0);
    await file.close();
    expect((await scrubAll(disk, log))[0]).toBe('damaged');
    expect(log.damage).toEqual([
      expect.objectContaining({
        file: segment.transactionIndexPath,
        reason: 'nothing is aborted at offset 1',
      }),
    ]);
  });

  it('tells of the same damage once, and of a file that is gone or short', async () => {
    const { disk, log } = await build();
    const [first, second] = log.fullSegments();
    await cut(disk, first!.path, 100);
    await disk.remove(second!.path);
    await scrubAll(disk, log);
    const found = [...log.damage];
    expect(found.map(({ file }) => file)).toEqual([first!.path, first!.path, second!.path]);
    expect(found[0]!.reason).toMatch(/it has 100 bytes, not \d+/);
    await scrubAll(disk, log);
    expect(log.damage).toEqual(found);
  });

  it('leaves a segment alone that is taken out meanwhile', async () => {
    const { disk, log } = await build();
    const segment = log.fullSegments()[0]!;
    disk.flipBit(segment.path, 80, 0);
    segment.isRemoved = true;
    expect(await scrubSegment(log, segment, { disk, pace: () => Promise.resolve(true) })).toEqual({
      kind: 'removed',
    });
    expect(log.damage).toEqual([]);
  });
});

describe('the scrubber', () => {
  it('reads every segment in turn, and goes on where it was after a restart', async () => {
    const { disk, log } = await build();
    const options = { disk, clock: new ManualClock(), directory: '/data', bytesPerSecondMax: () => 1e12 };
    const bases = log.fullSegments().map(({ baseOffset }) => baseOffset);
    const seen: number[] = [];
    let scrubber = await Scrubber.open(options);
    for (let turn = 0; turn < bases.length + 2; turn++) {
      seen.push((await scrubber.scrubNext([log]))!.segment.baseOffset);
      if (turn !== 1) continue;
      await scrubber.stop();
      expect(await scrubber.scrubNext([log])).toBeUndefined();
      scrubber = await Scrubber.open(options);
    }
    expect(seen).toEqual([...bases, bases[0], bases[1]]);
    expect(scrubber.progress()).toMatchObject({
      passes: 1,
      segments: bases.length,
      damagedSegments: 0,
      directory: 't-0',
      baseOffset: bases[1],
    });
  });

  it('reads no faster than it may, and stops at once', async () => {
    const { disk, log } = await build();
    const clock = new ManualClock();
    const scrubber = await Scrubber.open({
      disk,
      clock,
      directory: '/data',
      bytesPerSecondMax: () => 10_000,
    });
    let turns = 0;
    const state = { isDone: false };
    const bytes = log.fullSegments().reduce((sum, { writtenBytes }) => sum + writtenBytes, 0);
    const all = (async () => {
      for (let i = 0; i < log.fullSegments().length; i++) await scrubber.scrubNext([log]);
      state.isDone = true;
    })();
    while (!state.isDone) {
      await settle();
      if (state.isDone) break;
      clock.advance(100);
      turns++;
    }
    await all;
    expect(scrubber.progress().bytes).toBe(bytes);
    expect(turns * 100).toBeGreaterThanOrEqual((bytes / 10_000) * 1000 - 100);
    const reading = scrubber.scrubNext([log]);
    await settle();
    await scrubber.stop();
    expect(await reading).toBeUndefined();
  });
});

function beginsOf(bytes: Buffer): number[] {
  const begins: number[] = [];
  for (let at = 0; at < bytes.length; at += batchField.sizeBytes(bytes, at)) begins.push(at);
  return begins;
}

async function cut(disk: MemoryDisk, path: string, sizeBytes: number): Promise<void> {
  const file = await disk.open(path, 'write');
  await file.truncate(sizeBytes);
  await file.close();
}

/** Until everything has run that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

it('a batch of the harness is larger than a block', () => {
  expect(batchOf({ values: ['x'.repeat(200_000)] }).length).toBeGreaterThan(2 * 64 * 1024);
});
