/** What opening a log costs, counted in operations of the disk. */
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import {
  appendValues,
  directory,
  expectedRecords,
  openLog,
  readAll,
  startTerm,
  valuesFrom,
} from './log-harness.ts';

describe('after a clean stop', () => {
  async function counted(records: number): Promise<{ disk: MemoryDisk; operations: string[] }> {
    const operations: string[] = [];
    const disk = new MemoryDisk({
      faults: (operation, path) => {
        operations.push(`${operation} ${path.replace(`${directory}/`, '')}`);
        return undefined;
      },
    });
    const { log } = await openLog({ disk, config: { segmentBytes: 100 } });
    startTerm(log, 1);
    for (let value = 0; value < records; value++) appendValues(log, [`v${value}`]);
    await log.flushAndClose();
    operations.length = 0;
    return { disk, operations };
  }

  it('a log of many segments is opened with one operation for each, and none reads a segment', async () => {
    const { disk, operations } = await counted(1000);
    const { log, recovery } = await openLog({ disk, config: { segmentBytes: 100 } });
    expect(recovery).toMatchObject({ kind: 'clean', scannedBytes: 0 });
    expect(log.segmentCount).toBe(1000);
    expect(operations.length).toBeLessThan(1000 + 20);
    expect(operations.filter((operation) => /^read .*(log|index)$/.test(operation))).toEqual([]);
    expect(await readAll(log, 990)).toEqual(expectedRecords(1000, 990));
  });

  it('a log of one segment is opened with a handful', async () => {
    const { disk, operations } = await counted(1);
    await openLog({ disk });
    expect(operations.length).toBeLessThanOrEqual(6);
    expect(operations.filter((operation) => operation.startsWith('sync'))).toEqual([]);
  });
});

it('after a kill, only what follows the recovery point is read', async () => {
  let logBytes = 0;
  const disk = new MemoryDisk();
  const config = { segmentBytes: 2000 };
  const { log } = await openLog({ disk, config });
  startTerm(log, 1);
  for (let value = 0; value < 200; value++) appendValues(log, [`v${value}`]);
  await log.flushAndClose();
  const { log: second } = await openLog({ disk, config });
  startTerm(second, 2);
  logBytes = second.sizeBytes;
  appendValues(second, valuesFrom(200, 5));
  const { endIndex } = second;
  second.requestSync();
  while (second.flushedEndIndex < endIndex) await Promise.resolve();
  const { log: third, recovery } = await openLog({ disk: disk.kill(), config });
  expect(recovery.kind).toBe('recovered');
  expect(recovery.scannedBytes).toBeLessThanOrEqual(third.sizeBytes - logBytes + 100);
  expect(await readAll(third)).toEqual(expectedRecords(205));
});
