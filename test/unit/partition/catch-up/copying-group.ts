/** Nodes in one process, each with a member of one group on a real log in memory, that can bring each other up. */
import type { CommitLog } from '../../../../broker/log/commit-log.ts';
import type { LogConfig } from '../../../../broker/log/log-types.ts';
import type { Floor } from '../../../../broker/log/sync/durable-floors.ts';
import { LogCopying } from '../../../../broker/partition/consensus/catch-up/log-copying.ts';
import { SnapshotStore } from '../../../../broker/partition/consensus/catch-up/snapshot-store.ts';
import type { CatchUpMeans } from '../../../../broker/partition/consensus/consensus-types.ts';
import { ConsensusNode } from '../../../../broker/partition/consensus/consensus-node.ts';
import { Consensus } from '../../../../broker/partition/consensus/consensus.ts';
import {
  readConfigurationFile,
  writeConfigurationFile,
} from '../../../../broker/partition/consensus/configuration-file.ts';
import { PeerError } from '../../../../broker/peers/peer-requests.ts';
import type { PeerRequests } from '../../../../broker/peers/peer-requests.ts';
import type { PlacedConfiguration } from '../../../../broker/raft/configuration.ts';
import { memberId } from '../../../../broker/raft/member.ts';
import type { MemberId } from '../../../../broker/raft/member.ts';
import type { HardState, RaftSettings } from '../../../../broker/raft/raft.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { batchOf, directory, openLog } from '../../log/log-harness.ts';
import { DataLinks } from '../data-links.ts';

export const settings: RaftSettings = {
  timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
  inflightBytesMax: 100_000,
  inflightMessagesMax: 16,
  messageBytesMax: 10_000,
  chunkBytes: 300,
  leases: undefined,
};

export function memberOn(nodeId: number): MemberId {
  return memberId(nodeId, Buffer.alloc(16, nodeId).toString('base64url'));
}

/** What outlives a process. */
class Machine {
  disk = new MemoryDisk();
  hardState: HardState = { term: 0, votedFor: undefined };
  floor: Floor | undefined;
}

export interface Member {
  readonly node: ConsensusNode;
  readonly consensus: Consensus;
  readonly log: CommitLog;
  readonly disk: MemoryDisk;
  readonly copying: LogCopying;
  readonly snapshots: SnapshotStore | undefined;
  readonly told: string[];
}

export class CopyingGroup {
  readonly clock = new ManualClock();
  readonly links = new DataLinks();
  readonly members = new Map<number, Member>();
  readonly #machines = new Map<number, Machine>();
  readonly #nodeIds: readonly number[];
  readonly #catchUp: 'segments' | 'snapshot';
  readonly #config: Partial<LogConfig>;
  #starts = 0;
  /** Looks at each question between nodes, and may change or lose its answer. */
  meddle: (answer: Buffer, from: number, to: number) => Buffer | undefined = (answer) => answer;
  questions = 0;

  constructor(
    nodeIds: readonly number[],
    catchUp: 'segments' | 'snapshot',
    config: Partial<LogConfig> = { segmentBytes: 600 },
  ) {
    this.#nodeIds = nodeIds;
    this.#catchUp = catchUp;
    this.#config = config;
  }

  machine(nodeId: number): Machine {
    const machine = this.#machines.get(nodeId) ?? new Machine();
    this.#machines.set(nodeId, machine);
    return machine;
  }

  member(nodeId: number): Member {
    const member = this.members.get(nodeId);
    if (member === undefined) throw new Error(`node ${nodeId} does not run`);
    return member;
  }

  idOf(member: Member): number {
    for (const [nodeId, each] of this.members) if (each === member) return nodeId;
    throw new Error('it does not run');
  }

  async start(nodeId: number): Promise<Member> {
    const machine = this.machine(nodeId);
    const { disk } = machine;
    const { clock, links } = this;
    const told: string[] = [];
    const incarnation = ++this.#starts;
    const node = new ConsensusNode({
      nodeId,
      incarnation,
      clock,
      settings,
      tickMs: 10,
      transport: links.transportOf(nodeId),
      persist: async (_group, state) => {
        await Promise.resolve();
        machine.hardState = state;
      },
      onPersistFailure: () => undefined,
    });
    const { log, recovery } = await openLog({
      disk,
      clock,
      config: this.#config,
      floor: {
        current: () => machine.floor,
        raise: (floor) => {
          if (floor.endIndex > (machine.floor?.endIndex ?? 0)) machine.floor = floor;
        },
        lower: (floor) => {
          machine.floor = floor;
          return Promise.resolve();
        },
        forget: () => Promise.resolve(),
      },
    });
    const kept = await readConfigurationFile(disk, directory);
    const first = { voters: this.#nodeIds.map(memberOn), outgoing: [], learners: [], revision: 0 };
    const configuration: PlacedConfiguration = kept ?? { index: 0, configuration: first };
    if (kept === undefined) await writeConfigurationFile(disk, directory, configuration);
    const copying = new LogCopying({
      disk,
      clock,
      requests: this.#requestsOf(nodeId, node),
      incarnation: String(incarnation),
      bytesPerSecondMax: () => Infinity,
    });
    const snapshots = this.#catchUp === 'snapshot' ? await SnapshotStore.open(disk, directory) : undefined;
    const means: CatchUpMeans =
      snapshots === undefined ? { kind: 'segments', copying } : { kind: 'snapshot', snapshots };
    const consensus = new Consensus({
      group: 'g',
      member: memberOn(nodeId),
      settings,
      peers: node.peers,
      random: new SeededRandom(incarnation),
      hardState: machine.hardState,
      log,
      configuration,
      impairment:
        recovery.damage === undefined
          ? undefined
          : {
              kind: 'damaged',
              floor: { term: recovery.damage.floorTerm, index: recovery.damage.floorEndIndex - 1 },
            },
      catchUp: { means, disk, clock },
      host: node,
      listener: {
        roleChanged: () => undefined,
        committed: () => undefined,
        stored: () => undefined,
        batchReceived: () => undefined,
        raftOnlyAppended: () => undefined,
        truncated: () => Promise.resolve(),
        configurationChanged: () => undefined,
        configurationCommitted: () => undefined,
        transferEnded: () => undefined,
        readConfirmed: () => undefined,
        dataLost: () => told.push('data lost'),
        repaired: () => told.push('repaired'),
        catchUpRefused: () => told.push('refused'),
        catchUpFailed: (error) => told.push(String(error)),
        logReplaced: () => {
          told.push('replaced');
          return Promise.resolve();
        },
        readFailed: () => undefined,
        failed: (cause) => told.push(`failed: ${cause.kind}`),
      },
    });
    node.join(consensus);
    const member = { node, consensus, log, disk, copying, snapshots, told };
    this.members.set(nodeId, member);
    links.attach(nodeId, node);
    for (const other of this.#nodeIds) if (other !== nodeId) node.meet(other);
    return member;
  }

  /** The process ends without a word; what it has written stays. */
  kill(nodeId: number): void {
    const { node } = this.member(nodeId);
    this.members.delete(nodeId);
    this.links.detach(nodeId);
    node.stop();
    for (const other of this.members.values()) other.node.disconnected(nodeId);
  }

  async leader(): Promise<Member> {
    let leader: Member | undefined;
    await this.until('a leader', () => {
      leader = [...this.members.values()].find(({ consensus }) => consensus.raft.isReady);
      return leader !== undefined;
    });
    return leader!;
  }

  /** Appends records and waits until they are committed. */
  async append(...batches: readonly string[][]): Promise<void> {
    const { consensus } = await this.leader();
    for (const values of batches) {
      const outcome = consensus.append(batchOf({ values }));
      if (outcome.kind !== 'appended') throw new Error(outcome.reason);
      await this.until('a commit', () => consensus.committedEndIndex >= outcome.endIndex);
    }
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    if (!(await this.clock.runUntil(holds, 120_000))) throw new Error(`there is not: ${what}`);
  }

  /** Retention takes what is below the offset, on one node. */
  async startAt(nodeId: number, offset: number): Promise<void> {
    const { consensus, log, disk } = this.member(nodeId);
    await writeConfigurationFile(disk, directory, consensus.durableConfiguration());
    await log.advanceLogStart(offset);
    consensus.logStartMoved();
  }

  async caughtUp(nodeId: number): Promise<void> {
    const { log } = await this.leader();
    const member = this.member(nodeId);
    await this.until(
      'a member that has caught up',
      () =>
        member.log.flushedEndIndex === log.endIndex && member.consensus.highWatermark === log.logEndOffset,
    );
  }

  /** A process that has ended hears no answer. */
  #requestsOf(from: number, node: ConsensusNode): PeerRequests {
    const untilEnded = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.members.get(from)?.node !== node) await new Promise(() => undefined);
    };
    return {
      request: async (to, kind, payload) => {
        this.questions++;
        const question = Buffer.concat(payload);
        await untilEnded();
        const member = this.members.get(to);
        if (member === undefined || kind !== 'copy') throw new PeerError('unreachable', 'nobody is there');
        let answer: readonly Buffer[];
        try {
          answer = await member.copying.serve({ from, payload: question });
        } catch (error) {
          throw new PeerError('failed', String(error));
        }
        await untilEnded();
        const changed = this.meddle(Buffer.concat(answer), from, to);
        if (changed === undefined) throw new PeerError('timed-out', 'no answer');
        return changed;
      },
    };
  }
}
