/** One node of a simulated cluster, from the start of its process to its end: real logs, votes, consensus and heartbeats. */
import { CommitLog } from '../../../broker/log/commit-log.ts';
import { DurableFloors } from '../../../broker/log/durable-floors.ts';
import { openSyncer } from '../../../broker/log/open-syncer.ts';
import { ReadPool } from '../../../broker/log/read-pool.ts';
import { TailCache } from '../../../broker/log/tail-cache.ts';
import {
  readConfigurationFile,
  writeConfigurationFile,
} from '../../../broker/partition/consensus/configuration-file.ts';
import { ConsensusNode } from '../../../broker/partition/consensus/consensus-node.ts';
import { Consensus } from '../../../broker/partition/consensus/consensus.ts';
import type { ConsensusListener } from '../../../broker/partition/consensus/consensus-types.ts';
import type { Transport } from '../../../broker/peers/transport.ts';
import { LogProducers } from '../../../broker/partition/log-producers.ts';
import { restoreProducers } from '../../../broker/partition/producer-restore.ts';
import { VoteStore } from '../../../broker/partition/vote-store.ts';
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { readBatchHeader } from '../../../protocol/index.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import type { LifeClock } from '../simulated-clock.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import type { ClusterOptions } from './cluster-options.ts';

const dataDirectory = '/data';
const topicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export function directoryIdOf(nodeId: number): string {
  return Buffer.alloc(16, nodeId + 1).toString('base64url');
}

export function memberOn(nodeId: number): MemberId {
  return memberId(nodeId, directoryIdOf(nodeId));
}

export function logDirectory(group: number): string {
  return `${dataDirectory}/t-${group}`;
}

export interface ClusterGroup {
  readonly number: number;
  readonly log: CommitLog;
  readonly consensus: Consensus;
  readonly producers: LogProducers;
}

/** What a group's member tells the simulation. */
export interface GroupObserver {
  committed(group: ClusterGroup): void;
  roleChanged(group: ClusterGroup): void;
  truncated(): void;
  failed(text: string): void;
}

export interface LifeStart {
  readonly nodeId: number;
  readonly incarnation: number;
  readonly disk: Disk;
  readonly clock: LifeClock;
  readonly random: Random;
  readonly transport: Transport;
  readonly options: ClusterOptions;
  readonly configuration: Configuration;
  readonly observer: GroupObserver;
}

export class ClusterLife {
  readonly nodeId: number;
  readonly disk: Disk;
  readonly clock: LifeClock;
  readonly node: ConsensusNode;
  readonly groups: readonly ClusterGroup[];

  private constructor(start: LifeStart, node: ConsensusNode, groups: readonly ClusterGroup[]) {
    this.nodeId = start.nodeId;
    this.disk = start.disk;
    this.clock = start.clock;
    this.node = node;
    this.groups = groups;
  }

  /** Never resolves for a process that ends before. */
  static async open(start: LifeStart): Promise<ClusterLife> {
    const { disk, clock, options, nodeId, random } = start;
    const directoryId = directoryIdOf(nodeId);
    await disk.makeDirectory(dataDirectory);
    await disk.syncDirectory('/');
    const votes = await VoteStore.open(disk, dataDirectory, directoryId);
    const syncer = await openSyncer({
      disk,
      clock,
      directory: dataDirectory,
      concurrencyMax: options.syncsMax,
      journalBytes: options.journalBytes,
      random,
    });
    const onFailure = (error: unknown): void => start.observer.failed(`floors: ${String(error)}`);
    const floors = await DurableFloors.open({ disk, clock, directory: dataDirectory, syncer, onFailure });
    const readPool = new ReadPool({ disk, blockBytes: 512, maxBytes: 16 * 512, openFilesMax: 2 });
    const tailCache = new TailCache({ maxBytes: options.tailBytes });
    const groupOf = (group: string): { topicId: string; partition: number } => ({
      topicId,
      partition: Number(group),
    });
    const node = new ConsensusNode({
      nodeId,
      incarnation: start.incarnation,
      clock,
      settings: options.settings,
      tickMs: options.tickMs,
      transport: start.transport,
      persist: (group, state) => votes.put([{ group: groupOf(group), state }]),
      onPersistFailure: (group, error) => start.observer.failed(`votes of ${group}: ${String(error)}`),
    });
    const groups: ClusterGroup[] = [];
    const config = { ...logConfigDefaults, segmentBytes: options.segmentBytes, indexIntervalBytes: 100 };
    for (let number = 0; number < options.groups; number++) {
      const directory = logDirectory(number);
      const floor = floors.floor(groupOf(String(number)));
      const shared = { disk, clock, syncer, tailCache, readPool, floor };
      const { log, recovery } = await CommitLog.open({ ...shared, directory, config: () => config });
      await disk.syncDirectory(dataDirectory);
      check(recovery.kind !== 'damaged', () => `node ${nodeId} finds damage where there is none`);
      let configuration = await readConfigurationFile(disk, directory);
      if (configuration === undefined) {
        check(log.endIndex === 1, () => `node ${nodeId} has lost its configuration`);
        configuration = { index: 0, configuration: start.configuration };
        await writeConfigurationFile(disk, directory, configuration);
      }
      const listener = new Listener(start);
      const consensus = new Consensus({
        group: String(number),
        member: memberOn(nodeId),
        settings: options.settings,
        peers: node.peers,
        random: random.fork(`group ${number}`),
        hardState: votes.get(groupOf(String(number))) ?? { term: 0, votedFor: undefined },
        log,
        configuration,
        impairment: undefined,
        host: node,
        listener,
      });
      const producers = await LogProducers.open(
        {
          disk,
          clock,
          expirationMs: () => Infinity,
          onSnapshotFailure: (error) => start.observer.failed(`a snapshot: ${String(error)}`),
        },
        log,
      );
      listener.group = { number, log, consensus, producers };
      groups.push(listener.group);
    }
    for (const { consensus } of groups) node.join(consensus);
    for (let other = 0; other < options.nodes; other++) if (other !== nodeId) node.meet(other);
    return new ClusterLife(start, node, groups);
  }
}

/** What the states of its producers are, as the log alone says, in whatever order. */
export async function producersOf({ log }: ClusterGroup, disk: Disk, clock: LifeClock): Promise<string[]> {
  const states = await restoreProducers({ disk, clock, expirationMs: () => Infinity }, log, []);
  return entriesOf(states.snapshot());
}

/** The entries of a snapshot, sorted. */
export function entriesOf(snapshot: Buffer): string[] {
  const entries: string[] = [];
  for (let position = 10; position < snapshot.length; position += 46) {
    entries.push(snapshot.toString('hex', position, position + 46));
  }
  return entries.sort();
}

class Listener implements ConsensusListener {
  readonly #start: LifeStart;
  group: ClusterGroup | undefined;
  #highWatermark = 0;
  /** One write of the configuration's file at a time. */
  #keeping: Promise<void> = Promise.resolve();

  constructor(start: LifeStart) {
    this.#start = start;
  }

  roleChanged(): void {
    this.#start.observer.roleChanged(this.group!);
  }

  committed(): void {
    const { consensus, number } = this.group!;
    check(
      consensus.highWatermark >= this.#highWatermark,
      () => `the high watermark of ${number} on node ${this.#start.nodeId} goes back`,
    );
    this.#highWatermark = consensus.highWatermark;
    this.#start.observer.committed(this.group!);
  }

  stored(): void {}

  batchReceived(batch: Buffer): void {
    this.group!.producers.appended(readBatchHeader(batch));
  }

  raftOnlyAppended(): void {}

  truncated(): Promise<void> {
    this.#start.observer.truncated();
    return this.group!.producers.truncated();
  }

  configurationChanged(): void {}

  configurationCommitted(): void {
    const { consensus, log } = this.group!;
    this.#keeping = this.#keeping.then(async () => {
      const durable = consensus.durableConfiguration();
      await writeConfigurationFile(this.#start.disk, log.directory, durable);
    });
    this.#keeping.catch((error: unknown) => this.#start.observer.failed(`a configuration: ${String(error)}`));
  }

  transferEnded(): void {}

  readConfirmed(): void {}

  dataLost(fromIndex: number, endIndex: number): void {
    this.#start.observer.failed(`entries ${fromIndex} to ${endIndex}, which were committed, are lost`);
  }

  repaired(): void {}

  catchUpRefused(): void {
    this.#start.observer.failed('a log has lost its beginning');
  }

  readFailed(error: unknown): void {
    this.#start.observer.failed(`a read for a follower: ${String(error)}`);
  }

  failed(cause: unknown): void {
    throw new SimulationFailure(`a member has left its group: ${JSON.stringify(cause)}`);
  }
}
