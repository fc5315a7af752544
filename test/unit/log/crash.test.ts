import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { appendValues, openLog, readAll, startTerm, valuesFrom } from './log-harness.ts';
import type { Opened, SeenRecord } from './log-harness.ts';

type Step =
  | { readonly kind: 'append'; readonly records: number; readonly valueBytes: number }
  | { readonly kind: 'raft-only' }
  | { readonly kind: 'sync' }
  | { readonly kind: 'wait'; readonly turns: number }
  | { readonly kind: 'crash' }
  | { readonly kind: 'kill' }
  | { readonly kind: 'restart' }
  /** Cuts this many appends off; `crashAfter` turns later the machine crashes, -1: not before it is done. */
  | { readonly kind: 'truncate'; readonly appends: number; readonly crashAfter: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      records: fc.integer({ min: 1, max: 6 }),
      valueBytes: fc.integer({ min: 0, max: 700 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'raft-only' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'sync' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('truncate' as const),
      appends: fc.integer({ min: 0, max: 12 }),
      crashAfter: fc.integer({ min: -60, max: 60 }),
    }),
  },
);

/** One log over several lives of a machine, with what it must hold by the rules. */
class Machine {
  #disk: MemoryDisk;
  readonly #clock = new ManualClock();
  #opened: Opened | undefined;
  #floors: DurableFloors | undefined;
  #term = 0;
  /** All that was appended in this life and the lives before, as far as it survived. */
  #records: SeenRecord[] = [];
  /** Ends of all appends, as indexes: where the log may be cut. */
  #ends: number[] = [];
  /** What had been flushed when the last crash came. */
  #flushedEndIndex = 1;

  constructor(seed: number) {
    const random = new SeededRandom(seed);
    const timing = random.fork('timing');
    this.#disk = new MemoryDisk({ crashes: random.fork('crashes'), delay: () => turns(timing.below(4)) });
  }

  async start(): Promise<void> {
    await this.#disk.makeDirectory('/data');
    await this.#disk.syncDirectory('/');
    this.#floors = await DurableFloors.open({
      disk: this.#disk,
      clock: this.#clock,
      directory: '/data',
      syncer: new Syncer(),
      onFailure: () => undefined,
    });
    this.#opened = await openLog({
      disk: this.#disk,
      blockBytes: 512,
      config: { segmentBytes: 3000, indexIntervalBytes: 300 },
      floor: this.#floors.floor({ topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partition: 0 }),
    });
    const { log, recovery } = this.#opened;
    expect(recovery.damage).toBeUndefined();
    expect(log.endIndex).toBeGreaterThanOrEqual(this.#flushedEndIndex);
    expect([log.writtenEndIndex, log.flushedEndIndex]).toEqual([log.endIndex, log.endIndex]);
    await this.#check();
    this.#term++;
    startTerm(log, this.#term);
    this.#ends.push(log.endIndex);
  }

  async take(step: Step): Promise<void> {
    const { log } = this.#opened!;
    if (step.kind === 'append') {
      const first = log.logEndOffset;
      const values = valuesFrom(first, step.records).map(
        (value) => `${value}/${this.#term}/${'x'.repeat(step.valueBytes)}`,
      );
      appendValues(log, values);
      this.#ends.push(log.endIndex);
      values.forEach((value, place) => this.#records.push({ offset: first + place, value }));
    } else if (step.kind === 'raft-only') {
      log.appendRaftOnly({ kind: 'configuration', term: this.#term, payload: Buffer.from('voters') });
      this.#ends.push(log.endIndex);
    } else if (step.kind === 'sync') {
      log.requestSync();
    } else if (step.kind === 'wait') {
      await turns(step.turns);
      this.#clock.advance(20);
    } else if (step.kind === 'crash' || step.kind === 'kill') {
      this.#flushedEndIndex = log.flushedEndIndex;
      this.#disk = step.kind === 'crash' ? this.#disk.crash() : this.#disk.kill();
      await this.start();
    } else if (step.kind === 'truncate') {
      await this.#truncate(step.appends, step.crashAfter);
    } else {
      await log.flushAndClose();
      this.#flushedEndIndex = log.endIndex;
      const { endIndex } = log;
      await this.#floors!.close();
      await this.start();
      expect(this.#opened!.recovery).toMatchObject({ kind: 'clean', scannedBytes: 0 });
      expect(this.#opened!.log.endIndex).toBe(endIndex + 1);
    }
  }

  async #truncate(appends: number, crashAfter: number): Promise<void> {
    const { log } = this.#opened!;
    const ends = this.#ends.filter((end) => end <= log.endIndex);
    const endIndex = ends[Math.max(0, ends.length - 1 - appends)] ?? 1;
    this.#flushedEndIndex = Math.min(endIndex, log.flushedEndIndex);
    const isCut = endIndex < log.endIndex;
    const truncating = log.truncateTo(endIndex);
    if (crashAfter >= 0) {
      truncating.catch(() => undefined);
      await turns(crashAfter);
      this.#disk = this.#disk.crash();
      await this.start();
      return;
    }
    await truncating;
    expect(log.endIndex).toBe(endIndex);
    if (isCut) expect(log.flushedEndIndex).toBe(endIndex);
    await this.#check();
    this.#term++;
    startTerm(log, this.#term);
    this.#ends.push(log.endIndex);
  }

  /** What is there is a beginning of what was appended, the same from every offset, and the tables fit it. */
  async #check(): Promise<void> {
    const { log } = this.#opened!;
    this.#records = this.#records.slice(0, log.logEndOffset);
    this.#ends = this.#ends.filter((end) => end <= log.endIndex);
    expect(await readAll(log)).toEqual(this.#records);
    for (let from = 0; from < log.logEndOffset; from += 3) {
      expect((await readAll(log, from, 1))[0]).toEqual(this.#records[from]);
    }
    const seen: number[] = [];
    await log.scanHeaders(0, (header) => {
      seen.push(header.baseOffset, header.lastOffset);
      expect(log.epochAt(header.baseOffset)).toBe(header.partitionLeaderEpoch);
      expect(log.offsetOfIndex(log.indexOfOffset(header.lastOffset))).toBe(header.lastOffset);
    });
    if (log.logEndOffset > 0) expect([seen[0], seen.at(-1)]).toEqual([0, log.logEndOffset - 1]);
    expect(log.offsetOfIndex(log.endIndex)).toBe(log.logEndOffset);
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

it('keeps everything that was flushed, and nothing that was not appended, over crashes at any moment', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 5, maxLength: 80 }), async (seed, steps) => {
      const machine = new Machine(seed);
      await machine.start();
      for (const next of steps) await machine.take(next);
      await machine.take({ kind: 'crash' });
    }),
    { numRuns: Number(process.env['CRASH_RUNS'] ?? 250) },
  );
}, 120_000);
