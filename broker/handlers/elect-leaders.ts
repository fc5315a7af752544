/**
 * ElectLeaders (KIP-460): hands partitions to their preferred leaders; null asks for all partitions, of which only those are answered
 * that changed or could not. Answers when each leadership has been taken, or was not.
 *
 * An unclean election (type 1, from version 1) would let a replica lead that may lack what was acknowledged; no group of this
 * broker ever does. It is refused, for a partition without a leader with ELIGIBLE_LEADERS_NOT_AVAILABLE.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { ElectLeadersRequest } from '../../protocol/index.ts';
import type { Refusal } from '../cluster/controller/controller.ts';
import type { TransferOutcome, WantedTransfer } from '../cluster/partitions/leadership-transfers.ts';
import { targetOf } from '../cluster/controller/reassignments.ts';
import { partitionView } from './cluster-view.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

interface AskedPartition {
  readonly topic: string;
  readonly partition: number;
}

/** What is to be done for a partition, or its answer already. */
type Election = AskedPartition & ({ readonly transfer: WantedTransfer } | { readonly refusal: Refusal });

const preferred = 0;
const unclean = 1;

export const electLeaders = defineHandler({
  api: 'ElectLeaders',
  versions: [0, 2],
  async handle(context, request) {
    const type = context.apiVersion === 0 ? preferred : request.electionType;
    if (!context.authorize('ALTER', 'CLUSTER', clusterResource)) {
      const refusal: Refusal = {
        error: 'CLUSTER_AUTHORIZATION_FAILED',
        message: 'Cluster authorization failed.',
      };
      const elections = (request.topicPartitions === null ? [] : askedPartitions(request)).map((asked) => ({
        ...asked,
        refusal,
      }));
      return answer(elections, new Map(), ErrorCode.CLUSTER_AUTHORIZATION_FAILED);
    }
    if (type !== preferred && type !== unclean) {
      return { throttleTimeMs: 0, errorCode: ErrorCode.INVALID_REQUEST, replicaElectionResults: [] };
    }
    const isAll = request.topicPartitions === null;
    const asked = isAll ? allPartitions(context) : askedPartitions(request);
    const elections = asked
      .map((each) => decide(context, each, type))
      .filter(
        (election) => !isAll || 'transfer' in election || election.refusal.error !== 'ELECTION_NOT_NEEDED',
      );
    const transfers = elections.flatMap((election) => ('transfer' in election ? [election.transfer] : []));
    const outcomes = await context.node.transfers.transfer(transfers);
    return answer(elections, new Map(transfers.map((each, place) => [each, outcomes[place]!])));
  },
});

function decide(context: RequestContext, asked: AskedPartition, type: number): Election {
  const refuse = (error: Refusal['error'], message: string): Election => ({
    ...asked,
    refusal: { error, message },
  });
  const { image } = context.node.cluster;
  const topic = image.topic(asked.topic);
  const partition = topic?.partitions[asked.partition];
  if (topic === undefined || partition === undefined) {
    return refuse('UNKNOWN_TOPIC_OR_PARTITION', `There is no partition ${asked.topic}-${asked.partition}.`);
  }
  const { leaderId, isrNodes } = partitionView(context, topic, partition);
  if (type === unclean) {
    if (leaderId >= 0) return refuse('ELECTION_NOT_NEEDED', `Node ${leaderId} leads the partition already.`);
    return refuse(
      'ELIGIBLE_LEADERS_NOT_AVAILABLE',
      'Only a majority of the replicas elects a leader, so that nothing acknowledged is lost. Bring back the nodes that hold them.',
    );
  }
  const [to = -1] = targetOf(partition);
  if (leaderId === to)
    return refuse('ELECTION_NOT_NEEDED', `The preferred leader, node ${to}, leads the partition already.`);
  const isAlive = image.brokers.get(to)?.fenced === false;
  if (leaderId < 0 || !isAlive || !isrNodes.includes(to)) {
    const why = leaderId < 0 ? 'the partition has no leader' : `node ${to} is not in sync`;
    return refuse('PREFERRED_LEADER_NOT_AVAILABLE', `The preferred leader cannot be elected: ${why}.`);
  }
  return { ...asked, transfer: { topicId: topic.id, partition: partition.index, to } };
}

function answer(
  elections: readonly Election[],
  outcomes: ReadonlyMap<WantedTransfer, TransferOutcome>,
  errorCode: ErrorCode = ErrorCode.NONE,
) {
  const byTopic = Map.groupBy(elections, ({ topic }) => topic);
  const replicaElectionResults = [...byTopic].map(([topic, ofTopic]) => ({
    topic,
    partitionResult: ofTopic.map((election) => {
      const refusal = 'transfer' in election ? refusalOf(outcomes.get(election.transfer)) : election.refusal;
      return {
        partitionId: election.partition,
        errorCode: refusal === undefined ? ErrorCode.NONE : ErrorCode[refusal.error],
        errorMessage: refusal?.message ?? null,
      };
    }),
  }));
  return { throttleTimeMs: 0, errorCode, replicaElectionResults };
}

function refusalOf(outcome: TransferOutcome | undefined): Refusal | undefined {
  switch (outcome) {
    case 'transferred':
      return undefined;
    case 'already-leads':
      return { error: 'ELECTION_NOT_NEEDED', message: 'The preferred leader leads the partition already.' };
    case 'not-taken':
      return {
        error: 'PREFERRED_LEADER_NOT_AVAILABLE',
        message: 'The preferred leader did not take over in time; who led before goes on.',
      };
    default:
      return {
        error: 'PREFERRED_LEADER_NOT_AVAILABLE',
        message: 'Who leads the partition could not be reached, or has changed meanwhile. Try again.',
      };
  }
}

function askedPartitions({ topicPartitions }: ElectLeadersRequest): AskedPartition[] {
  return (topicPartitions ?? []).flatMap(({ topic, partitions }) =>
    [...new Set(partitions)].map((partition) => ({ topic, partition })),
  );
}

function allPartitions(context: RequestContext): AskedPartition[] {
  return [...context.node.cluster.image.topics()].flatMap(({ name, partitions }) =>
    partitions.map(({ index }) => ({ topic: name, partition: index })),
  );
}
