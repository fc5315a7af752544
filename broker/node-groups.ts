/** The group coordinator of a node, with what it needs of the rest of it. */
import type { Platform } from '../platform/platform.ts';
import { ReplicaCoordinatorLog } from './coordinator/replica-coordinator-log.ts';
import { ConfigResourceType } from './cluster/metadata/metadata-image.ts';
import type { MetadataImage } from './cluster/metadata/metadata-image.ts';
import type { TopicsView } from './groups/consumer/topics-view.ts';
import { consumerGroupConfigOf, groupConfigOf } from './groups/group-config.ts';
import type { MigrationNotice } from './groups/migration/migration-notice.ts';
import { GroupService, groupsTopic } from './groups/group-service.ts';
import type { GroupsView } from './http/groups-view.ts';
import type { Logger } from './logger.ts';
import { openGroupLags } from './node-group-lags.ts';
import type { NodeGroupLagsOptions as GroupLagOptions } from './node-group-lags.ts';
import type { Replica } from './partition/replica.ts';

export interface NodeGroupsOptions extends Omit<GroupLagOptions, 'clock' | 'groups'> {
  readonly platform: Pick<Platform, 'clock' | 'ids'>;
  readonly logger: Logger;
}

export interface NodeGroups {
  readonly service: GroupService;
  /** For HTTP and the metrics. */
  readonly view: GroupsView;
  /** Who leads a partition of the groups' topic coordinates the groups in it; told of every change of a replica's leadership. */
  follow(replica: Replica): void;
  close(): void;
}

export function openGroups(options: NodeGroupsOptions): NodeGroups {
  const service = openService(options);
  const { lags, view } = openGroupLags({ ...options, clock: options.platform.clock, groups: service });
  return {
    service,
    view,
    follow: (replica) => follow(service, replica),
    close: () => {
      lags.close();
      service.close();
    },
  };
}

function follow(service: GroupService, replica: Replica): void {
  const { topic, partition, isLeader, term } = replica;
  if (topic !== groupsTopic) return;
  if (!isLeader) service.resign(partition);
  // Clients are told to wait while a partition's groups load; a failure goes to onShardFailure.
  else if (service.termOf(partition) !== term) {
    void service.lead(partition, () => new ReplicaCoordinatorLog(replica));
  }
}

function openService({ platform, config, cluster, logger }: NodeGroupsOptions): GroupService {
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
      logger.error(
        { err: cause, partition },
        `the groups in this partition of ${groupsTopic} could not be loaded or kept; it is tried again, until then their members wait`,
      );
    },
    onMigration: ({ kind, groupId, reason }) => {
      if (reason === '') logger.info({ groupId }, migrationSentences[kind]);
      else logger.info({ groupId }, `${migrationSentences[kind]}: ${reason}`);
    },
    onLargePatterns: (groupId, patterns) => {
      logger.warn(
        { groupId, patterns },
        `patterns of a consumer group match more topics than a record of ${groupsTopic} holds, and go by what they ` +
          'matched before: use narrower ones',
      );
    },
  });
  cluster.onChange((change) => {
    // What groups have committed for a topic goes with it.
    if (change.kind === 'topic-deleted') void groups.forgetTopics([change.topic.name]);
  });
  return groups;
}

const migrationSentences: Readonly<Record<MigrationNotice['kind'], string>> = {
  upgraded: 'a classic group has become a consumer group',
  downgraded: 'a consumer group has become a classic group',
  'not-upgraded': 'a classic group does not become a consumer group',
  'not-downgraded': 'a consumer group stays one, though all of its members go by the classic protocol',
  'not-joined': 'a member of the classic protocol is refused by a consumer group',
};

/** Any record of the metadata may have changed topics: that it has not is found out by looking. */
export function topicsViewOf(image: MetadataImage): TopicsView {
  return {
    version: image.endOffset,
    idOf: (name) => image.topic(name)?.id,
    nameOf: (topicId) => image.topicById(topicId)?.name,
    names: () => Array.from(image.topics(), ({ name }) => name),
    isDeleted: (topicId) => image.isDeleted(topicId),
    partitionCount: (topicId) => image.topicById(topicId)?.partitions.length ?? 0,
  };
}
