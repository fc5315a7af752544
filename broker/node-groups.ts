/** The group coordinator of a node, with what it needs of the rest of it. */
import type { Platform } from '../platform/platform.ts';
import type { Cluster } from './cluster/cluster.ts';
import { ConfigResourceType } from './cluster/metadata/metadata-image.ts';
import type { MetadataImage } from './cluster/metadata/metadata-image.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { TopicsView } from './groups/consumer/topics-view.ts';
import { consumerGroupConfigOf, groupConfigOf } from './groups/group-config.ts';
import { GroupService, groupsTopic } from './groups/group-service.ts';
import type { Logger } from './logger.ts';

export interface NodeGroupsOptions {
  readonly platform: Pick<Platform, 'clock' | 'ids'>;
  readonly config: BrokerConfig;
  readonly cluster: Cluster;
  readonly logger: Logger;
}

export function openGroups({ platform, config, cluster, logger }: NodeGroupsOptions): GroupService {
  const { clock, ids } = platform;
  const groups = new GroupService({
    clock,
    ids,
    config: () => groupConfigOf(config),
    consumerConfig: (groupId) =>
      consumerGroupConfigOf(config, cluster.image.settings(ConfigResourceType.GROUP, groupId)),
    topics: () => topicsViewOf(cluster.image),
    partitionCount: () =>
      cluster.image.topic(groupsTopic)?.partitions.length ?? config.offsetsTopicNumPartitions,
    batchSizeBytesMax: () => cluster.topicConfig(groupsTopic).maxMessageBytes,
    onShardFailure: (partition, cause) => {
      logger.error({ err: cause, partition }, `the groups in ${groupsTopic} could not be loaded or kept`);
    },
  });
  cluster.onChange((change) => {
    // What groups have committed for a topic goes with it.
    if (change.kind === 'topic-deleted') void groups.forgetTopics([change.topic.name]);
  });
  return groups;
}

/** Any record of the metadata may have changed topics: that it has not is found out by looking. */
export function topicsViewOf(image: MetadataImage): TopicsView {
  return {
    version: image.endOffset,
    idOf: (name) => image.topic(name)?.id,
    isDeleted: (topicId) => image.isDeleted(topicId),
    partitionCount: (topicId) => image.topicById(topicId)?.partitions.length ?? 0,
  };
}
