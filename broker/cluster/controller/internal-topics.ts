/** How the topics in which brokers keep their own state are made. */
import type { BrokerConfig } from '../../config/broker-config.ts';
import type { TopicToCreate } from './create-topics.ts';
import { consumerOffsetsTopic } from '../topic-names.ts';

/** The topic as it is made on first use. Never more replicas than there are nodes: one node makes do with one. */
export function internalTopicToCreate(name: string, config: BrokerConfig, nodeCount: number): TopicToCreate {
  const configs = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'compression.type', value: 'producer' },
  ];
  if (name !== consumerOffsetsTopic) {
    return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs };
  }
  return {
    name,
    numPartitions: config.offsetsTopicNumPartitions,
    replicationFactor: Math.max(1, Math.min(config.offsetsTopicReplicationFactor, nodeCount)),
    assignments: [],
    configs: [...configs, { name: 'segment.bytes', value: String(config.offsetsTopicSegmentBytes) }],
  };
}
