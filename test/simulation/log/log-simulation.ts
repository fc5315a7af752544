/**
 * One history of a log directory, from a seed: a process opens its logs, works on them, dies or is stopped at any moment, and
 * the next one opens what is left. After each opening everything is compared with the models.
 *
 * Single-threaded like what it tests: it starts things, lets simulated time pass, and never waits for anything but that.
 */
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import type { LogCleaner } from '../../../broker/log/compaction/log-cleaner.ts';
import type { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { SimulatedClock, drainMicrotasks } from '../simulated-clock.ts';
import type { LifeClock } from '../simulated-clock.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SimulationFailure, check, checkEqual } from '../simulation-failure.ts';
import type { SimulationResult, SimulationRun } from '../simulator.ts';
import { Trace } from '../trace.ts';
import { checkFiles } from './file-checks.ts';
import { checkLog } from './log-checks.ts';
import { LogLife } from './log-life.ts';
import { endWithRot } from './rot.ts';
import { LogModel } from './log-model.ts';
import { deleteRetentionForever, drawOptions } from './log-options.ts';
import type { LogSimulationOptions } from './log-options.ts';
import { drawStep, takeStep } from './log-steps.ts';

/** Events that may pass before something that must end has ended. */
const patienceEvents = 100_000;

export async function simulateLog(run: SimulationRun): Promise<SimulationResult> {
  const simulation = new LogSimulation(run);
  return simulation.run();
}

export class LogSimulation {
  readonly random: Random;
  readonly options: LogSimulationOptions;
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly models: readonly LogModel[];
  readonly #trace: Trace;
  readonly #history: string[] = [];
  readonly #steps = new Map<string, number>();
  readonly #recoveries = new Map<string, number>();
  /** What has been started and has not ended. */
  readonly #tasks = new Set<Promise<void>>();
  #life: LogLife | undefined;
  #lifeClock: LifeClock | undefined;
  /** The first promise broken by something that nobody waits for. */
  #brokenInPassing: unknown;
  /** Whether an injected fault may be behind an error in this life. */
  #faultsBefore = 0;
  #wasCleanStop = false;
  readonly #ends = { 'kill -9': 0, 'power loss': 0, 'clean stop': 0 };

  constructor(run: SimulationRun) {
    const random = new SeededRandom(`log ${run.seed}`);
    this.random = random.fork('history');
    this.options = drawOptions(random.fork('options'), run.focus);
    this.#trace = new Trace({ keepsLines: run.keepsTrace === true });
    this.disk = new SimulatedDisk({
      clock: this.clock,
      random: random.fork('disk'),
      behaviour: this.options.disk,
      trace: this.#trace,
    });
    this.models = Array.from({ length: this.options.logs }, (_, number) => new LogModel(`t-${number}`));
  }

  async run(): Promise<SimulationResult> {
    let failure: SimulationFailure | undefined;
    try {
      await this.#live();
    } catch (error) {
      failure = error instanceof SimulationFailure ? error : unexpected(error);
      this.say(`FAILED: ${failure.message}`);
    }
    return {
      traceHash: this.#trace.hash,
      counts: {
        steps: Object.fromEntries(this.#steps),
        faults: Object.fromEntries(this.disk.faultCounts),
        'ends of a process': this.#ends,
        openings: Object.fromEntries(this.#recoveries),
        operations: { disk: this.disk.operationCount },
      },
      history: this.#history,
      traceLines: this.#trace.lines,
      failure,
    };
  }

  async #live(): Promise<void> {
    await this.reopen();
    for (let step = 0; step < this.options.steps; step++) {
      const kind = drawStep(this.options.weights, this.random);
      this.#steps.set(kind, (this.#steps.get(kind) ?? 0) + 1);
      await takeStep(this, kind);
    }
    if (this.options.endsWithRot && (await endWithRot(this))) return;
    await this.crash('power');
    await this.cleanStop();
    await this.cleanStop();
  }

  /** One line of the history. */
  say(line: string): void {
    this.#trace.note(this.clock.monotonicMs(), line, 'step');
    this.#history.push(`${this.clock.monotonicMs().toFixed(2).padStart(10)} ms  ${line}`);
  }

  logOf(model: LogModel): CommitLog {
    return this.#life!.opened.get(model.name)!.log;
  }

  /** Whether the log belongs to the process that runs now. */
  isCurrent(log: CommitLog): boolean {
    return this.models.some((model) => this.#life?.opened.get(model.name)?.log === log);
  }

  /** Nothing that was started goes on. */
  get isIdle(): boolean {
    return this.#tasks.size === 0;
  }

  /** The disk, in the hands of the present process. */
  get lifeDisk(): Disk {
    return this.#life!.disk;
  }

  get cleaner(): LogCleaner {
    return this.#life!.cleaner;
  }

  /** Any of the logs. */
  drawModel(): LogModel {
    return this.models[this.random.below(this.models.length)]!;
  }

  /** Whether an injected fault has struck in this life: then errors are to be expected. */
  get isFaulty(): boolean {
    return this.disk.errorCount > this.#faultsBefore;
  }

  /** Something that goes on by itself. It fails the history, unless the error can be the disk's. */
  start(task: Promise<void>): void {
    const tracked: Promise<void> = task.then(
      () => {
        this.#tasks.delete(tracked);
      },
      (error: unknown) => {
        this.#tasks.delete(tracked);
        if (!this.#isForgivable(error)) this.#brokenInPassing ??= error;
      },
    );
    this.#tasks.add(tracked);
  }

  /** Lets so many events happen, or fewer where there are no more. */
  async pass(events: number): Promise<void> {
    await drainMicrotasks();
    for (let event = 0; event < events && this.clock.step(); event++) {
      await drainMicrotasks();
      this.#throwBroken();
    }
    this.#throwBroken();
  }

  /** Lets time pass until the promise has settled. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const settled = (): void => {
      state.isSettled = true;
    };
    promise.then(settled, settled);
    await drainMicrotasks();
    for (let event = 0; !state.isSettled; event++) {
      check(event < patienceEvents && this.clock.step(), () => 'something waits for ever');
      await drainMicrotasks();
      this.#throwBroken();
    }
    return promise;
  }

  /** Lets time pass until nothing that was started goes on, and what was asked to be synced is. */
  async rest(): Promise<void> {
    while (this.#tasks.size > 0) await this.settle(Promise.all(this.#tasks));
    await drainMicrotasks();
    for (let event = 0; event < patienceEvents && this.clock.step(); event++) {
      await drainMicrotasks();
      this.#throwBroken();
    }
    this.#noteFlushed();
  }

  /** The process or the machine dies now, whatever is under way; then the next one opens what is left. */
  async crash(how: 'kill' | 'power', between?: () => void): Promise<void> {
    this.#die(how);
    between?.();
    await this.reopen();
  }

  /** A clean stop and a start; half of the time the machine was off in between. */
  async cleanStop(between?: () => void): Promise<void> {
    await this.rest();
    this.disk.repair();
    this.say('clean stop');
    this.#ends['clean stop']++;
    const life = this.#life!;
    const hadFailure = this.models.some((model) => this.logOf(model).failure !== undefined);
    const isClean = (await this.settle(life.close())) && !hadFailure;
    check(isClean || this.isFaulty, () => 'a clean stop failed without any fault of the disk');
    if (isClean) {
      checkEqual(this.disk.openFiles, 0, () => 'files left open after a clean stop');
      for (const model of this.models) model.flushedEndIndex = model.endIndex;
      for (const model of this.models) checkFiles(this.disk, model, { ...this.options, isClosed: true });
    }
    this.#wasCleanStop = isClean;
    this.#die(this.random.below(2) === 0 ? 'power' : 'kill', 'after the stop');
    between?.();
    await this.reopen();
  }

  #die(how: 'kill' | 'power', when = ''): void {
    if (when === '') this.#wasCleanStop = false;
    this.#noteFlushed();
    if (!this.#wasCleanStop) this.#ends[how === 'kill' ? 'kill -9' : 'power loss']++;
    const flushed = this.models.map(({ flushedEndIndex, endIndex }) => `${flushedEndIndex}/${endIndex}`);
    this.say(`${how === 'kill' ? 'kill -9' : 'power loss'} ${when} flushed ${flushed.join(' ')}`);
    this.#lifeClock?.end();
    this.#tasks.clear();
    this.#brokenInPassing = undefined;
    this.#life = undefined;
    if (how === 'kill') this.disk.kill();
    else this.disk.losePower();
    this.disk.repair();
  }

  /** As `crash('kill')`, but leaves it to the caller to look at what the next process finds. */
  async reopenUnchecked(between: () => void): Promise<LogLife> {
    this.#die('kill');
    between();
    this.#lifeClock = this.clock.life();
    this.#life = await this.settle(this.#open(this.#lifeClock));
    return this.#life;
  }

  get floors(): DurableFloors {
    return this.#life!.floors;
  }

  /** Opens what is there, with crashes on the way now and then, and compares it with the models. */
  async reopen(): Promise<void> {
    const wasCleanStop = this.#wasCleanStop;
    while (this.#life === undefined) await this.#tryToOpen();
    for (const model of this.models) await this.#checkReopened(model, wasCleanStop);
  }

  async #tryToOpen(): Promise<void> {
    this.#faultsBefore = this.disk.errorCount;
    this.#lifeClock = this.clock.life();
    const opening = this.#open(this.#lifeClock);
    if (this.random.below(6) === 0) {
      opening.catch(() => undefined);
      await this.pass(this.random.below(60));
      this.#die(this.random.below(2) === 0 ? 'kill' : 'power', 'while opening');
      return;
    }
    try {
      this.#life = await this.settle(opening);
    } catch (error) {
      if (!this.#isForgivable(error)) throw error;
      this.say('opening failed');
      this.#die('kill', 'after opening failed');
    }
  }

  #open(clock: LifeClock): Promise<LogLife> {
    return LogLife.open({
      disk: this.disk.boot(),
      clock,
      options: this.options,
      names: this.models.map(({ name }) => name),
      random: this.random,
      onFloorsFailure: () => this.say('floors cannot be written any more'),
    });
  }

  async #checkReopened(model: LogModel, wasCleanStop: boolean): Promise<void> {
    const { log, recovery } = this.#life!.opened.get(model.name)!;
    this.#recoveries.set(recovery.kind, (this.#recoveries.get(recovery.kind) ?? 0) + 1);
    this.say(`${model.name} opened: ${recovery.kind}, end ${log.endIndex}`);
    checkEqual(recovery.damage, undefined, () => `${model.name}: damage where there is none`);
    checkEqual(log.failure, undefined, () => `${model.name}: failure at opening`);
    const { flushedEndIndex, endIndex } = model;
    check(
      log.endIndex >= flushedEndIndex,
      () => `${model.name}: ends at ${log.endIndex}, but ${flushedEndIndex} had been flushed`,
    );
    check(log.endIndex <= endIndex && model.isBorder(log.endIndex), () => {
      return `${model.name}: ends at ${log.endIndex}, where nothing appended ends`;
    });
    if (wasCleanStop) {
      check(recovery.scannedBytes === 0, () => {
        return `${model.name}: ${recovery.kind}, ${recovery.scannedBytes} bytes scanned after a clean stop`;
      });
    }
    checkEqual(
      [log.writtenEndIndex, log.flushedEndIndex],
      [log.endIndex, log.endIndex],
      () => `${model.name}: written and flushed ends after opening`,
    );
    model.noteStart(log.logStartOffset);
    // What was under way when the process died is not under way any more.
    model.startOffsetMax = model.startOffset;
    model.cutTo(log.endIndex);
    model.flushedEndIndex = log.endIndex;
    checkFiles(this.disk, model, { ...this.options, isClosed: false });
    await this.checkQuietly(model);
  }

  /** The whole log against the model; faults that wait to strike are put aside. */
  async checkQuietly(model: LogModel): Promise<void> {
    const keepsTombstones = this.options.deleteRetentionMs === deleteRetentionForever;
    await this.settle(checkLog(this.logOf(model), model, { random: this.random, keepsTombstones }));
  }

  #noteFlushed(): void {
    if (this.#life === undefined) return;
    for (const model of this.models) {
      model.noteFlushed(this.logOf(model).flushedEndIndex);
      model.noteStart(this.logOf(model).logStartOffset);
    }
  }

  #isForgivable(error: unknown): boolean {
    if (!this.isFaulty) return false;
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause instanceof DiskError) return true;
    }
    return false;
  }

  #throwBroken(): void {
    const broken = this.#brokenInPassing;
    if (broken === undefined) return;
    throw broken instanceof Error ? broken : unexpected(broken);
  }
}

function unexpected(error: unknown): SimulationFailure {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new SimulationFailure(`an unexpected error: ${text}`, { cause: error });
}
