/**
 * Who takes nodes into the cluster and out of it, as operators do: drains, decommissions, unregisters, puts an empty disk in the place of
 * one that is lost. What it began it brings to its end, however long that takes.
 *
 * Its faults are fair: a directory or a machine is lost only when the cluster is whole without the one that was lost before, as each
 * record that was acknowledged may be on two of three disks alone.
 */
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import { inOrder, quorumFault, viewOf } from './cluster-view.ts';
import type { ClusterView } from './cluster-view.ts';
import { isByDisk } from './disk-faults.ts';
import { NoAnswer } from './node-client.ts';
import { asError } from './node-load.ts';
import type { LoadContext } from './node-load.ts';
import type { NodeMachine } from './node-machine.ts';
import type { MemberStep } from './nodes-options.ts';
import type { NodesSimulation } from './nodes-simulation.ts';
import { nodesMax } from './nodes-steps.ts';

const callMs = 6_000;
const pauseMs = 500;
/** Numbers that nodes get; those of nodes that have left are used again. */
const numbersMax = 7;
const replicationFactor = 3;
export const drainedSetting = 'kappalog.drained.nodes';
const configOperations = { drain: 2, undrain: 3 } as const;
/** Above `replica.lag.time.max.ms`: so long a replica may count as in sync that is not. */
const lagMsMax = 35_000;

/** What goes by itself. */
const passing: ReadonlySet<number> = new Set([
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_CONTROLLER,
  ErrorCode.BROKER_NOT_AVAILABLE,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
]);

/** Why a node may not be drained. */
const refusals: ReadonlySet<number> = new Set([
  ErrorCode.INVALID_REPLICATION_FACTOR,
  ErrorCode.BROKER_ID_NOT_REGISTERED,
  ErrorCode.INVALID_REQUEST,
]);

/** Whether a node is drained; unknown where there was a request that was not answered. */
type Drained = 'yes' | 'no' | 'unknown';

export class MemberOperator {
  readonly #simulation: NodesSimulation;
  readonly #context: LoadContext;
  readonly #drained = new Map<NodeMachine, Drained>();
  #isBusy = false;
  #waitsFor = '';
  #isMending = false;
  /** Its disk is lost, or spoilt, and the cluster is not known to be whole without that. */
  #lost: NodeMachine | undefined;

  constructor(simulation: NodesSimulation, context: LoadContext) {
    this.#simulation = simulation;
    this.#context = context;
  }

  /** Something that was begun has not come to its end. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** A disk that was spoilt is not put right yet. */
  get isMending(): boolean {
    return this.#isMending;
  }

  /** What of a machine's disk was durable is harmed, where that is fair, and put right by and by. */
  harm(machine: NodeMachine, mend: () => Promise<void>): void {
    this.#isMending = true;
    const mending = mend().finally(() => {
      this.#isMending = false;
    });
    this.doubt(machine, mending);
  }

  /** The same, of what is put right without the operator. */
  doubt(machine: NodeMachine, mended: Promise<void>): void {
    this.#lost = machine;
    this.#watch(mended.then(() => this.#untilWhole(machine)));
  }

  /** Whether the cluster has to survive that some machine loses what is on its disk. */
  get mayHarm(): boolean {
    return this.#lost === undefined;
  }

  /** What it has found that keeps it from going on, the last time that it looked. */
  get waitsFor(): string {
    return this.#waitsFor;
  }

  /** Of nodes of which it is known. */
  get drained(): ReadonlyMap<NodeMachine, Drained> {
    return this.#drained;
  }

  /** Begins what is possible now; nothing else. */
  begin(step: MemberStep, random: Random): void {
    const { present } = this.#simulation;
    const machine = present[random.below(present.length)]!;
    if (step === 'join') return this.#join(random);
    if (step === 'lose-directory') return this.#loseDirectory(machine);
    if (this.#isBusy) return;
    switch (step) {
      case 'drain':
      case 'undrain':
        return this.#work(() => this.#alterDrained(machine, step));
      case 'decommission':
        if (!this.#canSpare(machine)) return;
        return this.#work(() => this.#decommission(machine));
      default:
        // One that has yet to register could not be unregistered.
        if (this.#lost !== undefined || machine.hasToBegin || !this.#canSpare(machine)) return;
        return this.#loseNode(machine);
    }
  }

  #join(random: Random): void {
    const { machines, present } = this.#simulation;
    if (present.length >= nodesMax) return;
    const former = machines.find(({ isRetired, isUp }) => isRetired && !isUp);
    if (former !== undefined && !this.#isBusy && (machines.length >= numbersMax || random.below(2) === 0)) {
      former.replace(this.#simulation.memberFor(former.nodeId));
      this.#count('numbers used again');
      former.start();
    } else if (machines.length < numbersMax) {
      this.#count('nodes joining');
      this.#simulation.addMachine().start();
    }
  }

  #loseDirectory(machine: NodeMachine): void {
    if (this.#lost !== undefined) return;
    this.#lost = machine;
    machine.loseDirectory(this.#simulation.memberFor(machine.nodeId));
    this.#count('directories lost');
    this.#watch(this.#untilWhole(machine));
  }

  #loseNode(machine: NodeMachine): void {
    this.#lost = machine;
    machine.losePower();
    this.#retire(machine);
    this.#simulation.say(`node ${machine.nodeId} is gone for good`);
    this.#count('nodes lost for good');
    this.#work(async () => {
      await this.#decommission(machine);
      await this.#untilWhole(machine);
    });
  }

  /** Whether enough others are there that take replicas. */
  #canSpare(machine: NodeMachine): boolean {
    const takers = this.#simulation.present.filter(
      (other) => other !== machine && !other.hasToBegin && (this.#drained.get(other) ?? 'no') === 'no',
    );
    return takers.length >= replicationFactor;
  }

  #work(task: () => Promise<unknown>): void {
    this.#isBusy = true;
    this.#watch(
      task().finally(() => {
        this.#isBusy = false;
      }),
    );
  }

  #watch(task: Promise<unknown>): void {
    task.catch((error: unknown) => this.#simulation.broken(asError(error)));
  }

  /** Drains a node, waits until it is empty, and takes it out of the cluster. */
  async #decommission(machine: NodeMachine): Promise<void> {
    const { nodeId } = machine;
    // Of a machine that is gone there is no other way; enough others will be there once faults have ended.
    while (!(await this.#alterDrained(machine, 'drain'))) {
      if (!machine.isRetired) return;
      await this.#context.client.pause(pauseMs);
    }
    for (let errorCode = -1; errorCode !== 0;) {
      await this.#insist(async () => ((await this.#isEmpty(nodeId)) ? true : undefined));
      this.#retire(machine);
      errorCode = await this.#insist(async () => {
        const { client } = this.#context;
        const answer = await client.call(this.#anyNode(), 'UnregisterBroker', { brokerId: nodeId }, callMs);
        this.#waitsFor = `node ${nodeId} is not let go of: ${errorName(answer.errorCode)}`;
        return this.#isPassing(answer.errorCode) ? undefined : answer.errorCode;
      });
      this.#simulation.say(`unregister node ${nodeId}: ${errorName(errorCode)}`);
      // Unregistered by a request that was not answered.
      if (errorCode === ErrorCode.BROKER_ID_NOT_REGISTERED) errorCode = 0;
      const isKnown = errorCode === 0 || errorCode === ErrorCode.INVALID_REQUEST;
      check(isKnown, () => `node ${nodeId} was not let go of: ${errorName(errorCode)}`);
    }
    if (this.#drained.get(machine) === 'yes') this.#drained.delete(machine);
    this.#count('nodes unregistered');
  }

  /** It never answers again; those that ask it to be taken in would do so for ever. */
  #retire(machine: NodeMachine): void {
    machine.isRetired = true;
    for (const other of this.#simulation.present) {
      if (other.isRunning || other.isStopping) continue;
      other.kill();
      other.joinThrough(this.#simulation.memberFor(other.nodeId));
    }
  }

  /** False where it was refused. */
  async #alterDrained(machine: NodeMachine, what: keyof typeof configOperations): Promise<boolean> {
    const { nodeId } = machine;
    const change = { name: drainedSetting, configOperation: configOperations[what], value: String(nodeId) };
    const request = { resources: [{ resourceType: 4, resourceName: '', configs: [change] }] };
    const before = this.#drained.get(machine) ?? 'no';
    let attempts = 0;
    const errorCode = await this.#insist(async () => {
      if (attempts++ > 0) this.#drained.set(machine, 'unknown');
      const { client } = this.#context;
      const { responses } = await client.call(this.#anyNode(), 'IncrementalAlterConfigs', request, callMs);
      const code = responses[0]!.errorCode;
      return this.#isPassing(code) ? undefined : code;
    });
    this.#simulation.say(`${what} node ${nodeId}: ${errorName(errorCode)}`);
    this.#count(errorCode === 0 ? `${what}ed` : `${what}: ${errorName(errorCode)}`);
    if (errorCode !== 0 && !refusals.has(errorCode)) {
      throw new SimulationFailure(`to ${what} node ${nodeId} was refused: ${errorName(errorCode)}`);
    }
    // What was not answered may happen late.
    const isSure = attempts === 1 && before !== 'unknown';
    if (isSure && errorCode === 0) this.#drained.set(machine, what === 'drain' ? 'yes' : 'no');
    else if (!isSure) this.#drained.set(machine, 'unknown');
    return errorCode === 0;
  }

  /** As all nodes say that can be asked: some may not know of its replicas yet. */
  async #isEmpty(nodeId: number): Promise<boolean> {
    const { client } = this.#context;
    for (const other of this.#simulation.present) {
      const { topics } = await client.call(other.nodeId, 'Metadata', { topics: null }, callMs);
      for (const { name, partitions } of topics) {
        const held = partitions.find(({ replicaNodes }) => replicaNodes.includes(nodeId));
        if (held === undefined) continue;
        const { partitionIndex, leaderId, replicaNodes, isrNodes } = held;
        this.#waitsFor =
          `node ${other.nodeId} says that ${name}-${partitionIndex} is on ${replicaNodes.join(', ')}, ` +
          `in sync ${isrNodes.join(', ')}, led by ${leaderId}`;
        return false;
      }
    }
    return true;
  }

  /** Until what was on the lost disk is on as many others as before. */
  async #untilWhole(machine: NodeMachine): Promise<void> {
    const { client, world } = this.#context;
    let sinceMs: number | undefined;
    for (;;) {
      await client.pause(2_000);
      const nowMs = world.clock.monotonicMs();
      if (!machine.isRetired && !machine.isRunning) {
        sinceMs = undefined;
        continue;
      }
      sinceMs ??= nowMs;
      if (nowMs - sinceMs < lagMsMax || !(await this.#isWhole())) continue;
      this.#lost = undefined;
      machine.mayFindDamage = false;
      this.#count('whole again after a loss');
      world.say(`the cluster is whole without the lost disk of node ${machine.nodeId}`);
      return;
    }
  }

  async #isWhole(): Promise<boolean> {
    const { client } = this.#context;
    const members = inOrder(this.#simulation.present.map(({ nodeId }) => nodeId));
    try {
      const views: ClusterView[] = [];
      for (const nodeId of members) views.push(await viewOf(client, nodeId, members));
      const other = views.find(({ text, fault }) => fault !== undefined || text !== views[0]!.text);
      this.#waitsFor = other?.fault ?? 'nodes differ';
      if (other !== undefined) return false;
      const fault = await quorumFault(client, this.#anyNode(), members);
      this.#waitsFor = fault ?? '';
      return fault === undefined;
    } catch (error) {
      if (error instanceof NoAnswer) return false;
      throw error;
    }
  }

  async #insist<T>(action: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      try {
        const result = await action();
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
      }
      await this.#context.client.pause(pauseMs);
    }
  }

  #isPassing(errorCode: number): boolean {
    return passing.has(errorCode) || isByDisk(this.#simulation.options, errorCode);
  }

  #anyNode(): number {
    const { random, nodeIds } = this.#context;
    const ids = nodeIds();
    return ids[random.below(ids.length)]!;
  }

  #count(what: string): void {
    this.#simulation.tally.count('members', what);
  }
}
