/**
 * The cluster's metadata on this node: its image, and all that can be asked of the controller.
 *
 * The metadata log is replicated; every node applies what is committed, and only that, to its image (`applied-metadata.ts`). Who
 * leads the log is the controller: it decides operations (`operation-turns.ts`), which any node can ask for (`operation-caller.ts`).
 * The one who asked is answered once its own image has what was done, and, where partitions were made, once its replicas of them
 * are open and each has a leader, so that a produce right after it finds them.
 *
 * Handlers, coordinators and the composition root use it; the image must not be kept across an `await`, topics of it may.
 */
import type { TopicConfig } from '../config/topic-config.ts';
import type { DirectoryAssignment } from '../partition/partitions.ts';
import type { WantedReplica } from '../partition/replica-places.ts';
import type { ReplicaIdentity } from '../partition/replica-types.ts';
import type { PeerService } from '../peers/peer-requests.ts';
import type { Admitted, JoiningNode } from './nodes/admission.ts';
import type {
  AlterationResult,
  ResourceAlteration,
  ResourceReplacement,
} from './controller/alter-configs.ts';
import type { ClusterOptions } from './cluster-options.ts';
import type { Refusal } from './controller/controller.ts';
import type { PartitionsCreation, PartitionsToCreate } from './controller/create-partitions.ts';
import type { TopicCreation, TopicToCreate } from './controller/create-topics.ts';
import type { TopicDeletion } from './controller/delete-topics.ts';
import type { FeatureOutcome, FeatureUpdate } from './controller/features.ts';
import type { LostDirectory, Replacement } from './controller/lost-directories.ts';
import type { MetadataChange, MetadataImage, TopicImage } from './metadata/metadata-image.ts';
import { MetadataLogError, refusalOf } from './metadata/metadata-log.ts';
import { MetadataNode } from './metadata-node.ts';
import { operationMsMax } from './controller/operation-caller.ts';
import type { OperationName, RequestOf, ResultOf } from './controller/operations.ts';
import { ProducerIds } from './producer-ids.ts';
import type {
  CompletedReassignment,
  ReassignmentOutcome,
  ReassignmentsAsked,
} from './controller/reassignments.ts';
import type { NodeRegistration, Unregistration } from './controller/registration.ts';
import type { QuorumState } from './nodes/quorum.ts';
import { ReplicaWork } from './partitions/replica-work.ts';
import { TopicConfigs } from './topic-configs.ts';
import { allWantedReplicas } from './partitions/wanted-replicas.ts';

/** A topic that could not be made, or not opened. */
export type Refused = Extract<TopicCreation, { kind: 'refused' }>;

/** 'no-controller': none has heard this node for as long as a session lasts, so that it may be fenced without knowing. */
export type Standing = 'in-service' | 'fenced' | 'no-controller';

export type ClusterListener = (change: MetadataChange) => void;

/** How long the answer to a creation waits for leaders. */
const leadersMsMax = 5_000;

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #node: MetadataNode;
  readonly #work: ReplicaWork;
  readonly #configs: TopicConfigs;
  readonly #producerIds: ProducerIds;
  readonly #listeners: ClusterListener[] = [];
  /** Internal topics that are being made, by name. */
  readonly #internal = new Map<string, Promise<Refused | undefined>>();

  constructor(options: ClusterOptions) {
    const { nodeId, config } = options;
    this.#options = options;
    const image = (): MetadataImage => this.image;
    this.#configs = new TopicConfigs({ nodeId, config, image });
    this.#node = new MetadataNode(options);
    this.#work = new ReplicaWork({
      nodeId,
      host: options.replicas,
      image,
      becomeCurrent: () => this.#node.becomeCurrent(),
      onFailure: options.onReplicaFailure,
    });
    this.#node.onChanges((changes) => {
      this.#configs.changed(changes);
      // What the log has when this node starts is opened by the composition root, all at once.
      if (this.#node.isStarted) this.#work.changed(changes);
      for (const change of changes) for (const listener of this.#listeners) listener(change);
    });
    this.#producerIds = new ProducerIds(() => this.#operate('allocateProducerIds', nodeId));
  }

  /** All that is committed, as far as this node knows. Read it afresh after each `await`. */
  get image(): MetadataImage {
    return this.#node.image;
  }

  /** The node that leads the metadata log, as far as is known here. */
  get controllerNode(): number | undefined {
    return this.#options.log.leaderNode;
  }

  /** This node leads the metadata log and may decide. */
  get isController(): boolean {
    return this.#node.isController;
  }

  /** Where nodes reach each other, by node id. */
  get addresses(): ReadonlyMap<number, { readonly host: string; readonly port: number }> {
    return this.#node.addresses;
  }

  /** What this node answers others, by the kind of question. */
  get services(): ReadonlyMap<string, PeerService> {
    return this.#node.services;
  }

  /**
   * Resolves when the image is as current as the metadata leader's; a log that is empty gets its first records. Waits for a leader
   * for as long as there is none. Replicas are opened by the caller (`openReplicas`).
   */
  start(): Promise<void> {
    return this.#node.start();
  }

  /**
   * Opens the replicas that belong on this node: `open` gets them all at once. What changes meanwhile is carried out after it.
   */
  openReplicas(open: (wanted: readonly WantedReplica[]) => Promise<void>): Promise<void> {
    return this.#work.openAll(open);
  }

  /** Leadership is about to go elsewhere, as this node is to stop; nothing is placed here any more. Bounded by a heartbeat. */
  async prepareStop(): Promise<void> {
    await this.#node.session.say('stop');
  }

  /** Says that this node is gone; waits for operations and work on replicas that are under way. */
  async close(): Promise<void> {
    this.#node.end();
    await this.#work.close();
    await this.#node.close();
  }

  /**
   * Makes this node known, as of this start; before it no topic can be placed here. One that registers as fenced is ready once it
   * says so (`serve`). Rejects with a RegistrationError where the cluster does not take it.
   */
  register(node: NodeRegistration): Promise<void> {
    return this.#node.registration.register(node);
  }

  /** This node is ready for clients. Resolves when the cluster counts it in. */
  serve(): Promise<void> {
    return this.#node.registration.serve();
  }

  /** How far the members of the metadata group have come; undefined where its leader could not be asked within this time. */
  describeQuorum(timeoutMs: number): Promise<QuorumState | undefined> {
    return this.#node.quorum?.describe(timeoutMs) ?? Promise.resolve(undefined);
  }

  /** Resolves when the image holds all that was committed before this call. Rejects with a MetadataLogError where no controller says so. */
  async catchUp(): Promise<void> {
    const { endOffset } = await this.#node.call({ name: 'catchUp', request: null, validateOnly: false });
    await this.#node.whenReached(endOffset, operationMsMax);
  }

  /** Has a node that is to join receive the metadata; undefined where it does not within this time. Any node may be asked. */
  admit(node: JoiningNode, timeoutMs: number): Promise<Admitted | undefined> {
    return this.#node.admission?.admit(node, timeoutMs) ?? Promise.resolve(undefined);
  }

  /** A node that is to join has lost its data directory; it is another member of its groups from now on. Any node may be asked. */
  replaceDirectory(lost: LostDirectory): Promise<Replacement> {
    return this.#operate('replaceDirectory', lost);
  }

  /** Notes in which data directory of this node replicas lie; waits for a controller for as long as there is none. */
  async assignDirectories(assignments: readonly DirectoryAssignment[]): Promise<void> {
    if (assignments.length === 0) return;
    const request = { nodeId: this.#options.nodeId, assignments };
    const asked = { name: 'assignDirectories', request, validateOnly: false } as const;
    const { endOffset } = await this.#node.call(asked, Infinity);
    await this.#node.whenReached(endOffset, operationMsMax);
  }

  /** Runs for every change from now on, in order of the log, after the image holds it. It must not throw. */
  onChange(listener: ClusterListener): void {
    this.#listeners.push(listener);
  }

  /** The replicas that belong on this node. */
  replicasHere(): WantedReplica[] {
    return allWantedReplicas(this.image, this.#options.nodeId);
  }

  /** Whether a replica is known not to belong on this node any more; of one that the image never had that is not known. */
  isGone({ topicId, partition }: ReplicaIdentity): boolean {
    const topic = this.image.topicById(topicId);
    if (topic === undefined) return this.image.isDeleted(topicId);
    const { replicas } = topic.partitions[partition] ?? {};
    return replicas !== undefined && !replicas.includes(this.#options.nodeId);
  }

  /** What the cluster makes of this node, as far as it can know. */
  get standing(): Standing {
    const { nodeId, config } = this.#options;
    if (this.image.brokers.get(nodeId)?.fenced !== false) return 'fenced';
    return this.#node.session.unheardMs > config.brokerSessionTimeoutMs ? 'no-controller' : 'in-service';
  }

  /** Of the start of the node whose replicas count: it is registered, not fenced, and not about to stop. Undefined: there is none. */
  serviceEpoch(nodeId: number): number | undefined {
    const broker = this.image.brokers.get(nodeId);
    return broker?.fenced === false && !broker.inControlledShutdown ? broker.epoch : undefined;
  }

  /** The live settings of a topic; for one that does not exist the defaults. The object stays the same while it exists. */
  topicConfig(name: string): TopicConfig {
    return this.#configs.of(name);
  }

  /** Creates topics, or only says what would be. Topics that this node holds replicas of are open when it resolves. */
  async createTopics(topics: readonly TopicToCreate[], validateOnly = false): Promise<TopicCreation[]> {
    const made = await this.#operate('createTopics', topics, validateOnly);
    return validateOnly ? made : Promise.all(made.map((each) => this.#whenUsable(each)));
  }

  async createPartitions(
    topics: readonly PartitionsToCreate[],
    validateOnly = false,
  ): Promise<PartitionsCreation[]> {
    const made = await this.#operate('createPartitions', topics, validateOnly);
    return validateOnly ? made : Promise.all(made.map((each) => this.#whenUsable(each)));
  }

  /** Deletes topics by id. Their files go after the answer. */
  deleteTopics(topicIds: readonly string[]): Promise<TopicDeletion[]> {
    return this.#operate('deleteTopics', topicIds);
  }

  alterConfigs(resources: readonly ResourceAlteration[], validateOnly = false): Promise<AlterationResult[]> {
    return this.#operate('alterConfigs', resources, validateOnly);
  }

  replaceConfigs(
    resources: readonly ResourceReplacement[],
    validateOnly = false,
  ): Promise<AlterationResult[]> {
    return this.#operate('replaceConfigs', resources, validateOnly);
  }

  updateFeatures(updates: readonly FeatureUpdate[], validateOnly = false): Promise<FeatureOutcome[]> {
    return this.#operate('updateFeatures', updates, validateOnly);
  }

  /** Gives partitions other replicas, or takes that back; the answer is that it has begun. */
  reassign(asked: ReassignmentsAsked): Promise<ReassignmentOutcome[]> {
    return this.#operate('reassign', asked);
  }

  /** The leaders of these groups have done what was asked for. */
  async completeReassignments(completed: readonly CompletedReassignment[]): Promise<void> {
    await this.#operate('completeReassignments', completed);
  }

  /** Takes a node out of the cluster for good. */
  unregister(nodeId: number): Promise<Unregistration> {
    return this.#operate('unregister', nodeId);
  }

  /**
   * The topic in which the brokers keep a state of their own, made when it is first needed. The refusal says why it
   * cannot be made.
   */
  async ensureInternalTopic(name: string): Promise<TopicImage | Refused> {
    const refused = await this.#making(name);
    if (refused !== undefined) return refused;
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

  /** Resolves when the work on the replicas of this topic that is under way is done, well or badly. */
  async whenOpen(name: string): Promise<void> {
    await this.#work.settled(name);
  }

  /** A producer id that nobody has or will get. */
  allocateProducerId(): Promise<number> {
    return this.#producerIds.next();
  }

  /** Resolves when the topic is there and can be used, for all who ask while it is being made; at once where it was before. */
  #making(name: string): Promise<Refused | undefined> | undefined {
    const known = this.#internal.get(name);
    if (known !== undefined || this.image.topic(name) !== undefined) return known;
    const making = this.#createInternalTopic(name).finally(() => this.#internal.delete(name));
    this.#internal.set(name, making);
    return making;
  }

  async #createInternalTopic(name: string): Promise<Refused | undefined> {
    try {
      const [made] = await this.#operate('createInternalTopic', name);
      // Another node may have had it made just before.
      const isThere = made?.kind === 'refused' && made.error === 'TOPIC_ALREADY_EXISTS';
      const usable = made && (await this.#whenUsable(isThere ? { kind: 'created', name } : made));
      return usable?.kind === 'refused' ? usable : undefined;
    } catch (error) {
      if (!(error instanceof MetadataLogError)) throw error;
      return { kind: 'refused', name, ...refusalOf(error) };
    }
  }

  /** Has it done by the controller; resolves when this node's image has it. */
  async #operate<Name extends OperationName>(
    name: Name,
    request: RequestOf<Name>,
    validateOnly = false,
  ): Promise<ResultOf<Name>> {
    const { result, endOffset } = await this.#node.call({ name, request, validateOnly });
    await this.#node.whenReached(endOffset, operationMsMax);
    return result;
  }

  /** What is committed stays, whatever this node's disks say. */
  async #whenUsable<Made extends { readonly kind: 'created' | 'refused'; readonly name: string }>(
    made: Made,
  ): Promise<Made | ({ readonly kind: 'refused'; readonly name: string } & Refusal)> {
    if (made.kind === 'refused') return made;
    const { name } = made;
    const error = await this.#work.settled(name);
    if (error !== undefined) {
      const cause = error instanceof Error ? error.message : 'for an unknown reason';
      const message = `'${name}' exists, but its replicas could not be opened: ${cause}`;
      return { kind: 'refused', name, error: 'KAFKA_STORAGE_ERROR', message };
    }
    const topic = this.image.topic(name);
    if (topic !== undefined) await this.#options.whenLed?.(topic, leadersMsMax);
    return made;
  }
}
