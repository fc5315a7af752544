/**
 * One history of a cluster, from a seed: nodes with real logs and real consensus on simulated disks, links and clocks elect,
 * append, commit, change their members, die and come back; then all faults end, and every group must have a leader again and all
 * logs be the same, to the byte, with everything in them that was ever acknowledged. cluster-checker.ts says what holds meanwhile.
 *
 * Each step draws from a source of chance of its own, so that one can be left out and the others stay what they are.
 */
import type { Configuration } from '../../../broker/raft/configuration.ts';
import type { GroupMessage } from '../../../broker/raft/frame-codec.ts';
import { memberId, nodeOf } from '../../../broker/raft/member.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { SimulatedClock, drainMicrotasks } from '../simulated-clock.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import type { SimulationResult, SimulationRun } from '../simulator.ts';
import { Trace } from '../trace.ts';
import { endFaults } from './after-faults.ts';
import { ClusterChecker } from './cluster-checker.ts';
import { ClusterAppends } from './cluster-appends.ts';
import { directoryIdOf } from './cluster-life.ts';
import { clusterSteps, drawClusterOptions, faultKinds } from './cluster-options.ts';
import type { ClusterOptions, ClusterStep } from './cluster-options.ts';
import { clusterStepActions } from './cluster-steps.ts';
import { ConcurrentClients, drawClientOptions } from './concurrent-clients.ts';
import { Fairness } from './fairness.ts';
import { History } from './history.ts';
import { Machine } from './machine.ts';
import type { ClusterWorld } from './machine.ts';
import { SimulatedLinks } from './simulated-links.ts';
import { Tally } from './tally.ts';

export async function simulateCluster(run: SimulationRun): Promise<SimulationResult> {
  return new ClusterSimulation(run).run();
}

class ClusterSimulation implements ClusterWorld {
  readonly #run: SimulationRun;
  readonly #without: ReadonlySet<string>;
  readonly #random: Random;
  readonly #machines: readonly Machine[];
  readonly #history: string[] = [];
  readonly options: ClusterOptions;
  readonly clock = new SimulatedClock();
  readonly trace: Trace;
  readonly links: SimulatedLinks;
  readonly checker = new ClusterChecker();
  readonly appends: ClusterAppends;
  readonly fairness: Fairness;
  readonly tally = new Tally();
  readonly first: Configuration;
  /** What clients have seen of the groups that promise durability. */
  readonly #seen = new History(() => this.clock.monotonicMs());
  readonly #clients: ConcurrentClients;
  readonly #ofClients: Random;
  /** The first promise broken by something that nobody waits for. */
  #broken: Error | undefined;
  #revisions = 0;

  constructor(run: SimulationRun) {
    const random = new SeededRandom(`cluster ${run.seed}`);
    this.#run = run;
    this.#without = new Set(run.without);
    this.#random = random.fork('history');
    this.#ofClients = random.fork('batches of clients');
    this.options = drawClusterOptions(random.fork('options'), this.#without, run.focus);
    this.trace = new Trace({ keepsLines: run.keepsTrace === true });
    this.appends = new ClusterAppends(this.checker, this.say, (group, batch) =>
      this.#seen.taken({ group: group.number, client: 'a producer', nodeId: nodeOf(group.member) }, batch),
    );
    this.links = new SimulatedLinks({
      clock: this.clock,
      random: random.fork('links'),
      behaviour: this.options.links,
      trace: this.trace,
      onMessage: (message) => this.#sent(message),
    });
    const nodeIds = Array.from({ length: this.options.nodes }, (_, nodeId) => nodeId);
    this.first = this.#drawFirst(nodeIds);
    this.fairness = new Fairness(this.options.groups, this.first);
    this.#machines = nodeIds.map((nodeId) => new Machine(this, nodeId, random.fork(`node ${nodeId}`)));
    this.#clients = new ConcurrentClients(drawClientOptions(random.fork('kinds of clients')), {
      clock: this.clock,
      random: random.fork('clients'),
      history: this.#seen,
      cluster: {
        nodes: this.options.nodes,
        groups: this.#durableGroups,
        group: (nodeId, group) => this.#machines[nodeId]!.group(group),
        isSpoilt: (nodeId) => this.#machines[nodeId]!.isSpoilt,
        append: (nodeId, group, taken) => this.#append(nodeId, group, taken),
      },
    });
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
      history: this.#history,
      traceLines: this.trace.lines,
      failure,
      plan: { kinds: faultKinds, steps: this.options.steps },
    };
  }

  readonly say = (line: string): void => {
    this.trace.note(this.clock.monotonicMs(), line, 'step');
    this.#history.push(`${this.clock.monotonicMs().toFixed(2).padStart(10)} ms  ${line}`);
  };

  readonly broken = (error: Error): void => {
    this.#broken ??= error;
  };

  readonly readConfirmed = (token: number, endIndex: number | undefined): void => {
    this.#clients.readConfirmed(token, endIndex);
  };

  async #live(): Promise<void> {
    for (const machine of this.#machines) machine.start();
    this.#clients.start();
    for (let step = 0; step < this.options.steps; step++) {
      const random = this.#random.fork(`step ${step}`);
      const kind = this.#drawStep(random);
      const pauseMs = this.#drawPauseMs(random);
      // One that is left out leaves its time: elections hang on that.
      if (this.#run.steps?.has(step) !== false && !this.#without.has(kind)) this.#take(kind, random);
      await this.#pass(pauseMs);
    }
    this.#clients.stop();
    await endFaults({
      world: this,
      machines: this.#machines,
      random: this.#random.fork('end'),
      looks: new Map(),
      nextRevision: () => ++this.#revisions,
      until: (isReached, limitMs) => this.#until(isReached, limitMs),
    });
    for (const group of this.#durableGroups) await this.#checkSeen(group);
  }

  get #durableGroups(): number[] {
    const groups = Array.from({ length: this.options.groups }, (_, group) => group);
    return groups.filter((group) => !this.options.cachingGroups.has(group));
  }

  #append(nodeId: number, number: number, taken: Parameters<ClusterAppends['append']>[2]): boolean {
    const machine = this.#machines[nodeId]!;
    if (!machine.leads(number)) return false;
    const { valueBytesMax } = this.options;
    return this.appends.append(machine.group(number)!, { random: this.#ofClients, valueBytesMax }, taken);
  }

  /** Reads all that there is, and looks whether it goes with what was seen before. */
  async #checkSeen(group: number): Promise<void> {
    const leader = this.#machines.find((machine) => machine.leads(group))!;
    let isRead = false;
    const reading = this.#clients.readAll(group, leader.nodeId).then(() => {
      isRead = true;
    });
    check(await this.#until(() => isRead, 60_000), () => `group ${group} can be read`);
    await reading;
    this.#seen.check(group, leader.group(group)!.log.logStartOffset);
  }

  #take(kind: ClusterStep, random: Random): void {
    this.tally.count('steps', kind);
    clusterStepActions[kind]({
      world: this,
      machines: this.#machines,
      random,
      machine: this.#drawMachine(random),
      nextRevision: () => ++this.#revisions,
    });
  }

  #drawMachine(random: Random): Machine {
    const group = random.below(this.options.groups);
    const leaders = this.#machines.filter((machine) => machine.leads(group));
    const some = leaders.length > 0 && random.below(2) === 0 ? leaders : this.#machines;
    return some[random.below(some.length)]!;
  }

  #drawFirst(nodeIds: readonly number[]): Configuration {
    const members = nodeIds.map((nodeId) => memberId(nodeId, directoryIdOf(nodeId, 0)));
    const voters = members.slice(0, 3 + this.#random.below(members.length - 2));
    return { voters, outgoing: [], learners: members.slice(voters.length), revision: 0 };
  }

  #drawStep(random: Random): ClusterStep {
    const { weights } = this.options;
    let total = 0;
    for (const step of clusterSteps) total += weights[step];
    let drawn = random.below(total);
    for (const step of clusterSteps) {
      drawn -= weights[step];
      if (drawn < 0) return step;
    }
    return 'wait';
  }

  /** Often so short that writes and messages are still under way. */
  #drawPauseMs(random: Random): number {
    const { ticksPerStepMax, tickMs } = this.options;
    const longestMs = random.below(3) === 0 ? tickMs : ticksPerStepMax * tickMs;
    return (longestMs * random.below(1001)) / 1000;
  }

  #sent({ group, message }: GroupMessage): void {
    const number = Number(group);
    const sender = this.#machines[nodeOf(message.from)]!.group(number);
    try {
      this.checker.sent(number, message, sender?.member === message.from ? sender.log : undefined);
    } catch (error) {
      this.broken(error instanceof Error ? error : new Error('no error'));
    }
  }

  #account(): void {
    const { tally, checker, links } = this;
    const { elections, commits, acknowledged, forgotten } = checker.counts;
    tally.count('consensus', 'elections', elections);
    tally.count('consensus', 'entries committed', commits);
    tally.count('consensus', 'batches acknowledged', acknowledged);
    tally.count('consensus', 'losses under write.caching', forgotten);
    for (const { disk } of this.#machines) tally.addAll('faults', disk.faultCounts);
    const { sent, lost, repeated } = links.counts;
    tally.addAll('clients', Object.entries(this.#seen.counts));
    tally.addAll('frames', [
      ['sent', sent],
      ['group messages', links.counts['group messages']],
    ]);
    tally.addAll('faults', [
      ['lost frames', lost],
      ['repeated frames', repeated],
      ['cut links', links.counts['cut links']],
    ]);
    tally.count('simulated time', 'seconds', Math.round(this.clock.monotonicMs() / 1000));
  }

  /** Lets so much time pass, and events of no time at all. */
  async #pass(durationMs: number): Promise<void> {
    await this.#until(() => false, durationMs);
  }

  async #until(isReached: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.clock.monotonicMs() + limitMs;
    let hasPassed = false;
    this.clock.after(limitMs, () => {
      hasPassed = true;
    });
    await this.#settle();
    while (!isReached()) {
      if (hasPassed || this.clock.monotonicMs() > endMs) return false;
      check(this.clock.step(), () => 'nothing will ever happen any more');
      await this.#settle();
    }
    return true;
  }

  async #settle(): Promise<void> {
    await drainMicrotasks();
    if (this.#broken === undefined) return;
    throw this.#broken;
  }
}
