import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  lastingFloor,
  readRepairFloor,
  removeRepairFloor,
  writeRepairFloor,
} from '../../../broker/partition/repair-floor.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';

const directory = '/data/t-0';

async function diskWithLog(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  return disk;
}

function logUpTo(endIndex: number, lastTerm: number) {
  return { directory, endIndex, lastTerm };
}

describe('how far a damaged replica once reached', () => {
  it('is kept over restarts until its log reaches past it', async () => {
    const disk = await diskWithLog();
    const floor = { term: 3, index: 20 };
    expect(await lastingFloor(disk, logUpTo(7, 2), undefined)).toBeUndefined();
    expect(await lastingFloor(disk, logUpTo(7, 2), floor)).toEqual(floor);
    // The log was replaced by a copy that ends before, and the node is started again.
    expect(await lastingFloor(disk, logUpTo(15, 3), undefined)).toEqual(floor);
    expect(await lastingFloor(disk, logUpTo(20, 3), undefined)).toEqual(floor);
    expect(await lastingFloor(disk, logUpTo(21, 3), undefined)).toBeUndefined();
    expect(await lastingFloor(disk, logUpTo(15, 3), undefined)).toBeUndefined();
  });

  it('counts no more where the log has an entry of a later term, which nothing of an older one follows', async () => {
    const disk = await diskWithLog();
    await writeRepairFloor(disk, directory, { term: 3, index: 20 });
    expect(await lastingFloor(disk, logUpTo(9, 4), undefined)).toBeUndefined();
    expect(await readRepairFloor(disk, directory)).toBeUndefined();
  });

  it('is the higher one where damage comes to damage, by its term first', async () => {
    const disk = await diskWithLog();
    await lastingFloor(disk, logUpTo(7, 2), { term: 3, index: 20 });
    expect(await lastingFloor(disk, logUpTo(5, 2), { term: 3, index: 12 })).toEqual({ term: 3, index: 20 });
    const later = { term: 4, index: 10 };
    expect(await lastingFloor(disk, logUpTo(5, 2), later)).toEqual(later);
    expect(await readRepairFloor(disk, directory)).toEqual(later);
  });

  it('is what was written, for all terms and indexes, and gone when it is removed, once or twice', async () => {
    const disk = await diskWithLog();
    const any = fc.record({
      term: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      index: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    });
    await fc.assert(
      fc.asyncProperty(any, async (floor) => {
        await writeRepairFloor(disk, directory, floor);
        expect(await readRepairFloor(disk, directory)).toEqual(floor);
      }),
    );
    await removeRepairFloor(disk, directory);
    await removeRepairFloor(disk, directory);
    expect(await readRepairFloor(disk, directory)).toBeUndefined();
  });

  it('is not guessed where its file is not what was written', async () => {
    const disk = await diskWithLog();
    await writeRepairFloor(disk, directory, { term: 3, index: 20 });
    for (const at of [0, 8, 13, 23]) {
      disk.flipBit(`${directory}/repair-floor`, at, 2);
      await expect(lastingFloor(disk, logUpTo(30, 5), undefined)).rejects.toThrow(
        '/data/t-0/repair-floor is damaged: how much of the log is missing is not known',
      );
      disk.flipBit(`${directory}/repair-floor`, at, 2);
    }
  });
});
