import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import {
  appendValues,
  batchOf,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  recordsOf,
  startTerm,
  valuesFrom,
} from './log-harness.ts';

describe('an empty log', () => {
  it('starts at offset 0 and index 1, without a term', async () => {
    const { log, recovery } = await openLog({ disk: new MemoryDisk() });
    expect(recovery.kind).toBe('new');
    expect([log.logStartOffset, log.logEndOffset, log.endIndex, log.lastTerm]).toEqual([0, 0, 1, 0]);
    expect([log.writtenEndIndex, log.flushedEndIndex, log.segmentCount]).toEqual([1, 1, 1]);
  });
});

describe('append', () => {
  it('gives offsets without gaps and indexes that count the Raft-only entries', async () => {
    const { log } = await openLog({ disk: new MemoryDisk() });
    expect(log.appendRaftOnly({ kind: 'term-start', term: 3, payload: Buffer.alloc(0) })).toEqual({
      baseOffset: 0,
      lastOffset: -1,
      baseIndex: 1,
      endIndex: 2,
      logStartOffset: 0,
    });
    expect(log.append(batchOf({ values: ['v0', 'v1', 'v2'] }), 3)).toMatchObject({
      baseOffset: 0,
      lastOffset: 2,
      baseIndex: 2,
      endIndex: 5,
    });
    expect(log.appendRaftOnly({ kind: 'configuration', term: 3, payload: Buffer.from('c') })).toMatchObject({
      baseOffset: 3,
      baseIndex: 5,
      endIndex: 6,
    });
    startTerm(log, 5);
    expect(log.append(batchOf({ values: ['v3'] }), 5)).toMatchObject({
      baseOffset: 3,
      baseIndex: 7,
      endIndex: 8,
    });
    expect([0, 1, 2, 3, 4].map((offset) => log.indexOfOffset(offset))).toEqual([2, 3, 4, 7, 8]);
    expect([1, 2, 4, 5, 6, 7, 8].map((index) => log.offsetOfIndex(index))).toEqual([0, 0, 2, 3, 3, 3, 4]);
    expect([1, 4, 5, 6, 7].map((index) => log.termAt(index))).toEqual([3, 3, 3, 5, 5]);
    expect([0, 2, 3].map((offset) => log.epochAt(offset))).toEqual([3, 3, 5]);
  });

  it('moves the written and the flushed end only later, and tells of both', async () => {
    const { log } = await openLog({ disk: new MemoryDisk() });
    const seen: string[] = [];
    log.onProgress(() => seen.push(`${log.writtenEndIndex}/${log.flushedEndIndex}`));
    startTerm(log, 1);
    appendValues(log, ['v0']);
    appendValues(log, ['v1']);
    expect([log.endIndex, log.writtenEndIndex, log.flushedEndIndex]).toEqual([4, 1, 1]);
    expect(log.queuedBytes).toBeGreaterThan(0);
    log.requestSync();
    expect(seen).toEqual([]);
    await flushed(log);
    expect([log.writtenEndIndex, log.flushedEndIndex, log.queuedBytes]).toEqual([4, 4, 0]);
  });

  it('writes all that is appended in one turn with one call', async () => {
    const writes: string[] = [];
    const disk = new MemoryDisk({
      faults: (operation, path) => {
        if (operation === 'write' && path.endsWith('.log')) writes.push(path);
        return undefined;
      },
    });
    const { log, syncer } = await openLog({ disk });
    startTerm(log, 1);
    for (let count = 0; count < 50; count++) appendValues(log, [`v${count}`]);
    const before = syncer.syncCount;
    await flushed(log);
    expect(writes).toHaveLength(1);
    expect(syncer.syncCount - before).toBe(1);
  });

  it('refuses a batch of another term than the last Raft-only entry', async () => {
    const { log } = await openLog({ disk: new MemoryDisk() });
    expect(() => log.append(batchOf({ values: ['a'] }), 1)).toThrow('invariant broken');
    startTerm(log, 2);
    expect(() => log.append(batchOf({ values: ['a'] }), 1)).toThrow('invariant broken');
    expect(() => startTerm(log, 2)).toThrow('invariant broken');
    expect(() => log.appendRaftOnly({ kind: 'configuration', term: 3, payload: Buffer.alloc(0) })).toThrow(
      'invariant broken',
    );
  });
});

describe.each([
  { name: 'from the tail cache', tailBytes: 64 * 1024 * 1024 },
  { name: 'from the disk', tailBytes: 0 },
])('read $name', ({ tailBytes }) => {
  it('returns every record once, in order, from any offset and with any limit', async () => {
    const { log } = await openLog({
      disk: new MemoryDisk(),
      tailBytes,
      config: { segmentBytes: 1500, indexIntervalBytes: 200 },
    });
    startTerm(log, 1);
    let next = 0;
    for (let count = 0; count < 60; count++) {
      const values = valuesFrom(next, 1 + (count % 7));
      appendValues(log, values);
      next += values.length;
      if (count % 11 === 0)
        log.appendRaftOnly({ kind: 'configuration', term: log.lastTerm, payload: Buffer.alloc(30) });
      if (count % 17 === 0) startTerm(log, log.lastTerm + 1);
    }
    await flushed(log);
    expect(log.segmentCount).toBeGreaterThan(3);
    for (const maxBytes of [1, 150, 1000, 100_000]) {
      for (const from of [0, 1, 77, next - 1]) {
        expect(await readAll(log, from, maxBytes)).toEqual(expectedRecords(next, from));
      }
    }
  });

  it('stops before the batch that reaches the end offset', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), tailBytes });
    startTerm(log, 1);
    appendValues(log, valuesFrom(0, 3));
    appendValues(log, valuesFrom(3, 3));
    await flushed(log);
    const upTo = async (endOffset: number) =>
      recordsOf(await log.read({ offset: 0, endOffset, maxBytes: 10_000, minOneBatch: true })).length;
    expect(await upTo(6)).toBe(6);
    expect(await upTo(5)).toBe(3);
    expect(await upTo(3)).toBe(3);
    expect(await upTo(2)).toBe(0);
    expect(await upTo(0)).toBe(0);
  });

  it('returns a first batch beyond the limit only when told to', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), tailBytes });
    startTerm(log, 1);
    appendValues(log, ['x'.repeat(20_000)]);
    appendValues(log, ['y']);
    await flushed(log);
    const whole = await log.read({ offset: 0, endOffset: 2, maxBytes: 100, minOneBatch: true });
    expect(recordsOf(whole).map(({ offset }) => offset)).toEqual([0]);
    const none = await log.read({ offset: 0, endOffset: 2, maxBytes: 100, minOneBatch: false });
    expect(recordsOf(none)).toEqual([]);
  });

  it('cuts round Raft-only entries', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), tailBytes });
    startTerm(log, 1);
    appendValues(log, ['v0']);
    for (let term = 2; term < 6; term++) startTerm(log, term);
    appendValues(log, ['v1']);
    startTerm(log, 6);
    await flushed(log);
    const read = await log.read({ offset: 0, endOffset: 2, maxBytes: 10_000, minOneBatch: true });
    const bytes = read.parts.reduce((sum, part) => sum + part.length, 0);
    expect(bytes).toBe(read.sizeBytes);
    expect(bytes).toBe(2 * batchOf({ values: ['v0'] }).length);
    expect(recordsOf(read)).toEqual(expectedRecords(2));
  });
});

describe('read', () => {
  it('is synchronous for what has just been appended, before it is written', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), tailBytes: 1 });
    startTerm(log, 1);
    appendValues(log, ['v0', 'v1']);
    const read = log.read({ offset: 0, endOffset: 2, maxBytes: 1000, minOneBatch: true });
    expect(read).not.toBeInstanceOf(Promise);
    expect(recordsOf(await read)).toEqual(expectedRecords(2));
  });

  it('shares slabs between readers, goes beyond the bound rather than wait, and gives everything back', async () => {
    const disk = new MemoryDisk();
    const { log, readPool } = await openLog({ disk, blockBytes: 1024, poolBytes: 4096 });
    startTerm(log, 1);
    for (let count = 0; count < 160; count++) appendValues(log, [`v${count}`]);
    await flushed(log);
    const request = { offset: 0, endOffset: 160, maxBytes: 100_000, minOneBatch: true };
    const first = await log.read(request);
    expect(first.sizeBytes).toBeLessThanOrEqual(4096);
    const second = await log.read(request);
    expect(second.parts[0]!.buffer).toBe(first.parts[0]!.buffer);
    expect(readPool.sizeBytes).toBe(4096);
    const third = await log.read({ ...request, offset: 80, maxBytes: 1000 });
    expect(readPool.sizeBytes).toBeGreaterThan(4096);
    third.release();
    first.release();
    expect(readPool.sizeBytes).toBe(4096);
    second.release();
    expect(readPool.sizeBytes).toBe(4096);
    expect(await readAll(log, 0, 1500)).toEqual(expectedRecords(160));
    expect(readPool.sizeBytes).toBe(4096);
  });

  it('copies a small answer out of its slab, which others can then have', async () => {
    const disk = new MemoryDisk();
    const { log, readPool } = await openLog({ disk, blockBytes: 1024, poolBytes: 1024 });
    startTerm(log, 1);
    for (let count = 0; count < 80; count++) appendValues(log, [`v${count}`]);
    await flushed(log);
    const reads = [];
    for (const offset of [0, 20, 40, 60, 79]) {
      reads.push(await log.read({ offset, endOffset: 80, maxBytes: 10, minOneBatch: true }));
      expect(readPool.sizeBytes).toBe(1024);
    }
    expect(reads.map((read) => recordsOf(read)[0]!.value)).toEqual(['v0', 'v20', 'v40', 'v60', 'v79']);
  });
});

describe('rolling', () => {
  it('happens by size, by span of timestamps and by age without timestamps, but never without an offset', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), config: { segmentBytes: 200, segmentMs: 1000 } });
    const rolled: number[] = [];
    log.onRoll((baseOffset) => rolled.push(baseOffset));
    for (let term = 1; term < 10; term++) startTerm(log, term);
    expect(log.segmentCount).toBe(1);
    appendValues(log, ['v0'], 5000);
    expect(log.segments().map(({ baseOffset }) => baseOffset)).toEqual([0]);
    appendValues(log, ['v1'], 5000);
    appendValues(log, ['v2'], 6000);
    appendValues(log, ['v3'], 6001);
    expect(rolled).toEqual([1, 3]);
    await flushed(log);
    expect(await readAll(log)).toEqual(expectedRecords(4));
  });

  it('happens where an index would have more than segment.index.bytes', async () => {
    const segmentIndexBytes = 60;
    const config = { segmentBytes: 1_000_000, indexIntervalBytes: 0, segmentIndexBytes };
    const disk = new MemoryDisk();
    const { log } = await openLog({ disk, config });
    startTerm(log, 1);
    // Each batch gets an entry of 12 bytes in the time index but the first, and rolling may add one.
    for (let count = 0; count < 12; count++) appendValues(log, [`v${count}`], 1000 + count);
    await flushed(log);
    const bases = log.segments().map(({ baseOffset }) => baseOffset);
    expect(bases.length).toBeGreaterThan(2);
    await log.flushAndClose();
    for (const base of bases) {
      const file = await disk.open(`/data/t-0/${String(base).padStart(20, '0')}.timeindex`, 'read');
      const sizeBytes = await file.size();
      expect(sizeBytes).toBeLessThanOrEqual(segmentIndexBytes);
      if (base !== bases.at(-1)) expect(sizeBytes).toBeGreaterThanOrEqual(segmentIndexBytes - 24);
    }
  });

  it('leaves files that hold exactly what they should', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog({ disk, config: { segmentBytes: 500, indexIntervalBytes: 100 } });
    startTerm(log, 1);
    for (let count = 0; count < 20; count++) appendValues(log, [`v${count}`], 1000 + count);
    await log.flushAndClose();
    const names = await disk.list('/data/t-0');
    const bases = names.filter((name) => name.endsWith('.log')).map((name) => Number(name.slice(0, 20)));
    expect(bases.length).toBeGreaterThan(2);
    for (const base of bases.slice(0, -1)) {
      const name = `/data/t-0/${String(base).padStart(20, '0')}`;
      for (const [ending, entryBytes] of [
        ['index', 8],
        ['timeindex', 12],
      ] as const) {
        const file = await disk.open(`${name}.${ending}`, 'read');
        expect((await file.size()) % entryBytes).toBe(0);
        expect(await file.size()).toBeGreaterThan(0);
      }
    }
    expect(names).toContain('replica-state');
  });
});
