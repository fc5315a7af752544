/**
 * The nodes whose coordinators are under test, the partitions of `__consumer_offsets` that they lead in turn, and the network between
 * them and the members: it delays, loses requests and answers, and cuts nodes off, which then do not learn that another leads.
 */
import { partitionOfCoordinator } from '../../../protocol/index.ts';
import { defaultConsumerGroupConfig, defaultGroupConfig } from '../../../broker/groups/group-config.ts';
import { GroupService } from '../../../broker/groups/group-service.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import type { Random } from '../../../platform/random.ts';
import type { LifeClock } from '../simulated-clock.ts';
import { ReplicatedLog } from './replicated-log.ts';
import type { LeadersLog } from './replicated-log.ts';
import type { GroupsWorld } from './groups-world.ts';

interface Life {
  readonly service: GroupService;
  readonly clock: LifeClock;
  /** By partition. */
  readonly leads: Map<number, LeadersLog>;
}

interface Node {
  readonly nodeId: number;
  life: Life | undefined;
  cutOffUntilMs: number;
}

interface Partition {
  readonly log: ReplicatedLog;
  /** As the metadata has it; undefined while nobody leads. */
  leader: number | undefined;
}

/** What came of a question; undefined where no answer came. */
export interface Answer<Reply> {
  readonly reply: Reply;
  /** Whether who answered was, and is, the coordinator, so that the group has heard of who asked. */
  readonly isCoordinators: boolean;
}

/** How long a client waits for an answer that need not wait for others. */
const requestTimeoutMs = 5_000;

export class GroupNodes {
  readonly #world: GroupsWorld;
  readonly #random: Random;
  readonly #ofNetwork: Random;
  readonly #ids: RandomIds;
  readonly #nodes: readonly Node[];
  readonly #partitions: readonly Partition[];

  constructor(world: GroupsWorld, random: Random) {
    const { nodes, partitions, commitMsMax } = world.options;
    this.#world = world;
    this.#random = random.fork('elections');
    this.#ofNetwork = random.fork('network');
    this.#ids = new RandomIds(random.fork('ids'));
    this.#nodes = Array.from({ length: nodes }, (_, nodeId) => ({
      nodeId,
      life: undefined,
      cutOffUntilMs: 0,
    }));
    this.#partitions = Array.from({ length: partitions }, (_, partition) => {
      const log = new ReplicatedLog({
        clock: world.clock,
        random: random.fork(`log ${partition}`),
        commitMsMax,
      });
      return { log, leader: undefined };
    });
  }

  get count(): number {
    return this.#nodes.length;
  }

  get partitionNumbers(): number[] {
    return [...this.#partitions.keys()];
  }

  log(partition: number): ReplicatedLog {
    return this.#partitions[partition]!.log;
  }

  leaderOf(partition: number): number | undefined {
    return this.#partitions[partition]!.leader;
  }

  partitionFor(groupId: string): number {
    return partitionOfCoordinator(groupId, this.#partitions.length);
  }

  isUp(nodeId: number): boolean {
    return this.#nodes[nodeId]!.life !== undefined;
  }

  start(nodeId: number): void {
    const node = this.#nodes[nodeId]!;
    if (node.life !== undefined) return;
    const { options, topics, clock, tally } = this.#world;
    const life = clock.life();
    const service = new GroupService({
      clock: life,
      ids: this.#ids,
      config: () => ({
        ...defaultGroupConfig,
        initialRebalanceDelayMs: options.initialRebalanceDelayMs,
      }),
      consumerConfig: () => ({ ...defaultConsumerGroupConfig, ...options.consumerConfig }),
      topics: () => topics,
      partitionCount: () => this.#partitions.length,
      batchSizeBytesMax: () => 1_000_000,
      onShardFailure: (_, cause) => {
        const isPlanned = cause instanceof Error && cause.message === 'the disk cannot be read';
        if (isPlanned) tally.count('coordinators', 'failed reads');
        else this.#world.broken(cause instanceof Error ? cause : new Error(String(cause)));
      },
      onLargePatterns: () => {},
      onMigration: ({ kind }) => tally.count('migrations', kind),
    });
    node.life = { service, clock: life, leads: new Map() };
    node.cutOffUntilMs = 0;
    tally.count('nodes', 'starts');
  }

  /** The process is gone, with all that it had not said. */
  kill(nodeId: number): void {
    const node = this.#nodes[nodeId]!;
    const { life } = node;
    if (life === undefined) return;
    node.life = undefined;
    life.clock.end();
    for (const log of life.leads.values()) log.lose();
    for (const partition of this.#partitions) if (partition.leader === nodeId) partition.leader = undefined;
    this.#world.tally.count('nodes', 'kills');
  }

  /** Neither members nor the other nodes reach it for a while, nor learn that it is so. */
  cutOff(nodeId: number, forMs: number): void {
    this.#nodes[nodeId]!.cutOffUntilMs = this.#world.clock.monotonicMs() + forMs;
    this.#world.tally.count('nodes', 'cut off');
  }

  endFaults(): void {
    for (const node of this.#nodes) {
      node.cutOffUntilMs = 0;
      this.start(node.nodeId);
    }
    for (const { log } of this.#partitions) Object.assign(log, { refusesUntilMs: 0, failingReads: 0 });
  }

  /** Of the nodes that can be reached one comes to lead; the one before learns of it when it can. False where there is none. */
  elect(partition: number): boolean {
    const { clock, tally } = this.#world;
    const able = this.#nodes.filter((node) => node.life !== undefined && !this.#isCutOff(node));
    const drawn = able[this.#random.below(Math.max(1, able.length))];
    if (drawn?.life === undefined) return false;
    const { nodeId, life } = drawn;
    const state = this.#partitions[partition]!;
    const newLog = state.log.elect();
    tally.count('coordinators', 'elections');
    for (const node of this.#nodes) {
      const old = node.life?.leads.get(partition);
      if (node.life === undefined || old === undefined || node === drawn) continue;
      this.#whenReached(node, node.life, () => this.#depose(node, partition, old));
    }
    const before = life.leads.get(partition);
    before?.lose();
    life.leads.set(partition, newLog);
    state.leader = nodeId;
    // What opens the log anew goes on in the same term, while that lasts.
    void life.service.lead(partition, () => newLog);
    this.#world.trace.note(clock.monotonicMs(), 'elected', `partition ${partition}`, nodeId, newLog.term);
    return true;
  }

  /** Those that nobody leads. */
  get leaderless(): number[] {
    return this.partitionNumbers.filter((partition) => this.leaderOf(partition) === undefined);
  }

  /** A topic is gone, as all nodes hear in time. */
  forgetTopic(name: string): void {
    for (const node of this.#nodes) {
      const { life } = node;
      if (life !== undefined) this.#whenReached(node, life, () => void life.service.forgetTopics([name]));
    }
  }

  /** Asks the coordinator, as far as clients know who it is. */
  async ask<Reply>(
    groupId: string,
    call: (service: GroupService) => Promise<Reply>,
    timeoutMs: number = requestTimeoutMs,
  ): Promise<Answer<Reply> | undefined> {
    const partition = this.partitionFor(groupId);
    const { clock } = this.#world;
    const deadline = Promise.withResolvers<undefined>();
    clock.after(timeoutMs, () => deadline.resolve(undefined));
    return Promise.race([this.#askInTime(partition, call), deadline.promise]);
  }

  async #askInTime<Reply>(
    partition: number,
    call: (service: GroupService) => Promise<Reply>,
  ): Promise<Answer<Reply> | undefined> {
    await this.#travel();
    const { leader, log } = this.#partitions[partition]!;
    // Now and then a client knows only who led before, or asks anybody.
    const isMistaken = !this.#world.network.areFaultsOver && this.#ofNetwork.below(10) === 0;
    const nodeId = isMistaken ? this.#ofNetwork.below(this.count) : leader;
    const node = nodeId === undefined ? undefined : this.#nodes[nodeId];
    if (node?.life === undefined || this.#isCutOff(node) || this.#isLost()) return new Promise(() => {});
    const { life } = node;
    const reply = await call(life.service);
    const term = life.leads.get(partition)?.term;
    await this.#travel();
    if (node.life !== life || this.#isCutOff(node) || this.#isLost()) return new Promise(() => {});
    return { reply, isCoordinators: term !== undefined && log.isLed(term) };
  }

  #depose(node: Node, partition: number, old: LeadersLog): void {
    old.lose();
    if (node.life?.leads.get(partition) !== old) return;
    node.life.leads.delete(partition);
    node.life.service.resign(partition);
  }

  /** A message of the cluster to a node: it comes after a while, and once the node can be reached. */
  #whenReached(node: Node, life: Life, act: () => void): void {
    this.#world.clock.after(this.#drawDelayMs(), () => {
      if (node.life !== life) return;
      if (this.#isCutOff(node)) this.#whenReached(node, life, act);
      else act();
    });
  }

  #isCutOff({ cutOffUntilMs }: Node): boolean {
    return cutOffUntilMs > this.#world.clock.monotonicMs();
  }

  #isLost(): boolean {
    const { lossPerMille, areFaultsOver } = this.#world.network;
    return !areFaultsOver && this.#ofNetwork.below(1000) < lossPerMille;
  }

  #travel(): Promise<void> {
    return new Promise((resolve) => {
      this.#world.clock.after(this.#drawDelayMs(), resolve);
    });
  }

  #drawDelayMs(): number {
    return (this.#world.options.delayMsMax * (1 + this.#ofNetwork.below(1000))) / 1000;
  }
}
