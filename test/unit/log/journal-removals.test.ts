import { expect, it } from 'vitest';
import { openSyncer } from '../../../broker/log/sync/open-syncer.ts';
import type { Syncer } from '../../../broker/log/sync/syncer.ts';
import type { DiskErrorCode } from '../../../platform/disk.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { appendValues, flushed, openLog, readAll, startTerm } from './log-harness.ts';
import type { Opened } from './log-harness.ts';

const logsCount = 16;

/** Logs of one data directory whose syncs go through its journal. */
class Directory {
  readonly clock = new ManualClock();
  fault: ((operation: DiskOperation, path: string) => DiskErrorCode | undefined) | undefined;
  disk = new MemoryDisk({
    crashes: new SeededRandom(1),
    faults: (operation, path) => this.fault?.(operation, path),
    delay: (operation) => turns(operation === 'sync' ? 30 : 1),
  });
  syncer!: Syncer;
  logs: Opened[] = [];

  async open(journalBytes = 256 * 1024): Promise<void> {
    await this.disk.makeDirectory('/data');
    await this.disk.syncDirectory('/');
    this.syncer = await openSyncer({
      disk: this.disk,
      clock: this.clock,
      directory: '/data',
      concurrencyMax: 4,
      journalBytes,
      crowdedMin: 1,
    });
    this.logs = [];
    for (let place = 0; place < logsCount; place++) this.logs.push(await this.openLog(place));
    await turns(2000);
  }

  async openLog(place: number): Promise<Opened> {
    const opened = await openLog({
      disk: this.disk,
      directory: `/data/t-${place}`,
      syncer: this.syncer,
    });
    if (opened.log.lastTerm === 0) startTerm(opened.log, 1);
    opened.log.requestSync();
    return opened;
  }

  /** One record into each log, at the same time; resolves with what was synced for them. */
  async round(value: string): Promise<string[]> {
    const synced: string[] = [];
    this.fault = (operation, path) => {
      if (operation === 'sync') synced.push(path);
      return undefined;
    };
    for (const { log } of this.logs) {
      appendValues(log, [value]);
      log.requestSync();
    }
    await turns(2000);
    this.fault = undefined;
    for (const { log } of this.logs) {
      if (log.failure === undefined) expect(log.flushedEndIndex).toBe(log.endIndex);
    }
    return synced;
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

it('a log that is removed while its file waits to be synced leaves the journal to the others', async () => {
  for (let wait = 0; wait < 200; wait += 7) {
    const data = new Directory();
    await data.open();
    for (let round = 0; round < 3; round++) await data.round(`early ${round}`);
    expect(await data.round('in the journal')).toContain('/data/sync-journal');
    // Idle for a second: what the journal covers is synced in its files, one after the other.
    data.clock.advance(1100);
    data.clock.advance(1100);
    await turns(wait);
    const removed = data.logs.splice(4);
    await Promise.all(removed.map(({ log }) => log.delete()));
    await turns(2000);
    for (let place = 4; place < logsCount; place++) data.logs.push(await data.openLog(place));
    await turns(2000);
    const synced = await data.round('later');
    expect(synced, `after ${wait} turns`).toContain('/data/sync-journal');
    expect(synced.length, `after ${wait} turns`).toBeLessThan(logsCount / 2);
    data.disk = data.disk.crash();
    await data.open();
    for (const { log } of data.logs) expect((await readAll(log)).at(-1)?.value).toBe('later');
  }
});

it('a log is not made anew under a name whose old records a start would write into it', async () => {
  const data = new Directory();
  await data.open(96 * 1024);
  let synced: string[] = [];
  for (let round = 0; round < 4; round++) synced = await data.round(`old ${round}`);
  expect(synced).toContain('/data/sync-journal');
  expect(synced).not.toContain('/data/t-10/00000000000000000000.log');
  // A file that cannot be synced: the journal keeps what it has, and takes only a few more frames that make records void.
  data.fault = (operation, path) =>
    operation === 'sync' && path.startsWith('/data/t-10/') ? 'io' : undefined;
  await expect(data.logs[10]!.log.flushAndClose()).rejects.toThrow();
  const outcomes: string[] = [];
  const made: number[] = [];
  for (let place = 0; place < logsCount; place++) {
    if (place === 10) continue;
    const deleted = await data.logs[place]!.log.delete().then(
      () => 'deleted',
      () => 'not deleted',
    );
    const opened = await data.openLog(place).catch(() => undefined);
    outcomes.push(`${deleted}, ${opened === undefined ? 'not made' : 'made'}`);
    if (opened === undefined) continue;
    for (let value = 0; value < 4; value++) appendValues(opened.log, [`a new value ${value}`]);
    await flushed(opened.log);
    made.push(place);
  }
  expect(outcomes).toContain('deleted, made');
  expect(outcomes).toContain('not deleted, not made');
  data.fault = undefined;
  data.disk = data.disk.crash();
  data.syncer = await openSyncer({
    disk: data.disk,
    clock: data.clock,
    directory: '/data',
    concurrencyMax: 4,
    journalBytes: 96 * 1024,
  });
  for (const place of made) {
    const { log } = await data.openLog(place);
    expect((await readAll(log)).map(({ value }) => value)).toEqual(
      Array.from({ length: 4 }, (_, value) => `a new value ${value}`),
    );
  }
});
