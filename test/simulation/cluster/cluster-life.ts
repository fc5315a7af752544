/** One node of a simulated cluster, from the start of its process to its end: real logs, votes, consensus and heartbeats. */
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import type { LogConfig, LogOptions } from '../../../broker/log/log-types.ts';
import { openSyncer } from '../../../broker/log/sync/open-syncer.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import {
  readConfigurationFile,
  writeConfigurationFile,
} from '../../../broker/partition/consensus/configuration-file.ts';
import { LogCopying } from '../../../broker/partition/consensus/catch-up/log-copying.ts';
import { ConsensusNode } from '../../../broker/partition/consensus/consensus-node.ts';
import { Consensus } from '../../../broker/partition/consensus/consensus.ts';
import type { Transport } from '../../../broker/peers/transport.ts';
import type { LogProducers } from '../../../broker/partition/log-producers.ts';
import { openLog } from '../../../broker/partition/open-log.ts';
import { lastingFloor } from '../../../broker/partition/repair-floor.ts';
import { restoreProducers } from '../../../broker/partition/producer-restore.ts';
import { VoteStore } from '../../../broker/partition/vote-store.ts';
import type { PeerRequests, PeerService } from '../../../broker/peers/peer-requests.ts';
import type { Configuration, PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { HardState, Impairment } from '../../../broker/raft/raft.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import { check } from '../simulation-failure.ts';
import type { ClusterOptions } from './cluster-options.ts';
import { GroupListener } from './group-listener.ts';
import type { GroupObserver } from './group-listener.ts';
import type { ProcessClock } from './machine-clock.ts';

export const dataDirectory = '/data';
export const topicId = 'AAAAAAAAAAAAAAAAAAAAAA';

/** A node's data directory; another `generation` has replaced a lost one. */
export function directoryIdOf(nodeId: number, generation: number): string {
  const bytes = Buffer.alloc(16, nodeId + 1);
  bytes[15] = generation;
  return bytes.toString('base64url');
}

export function logDirectory(group: number): string {
  return `${dataDirectory}/t-${group}`;
}

export function groupNameOf(group: number): string {
  return String(group);
}

/** A member of a group that is open. */
export interface ClusterGroup {
  readonly number: number;
  readonly member: MemberId;
  readonly log: CommitLog;
  readonly consensus: Consensus;
  readonly producers: LogProducers;
  readonly listener: GroupListener;
}

export interface LifeStart {
  readonly nodeId: number;
  readonly directoryId: string;
  readonly incarnation: number;
  readonly disk: Disk;
  readonly clock: ProcessClock;
  readonly random: Random;
  readonly transport: Transport;
  readonly requests: PeerRequests;
  readonly options: ClusterOptions;
  /** What a group's member believes in that has no files. */
  readonly firstConfiguration: (group: number) => Configuration;
  /** Of groups in which what was acknowledged may be forgotten here. */
  readonly isForgetful: (group: number) => boolean;
  readonly observer: GroupObserver;
}

interface Shared {
  readonly votes: VoteStore;
  readonly floors: DurableFloors;
  readonly node: ConsensusNode;
  readonly copying: LogCopying;
  readonly log: Pick<LogOptions, 'disk' | 'clock' | 'syncer' | 'tailCache' | 'readPool'>;
}

export class ClusterLife {
  readonly nodeId: number;
  readonly disk: Disk;
  readonly clock: ProcessClock;
  readonly node: ConsensusNode;
  readonly groups: readonly ClusterGroup[];
  /** What it answers other nodes, by kind of question. */
  readonly services: ReadonlyMap<string, PeerService>;

  private constructor(
    start: LifeStart,
    { node, copying }: Pick<Shared, 'node' | 'copying'>,
    groups: readonly ClusterGroup[],
  ) {
    this.nodeId = start.nodeId;
    this.disk = start.disk;
    this.clock = start.clock;
    this.node = node;
    this.groups = groups;
    this.services = new Map([['copy', copying.serve]]);
  }

  /** Never resolves for a process that ends before. Rejects as the opening of its parts does. */
  static async open(start: LifeStart): Promise<ClusterLife> {
    const { options, nodeId } = start;
    const shared = await openShared(start);
    const groups: ClusterGroup[] = [];
    for (let number = 0; number < options.groups; number++) {
      groups.push(await openGroup(start, shared, number));
    }
    for (const { consensus } of groups) shared.node.join(consensus);
    for (let other = 0; other < options.nodes; other++) if (other !== nodeId) shared.node.meet(other);
    return new ClusterLife(start, shared, groups);
  }
}

async function openShared(start: LifeStart): Promise<Shared> {
  const { disk, clock, options, nodeId, random, observer } = start;
  await disk.makeDirectory(dataDirectory);
  await disk.syncDirectory('/');
  const votes = await VoteStore.open(disk, dataDirectory, start.directoryId);
  const syncer = await openSyncer({
    disk,
    clock,
    directory: dataDirectory,
    concurrencyMax: options.syncsMax,
    journalBytes: options.journalBytes,
    random,
    onJournalFailure: (error) => observer.troubled('the journal', error),
  });
  const onFailure = (error: unknown): void => observer.troubled('floors', error);
  const floors = await DurableFloors.open({ disk, clock, directory: dataDirectory, syncer, onFailure });
  const readPool = new ReadPool({ disk, blockBytes: 512, maxBytes: 16 * 512, openFilesMax: 2 });
  const tailCache = new TailCache({ maxBytes: options.tailBytes });
  const node = new ConsensusNode({
    nodeId,
    incarnation: start.incarnation,
    clock,
    settings: options.settings,
    tickMs: options.tickMs,
    transport: start.transport,
    persist: async (group, state) => {
      await votes.put([{ group: groupOf(Number(group)), state }]);
      observer.promised(Number(group), state);
    },
    onPersistFailure: (group, error) => observer.troubled(`votes of ${group}`, error),
  });
  const copying = new LogCopying({
    disk,
    clock,
    requests: start.requests,
    incarnation: `${nodeId}/${start.incarnation}`,
    bytesPerSecondMax: () => Infinity,
  });
  return { votes, floors, node, copying, log: { disk, clock, syncer, tailCache, readPool } };
}

async function openGroup(start: LifeStart, shared: Shared, number: number): Promise<ClusterGroup> {
  const { disk, clock, options, nodeId, random, observer } = start;
  const { votes, floors, node } = shared;
  const directory = logDirectory(number);
  const config = logConfigOf(options, number);
  const floor = floors.floor(groupOf(number));
  const opened = await openLog(
    {
      ...shared.log,
      directory,
      floor,
      config: () => config,
      onUpkeepError: (error) => observer.troubled('old files of a log', error),
    },
    {
      expirationMs: () => Infinity,
      onSnapshotFailure: (error) => observer.troubled('a snapshot of producers', error),
    },
  );
  const { log, recovery, producers } = opened;
  await disk.syncDirectory(dataDirectory);
  if (recovery.damage !== undefined) observer.damaged(number, recovery.damage);
  const reached = await lastingFloor(disk, log, opened.floor);
  const forgetful: Impairment | undefined = start.isForgetful(number) ? { kind: 'memory-lost' } : undefined;
  const impairment: Impairment | undefined = reached ? { kind: 'damaged', floor: reached } : forgetful;
  const configuration = await readOrMakeConfiguration(start, log, number);
  const hardState: HardState = votes.get(groupOf(number)) ?? { term: 0, votedFor: undefined };
  observer.opened(number, hardState);
  const member = memberId(nodeId, start.directoryId);
  const listener = new GroupListener({ observer, disk, number, kept: configuration });
  const consensus = new Consensus({
    group: groupNameOf(number),
    member,
    settings: options.settings,
    peers: node.peers,
    random: random.fork(`group ${number}`),
    hardState,
    log,
    configuration,
    impairment,
    catchUp: options.copies
      ? { means: { kind: 'segments', copying: shared.copying }, disk, clock }
      : undefined,
    host: node,
    listener,
  });
  const group = { number, member, log, consensus, producers, listener };
  listener.attach(group);
  return group;
}

async function readOrMakeConfiguration(
  start: LifeStart,
  log: CommitLog,
  group: number,
): Promise<PlacedConfiguration> {
  const { disk, nodeId } = start;
  const kept = await readConfigurationFile(disk, log.directory);
  if (kept !== undefined) return kept;
  check(log.endIndex === 1, () => `node ${nodeId} has lost its configuration of group ${group}`);
  const first = { index: 0, configuration: start.firstConfiguration(group) };
  await writeConfigurationFile(disk, log.directory, first);
  return first;
}

function logConfigOf(options: ClusterOptions, group: number): LogConfig {
  const isCaching = options.cachingGroups.has(group);
  return {
    ...logConfigDefaults,
    segmentBytes: options.segmentBytes,
    indexIntervalBytes: 100,
    retentionBytes: options.retentionBytes,
    retentionMs: -1,
    fileDeleteDelayMs: 100,
    writeCaching: isCaching,
    flushMs: isCaching ? options.flushMs : logConfigDefaults.flushMs,
  };
}

function groupOf(group: number): { topicId: string; partition: number } {
  return { topicId, partition: group };
}

/** What the states of its producers are, as the log alone says, in whatever order. */
export async function producersOf({ log }: ClusterGroup, disk: Disk, clock: ProcessClock): Promise<string[]> {
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
