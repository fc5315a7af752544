/**
 * One history of a cluster, from a seed: nodes with real logs and real consensus on simulated disks, links and a clock elect,
 * append, commit, die and come back; then all faults end, and every group must have a leader again and all logs be the same, to
 * the byte, with everything in them that was ever acknowledged.
 */
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { nodeOf } from '../../../broker/raft/member.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { encodeBatch, readBatchHeader } from '../../../protocol/index.ts';
import { SimulatedClock, drainMicrotasks } from '../simulated-clock.ts';
import type { LifeClock } from '../simulated-clock.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SimulationFailure, check, checkEqual } from '../simulation-failure.ts';
import type { SimulationResult, SimulationRun } from '../simulator.ts';
import { Trace } from '../trace.ts';
import { ClusterChecker } from './cluster-checker.ts';
import { ClusterLife, entriesOf, logDirectory, memberOn, producersOf } from './cluster-life.ts';
import type { ClusterGroup } from './cluster-life.ts';
import { clusterSteps, drawClusterOptions } from './cluster-options.ts';
import type { ClusterOptions, ClusterStep } from './cluster-options.ts';
import { SimulatedLinks } from './simulated-links.ts';

/** Simulated time within which a healed cluster has to be whole again. */
const patienceMs = 120_000;

export async function simulateCluster(run: SimulationRun): Promise<SimulationResult> {
  return new ClusterSimulation(run).run();
}

interface PendingAppend {
  readonly endIndex: number;
  readonly baseIndex: number;
  readonly baseOffset: number;
  readonly term: number;
  readonly bytes: Buffer;
}

interface Machine {
  readonly nodeId: number;
  readonly disk: SimulatedDisk;
  incarnation: number;
  clock: LifeClock | undefined;
  life: ClusterLife | undefined;
  /** Of its present life, by group: what has been appended and is not committed. */
  pending: PendingAppend[][];
}

class ClusterSimulation {
  readonly #random: Random;
  readonly #options: ClusterOptions;
  readonly #clock = new SimulatedClock();
  readonly #trace: Trace;
  readonly #links: SimulatedLinks;
  readonly #machines: readonly Machine[];
  readonly #checker = new ClusterChecker();
  readonly #configuration: Configuration;
  readonly #history: string[] = [];
  readonly #steps = new Map<ClusterStep, number>();
  /** The first promise broken by something that nobody waits for. */
  #broken: Error | undefined;
  #values = 0;
  #truncations = 0;
  #changes = 0;
  #revisions = 0;

  constructor(run: SimulationRun) {
    const random = new SeededRandom(`cluster ${run.seed}`);
    this.#random = random.fork('history');
    this.#options = drawClusterOptions(random.fork('options'));
    this.#trace = new Trace({ keepsLines: run.keepsTrace === true });
    this.#links = new SimulatedLinks(this.#clock, random.fork('links'), this.#options.links);
    const nodeIds = Array.from({ length: this.#options.nodes }, (_, nodeId) => nodeId);
    const members = nodeIds.map(memberOn);
    const voters = members.slice(0, 3 + this.#random.below(members.length - 2));
    const learners = members.slice(voters.length);
    this.#configuration = { voters, outgoing: [], learners, revision: 0 };
    this.#machines = nodeIds.map((nodeId) => ({
      nodeId,
      disk: new SimulatedDisk({
        clock: this.#clock,
        random: random.fork(`disk ${nodeId}`),
        behaviour: this.#options.disk,
        trace: this.#trace,
      }),
      incarnation: 0,
      clock: undefined,
      life: undefined,
      pending: [],
    }));
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
      this.#say(`FAILED: ${failure.message}`);
    }
    const { elections, acknowledged } = this.#checker.counts;
    return {
      traceHash: this.#trace.hash,
      counts: {
        steps: Object.fromEntries(this.#steps),
        consensus: { elections, acknowledged, truncations: this.#truncations, changes: this.#changes },
        frames: { ...this.#links.counts },
        'simulated time': { seconds: Math.round(this.#clock.monotonicMs() / 1000) },
      },
      history: this.#history,
      traceLines: this.#trace.lines,
      failure,
    };
  }

  async #live(): Promise<void> {
    for (const machine of this.#machines) this.#start(machine);
    for (let step = 0; step < this.#options.steps; step++) {
      const kind = this.#drawStep();
      this.#steps.set(kind, (this.#steps.get(kind) ?? 0) + 1);
      this.#take(kind);
      await this.#pass(this.#drawPauseMs());
    }
    this.#say('all faults end');
    this.#links.becomeFaultless();
    for (const machine of this.#machines) this.#start(machine);
    await this.#until(() => this.#isWhole(), 'every group has a leader, and all logs end where it does');
    for (let group = 0; group < this.#options.groups; group++) this.#append(group);
    await this.#until(() => this.#isWhole(), 'what is appended afterwards is everywhere');
    for (let group = 0; group < this.#options.groups; group++) {
      this.#checker.equal(
        group,
        this.#machines.map(({ disk }) => segmentsOf(disk, group)),
      );
      for (const machine of this.#machines) await this.#compareProducers(machine, group);
    }
  }

  #take(kind: ClusterStep): void {
    const { nodes, groups } = this.#options;
    const machine = this.#drawMachine();
    switch (kind) {
      case 'append':
        for (let count = 1 + this.#random.below(4); count > 0; count--) {
          this.#append(this.#random.below(groups));
        }
        break;
      case 'wait':
        this.#say('wait');
        break;
      case 'kill':
      case 'power-loss':
        this.#end(machine, kind);
        break;
      case 'restart':
        for (const each of this.#machines) if (each.clock === undefined) this.#start(each);
        break;
      case 'cut': {
        const other = this.#random.below(nodes);
        this.#say(`cut ${machine.nodeId} > ${other}`);
        this.#links.cut(machine.nodeId, other);
        if (this.#random.below(2) === 0) this.#links.cut(other, machine.nodeId);
        break;
      }
      case 'heal':
        this.#links.heal();
        break;
      case 'isolate':
        for (const { nodeId } of this.#machines) {
          if (nodeId === machine.nodeId) continue;
          this.#links.cut(machine.nodeId, nodeId);
          this.#links.cut(nodeId, machine.nodeId);
        }
        this.#say(`node ${machine.nodeId} is alone`);
        break;
      case 'reboot':
        this.#end(machine, this.#random.below(2) === 0 ? 'kill' : 'power-loss');
        this.#start(machine);
        break;
      case 'blackout':
        for (const each of this.#machines) this.#end(each, 'power-loss');
        for (const each of this.#machines) this.#start(each);
        break;
      case 'change':
        this.#change(machine);
        break;
      case 'transfer': {
        const to = memberOn(this.#random.below(nodes));
        for (const { consensus } of machine.life?.groups ?? []) {
          const refusal = consensus.transferLeadership(to);
          this.#say(`transfer of ${consensus.group} from ${machine.nodeId} to ${to}: ${refusal ?? 'begun'}`);
        }
        break;
      }
    }
  }

  /** Every node stays a member, as a voter or a learner, so that at the end all logs can be compared. */
  #change({ life, nodeId }: Machine): void {
    const members = this.#machines.map((machine) => memberOn(machine.nodeId));
    const voters = members.filter(() => this.#random.below(4) > 0);
    const learners = members.filter((member) => !voters.includes(member));
    for (const { consensus } of life?.groups ?? []) {
      const refusal = consensus.changeMembers({ voters, learners, revision: ++this.#revisions });
      this.#say(
        `change of ${consensus.group} on ${nodeId} to ${voters.map(nodeOf).join()}: ${refusal ?? 'begun'}`,
      );
      if (refusal === undefined) this.#changes++;
    }
  }

  /** Any of them, or one that leads: what happens to those shows most. */
  #drawMachine(): Machine {
    const group = this.#random.below(this.#options.groups);
    const leaders = this.#machines.filter(
      ({ life }) => life?.groups[group]?.consensus.raft.role === 'leader',
    );
    const some = leaders.length > 0 && this.#random.below(2) === 0 ? leaders : this.#machines;
    return some[this.#random.below(some.length)]!;
  }

  #append(group: number): void {
    for (const { life, nodeId, pending } of this.#machines) {
      const member = life?.groups[group];
      if (member === undefined || member.consensus.raft.role !== 'leader') continue;
      const count = 1 + this.#random.below(3);
      const records = Array.from({ length: count }, () => ({
        timestamp: this.#clock.wallMs(),
        key: null,
        value: Buffer.concat([
          Buffer.from(`${++this.#values}:`),
          this.#random.bytes(this.#random.below(this.#options.valueBytesMax)),
        ]),
        headers: [],
      }));
      // Producers start over as they like: what counts is that all members see the same of them.
      const producerId = this.#random.below(4);
      const batch = encodeBatch(records, { producerId, producerEpoch: 0, baseSequence: this.#values });
      const outcome = member.consensus.append(batch);
      this.#say(
        `append to ${group} on ${nodeId}: ${outcome.kind === 'appended' ? outcome.baseIndex : outcome.reason}`,
      );
      if (outcome.kind === 'refused') continue;
      member.producers.appended(readBatchHeader(batch));
      const { baseIndex, endIndex, baseOffset, term } = outcome;
      pending[group]!.push({ baseIndex, endIndex, baseOffset, term, bytes: Buffer.from(batch) });
    }
  }

  #start(machine: Machine): void {
    if (machine.clock !== undefined) return;
    const { nodeId, disk } = machine;
    const clock = this.#clock.life();
    machine.clock = clock;
    machine.incarnation++;
    machine.pending = Array.from({ length: this.#options.groups }, () => []);
    this.#say(`node ${nodeId} starts`);
    ClusterLife.open({
      nodeId,
      incarnation: machine.incarnation,
      disk: disk.boot(),
      clock,
      random: this.#random.fork(`life ${nodeId}/${machine.incarnation}`),
      transport: this.#links.transportOf(nodeId),
      options: this.#options,
      configuration: this.#configuration,
      observer: {
        committed: (group) => this.#committed(machine, clock, group),
        truncated: () => this.#truncations++,
        roleChanged: (group) => this.#roleChanged(machine, group),
        failed: (text) => {
          if (machine.clock === clock) this.#broken ??= new SimulationFailure(`node ${nodeId}: ${text}`);
        },
      },
    }).then(
      (life) => {
        if (machine.clock !== clock) return;
        machine.life = life;
        this.#links.attach(nodeId, life.node);
        this.#say(`node ${nodeId} is open`);
      },
      (error: unknown) => {
        if (machine.clock === clock) this.#broken ??= error instanceof Error ? error : new Error('no error');
      },
    );
  }

  #end(machine: Machine, how: 'kill' | 'power-loss'): void {
    if (machine.clock === undefined) return;
    this.#say(`${how} of node ${machine.nodeId}`);
    this.#links.attach(machine.nodeId, undefined);
    machine.life?.node.stop();
    machine.clock.end();
    machine.clock = undefined;
    machine.life = undefined;
    if (how === 'kill') machine.disk.kill();
    else machine.disk.losePower();
  }

  #roleChanged({ nodeId, pending }: Machine, { number, consensus }: ClusterGroup): void {
    const { role, term } = consensus.raft;
    this.#say(`node ${nodeId} is ${role} of ${number} in term ${term}`);
    if (role === 'leader') this.#checker.leads(nodeId, number, term);
    // What becomes of these nobody here can tell any more.
    else pending[number]!.length = 0;
  }

  #committed(machine: Machine, clock: LifeClock, group: ClusterGroup): void {
    if (machine.clock !== clock) return;
    this.#checker.committed(machine.nodeId, group);
    const { consensus, number } = group;
    const pending = machine.pending[number]!;
    const { role, term } = consensus.raft;
    if (role !== 'leader') return;
    while (pending.length > 0) {
      const { endIndex, baseIndex, baseOffset, bytes, term: appendedIn } = pending[0]!;
      if (endIndex > consensus.committedEndIndex) break;
      pending.shift();
      check(appendedIn === term, () => 'what was appended in a former term is acknowledged');
      this.#checker.acknowledge({ group: number, baseIndex, baseOffset, bytes });
    }
  }

  /** A leader for each group, that all logs are equal to, as far as positions say, and that all know is committed. */
  #isWhole(): boolean {
    for (let number = 0; number < this.#options.groups; number++) {
      const members = this.#machines.map(({ life }) => life?.groups[number]);
      const leader = members.find((member) => member?.consensus.raft.role === 'leader');
      if (leader === undefined || !leader.consensus.raft.isReady) return false;
      const { endIndex } = leader.log;
      for (const member of members) {
        if (member === undefined) return false;
        const { log, consensus } = member;
        if (consensus.raft.term !== leader.consensus.raft.term) return false;
        if (log.endIndex !== endIndex || log.flushedEndIndex !== endIndex) return false;
        if (consensus.committedEndIndex !== endIndex || consensus.highWatermark !== log.logEndOffset)
          return false;
      }
    }
    return true;
  }

  #positions(): string {
    const lines = this.#machines.flatMap(({ life, nodeId }) =>
      (life?.groups ?? []).map(({ consensus, log, number }) => {
        const { role, term, leader, configuration, isReady } = consensus.raft;
        const ends = `end ${log.endIndex}, flushed ${log.flushedEndIndex}, committed ${consensus.committedEndIndex}`;
        const voters = configuration.voters.map(nodeOf).join();
        const joint = configuration.outgoing.length > 0 ? ' joint' : '';
        return `group ${number} on ${nodeId}: ${role}${isReady ? '' : ', not ready'}, term ${term}, leader ${leader ?? '?'}, ${ends}, voters ${voters}${joint}`;
      }),
    );
    return ['', ...lines].join('\n');
  }

  /** A member's states of producers are what its log says, whatever was cut and restored on the way. */
  async #compareProducers({ life, nodeId }: Machine, number: number): Promise<void> {
    const group = life!.groups[number]!;
    let expected: string[] | undefined;
    const restored = producersOf(group, life!.disk, life!.clock).then((entries) => {
      expected = entries;
    });
    await this.#until(() => expected !== undefined, 'producers are read from a log');
    await restored;
    const seen = entriesOf(group.producers.states.snapshot());
    checkEqual(seen, expected, () => `producers of group ${number} on node ${nodeId}`);
  }

  #drawStep(): ClusterStep {
    const { weights } = this.#options;
    let total = 0;
    for (const step of clusterSteps) total += weights[step];
    let drawn = this.#random.below(total);
    for (const step of clusterSteps) {
      drawn -= weights[step];
      if (drawn < 0) return step;
    }
    return 'wait';
  }

  /** Often so short that writes and messages are still under way. */
  #drawPauseMs(): number {
    const { ticksPerStepMax, tickMs } = this.#options;
    const longestMs = this.#random.below(3) === 0 ? tickMs : ticksPerStepMax * tickMs;
    return (longestMs * this.#random.below(1001)) / 1000;
  }

  /** Lets so much time pass, and events of no time at all. */
  async #pass(durationMs: number): Promise<void> {
    const endMs = this.#clock.monotonicMs() + durationMs;
    await this.#settle();
    // With all nodes down, nothing happens until one is started.
    while (this.#clock.monotonicMs() < endMs && this.#clock.pendingTimers > 0) await this.#step();
  }

  async #until(isReached: () => boolean, what: string): Promise<void> {
    const endMs = this.#clock.monotonicMs() + patienceMs;
    await this.#settle();
    while (!isReached()) {
      check(this.#clock.monotonicMs() < endMs, () => `within ${patienceMs} ms: ${what}${this.#positions()}`);
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    check(this.#clock.step(), () => 'nothing will ever happen any more');
    await this.#settle();
  }

  async #settle(): Promise<void> {
    await drainMicrotasks();
    if (this.#broken === undefined) return;
    throw this.#broken;
  }

  #say(line: string): void {
    this.#trace.note(this.#clock.monotonicMs(), line, 'step');
    this.#history.push(`${this.#clock.monotonicMs().toFixed(2).padStart(10)} ms  ${line}`);
  }
}

function segmentsOf(disk: SimulatedDisk, group: number): Buffer[] {
  const directory = logDirectory(group);
  const names = disk.namesIn(directory).filter((name) => /^\d{20}\.log$/.test(name));
  return names.map((name) => disk.contentOf(`${directory}/${name}`)!);
}
