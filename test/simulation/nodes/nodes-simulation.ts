/**
 * One history of a cluster of whole nodes, from a seed: each is what `startBroker` starts, on a simulated clock, disk and network of its
 * own, and clients ask them over that network as Kafka's do. Processes and machines die and come back, links fail; then all faults
 * end, and every partition has to have a leader that takes writes, all in sync, with the same bytes everywhere.
 */
import type { Address } from '../../../platform/network.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { MachineClock } from '../cluster/machine-clock.ts';
import { Tally } from '../cluster/tally.ts';
import { SimulatedClock, drainMicrotasks } from '../simulated-clock.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import type { SimulationResult, SimulationRun } from '../simulator.ts';
import { Trace } from '../trace.ts';
import { endNodeFaults } from './after-faults.ts';
import { diskStepActions, diskSteps } from './disk-faults.ts';
import { HostNetwork } from './host-network.ts';
import { FrozenClock } from './frozen-clock.ts';
import { NodeAdmin } from './node-admin.ts';
import { machineStepActions, machineSteps } from './machine-faults.ts';
import { NodeClient } from './node-client.ts';
import { Producer, Reader } from './node-load.ts';
import type { LoadContext } from './node-load.ts';
import { NodeMachine, hostOf, internalPort } from './node-machine.ts';
import { MemberOperator } from './member-operator.ts';
import { drawNodesOptions, drawWeighted, memberSteps, nodesFaultKinds, nodesSteps } from './nodes-options.ts';
import type { NodesOptions } from './nodes-options.ts';
import { nodesStepActions } from './nodes-steps.ts';
import type { NodesWorld } from './nodes-world.ts';
import type { TopicBook } from './topic-book.ts';

const formingMsMax = 60_000;

export async function simulateNodes(run: SimulationRun): Promise<SimulationResult> {
  return new NodesSimulation(run).run();
}

export class NodesSimulation implements NodesWorld {
  readonly #run: SimulationRun;
  readonly #without: ReadonlySet<string>;
  readonly #history: string[] = [];
  readonly random: Random;
  readonly options: NodesOptions;
  readonly clock = new SimulatedClock();
  readonly trace: Trace;
  readonly network: HostNetwork;
  readonly tally = new Tally();
  readonly machines: NodeMachine[] = [];
  readonly topics = new Map<string, TopicBook>();
  readonly producers: readonly Producer[];
  readonly readers: readonly Reader[];
  readonly admin: NodeAdmin;
  readonly operator: MemberOperator;
  readonly context: LoadContext;
  /** Who asks for moves between directories. */
  readonly mover: LoadContext;
  /** Nothing is to be harmed any more. */
  haveFaultsEnded = false;
  /** The first promise broken by something that nobody waits for. */
  #broken: Error | undefined;

  constructor(run: SimulationRun) {
    this.#run = run;
    this.#without = new Set(run.without);
    this.random = new SeededRandom(`nodes ${run.seed}`);
    this.options = drawNodesOptions(this.random.fork('options'), this.#without, run.focus);
    this.trace = new Trace({ keepsLines: run.keepsTrace === true });
    this.network = new HostNetwork({
      clock: this.clock,
      random: this.random.fork('network'),
      latencyMs: this.options.latencyMs,
      trace: this.trace,
    });
    const nodeIds = Array.from({ length: this.options.voters }, (_, place) => place + 1);
    const voters = new Map<number, Address>();
    for (const nodeId of nodeIds) voters.set(nodeId, { host: hostOf(nodeId), port: internalPort });
    for (const nodeId of nodeIds) this.machines.push(new NodeMachine(this, nodeId, { voters }));
    this.context = this.#client('admin');
    this.admin = new NodeAdmin(this.context, this.topics);
    this.mover = this.#client('mover');
    this.operator = new MemberOperator(this, this.#client('operator'));
    const { producers, readers } = this.options;
    this.producers = Array.from({ length: producers }, (_, place) => {
      return new Producer(`p${place}`, this.#client(`producer-${place}`));
    });
    this.readers = Array.from({ length: readers }, (_, place) => new Reader(this.#client(`reader-${place}`)));
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
      plan: { kinds: nodesFaultKinds, steps: this.options.steps },
    };
  }

  readonly say = (line: string): void => {
    this.trace.note(this.clock.monotonicMs(), line, 'step');
    this.#history.push(`${this.clock.monotonicMs().toFixed(2).padStart(10)} ms  ${line}`);
  };

  readonly broken = (error: Error): void => {
    this.#broken ??= error;
  };

  readonly isSpoilt = (nodeId: number): boolean => this.machines[nodeId - 1]?.isSpoilt === true;

  /** Those that belong to the cluster, or are to join it. */
  get present(): readonly NodeMachine[] {
    return this.machines.filter(({ isRetired }) => !isRetired);
  }

  /** A machine that is to join the cluster. */
  addMachine(): NodeMachine {
    const nodeId = this.machines.length + 1;
    const machine = new NodeMachine(this, nodeId, { join: this.memberFor(nodeId) });
    this.machines.push(machine);
    return machine;
  }

  /** Whom this one may ask to be taken into the cluster. */
  memberFor(nodeId: number): Address {
    const others = this.present.filter((other) => other.nodeId !== nodeId);
    const member = others.find(({ hasToBegin }) => !hasToBegin) ?? others[0]!;
    return { host: hostOf(member.nodeId), port: internalPort };
  }

  /** Until something holds; false where it does not within so much time. */
  async until(isReached: () => boolean, limitMs: number): Promise<boolean> {
    let hasPassed = false;
    const timer = this.clock.after(limitMs, () => {
      hasPassed = true;
    });
    await this.#settle();
    while (!isReached()) {
      if (hasPassed) return false;
      check(this.clock.step(), () => 'nothing will ever happen any more');
      await this.#settle();
    }
    timer.cancel();
    return true;
  }

  /** Runs a task to its end; fails where it takes longer. */
  async finish<T>(task: Promise<T>, limitMs: number, what: string): Promise<T> {
    let isDone = false;
    const watched = task.finally(() => {
      isDone = true;
    });
    // Its rejection is met below.
    watched.catch(() => undefined);
    check(await this.until(() => isDone, limitMs), () => `${what} takes longer than ${limitMs} ms`);
    return watched;
  }

  async #live(): Promise<void> {
    for (const machine of this.machines) machine.start();
    const areUp = await this.until(() => this.machines.every(({ isRunning }) => isRunning), formingMsMax);
    check(areUp, () => 'the cluster does not form');
    for (const client of [...this.producers, ...this.readers]) client.start();
    for (let step = 0; step < this.options.steps; step++) {
      const random = this.random.fork(`step ${step}`);
      const kind = step < 2 ? 'create' : drawWeighted(nodesSteps, this.options.weights, random);
      const pauseMs = (this.options.pauseMsMax * random.below(1001)) / 1000;
      if (this.#run.steps?.has(step) !== false && !this.#without.has(kind)) {
        this.tally.count('steps', kind);
        nodesStepActions[kind](this, random);
      }
      if (step >= 2 && this.#run.steps?.has(step) !== false) {
        this.#maybeChangeMembers(step);
        this.#maybeHarmMachines(step);
        this.#maybeHarmDisks(step);
      }
      await this.until(() => false, pauseMs);
    }
    await endNodeFaults(this);
  }

  #maybeChangeMembers(step: number): void {
    const { memberStepOneIn, memberWeights } = this.options;
    const random = this.random.fork(`members ${step}`);
    if (memberStepOneIn === 0 || random.below(memberStepOneIn) > 0) return;
    const kind = drawWeighted(memberSteps, memberWeights, random);
    if (this.#without.has(kind)) return;
    this.tally.count('steps', kind);
    this.operator.begin(kind, random);
  }

  #maybeHarmMachines(step: number): void {
    const { machineStepOneIn, machineWeights } = this.options;
    const random = this.random.fork(`machines ${step}`);
    if (machineStepOneIn === 0 || random.below(machineStepOneIn) > 0) return;
    const kind = drawWeighted(machineSteps, machineWeights, random);
    if (this.#without.has(kind)) return;
    this.tally.count('steps', kind);
    machineStepActions[kind](this, random);
  }

  #maybeHarmDisks(step: number): void {
    const { diskStepOneIn, diskWeights } = this.options;
    const random = this.random.fork(`disks ${step}`);
    if (diskStepOneIn === 0 || random.below(diskStepOneIn) > 0) return;
    const kind = drawWeighted(diskSteps, diskWeights, random);
    if (this.#without.has(kind)) return;
    this.tally.count('steps', kind);
    diskStepActions[kind](this, random);
  }

  #client(name: string): LoadContext {
    const clock = new FrozenClock(new MachineClock(this.clock, 0).life());
    const client = new NodeClient(this.network.boot(name, clock), this.clock);
    const { topics } = this;
    const random = this.random.fork(name);
    const nodeIds = (): number[] => this.present.map(({ nodeId }) => nodeId);
    return { world: this, client, random, topics, nodeIds };
  }

  #account(): void {
    const { tally, network } = this;
    for (const { disk } of this.machines) tally.addAll('faults', disk.faultCounts);
    tally.addAll('network', Object.entries(network.counts));
    for (const { partitions } of this.topics.values()) {
      for (const { endsTold } of partitions) tally.count('clients', 'leaderships seen', endsTold.size);
    }
    tally.count('simulated time', 'seconds', Math.round(this.clock.monotonicMs() / 1000));
  }

  async #settle(): Promise<void> {
    await drainMicrotasks();
    if (this.#broken === undefined) return;
    throw this.#broken;
  }
}
