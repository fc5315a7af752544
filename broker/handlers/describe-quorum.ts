/**
 * DescribeQuorum (KIP-595, KIP-836): how far the members of the metadata group have come, as its leader sees it. Kafka knows the group as
 * partition 0 of the topic __cluster_metadata; there is nothing else to ask for. Any node answers: it asks the leader, as
 * Kafka's brokers do. From version 2 members have their data directories, and nodes the addresses at which nodes reach them.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { QuorumMember, QuorumState } from '../cluster/nodes/quorum.ts';
import { internalListener } from '../cluster/controller/registration.ts';
import { clusterMetadataTopic } from '../cluster/topic-names.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext, RequestOf, ResponseOf } from './handler.ts';

type Request = RequestOf<'DescribeQuorum'>;
type Answer = ResponseOf<'DescribeQuorum'>;

/** How long a leader is looked for. Clients repeat what is refused then. */
const leaderMsMax = 3_000;

export const describeQuorum = defineHandler({
  api: 'DescribeQuorum',
  versions: [0, 2],
  async handle(context, request) {
    if (!context.authorize('DESCRIBE', 'CLUSTER', clusterResource)) {
      const errorMessage = 'Cluster authorization failed.';
      return { errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, errorMessage, topics: [] };
    }
    if (!isAskable(request)) {
      const message = `Only partition 0 of ${clusterMetadataTopic} can be described.`;
      return refused(request, 'UNKNOWN_TOPIC_OR_PARTITION', message);
    }
    const state = await context.node.cluster.describeQuorum(leaderMsMax);
    if (state !== undefined) return described(context, state);
    return refused(request, 'NOT_LEADER_OR_FOLLOWER', 'The metadata log has no leader that could be asked.');
  },
});

function isAskable({ topics }: Request): boolean {
  const [topic] = topics;
  if (topics.length !== 1 || topic?.topicName !== clusterMetadataTopic) return false;
  return topic.partitions.length === 1 && topic.partitions[0]?.partitionIndex === 0;
}

function refused({ topics }: Request, error: keyof typeof ErrorCode, errorMessage: string): Answer {
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    topics: topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: ErrorCode[error],
        errorMessage,
        leaderId: -1,
        leaderEpoch: -1,
        highWatermark: -1,
        currentVoters: [],
        observers: [],
      })),
    })),
  };
}

function described(context: RequestContext, state: QuorumState): Answer {
  const { leaderId, leaderEpoch, highWatermark, voters, observers } = state;
  const withNodes = context.apiVersion >= 2;
  const partition = {
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    leaderId,
    leaderEpoch,
    highWatermark,
    currentVoters: voters.map((voter) => replicaState(voter, withNodes)),
    observers: observers.map((observer) => replicaState(observer, withNodes)),
  };
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    topics: [{ topicName: clusterMetadataTopic, partitions: [partition] }],
    ...(withNodes ? { nodes: nodesOf(context, [...voters, ...observers]) } : {}),
  };
}

function nodesOf(context: RequestContext, members: readonly QuorumMember[]): Answer['nodes'] {
  const { brokers } = context.node.cluster.image;
  // A node that joins is a member before it has registered; one that has changed its directory is two members.
  return [...new Set(members.map(({ nodeId }) => nodeId))].map((nodeId) => {
    const endpoints = brokers.get(nodeId)?.endpoints ?? [];
    const internal = endpoints.filter(({ name }) => name === internalListener);
    return { nodeId, listeners: internal.map(({ name, host, port }) => ({ name, host, port })) };
  });
}

function replicaState(member: QuorumMember, withDirectory: boolean) {
  return {
    replicaId: member.nodeId,
    ...(withDirectory ? { replicaDirectoryId: member.directoryId } : {}),
    logEndOffset: member.logEndOffset,
    lastFetchTimestamp: member.lastHeardMs,
    lastCaughtUpTimestamp: member.lastCaughtUpMs,
  };
}
