import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DurableFloors } from '../../../../broker/log/sync/durable-floors.ts';
import { openSyncer } from '../../../../broker/log/sync/open-syncer.ts';
import type { Syncer } from '../../../../broker/log/sync/syncer.ts';
import { WriteFiles } from '../../../../broker/log/write-files.ts';
import type { DiskErrorCode } from '../../../../platform/disk.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { appendValues, openLog, readAll, startTerm } from '../log-harness.ts';
import type { Opened, SeenRecord } from '../log-harness.ts';

type Step =
  | { readonly kind: 'append'; readonly logs: number; readonly valueBytes: number }
  | { readonly kind: 'wait'; readonly turns: number }
  | { readonly kind: 'crash' | 'kill' | 'restart' | 'idle' }
  | { readonly kind: 'truncate' | 'recreate'; readonly log: number };

const logsCount = 7;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      /** A bit for each log. */
      logs: fc.integer({ min: 1, max: 2 ** logsCount - 1 }),
      valueBytes: fc.integer({ min: 0, max: 900 }),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.integer({ min: 1, max: 80 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'kill', 'restart', 'idle') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate' as const, 'recreate'),
      log: fc.integer({ min: 0, max: logsCount - 1 }),
    }),
  },
);

/** What one log must hold by the rules. */
interface Expected {
  records: SeenRecord[];
  flushedEndIndex: number;
  /** How often it has been made anew. */
  life: number;
}

/** Several logs of one data directory over several lives of a machine. */
class Machine {
  #disk: MemoryDisk;
  readonly #clock = new ManualClock();
  readonly #expected: Expected[] = Array.from({ length: logsCount }, () => ({
    records: [],
    flushedEndIndex: 1,
    life: 0,
  }));
  #opened: Opened[] = [];
  #floors: DurableFloors | undefined;
  #syncer: Syncer | undefined;
  #term = 0;
  replayedFrames = 0;

  constructor(seed: number) {
    const random = new SeededRandom(seed);
    const timing = random.fork('timing');
    this.#disk = new MemoryDisk({ crashes: random.fork('crashes'), delay: () => turns(timing.below(4)) });
  }

  async start(): Promise<void> {
    const disk = this.#disk;
    await disk.makeDirectory('/data');
    await disk.syncDirectory('/');
    this.#syncer = await openSyncer({
      disk,
      clock: this.#clock,
      directory: '/data',
      concurrencyMax: 3,
      journalBytes: 128 * 1024,
      crowdedMin: 5,
      writeFiles: new WriteFiles(6),
    });
    expect(this.#syncer.replay.damage).toEqual([]);
    this.replayedFrames += this.#syncer.replay.frames;
    this.#floors = await DurableFloors.open({
      disk,
      clock: this.#clock,
      directory: '/data',
      syncer: this.#syncer,
      onFailure: () => undefined,
    });
    this.#opened = [];
    this.#term++;
    for (let log = 0; log < logsCount; log++) await this.#open(log);
  }

  async #open(place: number): Promise<void> {
    const expected = this.#expected[place]!;
    const opened = await openLog({
      disk: this.#disk,
      directory: `/data/t-${place}`,
      syncer: this.#syncer!,
      blockBytes: 512,
      config: { segmentBytes: 20_000 },
      floor: this.#floors!.floor({ topicId: topicIdOf(expected.life), partition: place }),
    });
    this.#opened[place] = opened;
    const { log, recovery } = opened;
    expect(recovery.damage).toBeUndefined();
    expect(log.endIndex).toBeGreaterThanOrEqual(expected.flushedEndIndex);
    expected.records = expected.records.slice(0, log.logEndOffset);
    expect(await readAll(log)).toEqual(expected.records);
    startTerm(log, this.#term);
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'append') {
      for (const place of placesOf(step.logs)) this.#append(place, step.valueBytes);
    } else if (step.kind === 'wait') {
      await turns(step.turns);
      this.#clock.advance(20);
    } else if (step.kind === 'idle') {
      await turns(50);
      this.#clock.advance(1500);
      await turns(50);
      this.#clock.advance(1500);
    } else if (step.kind === 'truncate') {
      await this.#truncate(step.log);
    } else if (step.kind === 'recreate') {
      await this.#recreate(step.log);
    } else {
      await this.#end(step.kind);
      await this.start();
    }
  }

  #append(place: number, valueBytes: number): void {
    const { log } = this.#opened[place]!;
    const expected = this.#expected[place]!;
    const value = `${place}/${expected.life}/${this.#term}/${log.logEndOffset}/${'x'.repeat(valueBytes)}`;
    expected.records.push({ offset: log.logEndOffset, value });
    appendValues(log, [value]);
    log.requestSync();
  }

  async #truncate(place: number): Promise<void> {
    const { log } = this.#opened[place]!;
    const expected = this.#expected[place]!;
    const endIndex = log.raftOnlyEntries().at(-1)!.index + 1;
    await log.truncateTo(endIndex);
    expected.records = expected.records.slice(0, log.logEndOffset);
    expect(await readAll(log)).toEqual(expected.records);
  }

  async #recreate(place: number): Promise<void> {
    const expected = this.#expected[place]!;
    await this.#opened[place]!.log.delete();
    expected.records = [];
    expected.flushedEndIndex = 1;
    expected.life++;
    await this.#open(place);
  }

  async #end(kind: 'crash' | 'kill' | 'restart'): Promise<void> {
    if (kind === 'restart') {
      await Promise.all(this.#opened.map(({ log }) => log.flushAndClose()));
      await this.#floors!.close();
      await this.#syncer!.close();
    }
    for (const [place, { log }] of this.#opened.entries()) {
      this.#expected[place]!.flushedEndIndex = log.flushedEndIndex;
    }
    this.#disk = kind === 'crash' ? this.#disk.crash() : this.#disk.kill();
  }
}

function placesOf(bits: number): number[] {
  return Array.from({ length: logsCount }, (_, place) => place).filter((place) => (bits >> place) % 2 === 1);
}

function topicIdOf(life: number): string {
  return Buffer.alloc(16, life).toString('base64url');
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

it('keeps what was flushed by way of the journal, and writes nothing old over what came after it', async () => {
  let replayedFrames = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 10, maxLength: 100 }), async (seed, steps) => {
      const machine = new Machine(seed);
      await machine.start();
      for (const next of steps) await machine.take(next);
      await machine.take({ kind: 'crash' });
      replayedFrames += machine.replayedFrames;
    }),
    { numRuns: Number(process.env['CRASH_RUNS'] ?? 150) },
  );
  expect(replayedFrames).toBeGreaterThan(100);
}, 120_000);

const logsAtOnce = 16;

/** Logs of one directory, and a disk that fails as it is told. */
class Directory {
  fault: ((operation: DiskOperation, path: string) => DiskErrorCode | undefined) | undefined;
  disk = new MemoryDisk({
    crashes: new SeededRandom(1),
    faults: (operation, path) => this.fault?.(operation, path),
    delay: (operation) => turns(operation === 'sync' ? 30 : 1),
  });
  readonly failures: string[] = [];
  syncer!: Syncer;
  logs: Opened[] = [];

  async open(count = logsAtOnce): Promise<void> {
    await this.disk.makeDirectory('/data');
    await this.disk.syncDirectory('/');
    this.syncer = await openSyncer({
      disk: this.disk,
      clock: new ManualClock(),
      directory: '/data',
      concurrencyMax: 8,
      journalBytes: 256 * 1024,
      crowdedMin: 1,
      onJournalFailure: (error) => this.failures.push(String(error)),
    });
    this.logs = [];
    for (let place = 0; place < count; place++) {
      const opened = await openLog({
        disk: this.disk,
        directory: `/data/t-${place}`,
        syncer: this.syncer,
      });
      this.logs.push(opened);
      if (opened.log.lastTerm === 0) startTerm(opened.log, 1);
      opened.log.requestSync();
    }
    await turns(2000);
  }

  /** One record into each log, at the same time. */
  async round(value: string): Promise<void> {
    for (const { log } of this.logs) {
      appendValues(log, [value]);
      log.requestSync();
    }
    await turns(2000);
  }

  /** Rounds until one has gone through the journal. */
  async fillJournal(): Promise<void> {
    for (let round = 0; round < 3; round++) await this.round(`early ${round}`);
    const before = await this.disk.open('/data/sync-journal', 'read');
    expect(await before.size()).toBeGreaterThan(200_000);
  }

  flushed(): boolean[] {
    return this.logs.map(({ log }) => log.flushedEndIndex === log.endIndex);
  }

  async values(place: number): Promise<string[]> {
    return (await readAll(this.logs[place]!.log)).map(({ value }) => value);
  }
}

describe('a round of many logs', () => {
  it('takes few syncs, of the journal, and is there after the segments have lost it', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    const synced: string[] = [];
    data.fault = (operation, path) => {
      if (operation === 'sync') synced.push(path);
      return undefined;
    };
    await data.round('in the journal');
    expect(data.flushed()).toEqual(Array.from({ length: logsAtOnce }, () => true));
    expect(synced).toContain('/data/sync-journal');
    expect(synced.length).toBeLessThan(logsAtOnce / 2);
    data.fault = undefined;
    data.disk = data.disk.crash();
    await data.open();
    expect(data.syncer.replay).toMatchObject({ damage: [] });
    expect(data.syncer.replay.frames).toBeGreaterThan(0);
    for (let place = 0; place < logsAtOnce; place++)
      expect((await data.values(place)).at(-1)).toBe('in the journal');
  });

  it('is not acknowledged where the journal’s sync fails; others go on, and so does the next start', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    data.fault = (operation, path) =>
      operation === 'sync' && path === '/data/sync-journal' ? 'io' : undefined;
    await data.round('lost');
    const failed = data.logs.filter(({ log }) => log.failure !== undefined);
    expect(failed.length).toBeGreaterThan(2);
    for (const { log } of failed) {
      expect(log.failure).toMatchObject({ kind: 'sync', code: 'io' });
      expect(log.flushedEndIndex).toBeLessThan(log.endIndex);
    }
    expect(data.failures).toHaveLength(1);
    for (const { log } of data.logs) {
      if (log.failure !== undefined) continue;
      appendValues(log, ['by itself']);
      log.requestSync();
    }
    await turns(2000);
    for (const { log } of data.logs)
      if (log.failure === undefined) expect(log.flushedEndIndex).toBe(log.endIndex);
    data.fault = undefined;
    data.disk = data.disk.crash();
    await data.open();
    for (let place = 0; place < logsAtOnce; place++) {
      expect((await data.values(place)).slice(0, 3)).toEqual(['early 0', 'early 1', 'early 2']);
    }
  });

  it('survives a failed sync of a segment: the page cache shows what the disk lacks, the journal has it', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    await data.round('only in the journal');
    expect(data.flushed()).toEqual(Array.from({ length: logsAtOnce }, () => true));
    data.fault = (operation, path) => (operation === 'sync' && path.endsWith('.log') ? 'io' : undefined);
    await Promise.allSettled(data.logs.map(({ log }) => log.flushAndClose()));
    data.fault = undefined;
    await data.syncer.close();
    data.disk = data.disk.kill();
    await data.open();
    expect(data.syncer.replay.frames).toBeGreaterThan(0);
    for (let place = 0; place < logsAtOnce; place++) {
      expect((await data.values(place)).at(-1)).toBe('only in the journal');
    }
    data.disk = data.disk.crash();
    await data.open();
    for (let place = 0; place < logsAtOnce; place++) {
      expect((await data.values(place)).at(-1)).toBe('only in the journal');
    }
  });

  it('is in the segments for good once it is replayed, also where the machine stops before a log is opened', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    await data.round('only in the journal');
    expect(data.flushed()).toEqual(Array.from({ length: logsAtOnce }, () => true));
    data.disk = data.disk.crash();
    const { replay } = await openSyncer({
      disk: data.disk,
      clock: new ManualClock(),
      directory: '/data',
      concurrencyMax: 8,
      journalBytes: 256 * 1024,
    });
    expect(replay.files).toBeGreaterThan(logsAtOnce / 2);
    data.disk = data.disk.crash();
    await data.open();
    expect(data.syncer.replay.frames).toBe(0);
    for (let place = 0; place < logsAtOnce; place++) {
      expect((await data.values(place)).at(-1)).toBe('only in the journal');
    }
  });

  it('leaves nothing to replay after a clean stop', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    await Promise.all(data.logs.map(({ log }) => log.flushAndClose()));
    await data.syncer.close();
    data.disk = data.disk.kill();
    await data.open();
    expect(data.syncer.replay).toEqual({ frames: 0, bytes: 0, files: 0, damage: [] });
    for (const { recovery } of data.logs) expect(recovery.kind).toBe('clean');
  });
});

describe('damage in the journal', () => {
  async function frames(data: Directory): Promise<number[]> {
    const file = await data.disk.open('/data/sync-journal', 'write');
    const image = Buffer.alloc(await file.size());
    await file.read(image, 0);
    const found: number[] = [];
    for (let position = 8192; position < image.length; position += 4096) {
      if (image.toString('latin1', position, position + 4) === 'KLJF') found.push(position);
    }
    return found;
  }

  it('is reported where a whole frame follows it', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    await data.round('one');
    await data.round('two');
    data.disk = data.disk.crash();
    const found = await frames(data);
    data.disk.flipBit('/data/sync-journal', found[0]! + 100, 3);
    await data.open();
    expect(data.syncer.replay.damage).toEqual([
      expect.objectContaining({ file: '/data/sync-journal', position: found[0] }),
    ]);
    expect(data.syncer.replay.frames).toBe(found.length - 1);
  });

  it('at the end of all frames is a torn write', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    data.disk = data.disk.kill();
    const found = await frames(data);
    data.disk.flipBit('/data/sync-journal', found.at(-1)! + 100, 3);
    await data.open();
    expect(data.syncer.replay).toMatchObject({ damage: [], frames: found.length - 1 });
  });

  it('of both headers sets the journal aside, unread', async () => {
    const data = new Directory();
    await data.open();
    await data.fillJournal();
    data.disk = data.disk.kill();
    for (const position of [20, 4116]) data.disk.flipBit('/data/sync-journal', position, 1);
    await data.open();
    expect(data.syncer.replay).toMatchObject({ frames: 0, damage: [{ position: 0 }] });
    expect(await data.disk.exists('/data/sync-journal.damaged')).toBe(true);
  });
});
