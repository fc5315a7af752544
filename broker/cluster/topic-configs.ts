/**
 * Settings as they hold on this node: the live settings of each topic, and the layers of the broker's own that were set at run
 * time. Kept in step with the image by `changed`.
 */
import type { BrokerConfig } from '../config/broker-config.ts';
import { resolveTopicConfig, updateTopicConfig } from '../config/topic-config.ts';
import type { TopicConfig } from '../config/topic-config.ts';
import { ConfigResourceType } from './metadata/metadata-image.ts';
import type { MetadataChange, MetadataImage } from './metadata/metadata-image.ts';

export interface TopicConfigsOptions {
  readonly nodeId: number;
  readonly config: BrokerConfig;
  readonly image: () => MetadataImage;
}

export class TopicConfigs {
  readonly #options: TopicConfigsOptions;
  /** Live views by topic name; a topic's view is made when it is first asked for. */
  readonly #views = new Map<string, TopicConfig>();
  /** For what is asked of a topic that is gone: the broker's defaults. */
  readonly #defaults: TopicConfig;

  constructor(options: TopicConfigsOptions) {
    this.#options = options;
    this.#defaults = resolveTopicConfig(new Map(), options.config);
  }

  /** The live settings of a topic; for one that does not exist the defaults. The object stays the same while it exists. */
  of(name: string): TopicConfig {
    const known = this.#views.get(name);
    if (known !== undefined) return known;
    if (this.#options.image().topic(name) === undefined) return this.#defaults;
    const config = resolveTopicConfig(this.#overrides(name), this.#options.config);
    this.#views.set(name, config);
    return config;
  }

  changed(changes: readonly MetadataChange[]): void {
    for (const change of changes) {
      if (change.kind === 'topic-deleted') this.#views.delete(change.topic.name);
      else if (change.kind === 'config-changed') {
        if (change.resourceType === ConfigResourceType.BROKER) this.#refreshBroker();
        else if (change.resourceType === ConfigResourceType.TOPIC) this.#refreshTopic(change.resourceName);
      }
    }
  }

  #refreshTopic(name: string): void {
    const live = this.#views.get(name);
    if (live !== undefined) updateTopicConfig(live, this.#overrides(name), this.#options.config);
  }

  #refreshBroker(): void {
    const { config, nodeId, image } = this.#options;
    config.setDynamic('dynamic-cluster', image().settings(ConfigResourceType.BROKER, ''));
    config.setDynamic('dynamic-broker', image().settings(ConfigResourceType.BROKER, String(nodeId)));
    updateTopicConfig(this.#defaults, new Map(), config);
    for (const name of this.#views.keys()) this.#refreshTopic(name);
  }

  #overrides(topic: string): ReadonlyMap<string, string> {
    return this.#options.image().settings(ConfigResourceType.TOPIC, topic);
  }
}
