import { ErrorCode, type DescribeQuorumResponse } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { QuorumDescription, QuorumMember } from './admin-types.ts';

const metadataTopic = '__cluster_metadata';

type Replica = DescribeQuorumResponse['topics'][number]['partitions'][number]['currentVoters'][number];

/** The group that keeps the cluster's metadata, as its leader sees it. */
export async function describeQuorum(cluster: Cluster, options: CallOptions): Promise<QuorumDescription> {
  const doing = 'describe the metadata quorum';
  const body = { topics: [{ topicName: metadataTopic, partitions: [{ partitionIndex: 0 }] }] };
  return cluster.retry(
    doing,
    async () => {
      const response = await cluster.request('DescribeQuorum', body, {
        target: 'controller',
        signal: options.signal,
      });
      if (response.errorCode !== ErrorCode.NONE)
        throw brokerError(response.errorCode, doing, response.errorMessage);
      const partition = response.topics.find(({ topicName }) => topicName === metadataTopic)?.partitions[0];
      const errorCode = partition?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      if (partition === undefined || errorCode !== ErrorCode.NONE)
        throw brokerError(errorCode, doing, partition?.errorMessage);
      const { leaderId, leaderEpoch, highWatermark, currentVoters, observers } = partition;
      return {
        leader: leaderId,
        leaderEpoch,
        highWatermark,
        voters: membersOf(currentVoters),
        observers: membersOf(observers),
      };
    },
    options,
  );
}

function membersOf(replicas: readonly Replica[]): QuorumMember[] {
  return replicas
    .map(({ replicaId, logEndOffset, lastFetchTimestamp, lastCaughtUpTimestamp }) => ({
      id: replicaId,
      logEndOffset,
      lastFetchTimestamp,
      lastCaughtUpTimestamp,
    }))
    .sort((a, b) => a.id - b.id);
}
