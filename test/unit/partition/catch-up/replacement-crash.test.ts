/** A process or a machine that ends at any operation of the disk while a log is copied and put in place of another. */
import { beforeAll, expect, it } from 'vitest';
import { DurableFloors } from '../../../../broker/log/sync/durable-floors.ts';
import type { CommitLog } from '../../../../broker/log/commit-log.ts';
import { Syncer } from '../../../../broker/log/sync/syncer.ts';
import { CopyService } from '../../../../broker/partition/consensus/catch-up/copy-service.ts';
import { LogCopying } from '../../../../broker/partition/consensus/catch-up/log-copying.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { SimulatedClock, drainMicrotasks } from '../../../simulation/simulated-clock.ts';
import { SimulatedDisk } from '../../../simulation/simulated-disk.ts';
import { Trace } from '../../../simulation/trace.ts';
import { appendValues, flushed, openLog, readAll, startTerm } from '../../log/log-harness.ts';
import type { Opened, SeenRecord } from '../../log/log-harness.ts';
import { memberOn } from './copying-group.ts';

const config = { segmentBytes: 600 };
const group = { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0 };

interface Content {
  readonly startOffset: number;
  readonly endIndex: number;
  readonly lastTerm: number;
  readonly records: readonly SeenRecord[];
}

async function contentOf(log: CommitLog): Promise<Content> {
  const { logStartOffset: startOffset, endIndex, lastTerm } = log;
  return { startOffset, endIndex, lastTerm, records: await readAll(log) };
}

/** What both logs begin with. */
function appendCommon(log: CommitLog): void {
  startTerm(log, 1);
  for (let at = 0; at < 8; at++) appendValues(log, [`common ${at}`.repeat(8)]);
}

let source: CommitLog;
let service: CopyService;
let newContent: Content;

beforeAll(async () => {
  const clock = new ManualClock();
  ({ log: source } = await openLog({ disk: new MemoryDisk(), clock, config }));
  appendCommon(source);
  startTerm(source, 3);
  for (let at = 0; at < 12; at++) appendValues(source, [`new ${at}`.repeat(10), 'x']);
  await flushed(source);
  await source.advanceLogStart(10);
  const configuration = { voters: [memberOn(1)], outgoing: [], learners: [], revision: 0 };
  service = new CopyService(clock, 'one');
  service.add('g', {
    log: source,
    committedEndIndex: source.endIndex,
    configurationAt: () => ({ index: 0, configuration }),
  });
  newContent = await contentOf(source);
});

class Machine {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  floors: DurableFloors | undefined;
  opened: Opened | undefined;

  constructor(seed: number) {
    this.disk = new SimulatedDisk({
      clock: this.clock,
      random: new SeededRandom(seed),
      behaviour: { latencyMs: 1, spikeOneIn: 0, shortReadOneIn: 50, evicts: true },
      trace: new Trace({ keepsLines: false }),
    });
  }

  get log(): CommitLog {
    return this.opened!.log;
  }

  /** Until the promise is settled; or, false, until so many operations of the disk have begun. */
  async run(promise: Promise<unknown>, operationsMax = Infinity): Promise<boolean> {
    const state = { isSettled: false, error: undefined as unknown };
    promise.then(
      () => {
        state.isSettled = true;
      },
      (error: unknown) => {
        state.isSettled = true;
        state.error = error;
      },
    );
    const limit = this.disk.operationCount + operationsMax;
    await drainMicrotasks();
    while (!state.isSettled) {
      if (this.disk.operationCount >= limit) return false;
      if (!this.clock.step()) throw new Error('nothing more happens');
      await drainMicrotasks();
    }
    if (state.error !== undefined) throw state.error;
    return true;
  }

  async start(): Promise<void> {
    const disk = this.disk.boot();
    const clock = this.clock.life();
    await this.run(
      (async () => {
        await disk.makeDirectory('/data');
        await disk.syncDirectory('/');
        const onFailure = (error: unknown): void => {
          throw error;
        };
        const syncer = new Syncer();
        this.floors = await DurableFloors.open({ disk, clock, directory: '/data', syncer, onFailure });
        this.opened = await openLog({ disk, config, floor: this.floors.floor(group) });
        await disk.syncDirectory('/data');
      })(),
    );
    const copying = new LogCopying({
      disk,
      clock,
      requests: {
        request: async (_to, _kind, payload) =>
          Buffer.concat(await service.serve({ from: 2, payload: Buffer.concat(payload) })),
      },
      incarnation: 'two',
      bytesPerSecondMax: () => Infinity,
    });
    this.replace = async () => {
      const order = { group: 'g', from: 1, endIndex: source.endIndex, log: this.log, isWanted: () => true };
      const staged = await copying.copy(order);
      await this.log.replaceBy(staged.replacement);
    };
  }

  /** Copies the source, and puts it in the log's place. */
  replace: () => Promise<void> = () => Promise.resolve();

  end(how: 'kill' | 'power-loss'): void {
    if (how === 'kill') this.disk.kill();
    else this.disk.losePower();
  }

  async content(): Promise<Content> {
    let content: Content | undefined;
    await this.run(
      contentOf(this.log).then((read) => {
        content = read;
      }),
    );
    return content!;
  }
}

async function oldMachine(seed: number): Promise<{ machine: Machine; oldContent: Content }> {
  const machine = new Machine(seed);
  await machine.start();
  const { log } = machine;
  appendCommon(log);
  startTerm(log, 2);
  for (let at = 0; at < 30; at++) appendValues(log, [`old ${at}`.repeat(10)]);
  await machine.run(flushed(log));
  await machine.run(machine.floors!.flush());
  return { machine, oldContent: await machine.content() };
}

/** Says whether the machine ended before all was done. */
async function endAt(seed: number, operations: number, how: 'kill' | 'power-loss'): Promise<boolean> {
  const { machine, oldContent } = await oldMachine(seed);
  const isDone = await machine.run(machine.replace(), operations);
  machine.end(how);
  await machine.start();
  const { recovery } = machine.opened!;
  expect(recovery.damage).toBeUndefined();
  const content = await machine.content();
  const isNew = content.lastTerm === 3;
  expect(content).toEqual(isNew ? newContent : oldContent);
  if (isDone) expect(isNew).toBe(true);
  expect(machine.floors!.floor(group).current()!.endIndex).toBeLessThanOrEqual(content.endIndex);
  if (!isNew) await machine.run(machine.replace());
  machine.end('power-loss');
  await machine.start();
  expect(machine.opened!.recovery.damage).toBeUndefined();
  expect(await machine.content()).toEqual(newContent);
  return !isDone;
}

for (const how of ['kill', 'power-loss'] as const) {
  it(`leaves the old log or the new one, whole: ${how}`, async () => {
    let operations = 1;
    while (await endAt(operations, operations, how)) operations++;
    expect(operations).toBeGreaterThan(60);
  });
}
