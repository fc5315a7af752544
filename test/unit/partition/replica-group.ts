/** Nodes in one process with replicas of the same partition, over disks in memory, links that can be cut and a clock told to move. */
import { DataLinks } from './data-links.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import { WriteFiles } from '../../../broker/log/write-files.ts';
import { ConsensusNode } from '../../../broker/partition/consensus/consensus-node.ts';
import { LogDirectory } from '../../../broker/partition/log-directory.ts';
import { Partitions } from '../../../broker/partition/partitions.ts';
import type { PartitionEvents } from '../../../broker/partition/partitions.ts';
import { raftSettings as ordinarySettings, raftTickMs } from '../../../broker/partition/raft-settings.ts';
import type { AppendOutcome, Awaited, IntendedMembers } from '../../../broker/partition/replica-types.ts';
import type { Replica } from '../../../broker/partition/replica.ts';
import { ReplicaVotes } from '../../../broker/partition/replica-votes.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { RaftSettings } from '../../../broker/raft/raft.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { decodeBatch, encodeBatch, iterateBatches, readBatchHeader } from '../../../protocol/index.ts';
import { logConfigDefaults } from '../../support/log-config.ts';

export const topic = 't';
export const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';

export function memberOn(nodeId: number): MemberId {
  return memberId(nodeId, directoryIdOf(nodeId));
}

function directoryIdOf(nodeId: number): string {
  return Buffer.alloc(16, nodeId).toString('base64url');
}

export interface GroupSettings {
  minInSyncReplicas: number;
  segmentBytes: number;
  retentionBytes: number;
  writeCaching: boolean;
  /** Under `write.caching`. */
  flushMs: number;
  acceptsLostMemory: boolean;
}

export class TestNode {
  readonly partitions: Partitions;
  readonly consensus: ConsensusNode;
  readonly told: string[];

  constructor(partitions: Partitions, consensus: ConsensusNode, told: string[]) {
    this.partitions = partitions;
    this.consensus = consensus;
    this.told = told;
  }

  get replica(): Replica {
    const replica = this.partitions.replica(topic, 0);
    if (replica === undefined) throw new Error('the node has no replica');
    return replica;
  }
}

export class ReplicaGroup {
  readonly clock = new ManualClock();
  readonly links = new DataLinks();
  readonly raftSettings: RaftSettings;
  readonly settings: GroupSettings = {
    minInSyncReplicas: 1,
    segmentBytes: 1 << 20,
    retentionBytes: -1,
    writeCaching: false,
    flushMs: logConfigDefaults.flushMs,
    acceptsLostMemory: false,
  };
  readonly nodes = new Map<number, TestNode>();
  /** Nodes that the metadata does not count on. */
  readonly fenced = new Set<number>();
  /** Where nodes have registered again. */
  readonly registrations = new Map<number, number>();
  /** How often the machines of nodes were started. */
  readonly boots = new Map<number, number>();
  readonly #disks = new Map<number, MemoryDisk>();
  #starts = 0;

  constructor(raftSettings: RaftSettings = ordinarySettings) {
    this.raftSettings = raftSettings;
  }

  /** Starts a node, with what an earlier one of that number has left on its disk. */
  async start(nodeId: number, others: readonly number[]): Promise<TestNode> {
    const disk = this.#disks.get(nodeId) ?? new MemoryDisk({ crashes: new SeededRandom(`disk ${nodeId}`) });
    this.#disks.set(nodeId, disk);
    const { clock, links, raftSettings } = this;
    const incarnation = ++this.#starts;
    const random = new SeededRandom(incarnation);
    const votes = new ReplicaVotes();
    const told: string[] = [];
    const path = '/data';
    await disk.makeDirectory(path);
    await disk.syncDirectory('/');
    const home = await LogDirectory.open({
      disk,
      clock,
      path,
      id: directoryIdOf(nodeId),
      syncsMax: 4,
      journalBytes: 0,
      writeFiles: new WriteFiles(),
      random: random.fork('journal'),
    });
    const consensus = new ConsensusNode({
      nodeId,
      incarnation,
      clock,
      settings: raftSettings,
      tickMs: raftTickMs,
      transport: links.transportOf(nodeId),
      persist: (group, state) => votes.put(group, state),
      onPersistFailure: (group, error) => votes.failed(group, error),
    });
    const partitions = new Partitions({
      nodeId,
      directories: [home],
      clock,
      disk,
      ids: new RandomIds(random.fork('ids')),
      boot: { id: `boot ${this.boots.get(nodeId) ?? 1}` },
      acceptsLostMemory: this.settings.acceptsLostMemory,
      tailCache: new TailCache({ maxBytes: 1 << 20 }),
      readPool: new ReadPool({ disk, maxBytes: 1 << 20, openFilesMax: 16 }),
      random,
      consensus,
      raftSettings,
      votes,
      copying: undefined,
      keepsSnapshots: false,
      logConfig: () => ({ ...logConfigDefaults, ...this.settings }),
      producerExpirationMs: () => 86_400_000,
      minInSyncReplicas: () => this.settings.minInSyncReplicas,
      lagMsMax: () => 30_000,
      serviceEpoch: (id) => (this.fenced.has(id) ? undefined : (this.registrations.get(id) ?? 1)),
      events: eventsTo(told),
    });
    links.attach(nodeId, consensus);
    const node = new TestNode(partitions, consensus, told);
    this.nodes.set(nodeId, node);
    for (const other of others) consensus.meet(other);
    return node;
  }

  /** Starts these nodes, each with a replica of the partition. */
  async create(nodeIds: readonly number[]): Promise<void> {
    for (const nodeId of nodeIds) {
      await this.start(
        nodeId,
        nodeIds.filter((other) => other !== nodeId),
      );
    }
    for (const nodeId of nodeIds) await this.open(nodeId, { members: nodeIds.map(memberOn), revision: 0 });
  }

  open(nodeId: number, intended: IntendedMembers): Promise<void> {
    return this.node(nodeId).partitions.open([{ topic, topicId, partition: 0, intended }]);
  }

  node(nodeId: number): TestNode {
    const node = this.nodes.get(nodeId);
    if (node === undefined) throw new Error(`node ${nodeId} does not run`);
    return node;
  }

  /** The node's process ends without a word; the others see its connections end. */
  kill(nodeId: number): void {
    const node = this.node(nodeId);
    this.nodes.delete(nodeId);
    this.links.detach(nodeId);
    node.consensus.stop();
    this.#disks.set(nodeId, this.diskOf(nodeId).kill());
    for (const other of this.nodes.values()) other.consensus.disconnected(nodeId);
  }

  diskOf(nodeId: number): MemoryDisk {
    return this.#disks.get(nodeId)!;
  }

  /** As `kill`, and with the process goes what its disk has not synced. */
  losePower(nodeId: number): void {
    this.kill(nodeId);
    this.#disks.set(nodeId, this.diskOf(nodeId).crash());
    this.boots.set(nodeId, (this.boots.get(nodeId) ?? 1) + 1);
  }

  /** The leader whose first entry is committed. */
  async leader(): Promise<Replica> {
    let leader: Replica | undefined;
    await this.until('a leader that is ready', () => {
      leader = [...this.nodes.values()]
        .map((node) => node.partitions.replica(topic, 0))
        .find((replica) => replica?.isLeader && replica.ready);
      return leader !== undefined;
    });
    return leader!;
  }

  /** Lets time go by until something holds. */
  async until(what: string, holds: () => boolean, withinMs = 60_000): Promise<void> {
    if (!(await this.clock.runUntil(holds, withinMs))) throw new Error(`there is not: ${what}`);
  }

  async after(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  async acknowledged(replica: Replica, awaited: Awaited): Promise<boolean> {
    let outcome: boolean | undefined;
    replica.acknowledgements.whenCommitted(awaited, (reached) => {
      outcome = reached;
    });
    await this.until('an answer', () => outcome !== undefined);
    return outcome!;
  }
}

/** One batch; with a sequence that of producer 7. */
export function append(replica: Replica, values: readonly string[], baseSequence?: number): AppendOutcome {
  const records = values.map((value) => ({ timestamp: 1, key: null, value: Buffer.from(value) }));
  const producer = baseSequence === undefined ? {} : { producerId: 7, producerEpoch: 0, baseSequence };
  const batch = encodeBatch(records, producer);
  return replica.append(batch, readBatchHeader(batch));
}

export function appended(replica: Replica, values: readonly string[], baseSequence?: number): Awaited {
  const outcome = append(replica, values, baseSequence);
  if (outcome.kind === 'refused') throw new Error(`the append was refused: ${outcome.error}`);
  return outcome;
}

/** All committed values, as this replica has them. */
export async function valuesOf(replica: Replica): Promise<string[]> {
  const values: string[] = [];
  let offset = replica.logStartOffset;
  while (offset < replica.highWatermark) {
    const read = await replica.read(offset, 1 << 20, true);
    for (const { header, bytes } of iterateBatches(Buffer.concat(read.parts))) {
      for (const record of decodeBatch(bytes)) if (record.offset >= offset) values.push(String(record.value));
      offset = header.lastOffset + 1;
    }
    read.release();
  }
  return values;
}

export function eventsTo(told: string[]): PartitionEvents {
  const say =
    (what: string) =>
    (...parts: unknown[]): void => {
      const error = parts.find((part) => part instanceof Error);
      told.push(error === undefined ? what : `${what}: ${error.message}`);
    };
  return {
    failed: say('failed'),
    offline: say('offline'),
    readFailed: say('read failed'),
    closeFailed: say('close failed'),
    snapshotFailed: say('snapshot failed'),
    maintenanceFailed: say('maintenance failed'),
    damaged: say('damaged'),
    setAside: say('set aside'),
    dataLost: say('data lost'),
    memoryLost: (_, goesOn) => told.push(`memory lost: ${goesOn}`),
    catchUpFailed: say('catch-up failed'),
  };
}
