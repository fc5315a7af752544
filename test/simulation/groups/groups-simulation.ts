/**
 * One history of consumer groups, from a seed: members of both protocols join, read, commit, hang, crash and come back, topics come and
 * go, coordinators are elected, deposed, cut off and killed; then all faults end, and all groups must come to rest (after-faults.ts).
 * Meanwhile nothing may be read by two (ownership.ts), and no commit be lost (commit-history.ts).
 *
 * Each step draws from a source of chance of its own, so that one can be left out and the others stay what they are.
 */
import { RandomIds } from '../../../platform/random-ids.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { Tally } from '../cluster/tally.ts';
import { SimulatedClock, drainMicrotasks } from '../simulated-clock.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import type { SimulationResult, SimulationRun } from '../simulator.ts';
import { Trace } from '../trace.ts';
import { endFaults } from './after-faults.ts';
import { CommitHistory } from './commit-history.ts';
import { GroupNodes } from './group-nodes.ts';
import { drawGroupsOptions, groupsFaults, groupsSteps } from './groups-options.ts';
import type { GroupsOptions, GroupsStep } from './groups-options.ts';
import { groupsStepActions, makeTopic, topicNames } from './groups-steps.ts';
import type { GroupsWorld } from './groups-world.ts';
import { Membership } from './membership.ts';
import { Ownership } from './ownership.ts';
import { SimulatedTopics } from './simulated-topics.ts';

export async function simulateGroups(run: SimulationRun): Promise<SimulationResult> {
  return new GroupsSimulation(run).run();
}

class GroupsSimulation implements GroupsWorld {
  readonly #run: SimulationRun;
  readonly #without: ReadonlySet<string>;
  readonly #random: Random;
  readonly #lines: string[] = [];
  readonly #members: Membership;
  readonly options: GroupsOptions;
  readonly clock = new SimulatedClock();
  readonly trace: Trace;
  readonly tally = new Tally();
  readonly topics: SimulatedTopics;
  readonly nodes: GroupNodes;
  readonly history = new CommitHistory(() => this.clock.monotonicMs());
  readonly ownership = new Ownership(() => this.clock.monotonicMs());
  readonly network: { readonly lossPerMille: number; areFaultsOver: boolean };
  /** The first promise broken by something that nobody waits for. */
  #broken: Error | undefined;

  constructor(run: SimulationRun) {
    const random = new SeededRandom(`groups ${run.seed}`);
    this.#run = run;
    this.#without = new Set(run.without);
    this.#random = random.fork('history');
    this.options = drawGroupsOptions(random.fork('options'), this.#without);
    this.network = { lossPerMille: this.options.lossPerMille, areFaultsOver: false };
    this.trace = new Trace({ keepsLines: run.keepsTrace === true });
    this.topics = new SimulatedTopics(new RandomIds(random.fork('topic ids')));
    this.nodes = new GroupNodes(this, random.fork('nodes'));
    this.#members = new Membership(this, random.fork('members'), topicNames);
  }

  async run(): Promise<SimulationResult> {
    let failure: SimulationFailure | undefined;
    try {
      await this.#live();
    } catch (error) {
      failure =
        error instanceof SimulationFailure
          ? error
          : new SimulationFailure(error instanceof Error ? String(error.stack) : String(error));
      this.say(`FAILED: ${failure.message}`);
    }
    this.#account();
    return {
      traceHash: this.trace.hash,
      counts: this.tally.counts,
      history: this.#lines,
      traceLines: this.trace.lines,
      failure,
      plan: { kinds: groupsFaults, steps: this.options.steps },
    };
  }

  readonly say = (line: string): void => {
    this.trace.note(this.clock.monotonicMs(), line, 'step');
    this.#lines.push(`${this.clock.monotonicMs().toFixed(2).padStart(10)} ms  ${line}`);
  };

  readonly broken = (error: Error): void => {
    this.#broken ??= error;
  };

  async #live(): Promise<void> {
    for (let nodeId = 0; nodeId < this.nodes.count; nodeId++) this.nodes.start(nodeId);
    for (const partition of this.nodes.partitionNumbers) this.nodes.elect(partition);
    makeTopic(this, this.#random.fork('first topic'));
    makeTopic(this, this.#random.fork('second topic'));
    for (let step = 0; step < this.options.steps; step++) {
      const random = this.#random.fork(`step ${step}`);
      const kind = this.#drawStep(random);
      const pauseMs = (this.options.pauseMsMax * random.below(1001)) / 1000;
      // One that is left out leaves its time.
      if (this.#run.steps?.has(step) !== false && !this.#without.has(kind)) {
        this.tally.count('steps', kind);
        groupsStepActions[kind]({ world: this, members: this.#members, random });
      }
      await this.#pass(pauseMs);
    }
    this.network.areFaultsOver = true;
    await endFaults({
      world: this,
      members: this.#members,
      until: (isReached, limitMs) => this.#until(isReached, limitMs),
      pass: (durationMs) => this.#pass(durationMs),
    });
  }

  #drawStep(random: Random): GroupsStep {
    const { weights } = this.options;
    let total = 0;
    for (const step of groupsSteps) total += weights[step];
    let drawn = random.below(total);
    for (const step of groupsSteps) {
      drawn -= weights[step];
      if (drawn < 0) return step;
    }
    return 'wait';
  }

  #account(): void {
    const { tally, history, ownership } = this;
    tally.addAll('offsets', Object.entries(history.counts));
    tally.count('assignments', 'taken up', ownership.counts.begun);
    tally.count('simulated time', 'seconds', Math.round(this.clock.monotonicMs() / 1000));
  }

  async #pass(durationMs: number): Promise<void> {
    await this.#until(() => false, durationMs);
  }

  async #until(isReached: () => boolean, limitMs: number): Promise<boolean> {
    let hasPassed = false;
    this.clock.after(limitMs, () => {
      hasPassed = true;
    });
    await this.#settle();
    while (!isReached()) {
      if (hasPassed) return false;
      check(this.clock.step(), () => 'nothing will ever happen any more');
      await this.#settle();
    }
    return true;
  }

  async #settle(): Promise<void> {
    await drainMicrotasks();
    if (this.#broken !== undefined) throw this.#broken;
  }
}
