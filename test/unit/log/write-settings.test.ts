/** What topic settings and the bound on open files do to how a log is written. */
import { describe, expect, it } from 'vitest';
import type { LogConfig } from '../../../broker/log/commit-log.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import { WriteFiles } from '../../../broker/log/write-files.ts';
import type { DiskErrorCode } from '../../../platform/disk.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import {
  appendValues,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  startTerm,
  valuesFrom,
} from './log-harness.ts';
import type { Opened } from './log-harness.ts';

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

const segment = '/data/t-0/00000000000000000000.log';

/** A log on a disk that counts the syncs of its segments. */
class Setting {
  readonly clock = new ManualClock();
  config: Partial<LogConfig>;
  syncs = 0;
  fault: ((operation: DiskOperation, path: string) => DiskErrorCode | undefined) | undefined;
  disk = new MemoryDisk({
    crashes: new SeededRandom(7),
    faults: (operation, path) => {
      if (operation === 'sync' && path.endsWith('.log')) this.syncs++;
      return this.fault?.(operation, path);
    },
  });
  opened!: Opened;

  constructor(config: Partial<LogConfig>) {
    this.config = config;
  }

  async open(): Promise<Opened> {
    await this.disk.makeDirectory('/data');
    await this.disk.syncDirectory('/');
    const config = new Proxy(this.config, { get: (_, name) => Reflect.get(this.config, name) });
    this.opened = await openLog({
      disk: this.disk,
      clock: this.clock,
      syncer: new Syncer({ concurrencyMax: 3, clock: this.clock }),
      config,
    });
    return this.opened;
  }

  async append(values: readonly string[]): Promise<void> {
    appendValues(this.opened.log, values);
    this.opened.log.requestSync();
    await turns(100);
  }

  async fileBytes(): Promise<number> {
    const file = await this.disk.open(segment, 'read');
    return file.size();
  }
}

describe('write.caching', () => {
  it('acknowledges what is written, and syncs when the log is closed', async () => {
    const setting = new Setting({ writeCaching: true });
    const { log } = await setting.open();
    startTerm(log, 1);
    for (let first = 0; first < 10; first++) await setting.append(valuesFrom(first, 1));
    expect([log.ackableEndIndex, log.writtenEndIndex, log.flushedEndIndex]).toEqual([12, 12, 1]);
    expect(setting.syncs).toBe(0);
    await log.flushAndClose();
    setting.disk = setting.disk.crash();
    expect(await readAll((await setting.open()).log)).toEqual(expectedRecords(10));
  });

  it('syncs after flush.messages', async () => {
    const setting = new Setting({ writeCaching: true, flushMessages: 5 });
    const { log } = await setting.open();
    startTerm(log, 1);
    const flushedEnds: number[] = [];
    for (let first = 0; first < 11; first++) {
      await setting.append(valuesFrom(first, 1));
      flushedEnds.push(log.flushedEndIndex);
    }
    // The term's first entry counts: index 1 to 5 are five entries.
    expect(flushedEnds).toEqual([1, 1, 1, 6, 6, 6, 6, 6, 11, 11, 11]);
    expect(setting.syncs).toBe(2);
  });

  it('syncs flush.ms after the first append that is not synced', async () => {
    const setting = new Setting({ writeCaching: true, flushMs: 1000 });
    const { log } = await setting.open();
    startTerm(log, 1);
    await setting.append(['v0']);
    setting.clock.advance(600);
    await setting.append(['v1']);
    setting.clock.advance(399);
    await turns(100);
    expect(log.flushedEndIndex).toBe(1);
    setting.clock.advance(1);
    await turns(100);
    expect(log.flushedEndIndex).toBe(log.endIndex);
    setting.clock.advance(5000);
    await turns(100);
    expect(setting.syncs).toBe(1);
  });

  it('switched off asks for a sync with the next append, and takes back no acknowledgement', async () => {
    const setting = new Setting({ writeCaching: true });
    const { log } = await setting.open();
    startTerm(log, 1);
    await setting.append(['v0']);
    expect(log.ackableEndIndex).toBe(3);
    setting.config = { writeCaching: false };
    expect(log.ackableEndIndex).toBe(3);
    await setting.append(['v1']);
    expect([log.ackableEndIndex, log.flushedEndIndex]).toEqual([4, 4]);
  });
});

it('without write.caching every append asks for a sync, whatever flush.messages and flush.ms say', async () => {
  const setting = new Setting({ flushMessages: 1000, flushMs: 1000 });
  const { log } = await setting.open();
  startTerm(log, 1);
  await setting.append(['v0']);
  expect([log.ackableEndIndex, log.flushedEndIndex]).toEqual([3, 3]);
  expect(setting.syncs).toBe(1);
});

describe('preallocate', () => {
  it('gives a new segment its full size, and takes back what is not used when it rolls or closes', async () => {
    const setting = new Setting({ preallocate: true, segmentBytes: 10_000 });
    const { log } = await setting.open();
    startTerm(log, 1);
    await setting.append(['v0']);
    expect(await setting.fileBytes()).toBe(10_000);
    expect(await readAll(log)).toEqual(expectedRecords(1));
    await setting.append(['x'.repeat(9_900)]);
    const [first, second] = log.segments();
    expect(await setting.fileBytes()).toBe(first!.sizeBytes);
    expect(second!.baseOffset).toBe(1);
    await log.flushAndClose();
    const again = await setting.open();
    expect(again.recovery).toMatchObject({ kind: 'clean', scannedBytes: 0 });
    expect(again.log.logEndOffset).toBe(2);
  });

  it('leaves zeros behind after a crash, which count as never written', async () => {
    const setting = new Setting({ preallocate: true, segmentBytes: 10_000 });
    const { log } = await setting.open();
    startTerm(log, 1);
    await setting.append(valuesFrom(0, 3));
    setting.disk = setting.disk.kill();
    const { log: again, recovery } = await setting.open();
    expect(recovery).toMatchObject({ kind: 'recovered', tornBytes: 0 });
    expect(recovery.zeroBytes).toBeGreaterThan(9_000);
    expect(await readAll(again)).toEqual(expectedRecords(3));
  });
});

describe.each(['io', 'no-space', 'read-only'] as const)('a disk that answers %s', (code) => {
  it.each(['write', 'sync'] as const)('to a %s fails the log with that code', async (operation) => {
    const setting = new Setting({});
    const { log } = await setting.open();
    startTerm(log, 1);
    await setting.append(['v0']);
    const flushedEndIndex = log.flushedEndIndex;
    setting.fault = (failing, path) => (failing === operation && path === segment ? code : undefined);
    await setting.append(['v1']);
    expect(log.failure).toMatchObject({ kind: operation, code, directory: '/data/t-0' });
    expect(log.ackableEndIndex).toBe(flushedEndIndex);
    setting.fault = undefined;
    await setting.append(['v2']);
    expect(log.flushedEndIndex).toBe(flushedEndIndex);
    await log.flushAndClose();
  });
});

it('closes the file of a log that has been idle for some seconds, and opens it with the next append', async () => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const writeFiles = new WriteFiles(100, clock);
  const { log } = await openLog({
    disk,
    clock,
    syncer: new Syncer({ concurrencyMax: 3, clock, writeFiles }),
  });
  startTerm(log, 1);
  appendValues(log, ['v0']);
  await flushed(log);
  clock.advance(9_999);
  await turns(100);
  expect(writeFiles.count).toBe(1);
  clock.advance(10_001);
  await turns(100);
  expect([writeFiles.count, clock.pendingTimers]).toEqual([0, 0]);
  appendValues(log, ['v1']);
  await flushed(log);
  expect([writeFiles.count, await readAll(log)]).toEqual([1, expectedRecords(2)]);
  await log.flushAndClose();
  expect([writeFiles.count, clock.pendingTimers]).toEqual([0, 0]);
});

it('keeps as many files open for writing as it may, and syncs each before it is closed', async () => {
  const openNow = new Set<string>();
  let openMost = 0;
  const unsynced = new Set<string>();
  const disk = new MemoryDisk({
    faults: (operation, path) => {
      if (operation === 'write') unsynced.add(path);
      if (operation === 'sync') unsynced.delete(path);
      return undefined;
    },
  });
  const closedUnsynced: string[] = [];
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) => {
    const file = await open(path, mode);
    if (mode === 'read' || !path.endsWith('.log')) return file;
    openNow.add(path);
    openMost = Math.max(openMost, openNow.size);
    const close = file.close.bind(file);
    file.close = () => {
      openNow.delete(path);
      if (unsynced.has(path)) closedUnsynced.push(path);
      return close();
    };
    return file;
  };
  const syncer = new Syncer({ concurrencyMax: 3, writeFiles: new WriteFiles(4) });
  const logs: Opened[] = [];
  for (let place = 0; place < 20; place++) {
    logs.push(
      await openLog({
        disk,
        syncer,
        directory: `/data/t-${place}`,
        config: { writeCaching: place % 2 === 0 },
      }),
    );
    startTerm(logs[place]!.log, 1);
  }
  for (let round = 0; round < 5; round++) {
    for (const { log } of logs) {
      appendValues(log, [`v${round}`]);
      log.requestSync();
    }
    await turns(2000);
  }
  for (const [place, { log }] of logs.entries()) {
    expect(log.writtenEndIndex).toBe(log.endIndex);
    if (place % 2 === 1) await flushed(log);
    expect(await readAll(log)).toEqual(expectedRecords(5));
  }
  // A log that is opened may bring its file along, which is over the bound for a moment.
  expect(openMost).toBeLessThanOrEqual(5);
  expect(openNow.size).toBeLessThanOrEqual(4);
  expect(closedUnsynced).toEqual([]);
  for (const { log } of logs) await log.flushAndClose();
  expect(openNow.size).toBe(0);
  expect(closedUnsynced).toEqual([]);
});
