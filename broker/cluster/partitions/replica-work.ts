/**
 * What the metadata asks of this node's replicas, carried out: opens those that have come, removes those that have gone. Work on
 * the replicas of one topic name goes in the order of the log, so that a topic made again under an old name waits until the
 * old one's files are out of the way.
 *
 * A topic's deletion is final, as its id never comes again. A replica that a reassignment took away may come back to this node
 * under the same identity, and have given its vote as a member then: its files go only once an image that is as current as
 * the metadata leader's omits it.
 */
import type { WantedReplica } from '../../partition/replica-places.ts';
import type { ReplicaIdentity } from '../../partition/replica-types.ts';
import type { MetadataChange, MetadataImage, TopicImage } from '../metadata/metadata-image.ts';
import { allWantedReplicas, wantedReplicas } from './wanted-replicas.ts';

/** What carries out the metadata on this node. Calls for one topic name never overlap. */
export interface ReplicaHost {
  /** Resolves when each of the replicas can take requests; those that are open already are left alone. */
  open(replicas: readonly WantedReplica[]): Promise<void>;
  /** Resolves when the topic's replicas and files are gone, as far as a new topic of that name is concerned. */
  remove(topic: string): Promise<void>;
  /** As `remove`, for one replica of a topic that goes on elsewhere. */
  removeReplica(replica: ReplicaIdentity): Promise<void>;
}

export interface ReplicaWorkOptions {
  readonly nodeId: number;
  readonly host: ReplicaHost;
  readonly image: () => MetadataImage;
  /** Resolves with true when the image has become as current as the metadata leader's was at the call; false: this node stops. */
  readonly becomeCurrent: () => Promise<boolean>;
  /** Replicas of this topic could not be opened or removed: an operator must hear of it. */
  readonly onFailure: (topic: string, error: unknown) => void;
}

export class ReplicaWork {
  readonly #options: ReplicaWorkOptions;
  /** The last work on the replicas of a topic name, while it lasts. It never rejects. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** The opening of all replicas at the start of the node. It never rejects. */
  #gate: Promise<void> = Promise.resolve();
  /** What the last work on the replicas of a topic name met, where it failed. */
  readonly #faults = new Map<string, unknown>();

  constructor(options: ReplicaWorkOptions) {
    this.#options = options;
  }

  /** Begins what these changes ask for. */
  changed(changes: readonly MetadataChange[]): void {
    const grown = new Set<TopicImage>();
    for (const change of changes) {
      if (change.kind === 'partition-created') grown.add(change.topic);
      else if (change.kind === 'topic-deleted') this.#removeTopic(change.topic);
      else if (change.kind === 'partition-changed') {
        const wasHere = change.before.replicas.includes(this.#options.nodeId);
        const isHere = change.topic.partitions[change.partition]!.replicas.includes(this.#options.nodeId);
        if (isHere && !wasHere) grown.add(change.topic);
        else if (wasHere && !isHere) this.#removeReplica(change.topic, change.partition);
      }
    }
    for (const topic of grown) this.#open(topic);
  }

  /** Has all replicas that belong on this node opened at once. Work that comes meanwhile begins after it. */
  async openAll(open: (wanted: readonly WantedReplica[]) => Promise<void>): Promise<void> {
    const { image, nodeId } = this.#options;
    const before = [...this.#underWay.values()];
    const opening = Promise.all(before).then(() => open(allWantedReplicas(image(), nodeId)));
    // Its error is the caller's, who stops the node then.
    this.#gate = opening.catch(() => undefined);
    await opening;
  }

  /** Resolves when the work on the replicas of this topic name that is under way is done; with the error that it met. */
  async settled(topic: string): Promise<unknown> {
    await this.#underWay.get(topic);
    return this.#faults.get(topic);
  }

  async close(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  #open(topic: TopicImage): void {
    const { host, image, nodeId } = this.#options;
    if (wantedReplicas(topic, nodeId).length === 0) return;
    this.#begin(topic.name, async () => {
      // A topic that was deleted before its turn came must not be opened any more.
      const present = image().topicById(topic.id);
      if (present !== undefined) await host.open(wantedReplicas(present, nodeId));
    });
  }

  /** Also where none is here by the last word: one may still be waiting to be removed. */
  #removeTopic({ name }: TopicImage): void {
    this.#begin(name, () => this.#options.host.remove(name));
  }

  #removeReplica(topic: TopicImage, partition: number): void {
    const { host, image, nodeId, becomeCurrent } = this.#options;
    const { name, id } = topic;
    const isGone = (): boolean => {
      const present = image().topicById(id)?.partitions[partition];
      return present !== undefined && !present.replicas.includes(nodeId);
    };
    this.#begin(name, async () => {
      if (!isGone() || !(await becomeCurrent()) || !isGone()) return;
      await host.removeReplica({ topic: name, topicId: id, partition });
    });
  }

  #begin(topic: string, work: () => Promise<void>): void {
    const before = this.#underWay.get(topic) ?? this.#gate;
    const done: Promise<void> = before.then(work).then(
      () => {
        this.#faults.delete(topic);
      },
      (error: unknown) => {
        this.#faults.set(topic, error);
        this.#options.onFailure(topic, error);
      },
    );
    this.#underWay.set(topic, done);
    void done.then(() => {
      if (this.#underWay.get(topic) === done) this.#underWay.delete(topic);
    });
  }
}
