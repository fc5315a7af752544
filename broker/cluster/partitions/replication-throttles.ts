/**
 * Kafka's throttles of replication as this node is to heed them when it sends new replicas what they lack: rates of nodes and
 * replicas of topics, as the metadata has them now.
 *
 * Kafka's followers count what they fetch. Here leaders send, so that each keeps to its share of what the follower may get: an equal part
 * for every node that leads a partition which the follower is being added to, as far as this one knows.
 */
import type { Clock } from '../../../platform/clock.ts';
import { brokerConfigDefinitions } from '../../config/config-definition.ts';
import { parseConfigValue } from '../../config/config-value.ts';
import type { ThrottledReplicas, TopicConfig } from '../../config/topic-config.ts';
import type { Leaderships } from './leaderships.ts';
import { ConfigResourceType } from '../metadata/metadata-image.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';

export interface ReplicationThrottlesOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  readonly leaderships: Pick<Leaderships, 'of'>;
  readonly topicConfig: (topic: string) => TopicConfig;
}

interface Share {
  readonly countedAtMs: number;
  /** How many nodes send to each node that is being added somewhere. */
  readonly senders: ReadonlyMap<number, number>;
}

/** Who leads what is looked through again after so long. */
const countedMsMax = 1_000;

export class ReplicationThrottles {
  readonly #options: ReplicationThrottlesOptions;
  #share: Share | undefined;

  constructor(options: ReplicationThrottlesOptions) {
    this.#options = options;
  }

  isLeaderThrottled(group: string): boolean {
    return this.#isNamed(group, this.#options.nodeId, (config) => config.leaderThrottledReplicas);
  }

  isFollowerThrottled(group: string, nodeId: number): boolean {
    return this.#isNamed(group, nodeId, (config) => config.followerThrottledReplicas);
  }

  isCopyThrottled(group: string, from: number): boolean {
    const { nodeId } = this.#options;
    return (
      this.isFollowerThrottled(group, nodeId) ||
      this.#isNamed(group, from, (config) => config.leaderThrottledReplicas)
    );
  }

  leaderPerSecondMax(): number {
    return this.#rate('leader.replication.throttled.rate', this.#options.nodeId);
  }

  followerPerSecondMax(nodeId: number): number {
    const rate = this.#rate('follower.replication.throttled.rate', nodeId);
    return rate / Math.max(1, this.#senders().get(nodeId) ?? 1);
  }

  #isNamed(group: string, nodeId: number, named: (config: TopicConfig) => ThrottledReplicas): boolean {
    const [topicId = '', partition] = group.split(':');
    const topic = this.#options.image().topicById(topicId);
    if (topic === undefined) return false;
    const replicas = named(this.#options.topicConfig(topic.name));
    return replicas === 'all' || replicas.has(`${partition}:${nodeId}`);
  }

  #rate(name: string, nodeId: number): number {
    return throttleRate(this.#options.image(), name, nodeId);
  }

  #senders(): ReadonlyMap<number, number> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#share === undefined || nowMs - this.#share.countedAtMs >= countedMsMax) {
      this.#share = { countedAtMs: nowMs, senders: this.#countSenders() };
    }
    return this.#share.senders;
  }

  #countSenders(): ReadonlyMap<number, number> {
    const { image, leaderships } = this.#options;
    const leaders = new Map<number, Set<number>>();
    for (const topic of image().topics()) {
      for (const { adding, index } of topic.partitions) {
        const leader = adding.length === 0 ? undefined : leaderships.of(topic.id, index)?.leader;
        if (leader === undefined) continue;
        for (const nodeId of adding) leaders.set(nodeId, (leaders.get(nodeId) ?? new Set()).add(leader));
      }
    }
    return new Map([...leaders].map(([nodeId, senders]) => [nodeId, senders.size]));
  }
}

/** One of Kafka's rates of replication, in bytes per second: of one node, else of all; Infinity for no limit. */
export function throttleRate(image: MetadataImage, name: string, nodeId: number): number {
  const { BROKER } = ConfigResourceType;
  const text = image.settings(BROKER, String(nodeId)).get(name) ?? image.settings(BROKER, '').get(name);
  if (text === undefined) return Infinity;
  const parsed = parseConfigValue(brokerConfigDefinitions.get(name)!, text);
  // Kafka's default stands for no limit.
  return parsed.kind === 'value' && Number.isSafeInteger(parsed.value) ? Number(parsed.value) : Infinity;
}
