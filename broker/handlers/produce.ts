/**
 * Produce: each partition's batch is checked, appended, and answered when it is as safe as the client asked.
 *
 * acks=all (-1) waits for the commit (a majority has it on disk), acks=1 for this node's write. acks=0 has no answer at all,
 * and an error closes the connection; yet such a request too lasts until it is written, so that a client which sends faster
 * than the disk takes is held back by the bounds on requests. A refusal that ends an idempotent producer waits until this node is
 * known to lead still. Partitions succeed and fail one by one; one error never holds back another.
 * Topics go by name up to version 12 and by id from 13. Transactional batches are refused (INVALID_TXN_STATE): no
 * partition belongs to a transaction without a transaction coordinator.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { ProduceRequest } from '../../protocol/index.ts';
import { unpooled } from '../../platform/buffer-pool.ts';
import { isInternalTopic } from '../cluster/topic-names.ts';
import { checkBatch } from '../partition/batch-checks.ts';
import type { BatchRefusal } from '../partition/batch-checks.ts';
import { AckRound, acksAll, endsProducer } from './ack-round.ts';
import { LeaderHints } from './leader-hints.ts';
import type { LeaderHint } from './leader-hints.ts';
import { whyMissing } from './missing-replica.ts';
import { CloseConnection, defineHandler } from './handler.ts';
import type { RequestContext, ResponseOf } from './handler.ts';

type TopicData = ProduceRequest['topicData'][number];
type PartitionData = TopicData['partitionData'][number];

interface PartitionAnswer {
  index: number;
  errorCode: ErrorCode;
  baseOffset: number;
  logAppendTimeMs: number;
  logStartOffset: number;
  recordErrors: { batchIndex: number; batchIndexErrorMessage: string | null }[];
  errorMessage: string | null;
  currentLeader?: LeaderHint;
}

interface TopicAnswer {
  name: string;
  topicId: string;
  partitionResponses: PartitionAnswer[];
}

/** The first version whose answer says who leads. */
const leadersSinceVersion = 10;
/** The client id under which Kafka's own tools may write to internal topics. */
const adminClientId = '__admin_client';

export const produce = defineHandler({
  api: 'Produce',
  versions: [3, 13],
  handle(context, request) {
    const topics: TopicAnswer[] = [];
    const round = new AckRound<PartitionAnswer>(request.acks, context.node.clock);
    for (const topic of request.topicData) {
      const refusal = refuseTopic(context, request, topic);
      const answer: TopicAnswer = { name: topic.name, topicId: topic.topicId, partitionResponses: [] };
      topics.push(answer);
      for (const data of topic.partitionData) {
        answer.partitionResponses.push(
          refusal === undefined ? append(context, topic, data, round) : refused(data.index, refusal),
        );
      }
    }
    if (request.acks === 0) {
      const failed = topics
        .flatMap((topic) => topic.partitionResponses)
        .find((p) => p.errorCode !== ErrorCode.NONE);
      if (failed !== undefined) {
        throw new CloseConnection(
          `Produce with acks=0 failed: ${failed.errorMessage ?? `error ${failed.errorCode}`}`,
        );
      }
      return round.pending === 0 ? undefined : round.end().then(() => undefined);
    }
    const response = (): ResponseOf<'Produce'> => ({
      responses: topics,
      throttleTimeMs: 0,
      ...endpointsOf(context, topics),
    });
    return round.pending === 0 ? response() : round.finish(request.timeoutMs).then(response);
  },
});

/** Notes who leads the partitions that this node does not lead, and says where those are reached. */
function endpointsOf(
  context: RequestContext,
  topics: readonly TopicAnswer[],
): Pick<ResponseOf<'Produce'>, 'nodeEndpoints'> {
  const hints = new LeaderHints(context, leadersSinceVersion);
  for (const { name, partitionResponses } of topics) {
    for (const answer of partitionResponses) {
      if (answer.errorCode === ErrorCode.NONE) continue;
      const leader = hints.for(answer.errorCode, name, answer.index);
      if (leader !== undefined) answer.currentLeader = leader;
    }
  }
  return hints.endpoints.length === 0 ? {} : { nodeEndpoints: hints.endpoints };
}

/** What is wrong with a topic as a whole, if anything. */
function refuseTopic(
  context: RequestContext,
  request: ProduceRequest,
  topic: TopicData,
): BatchRefusal | undefined {
  if (request.acks !== acksAll && request.acks !== 0 && request.acks !== 1) {
    return {
      error: 'INVALID_REQUIRED_ACKS',
      message: `acks is ${request.acks}; it must be -1 (all), 0 or 1`,
    };
  }
  if (context.apiVersion >= 13) {
    const known = context.node.cluster.image.topicById(topic.topicId);
    if (known === undefined) return { error: 'UNKNOWN_TOPIC_ID', message: null };
    topic.name = known.name;
  }
  if (!context.authorize('WRITE', 'TOPIC', topic.name)) {
    return { error: 'TOPIC_AUTHORIZATION_FAILED', message: null };
  }
  if (isInternalTopic(topic.name) && context.clientId !== adminClientId) {
    return { error: 'INVALID_TOPIC_EXCEPTION', message: `${topic.name} is written by the broker itself` };
  }
  return undefined;
}

function append(
  context: RequestContext,
  topic: TopicData,
  data: PartitionData,
  round: AckRound<PartitionAnswer>,
): PartitionAnswer {
  const replica = context.node.partitions.replica(topic.name, data.index);
  if (replica === undefined) {
    return refused(data.index, { error: whyMissing(context, topic.name, data.index), message: null });
  }
  if (round.acks === acksAll && replica.isLeader && !replica.acknowledgements.hasEnoughInSync) {
    return refused(data.index, { error: 'NOT_ENOUGH_REPLICAS', message: null });
  }
  const config = context.node.cluster.topicConfig(topic.name);
  const nowMs = context.node.clock.wallMs();
  const checked = checkBatch(data.records, { config, nowMs, requestVersion: context.apiVersion });
  if (checked.kind === 'refused') return refused(data.index, checked.refusal);
  // A batch that was made anew here does not lie in the request's memory.
  const lease = checked.batch === data.records ? context.frame : unpooled;
  const outcome = replica.append(checked.batch, checked.header, lease);
  if (outcome.kind === 'refused') {
    const refusal = refused(data.index, { error: outcome.error, message: null });
    if (endsProducer(outcome.error)) round.confirm(replica, refusal);
    return refusal;
  }
  const answer: PartitionAnswer = {
    index: data.index,
    errorCode: ErrorCode.NONE,
    baseOffset: outcome.baseOffset,
    logAppendTimeMs: checked.logAppendTimeMs,
    logStartOffset: outcome.logStartOffset,
    recordErrors: [],
    errorMessage: null,
  };
  round.wait(replica, outcome, answer);
  return answer;
}

function refused(index: number, refusal: BatchRefusal): PartitionAnswer {
  return {
    index,
    errorCode: ErrorCode[refusal.error],
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    recordErrors: (refusal.records ?? []).map(({ index: batchIndex, message }) => ({
      batchIndex,
      batchIndexErrorMessage: message,
    })),
    errorMessage: refusal.message,
  };
}
