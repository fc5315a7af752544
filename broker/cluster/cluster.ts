/**
 * The cluster's metadata on this node: decides operations (`controller.ts`), has their records committed, applies them to
 * the image and sees that this node's replicas follow.
 *
 * Operations are decided one at a time, each on an image that holds all that was decided before it; an operation is
 * answered after its records are committed and applied, and one that made partitions after their replicas here are open,
 * so that a produce right after it finds them. Work on the replicas of one topic name goes in the order of the log, so
 * that a topic made again under an old name waits until the old one's files are out of the way.
 *
 * Handlers, coordinators and the composition root use it; the image must not be kept across an `await`, topics of it may.
 */
import type { Ids } from '../../platform/ids.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import { resolveTopicConfig, updateTopicConfig } from '../config/topic-config.ts';
import type { TopicConfig } from '../config/topic-config.ts';
import type { DirectoryAssignment } from '../partition/partitions.ts';
import type { WantedReplica } from '../partition/replica-places.ts';
import { decideAlterConfigs, decideReplaceConfigs } from './alter-configs.ts';
import type { AlterationResult, ResourceAlteration, ResourceReplacement } from './alter-configs.ts';
import { decideBootstrap, decideProducerIds, decideRegistration, defaultLimits } from './controller.ts';
import type { ControllerLimits, ControllerState, Decision, NodeRegistration, Refusal } from './controller.ts';
import { decideCreatePartitions } from './create-partitions.ts';
import type { PartitionsCreation, PartitionsToCreate } from './create-partitions.ts';
import { decideCreateTopics } from './create-topics.ts';
import type { TopicCreation, TopicToCreate } from './create-topics.ts';
import { decideDirectories } from './directories.ts';
import { decideDeleteTopics } from './delete-topics.ts';
import type { TopicDeletion } from './delete-topics.ts';
import { internalTopicToCreate } from './internal-topics.ts';
import { ConfigResourceType, MetadataImage } from './metadata-image.ts';
import type { MetadataChange, TopicImage } from './metadata-image.ts';
import { decodeMetadataRecord, encodeMetadataRecord } from './metadata-record.ts';
import { unassignedDirectory } from './partition-image.ts';
import { ProducerIds } from './producer-ids.ts';

/** The replicated log that the metadata lives in; made by the composition root from a replica. */
export interface MetadataLog {
  /**
   * Appends the records in order, all or none, and resolves when they are committed. Rejects with a MetadataLogError;
   * whether they will yet commit is then open.
   */
  append(records: readonly Buffer[]): Promise<void>;
  /** Hands over every committed record from the first on, in order; called once, before any append. */
  replay(visit: (record: Buffer) => void): Promise<void>;
}

export type MetadataLogErrorCode = 'not-leader' | 'failed';

/** The metadata log cannot take records: another node leads it, or its disk has failed. */
export class MetadataLogError extends Error {
  readonly code: MetadataLogErrorCode;

  constructor(code: MetadataLogErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'MetadataLogError';
    this.code = code;
  }
}

/** The metadata log's refusal in Kafka's terms. */
export function refusalOf(error: MetadataLogError): Refusal {
  const kinds = { 'not-leader': 'NOT_CONTROLLER', failed: 'KAFKA_STORAGE_ERROR' } as const;
  return { error: kinds[error.code], message: error.message };
}

/** What carries out the metadata on this node. Calls for one topic name never overlap. */
export interface ReplicaHost {
  /** Resolves when each of the replicas can take requests; those that are open already are left alone. */
  open(replicas: readonly WantedReplica[]): Promise<void>;
  /** Resolves when the topic's replicas and files are gone, as far as a new topic of that name is concerned. */
  remove(topic: string): Promise<void>;
}

export interface ClusterOptions {
  readonly nodeId: number;
  readonly log: MetadataLog;
  readonly ids: Ids;
  readonly config: BrokerConfig;
  readonly replicas: ReplicaHost;
  /** Replicas of this topic could not be opened or removed: an operator must hear of it. */
  readonly onReplicaFailure: (topic: string, error: unknown) => void;
  readonly limits?: ControllerLimits;
}

/** A topic that could not be made, or not opened. */
export type Refused = Extract<TopicCreation, { kind: 'refused' }>;

/** Work on replicas that an operation has begun, by topic name; the value of each is the error that it met. */
type ReplicaWork = ReadonlyMap<string, Promise<unknown>>;

interface Committed<Result> {
  readonly result: Result;
  readonly work: ReplicaWork;
}

export type ClusterListener = (change: MetadataChange) => void;

export class Cluster {
  /** All that is committed. Read it afresh after each `await`. */
  readonly image = new MetadataImage();
  readonly #options: ClusterOptions;
  readonly #state: ControllerState;
  readonly #producerIds: ProducerIds;
  readonly #listeners: ClusterListener[] = [];
  /** Live views by topic name; a topic's view is made when it is first asked for. */
  readonly #topicConfigs = new Map<string, TopicConfig>();
  /** For what is asked of a topic that is gone: the broker's defaults. */
  readonly #defaultTopicConfig: TopicConfig;
  /** Ends when the operation before has been applied. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The last work on the replicas of a topic name, while it lasts; its value is the error that it met. */
  readonly #replicaWork = new Map<string, Promise<unknown>>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#state = {
      image: this.image,
      config: options.config,
      limits: options.limits ?? defaultLimits,
      newTopicId: () => options.ids.uuid(),
      reports: new Map(),
    };
    this.#defaultTopicConfig = resolveTopicConfig(new Map(), options.config);
    this.#producerIds = new ProducerIds(() =>
      this.#operate(() => decideProducerIds(this.image, options.nodeId)),
    );
  }

  /** Reads the log; a log that is empty gets its first records. Replicas are opened by the caller (`replicasHere`). */
  async start(): Promise<void> {
    await this.#options.log.replay((record) => this.image.apply(decodeMetadataRecord(record)));
    this.#refreshBrokerConfig();
    if (this.image.endOffset === 0) await this.#operate(() => decideBootstrap());
  }

  /** Waits for the operations and the work on replicas that are under way; their errors go where they always go. */
  async close(): Promise<void> {
    await this.#turn;
    await Promise.all(this.#replicaWork.values());
  }

  /** Makes this node known, as of this start; before it no topic can be placed here. */
  register(node: NodeRegistration): Promise<void> {
    return this.#operate(() => decideRegistration(this.image, node));
  }

  /** Notes in which data directory of this node replicas lie. */
  async assignDirectories(assignments: readonly DirectoryAssignment[]): Promise<void> {
    if (assignments.length === 0) return;
    await this.#operate(() => decideDirectories(this.image, this.#options.nodeId, assignments));
  }

  /** Runs for every change from now on, in order of the log, after the image holds it. It must not throw. */
  onChange(listener: ClusterListener): void {
    this.#listeners.push(listener);
  }

  /** The replicas that belong on this node. */
  replicasHere(): WantedReplica[] {
    return [...this.image.topics()].flatMap((topic) => this.#replicasOf(topic));
  }

  /** The live settings of a topic; for one that does not exist the defaults. The object stays the same while it exists. */
  topicConfig(name: string): TopicConfig {
    const known = this.#topicConfigs.get(name);
    if (known !== undefined) return known;
    if (this.image.topic(name) === undefined) return this.#defaultTopicConfig;
    const config = resolveTopicConfig(this.#overrides(name), this.#options.config);
    this.#topicConfigs.set(name, config);
    return config;
  }

  /** Creates topics, or only says what would be. Topics that this node holds replicas of are open when it resolves. */
  async createTopics(topics: readonly TopicToCreate[], validateOnly = false): Promise<TopicCreation[]> {
    const { result, work } = await this.#commit(() => decideCreateTopics(this.#state, topics), validateOnly);
    return Promise.all(result.map(async (made) => (await openingFault(work, made.name)) ?? made));
  }

  async createPartitions(
    topics: readonly PartitionsToCreate[],
    validateOnly = false,
  ): Promise<PartitionsCreation[]> {
    const { result, work } = await this.#commit(
      () => decideCreatePartitions(this.#state, topics),
      validateOnly,
    );
    return Promise.all(result.map(async (made) => (await openingFault(work, made.name)) ?? made));
  }

  /** Deletes topics by id. Their files go after the answer. */
  deleteTopics(topicIds: readonly string[]): Promise<TopicDeletion[]> {
    return this.#operate(() => decideDeleteTopics(this.#state, topicIds));
  }

  alterConfigs(resources: readonly ResourceAlteration[], validateOnly = false): Promise<AlterationResult[]> {
    return this.#operate(() => decideAlterConfigs(this.#state, resources), validateOnly);
  }

  replaceConfigs(
    resources: readonly ResourceReplacement[],
    validateOnly = false,
  ): Promise<AlterationResult[]> {
    return this.#operate(() => decideReplaceConfigs(this.#state, resources), validateOnly);
  }

  /**
   * The topic in which the brokers keep a state of their own, made when it is first needed. The refusal says why it
   * cannot be made.
   */
  async ensureInternalTopic(name: string): Promise<TopicImage | Refused> {
    if (this.image.topic(name) === undefined) {
      const refused = await this.#createInternalTopic(name);
      if (refused !== undefined && refused.error !== 'TOPIC_ALREADY_EXISTS') return refused;
    }
    await this.whenOpen(name);
    const topic = this.image.topic(name);
    if (topic !== undefined) return topic;
    return {
      kind: 'refused',
      name,
      error: 'COORDINATOR_NOT_AVAILABLE',
      message: `${name} was deleted meanwhile.`,
    };
  }

  async #createInternalTopic(name: string): Promise<Refused | undefined> {
    const toCreate = internalTopicToCreate(name, this.#options.config, this.image.brokers.size);
    try {
      const [result] = await this.createTopics([toCreate]);
      return result?.kind === 'refused' ? result : undefined;
    } catch (error) {
      if (!(error instanceof MetadataLogError)) throw error;
      return { kind: 'refused', name, ...refusalOf(error) };
    }
  }

  /** Resolves when the work on the replicas of this topic that is under way is done, well or badly. */
  async whenOpen(name: string): Promise<void> {
    await this.#replicaWork.get(name);
  }

  /** A producer id that nobody has or will get. */
  allocateProducerId(): Promise<number> {
    return this.#producerIds.next();
  }

  async #operate<Result>(decide: () => Decision<Result>, validateOnly = false): Promise<Result> {
    return (await this.#commit(decide, validateOnly)).result;
  }

  /** Decides when all operations before have been applied; resolves when this one has. */
  #commit<Result>(decide: () => Decision<Result>, validateOnly: boolean): Promise<Committed<Result>> {
    const run = async (): Promise<Committed<Result>> => {
      const { records, result } = decide();
      if (validateOnly || records.length === 0) return { result, work: new Map() };
      const bytes = records.map((record) => encodeMetadataRecord(record));
      await this.#options.log.append(bytes);
      return { result, work: this.#apply(bytes) };
    };
    const operation = this.#turn.then(run);
    // The next operation goes ahead whether this one succeeds or not; its error is the caller's.
    this.#turn = operation.then(
      () => undefined,
      () => undefined,
    );
    return operation;
  }

  /** What is applied is what the log holds, so that a replay cannot differ. */
  #apply(records: readonly Buffer[]): ReplicaWork {
    const changes = records.map((record) => this.image.apply(decodeMetadataRecord(record)));
    for (const change of changes) this.#refreshConfig(change);
    const work = this.#moveReplicas(changes);
    for (const change of changes) for (const listener of this.#listeners) listener(change);
    return work;
  }

  #refreshConfig(change: MetadataChange): void {
    if (change.kind === 'topic-deleted') {
      this.#topicConfigs.delete(change.topic.name);
    } else if (change.kind === 'config-changed') {
      if (change.resourceType === ConfigResourceType.BROKER) this.#refreshBrokerConfig();
      else this.#refreshTopicConfig(change.resourceName);
    }
  }

  #refreshTopicConfig(name: string): void {
    const live = this.#topicConfigs.get(name);
    if (live !== undefined) updateTopicConfig(live, this.#overrides(name), this.#options.config);
  }

  #refreshBrokerConfig(): void {
    const { config, nodeId } = this.#options;
    config.setDynamic('dynamic-cluster', this.image.settings(ConfigResourceType.BROKER, ''));
    config.setDynamic('dynamic-broker', this.image.settings(ConfigResourceType.BROKER, String(nodeId)));
    updateTopicConfig(this.#defaultTopicConfig, new Map(), config);
    for (const name of this.#topicConfigs.keys()) this.#refreshTopicConfig(name);
  }

  #overrides(topic: string): ReadonlyMap<string, string> {
    return this.image.settings(ConfigResourceType.TOPIC, topic);
  }

  /** Opens what has come and removes what has gone, each topic name in order. */
  #moveReplicas(changes: readonly MetadataChange[]): ReplicaWork {
    const { replicas: host } = this.#options;
    const grown = new Set<TopicImage>();
    const work = new Map<string, Promise<unknown>>();
    for (const change of changes) {
      if (change.kind === 'partition-created') grown.add(change.topic);
      else if (change.kind === 'topic-deleted') {
        const { name } = change.topic;
        work.set(
          name,
          this.#work(name, () => host.remove(name)),
        );
      }
    }
    for (const topic of grown) {
      const here = this.#replicasOf(topic);
      if (here.length === 0) continue;
      const open = async (): Promise<void> => {
        // A topic that was deleted before its turn came must not be opened any more.
        if (this.image.topicById(topic.id) !== undefined) await host.open(here);
      };
      work.set(topic.name, this.#work(topic.name, open));
    }
    return work;
  }

  #work(topic: string, work: () => Promise<void>): Promise<unknown> {
    const before = this.#replicaWork.get(topic) ?? Promise.resolve();
    const done: Promise<unknown> = before.then(work).then(
      () => undefined,
      (error: unknown) => {
        this.#options.onReplicaFailure(topic, error);
        return error;
      },
    );
    this.#replicaWork.set(topic, done);
    void done.then(() => {
      if (this.#replicaWork.get(topic) === done) this.#replicaWork.delete(topic);
    });
    return done;
  }

  #replicasOf(topic: TopicImage): WantedReplica[] {
    return topic.partitions.flatMap(({ index, replicas, directories }) => {
      const place = replicas.indexOf(this.#options.nodeId);
      if (place < 0) return [];
      const directoryId = directories[place];
      const isKnown = directoryId !== undefined && directoryId !== unassignedDirectory;
      const identity = { topic: topic.name, topicId: topic.id, partition: index };
      return [{ ...identity, directoryId: isKnown ? directoryId : undefined }];
    });
  }
}

/** Why the replicas of a topic could not be opened. What is committed stays, whatever the disk says. */
async function openingFault(work: ReplicaWork, name: string): Promise<Refused | undefined> {
  const error = await work.get(name);
  if (error === undefined) return undefined;
  const cause = error instanceof Error ? error.message : 'for an unknown reason';
  const message = `'${name}' exists, but its replicas could not be opened: ${cause}`;
  return { kind: 'refused', name, error: 'KAFKA_STORAGE_ERROR', message };
}
