import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import type { LogFailure } from '../../../broker/log/commit-log.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import {
  appendValues,
  directory,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  startTerm,
} from './log-harness.ts';

/** A disk that fails this operation on segment files once `arm` has been called. */
function failingDisk(failing: DiskOperation): {
  disk: MemoryDisk;
  arm: () => void;
  disarm: () => void;
} {
  let isArmed = false;
  const disk = new MemoryDisk({
    faults: (operation, path) =>
      isArmed && operation === failing && path.endsWith('.log') ? 'io' : undefined,
  });
  return {
    disk,
    arm: () => {
      isArmed = true;
    },
    disarm: () => {
      isArmed = false;
    },
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

describe.each(['write', 'sync'] as const)('a failed %s', (operation) => {
  it('is told once, and no position moves any more', async () => {
    const { disk, arm } = failingDisk(operation);
    const { log } = await openLog({ disk });
    startTerm(log, 1);
    appendValues(log, ['v0']);
    await flushed(log);
    const flushedBefore = log.flushedEndIndex;
    const failures: LogFailure[] = [];
    log.onFailure((failure) => failures.push(failure));
    arm();
    appendValues(log, ['v1']);
    log.requestSync();
    await turns(100);
    appendValues(log, ['v2']);
    log.requestSync();
    await turns(100);
    expect(failures.map(({ kind, directory }) => [kind, directory])).toEqual([[operation, directory]]);
    expect(failures[0]!.cause).toMatchObject({ code: 'io' });
    expect(log.failure).toBe(failures[0]);
    expect(log.flushedEndIndex).toBe(flushedBefore);
    await log.flushAndClose();
  });
});

it('a failed roll is told, and what was flushed is there afterwards', async () => {
  const { disk, arm } = failingDisk('open');
  const { log } = await openLog({ disk, config: { segmentBytes: 100 } });
  startTerm(log, 1);
  appendValues(log, ['v0']);
  await flushed(log);
  const failures: LogFailure[] = [];
  log.onFailure((failure) => failures.push(failure));
  arm();
  appendValues(log, ['v1']);
  log.requestSync();
  await turns(200);
  expect(failures.map(({ kind }) => kind)).toEqual(['roll']);
  expect(log.flushedEndIndex).toBe(3);
});

it('the name of a directory that a killed process made is durable before anything in it counts', async () => {
  // Names that are not synced hold by chance: some of these losses of power take them.
  for (let seed = 0; seed < 10; seed++) {
    const first = new MemoryDisk({ crashes: new SeededRandom(seed) });
    await first.makeDirectory(dirname(directory));
    await first.syncDirectory(dirname(dirname(directory)));
    await first.makeDirectory(directory);
    const second = first.kill();
    const { log } = await openLog({ disk: second });
    startTerm(log, 1);
    appendValues(log, ['v0']);
    await flushed(log);
    const { log: again } = await openLog({ disk: second.crash() });
    expect(await readAll(again)).toEqual(expectedRecords(1));
  }
});

it('a failed roll loses nothing, whenever the start of the log moves meanwhile', async () => {
  for (let wait = 0; wait < 60; wait++) {
    const { disk, arm, disarm } = failingDisk('open');
    const { log } = await openLog({ disk, config: { segmentBytes: 100 } });
    startTerm(log, 1);
    for (let offset = 0; offset < 6; offset++) appendValues(log, [`v${offset}`]);
    await flushed(log);
    arm();
    appendValues(log, ['v6']);
    log.requestSync();
    await turns(wait);
    await log.advanceLogStart(2).catch(() => undefined);
    await turns(200);
    expect(log.failure).toBeDefined();
    disarm();
    const { log: again, recovery } = await openLog({ disk: disk.kill() });
    expect(recovery.damage, `after ${wait} turns`).toBeUndefined();
    expect(await readAll(again, 2)).toEqual(expectedRecords(6, 2));
    await again.flushAndClose();
  }
});

it('a full disk fails the log, and the next opening cuts the piece of a batch that fitted', async () => {
  const disk = new MemoryDisk({ capacityBytes: 10_000 });
  const { log } = await openLog({ disk });
  startTerm(log, 1);
  appendValues(log, ['v0']);
  await flushed(log);
  const failure = new Promise<LogFailure>((resolve) => log.onFailure(resolve));
  appendValues(log, ['x'.repeat(20_000)]);
  expect((await failure).cause).toMatchObject({ code: 'no-space' });
  const { log: again, recovery } = await openLog({ disk });
  expect(recovery.tornBytes).toBeGreaterThan(0);
  expect(await readAll(again)).toEqual(expectedRecords(1));
});

describe('the durable floor', () => {
  const group = { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 3 };

  it('follows what is flushed within 100 ms, and is there after a restart', async () => {
    const disk = new MemoryDisk();
    const clock = new ManualClock();
    const open = async () => {
      await disk.makeDirectory('/data');
      return DurableFloors.open({
        disk,
        clock,
        directory: '/data',
        syncer: new Syncer(),
        onFailure: () => undefined,
      });
    };
    const floors = await open();
    const { log } = await openLog({ disk, clock, floor: floors.floor(group) });
    startTerm(log, 4);
    appendValues(log, ['v0', 'v1']);
    await flushed(log);
    await clock.advanceAsync(100);
    expect((await open()).floor(group).current()).toEqual({ term: 4, endIndex: 4 });
    appendValues(log, ['v2']);
    expect(floors.floor(group).current()).toEqual({ term: 4, endIndex: 4 });
    await log.truncateTo(2);
    expect((await open()).floor(group).current()).toEqual({ term: 4, endIndex: 2 });
    await log.delete();
    expect((await open()).floor(group).current()).toBeUndefined();
  });

  it('survives a torn write: the copy before is still there', async () => {
    const disk = new MemoryDisk();
    const options = {
      disk,
      clock: new ManualClock(),
      directory: '/',
      syncer: new Syncer(),
      onFailure: () => undefined,
    };
    const floors = await DurableFloors.open(options);
    for (const endIndex of [5, 6]) {
      floors.floor(group).raise({ term: 1, endIndex });
      await floors.flush();
    }
    const file = await disk.open('/floors', 'write');
    const image = Buffer.alloc(await file.size());
    await file.read(image, 0);
    const copies = [128, 192].map((at) => ({ at, endIndex: image.readInt32BE(at + 36) }));
    expect(new Set(copies.map(({ endIndex }) => endIndex))).toEqual(new Set([5, 6]));
    const newest = copies.find(({ endIndex }) => endIndex === 6)!;
    await file.write([Buffer.alloc(20, 0x55)], newest.at);
    const again = await DurableFloors.open(options);
    expect(again.floor(group).current()).toEqual({ term: 1, endIndex: 5 });
    expect(again.damagedSlots).toBe(0);
  });
});

it('delete removes the directory, and a log of that name begins anew', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog({ disk });
  startTerm(log, 1);
  appendValues(log, ['v0']);
  await log.delete();
  expect(await disk.list('/data')).toEqual([]);
  const { log: again, recovery } = await openLog({ disk });
  expect(recovery.kind).toBe('new');
  expect(again.logEndOffset).toBe(0);
});
