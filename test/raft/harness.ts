/**
 * A group of simulated members under faults, from a seed: messages are lost, repeated, delayed, reordered and cut off one way or
 * both; nodes crash and forget what they have not synced; members come and go; leadership is handed over. First faults, with the
 * invariants checked at every step; then all is healed, and the group must come to rest with a leader that takes writes.
 *
 * The same seed gives the same run. This drives the consensus core alone; the whole cluster has a simulator of its own.
 */
import { memberId } from '../../broker/raft/member.ts';
import type { MemberId } from '../../broker/raft/member.ts';
import { membersOf } from '../../broker/raft/configuration.ts';
import type { Configuration } from '../../broker/raft/configuration.ts';
import type { RaftSettings } from '../../broker/raft/raft.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { Checker, Violation } from './checker.ts';
import { SimNode } from './sim-node.ts';
import type { Packet, SimProcess, World } from './sim-node.ts';

export interface RunResult {
  readonly elections: number;
  readonly commits: number;
  readonly crashes: number;
  readonly damages: number;
  readonly wipes: number;
  readonly changes: number;
  readonly transfers: number;
  readonly reads: number;
  readonly messages: number;
  readonly ticks: number;
}

/** Drawn from the seed, so that each is another world: in how many of 1,000 cases, or of 10,000 ticks. */
interface Faults {
  readonly lossPerMille: number;
  readonly repeatPerMille: number;
  readonly delayMax: number;
  readonly diskDelayMax: number;
  readonly crashes: number;
  readonly cuts: number;
  readonly changes: number;
  readonly transfers: number;
  readonly compactions: number;
  readonly resignations: number;
  /** Connections that end, whether or not the node does. */
  readonly suspicions: number;
  /** The one member whose disk loses entries now and then, as it crashes; undefined where members change. */
  readonly damagedNode: number | undefined;
  readonly slowTicks: boolean;
}

interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly action: () => void;
}

export const simSettings: RaftSettings = {
  timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
  inflightBytesMax: 12,
  inflightMessagesMax: 4,
  messageBytesMax: 5,
  chunkBytes: 8,
  leases: undefined,
};

export class Harness {
  readonly #random: SeededRandom;
  readonly #faults: Faults;
  readonly #voters: number;
  readonly #world: World;
  readonly #nodes: SimNode[] = [];
  readonly checker = new Checker();
  /** Ordered (from, to) pairs over which nothing gets through. */
  readonly #cut = new Set<string>();
  #queue: Event[] = [];
  #sequence = 0;
  #now = 0;
  #isHealed = false;
  #reads = new Map<number, { readonly nodeId: number; readonly committed: number }>();
  #readTokens = 0;
  #counts = { crashes: 0, damages: 0, wipes: 0, changes: 0, transfers: 0, reads: 0, messages: 0 };
  readonly lines: string[] = [];

  constructor(seed: number | string, options: { readonly isTraced?: boolean } = {}) {
    const random = new SeededRandom(seed);
    this.#random = random;
    this.#faults = drawFaults(random);
    const voters = 1 + random.below(5);
    this.#voters = voters;
    const spares = random.below(3);
    const leases = random.below(2) === 0 ? { driftTicks: this.#faults.slowTicks ? 4 : 2 } : undefined;
    this.#world = {
      random,
      checker: this.checker,
      settings: { ...simSettings, leases },
      catchUp: random.below(2) === 0 ? 'segments' : 'snapshot',
      after: (ticks, action) => this.#after(ticks, action),
      send: (from, to, packet) => this.#send(from, to, packet),
      diskDelay: () => (this.#isHealed ? 1 : random.below(this.#faults.diskDelayMax + 1)),
      nodeOfMember: (member) => this.#nodes.find((node) => node.member === member),
      crashKeeps: (count) => random.below(count + 1),
      readsSlowly: () => random.below(4) === 0,
      onOutput: (nodeId, output) => {
        if (options.isTraced === true) this.lines.push(`${this.#now} ${nodeId} ${JSON.stringify(output)}`);
      },
      onRead: (token, endIndex) => this.#readServed(token, endIndex),
    };
    const members = Array.from({ length: voters }, (_, id) => memberId(id, `d${id}`));
    const configuration: Configuration = { voters: members, outgoing: [], learners: [], revision: 0 };
    for (let id = 0; id < voters + spares; id++) {
      this.#nodes.push(new SimNode(id, this.#world, configuration));
    }
    for (const node of this.#nodes) {
      this.#start(node);
      this.#scheduleTick(node);
    }
  }

  /** Runs the faults, heals, and demands rest. Throws a Violation. */
  run(ticks = 600): RunResult {
    const end = 10 * ticks;
    while (this.#now < end) this.#step();
    this.#heal();
    this.#demandProgress();
    return {
      elections: this.checker.elections,
      commits: this.checker.committedEndIndex,
      ticks: Math.floor(this.#now / 10),
      ...this.#counts,
    };
  }

  #step(): void {
    const event = this.#pop();
    this.#now = event.at;
    event.action();
    if (!this.#isHealed) this.#perhapsAct();
  }

  /** A binary heap by time, then by order of creation. */
  #after(ticks: number, action: () => void): void {
    const event = { at: this.#now + ticks, sequence: this.#sequence++, action };
    const queue = this.#queue;
    let place = queue.push(event) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (isBefore(queue[parent]!, event)) break;
      queue[place] = queue[parent]!;
      place = parent;
    }
    queue[place] = event;
  }

  #pop(): Event {
    const queue = this.#queue;
    const [first] = queue;
    const last = queue.pop();
    if (first === undefined || last === undefined) throw new Error('a simulation always has a next tick');
    if (queue.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++;
      if (isBefore(last, queue[child]!)) break;
      queue[place] = queue[child]!;
      place = child;
    }
    queue[place] = last;
    return first;
  }

  #scheduleTick(node: SimNode): void {
    // Clocks may differ by as much as the leases allow for.
    const span = this.#faults.slowTicks ? 9 + (node.nodeId % 3) : 10;
    this.#after(span, () => {
      node.process?.tick();
      this.#scheduleTick(node);
    });
  }

  #send(from: number, to: number, packet: Packet): void {
    const random = this.#random;
    this.#counts.messages++;
    if (this.#cut.has(`${from}>${to}`)) return;
    const { lossPerMille, repeatPerMille, delayMax } = this.#faults;
    const copies = this.#isHealed ? 1 : 1 + (random.below(1000) < repeatPerMille ? 1 : 0);
    for (let copy = 0; copy < copies; copy++) {
      if (!this.#isHealed && random.below(1000) < lossPerMille) continue;
      const delay = 1 + (this.#isHealed ? 0 : random.below(delayMax));
      this.#after(delay, () => {
        if (this.#cut.has(`${from}>${to}`)) return;
        this.#nodes[to]?.process?.receive(packet);
      });
    }
  }

  #start(node: SimNode): void {
    node.start(this.#nodeIds().filter((id) => id !== node.nodeId));
  }

  #nodeIds(): number[] {
    return this.#nodes.map(({ nodeId }) => nodeId);
  }

  /** One fault or one request, now and then. */
  #perhapsAct(): void {
    const random = this.#random;
    const draw = random.below(10_000);
    const { crashes, cuts, changes, transfers, compactions, resignations, suspicions } = this.#faults;
    let limit = crashes;
    if (draw < limit) this.#crashOne();
    else if (draw < (limit += cuts)) this.#cutOrMend();
    else if (draw < (limit += changes)) this.#changeMembers();
    else if (draw < (limit += transfers)) this.#transfer();
    else if (draw < (limit += compactions)) this.#any()?.compact();
    else if (draw < (limit += resignations)) this.#any()?.input((raft) => raft.resign());
    else if (draw < (limit += suspicions)) this.#suspect();
    else if (draw < (limit += 1500)) this.#propose();
    else if (draw < (limit += 200)) this.#read();
  }

  #any(): SimProcess | undefined {
    return this.#nodes[this.#random.below(this.#nodes.length)]?.process;
  }

  #leaders(): SimProcess[] {
    return this.#nodes.flatMap(({ process }) =>
      process !== undefined && process.raft.role === 'leader' ? [process] : [],
    );
  }

  #propose(): void {
    for (const leader of this.#leaders()) {
      const count = 1 + this.#random.below(3);
      // Clients wait for their answers: what has not been committed is bounded.
      if (leader.endIndex - leader.committed < 100) leader.propose(count);
    }
  }

  #read(): void {
    for (const leader of this.#leaders()) {
      const token = ++this.#readTokens;
      this.#reads.set(token, { nodeId: leader.node.nodeId, committed: this.checker.committedEndIndex });
      leader.input((raft) => raft.requestRead(token));
    }
  }

  #readServed(token: number, endIndex: number | undefined): void {
    const asked = this.#reads.get(token);
    this.#reads.delete(token);
    if (asked === undefined || endIndex === undefined) return;
    this.#counts.reads++;
    this.checker.read(this.#nodes[asked.nodeId]!.member, endIndex, asked.committed);
  }

  #suspect(): void {
    if (this.#world.settings.leases === undefined) {
      this.#any()?.suspect(this.#random.below(this.#nodes.length));
    }
  }

  #crashOne(): void {
    const node = this.#nodes[this.#random.below(this.#nodes.length)]!;
    if (node.process === undefined) return;
    this.#counts.crashes++;
    this.lines.push(`${this.#now} crash ${node.nodeId}`);
    node.crash();
    if (node.nodeId === this.#faults.damagedNode && this.#voters >= 3 && this.#random.below(3) === 0) {
      this.#counts.damages++;
      node.damage(this.#random.below(node.disk.entries.length + 1));
    }
    if (!this.#isMember(node) && this.#random.below(3) === 0) {
      this.#counts.wipes++;
      node.wipe();
    }
    this.#after(this.#random.below(400), () => {
      if (node.process === undefined) this.#start(node);
    });
  }

  /** Whether anybody takes it for one: also who has not heard that it no longer is. */
  #isMember(node: SimNode): boolean {
    return this.#nodes.some(({ disk, process }) => {
      const inLog = disk.entries.flatMap(({ configuration }) => configuration ?? []);
      const present = process === undefined ? [] : [process.raft.configuration];
      return [...inLog, ...present, disk.start.configuration.configuration].some((configuration) =>
        membersOf(configuration).includes(node.member),
      );
    });
  }

  #cutOrMend(): void {
    const random = this.#random;
    if (this.#cut.size > 0 && random.below(2) === 0) {
      this.#cut.clear();
      return;
    }
    const ids = this.#nodeIds();
    const apart = new Set(ids.filter(() => random.below(2) === 0));
    const isOneWay = random.below(3) === 0;
    for (const from of ids) {
      for (const to of ids) {
        if (apart.has(from) && !apart.has(to)) this.#cut.add(`${from}>${to}`);
        if (!isOneWay && !apart.has(from) && apart.has(to)) this.#cut.add(`${from}>${to}`);
      }
    }
  }

  #changeMembers(): void {
    const random = this.#random;
    for (const leader of this.#leaders()) {
      const { configuration } = leader.raft;
      const all = this.#nodes.map(({ member }) => member);
      const learners = configuration.learners.filter(() => random.below(4) > 0);
      const voters: MemberId[] = configuration.voters.filter(() => random.below(4) > 0);
      for (const member of all) {
        const isNew = !configuration.voters.includes(member) && !configuration.learners.includes(member);
        if (isNew && random.below(2) === 0) learners.push(member);
      }
      const [promoted] = learners;
      if (promoted !== undefined && random.below(2) === 0) {
        learners.shift();
        voters.push(promoted);
      }
      const revision = configuration.revision + 1;
      const refusal = leader.input((raft) => raft.changeMembers({ voters, learners, revision }));
      if (refusal === undefined) this.#counts.changes++;
    }
  }

  #transfer(): void {
    for (const leader of this.#leaders()) {
      const { voters } = leader.raft.configuration;
      const to = voters[this.#random.below(voters.length)]!;
      const refusal = leader.input((raft) => raft.transferLeadership(to));
      if (refusal === undefined) this.#counts.transfers++;
    }
  }

  #heal(): void {
    this.#isHealed = true;
    this.#cut.clear();
    for (const node of this.#nodes) if (node.process === undefined) this.#start(node);
  }

  /** With all nodes up and all messages delivered, the group elects, commits what is new, and comes to rest. */
  #demandProgress(): void {
    const deadline = this.#now + 10 * 400;
    const hadCommitted = this.checker.committedEndIndex;
    let hasProposed = false;
    while (this.#now < deadline) {
      this.#step();
      const [leader, other] = this.#leaders();
      if (leader === undefined || other !== undefined) continue;
      if (!hasProposed && leader.raft.isReady) hasProposed = leader.propose(1);
      if (hasProposed && this.#isAtRest(leader, hadCommitted)) return;
    }
    const [leader] = this.#leaders();
    const states = this.#nodes.map(
      ({ process }) => `${process?.raft.role} ${process?.raft.committedEndIndex}`,
    );
    throw new Violation('liveness', `no rest with leader ${leader?.node.nodeId} and ${states.join(', ')}`);
  }

  #isAtRest(leader: SimProcess, hadCommitted: number): boolean {
    const { configuration, endIndex, committedEndIndex } = leader.raft;
    if (committedEndIndex !== endIndex || endIndex <= hadCommitted || configuration.outgoing.length > 0) {
      return false;
    }
    if (leader.raft.isTicking) return false;
    return [...configuration.voters, ...configuration.learners].every((member) => {
      const raft = this.#world.nodeOfMember(member)?.process?.raft;
      return raft?.committedEndIndex === endIndex && raft.leader === leader.raft.id && !raft.isTicking;
    });
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.sequence < other.sequence);
}

function drawFaults(random: SeededRandom): Faults {
  const sometimes = (limit: number): number => (random.below(3) === 0 ? 0 : random.below(limit));
  const changes = sometimes(120);
  return {
    lossPerMille: sometimes(200),
    repeatPerMille: sometimes(100),
    delayMax: 1 + random.below(40),
    diskDelayMax: random.below(40),
    crashes: sometimes(60),
    cuts: sometimes(60),
    changes,
    transfers: sometimes(60),
    compactions: sometimes(60),
    resignations: sometimes(20),
    suspicions: sometimes(40),
    damagedNode: changes === 0 && random.below(2) === 0 ? 0 : undefined,
    slowTicks: random.below(3) === 0,
  };
}
