/**
 * ListPartitionReassignments (KIP-455): the partitions whose replicas are on their way to other nodes, as this node's metadata has it;
 * those of all topics are asked for by null. A partition without a reassignment, or that does not exist, is left out.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { TopicImage } from '../cluster/metadata/metadata-image.ts';
import { isReassigning } from '../cluster/controller/reassignments.ts';
import { clusterResource, defineHandler } from './handler.ts';

export const listPartitionReassignments = defineHandler({
  api: 'ListPartitionReassignments',
  versions: [0, 0],
  handle(context, request) {
    if (!context.authorize('DESCRIBE', 'CLUSTER', clusterResource)) {
      return {
        throttleTimeMs: 0,
        errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        errorMessage: 'Cluster authorization failed.',
        topics: [],
      };
    }
    const { image } = context.node.cluster;
    const topics =
      request.topics === null
        ? [...image.topics()].map((topic) => ongoing(topic))
        : request.topics.flatMap(({ name, partitionIndexes }) => {
            const topic = image.topic(name);
            return topic === undefined ? [] : [ongoing(topic, new Set(partitionIndexes))];
          });
    return {
      throttleTimeMs: 0,
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      topics: topics.filter(({ partitions }) => partitions.length > 0),
    };
  },
});

/** Of these partitions, or of all. */
function ongoing({ name, partitions }: TopicImage, asked?: ReadonlySet<number>) {
  return {
    name,
    partitions: partitions
      .filter((partition) => isReassigning(partition) && asked?.has(partition.index) !== false)
      .map(({ index, replicas, adding, removing }) => ({
        partitionIndex: index,
        replicas,
        addingReplicas: adding,
        removingReplicas: removing,
      })),
  };
}
