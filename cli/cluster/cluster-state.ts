/** What the cluster tells of itself, gathered for the commands of `kappalog cluster`: one picture of nodes, partitions and moves. */
import type {
  Admin,
  ClusterDescription,
  FeatureDescription,
  LogDirDescription,
  OngoingReassignment,
  QuorumDescription,
  TopicDescription,
} from '../../client/index.ts';
import { KafkaError } from '../../client/index.ts';
import { CliError } from '../cli-error.ts';

export const drainedNodesSetting = 'kappalog.drained.nodes';

const noMetadataLeader =
  'No leader of the metadata answers. A majority of the nodes that vote on it has to be there; start those that are not.';

export type MetadataRole = 'leader' | 'voter' | 'observer';

export interface NodeState {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
  /** The cluster does not hear of it, or it is not ready. */
  readonly fenced: boolean;
  /** It has answered this command; one that is fenced is not asked. */
  readonly answers: boolean;
  /** It is to hold nothing (`kappalog.drained.nodes`). */
  readonly drained: boolean;
  readonly leaders: number;
  readonly replicas: number;
  /** Of its logs; null where the node could not be asked. */
  readonly sizeBytes: number | null;
  /** Null where it is not known. */
  readonly metadataRole: MetadataRole | null;
  /** Entries of the metadata log that it lacks; null where that is not known. */
  readonly metadataLag: number | null;
}

export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  /** -1 while there is none. */
  readonly leader: number;
  /** The preferred leader first; those that are to go among them. */
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** The topic's min.insync.replicas; 1 where it is not told. */
  readonly minInSync: number;
  /** Of its largest replica that could be seen. */
  readonly sizeBytes: number;
}

export interface ClusterState {
  readonly clusterId: string;
  readonly features: readonly FeatureDescription[];
  /** By id. */
  readonly nodes: readonly NodeState[];
  /** Null where it could not be read; `quorumError` says why then. */
  readonly quorum: QuorumDescription | null;
  readonly quorumError: string | null;
  readonly topicCount: number;
  /** By topic and number, internal ones too. */
  readonly partitions: readonly PartitionState[];
  readonly reassignments: readonly OngoingReassignment[];
}

/** The answers of which a picture is made. */
export interface ClusterAnswers {
  readonly cluster: ClusterDescription;
  readonly features: readonly FeatureDescription[];
  readonly quorum: QuorumDescription | null;
  readonly quorumError: string | null;
  readonly topics: readonly TopicDescription[];
  readonly minInSync: ReadonlyMap<string, number>;
  readonly drained: ReadonlySet<number>;
  readonly reassignments: readonly OngoingReassignment[];
  /** Of the nodes that told of them. */
  readonly directories: ReadonlyMap<number, readonly LogDirDescription[]>;
  /** Nodes that could not be reached, or did not answer in time. */
  readonly silent: ReadonlySet<number>;
}

/** Nodes that hang must not hold up the others' answer for long. */
const nodeLimitMs = 3_000;
/** Longer than it takes to elect another leader of the metadata: after it there is none. */
const quorumLimitMs = 5_000;

/** Asks for all of it. A node that does not answer for itself, or a quorum without a leader, is part of the picture. */
export async function readCluster(admin: Admin): Promise<ClusterState> {
  const [cluster, features, { quorum, quorumError }, topics, drained, reassignments] = await Promise.all([
    admin.describeCluster(),
    admin.describeFeatures(),
    readQuorum(admin),
    describeAllTopics(admin),
    readDrained(admin),
    admin.listPartitionReassignments(),
  ]);
  const names = topics.map(({ name }) => name);
  const [minInSync, { directories, silent }] = await Promise.all([
    readMinInSync(admin, names),
    readDirectories(admin, cluster),
  ]);
  return assembleCluster({
    cluster,
    features,
    quorum,
    quorumError,
    topics,
    minInSync,
    drained,
    reassignments,
    directories,
    silent,
  });
}

export function assembleCluster(answers: ClusterAnswers): ClusterState {
  const { cluster, features, quorum, quorumError, topics, reassignments } = answers;
  const sizes = sizesOf(answers.directories);
  const moving = new Map(reassignments.map((each) => [`${each.topic}/${each.partition}`, each]));
  const partitions = topics.flatMap(({ name: topic, partitions: described }) =>
    described.map(({ partition, leader, replicas, inSyncReplicas }): PartitionState => {
      const key = `${topic}/${partition}`;
      const { adding = [], removing = [] } = moving.get(key) ?? {};
      const minInSync = answers.minInSync.get(topic) ?? 1;
      const sizeBytes = sizes.get(key) ?? 0;
      return {
        topic,
        partition,
        leader,
        replicas,
        inSync: inSyncReplicas,
        adding,
        removing,
        minInSync,
        sizeBytes,
      };
    }),
  );
  const leaders = countBy(partitions.map(({ leader }) => leader));
  const replicas = countBy(partitions.flatMap((partition) => [...partition.replicas]));
  const nodes = cluster.brokers.map(({ id, host, port, rack, fenced }): NodeState => {
    const directories = answers.directories.get(id);
    return {
      id,
      host,
      port,
      rack,
      fenced,
      answers: !fenced && !answers.silent.has(id),
      drained: answers.drained.has(id),
      leaders: leaders.get(id) ?? 0,
      replicas: replicas.get(id) ?? 0,
      sizeBytes: directories === undefined ? null : sizeOf(directories),
      ...metadataPart(quorum, id),
    };
  });
  const { clusterId } = cluster;
  return {
    clusterId,
    features,
    nodes,
    quorum,
    quorumError,
    topicCount: topics.length,
    partitions,
    reassignments,
  };
}

/** The replicas that are to be when nothing is under way any more, the preferred leader first. */
export function targetOf({ replicas, removing }: Pick<PartitionState, 'replicas' | 'removing'>): number[] {
  return replicas.filter((id) => !removing.includes(id));
}

/**
 * Whether a majority of the replicas that vote is on these nodes: without one nobody leads, whatever was last heard of a leader.
 * New ones vote only when they have all.
 */
export function hasMajority(
  { replicas, adding }: Pick<PartitionState, 'replicas' | 'adding'>,
  serving: ReadonlySet<number>,
): boolean {
  const voters = replicas.filter((id) => !adding.includes(id));
  return voters.filter((id) => serving.has(id)).length > voters.length / 2;
}

/** Internal ones too, by name. */
export async function describeAllTopics(admin: Admin): Promise<TopicDescription[]> {
  const names = (await admin.listTopics({ internal: true })).map(({ name }) => name);
  if (names.length === 0) return [];
  try {
    return await admin.describeTopics(names);
  } catch (error) {
    // One was deleted in between.
    if (error instanceof KafkaError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION')
      return describeAllTopics(admin);
    throw error;
  }
}

/** The nodes that are to hold nothing. */
export async function readDrained(admin: Admin): Promise<ReadonlySet<number>> {
  const [described] = await admin.describeConfigs([{ type: 'broker', name: '' }], {
    settings: [drainedNodesSetting],
  });
  const value = described?.entries.find(({ name }) => name === drainedNodesSetting)?.value ?? '';
  return new Set(value.split(',').flatMap((id) => (id.trim() === '' ? [] : [Number(id)])));
}

/** Nothing can be changed then, and it would take long to find out by trying. */
export function requireMetadataLeader({ quorumError }: Pick<ClusterState, 'quorumError'>): void {
  if (quorumError === null) return;
  throw new CliError('NO_METADATA_LEADER', `Nothing can be changed, and nothing was. ${quorumError}`);
}

async function readQuorum(
  admin: Admin,
): Promise<{ quorum: QuorumDescription | null; quorumError: string | null }> {
  const signal = AbortSignal.timeout(quorumLimitMs);
  try {
    return { quorum: await admin.describeQuorum({ signal }), quorumError: null };
  } catch (error) {
    if (error instanceof KafkaError && (error.retriable || (error.code === 'ABORTED' && signal.aborted))) {
      return { quorum: null, quorumError: noMetadataLeader };
    }
    if (error instanceof KafkaError && error.code !== 'ABORTED' && error.code !== 'CLOSED') {
      // Brokers before 3.3 have no such thing, and that is no fault of theirs.
      return { quorum: null, quorumError: error.code === 'UNSUPPORTED_VERSION' ? null : error.message };
    }
    throw error;
  }
}

async function readMinInSync(admin: Admin, names: readonly string[]): Promise<Map<string, number>> {
  if (names.length === 0) return new Map();
  const settings = ['min.insync.replicas'];
  try {
    const described = await admin.describeConfigs(
      names.map((name) => ({ type: 'topic', name })),
      { settings },
    );
    return new Map(described.map(({ name, entries }) => [name, Number(entries[0]?.value ?? 1)]));
  } catch (error) {
    if (!(error instanceof KafkaError) || error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
    return readMinInSync(
      admin,
      (await admin.listTopics({ internal: true })).map(({ name }) => name),
    );
  }
}

async function readDirectories(
  admin: Admin,
  { brokers }: ClusterDescription,
): Promise<{ directories: Map<number, readonly LogDirDescription[]>; silent: Set<number> }> {
  const directories = new Map<number, readonly LogDirDescription[]>();
  const silent = new Set<number>();
  const asked = brokers.filter(({ fenced }) => !fenced);
  await Promise.all(
    asked.map(async ({ id }) => {
      try {
        const described = await directoriesOf(admin, id);
        if (described === undefined) silent.add(id);
        else directories.set(id, described);
      } catch (error) {
        // One that may not be asked answers, and its place in the picture stays empty.
        if (!(error instanceof KafkaError) || error.code === 'CLOSED') throw error;
      }
    }),
  );
  return { directories, silent };
}

/** The data directories of one node, with the partitions of these topics or of all; undefined where it does not answer soon, or is not there. */
export async function directoriesOf(
  admin: Admin,
  node: number,
  topics?: readonly string[],
): Promise<readonly LogDirDescription[] | undefined> {
  try {
    const signal = AbortSignal.timeout(nodeLimitMs);
    const asked = { brokers: [node], signal, ...(topics === undefined ? {} : { topics }) };
    const described = await admin.describeLogDirs(asked);
    return described.length === 0 ? undefined : described;
  } catch (error) {
    if (error instanceof KafkaError && (error.retriable || error.code === 'ABORTED')) return undefined;
    throw error;
  }
}

function metadataPart(
  quorum: QuorumDescription | null,
  id: number,
): Pick<NodeState, 'metadataRole' | 'metadataLag'> {
  if (quorum === null) return { metadataRole: null, metadataLag: null };
  const voter = quorum.voters.find((member) => member.id === id);
  const member = voter ?? quorum.observers.find((each) => each.id === id);
  if (member === undefined) return { metadataRole: null, metadataLag: null };
  const metadataRole = id === quorum.leader ? 'leader' : voter === undefined ? 'observer' : 'voter';
  const end = quorum.voters.find((each) => each.id === quorum.leader)?.logEndOffset ?? -1;
  const isKnown = end >= 0 && member.logEndOffset >= 0;
  return { metadataRole, metadataLag: isKnown ? Math.max(0, end - member.logEndOffset) : null };
}

function sizesOf(directories: ReadonlyMap<number, readonly LogDirDescription[]>): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { partitions } of [...directories.values()].flat()) {
    for (const { topic, partition, sizeBytes } of partitions) {
      const key = `${topic}/${partition}`;
      sizes.set(key, Math.max(sizes.get(key) ?? 0, sizeBytes));
    }
  }
  return sizes;
}

function sizeOf(directories: readonly LogDirDescription[]): number {
  return directories.reduce(
    (sum, { partitions }) => sum + partitions.reduce((part, { sizeBytes }) => part + sizeBytes, 0),
    0,
  );
}

function countBy(ids: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
