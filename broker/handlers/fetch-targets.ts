/**
 * Which partitions a Fetch is for: those it names (a full fetch), or those its session remembers with the changes that the
 * request brings (KIP-227). Session id 0 means none; epoch -1 ends a session, 0 begins one, any other goes on with it.
 */
import type { FetchRequest } from '../../protocol/index.ts';
import { fetchKey } from '../partition/fetch-sessions.ts';
import type { FetchPartition, FetchSession, FetchSessions } from '../partition/fetch-sessions.ts';
import type { RequestContext } from './handler.ts';

export type FetchTargets =
  | {
      readonly kind: 'targets';
      readonly partitions: Map<string, FetchPartition>;
      /** Set where the answer belongs to a session; only an incremental one leaves out what has not changed. */
      readonly session: FetchSession | undefined;
      readonly incremental: boolean;
    }
  | {
      readonly kind: 'refused';
      readonly error:
        | 'FETCH_SESSION_ID_NOT_FOUND'
        | 'INVALID_FETCH_SESSION_EPOCH'
        | 'FETCH_SESSION_TOPIC_ID_ERROR';
    };

const finalEpoch = -1;
const initialEpoch = 0;

export function findFetchTargets(context: RequestContext, request: FetchRequest): FetchTargets {
  const sessions = context.node.fetchSessions;
  const usesTopicIds = context.apiVersion >= 13;
  if (request.sessionEpoch === finalEpoch || request.sessionEpoch === initialEpoch) {
    if (request.sessionId !== 0) sessions.remove(request.sessionId);
    const partitions = named(context, request, usesTopicIds);
    const session =
      request.sessionEpoch === initialEpoch && partitions.size > 0
        ? sessions.create(partitions, usesTopicIds)
        : undefined;
    return { kind: 'targets', partitions, session, incremental: false };
  }
  return goOn(context, request, sessions, usesTopicIds);
}

function goOn(
  context: RequestContext,
  request: FetchRequest,
  sessions: FetchSessions,
  usesTopicIds: boolean,
): FetchTargets {
  const session = sessions.find(request.sessionId);
  if (session === undefined) return { kind: 'refused', error: 'FETCH_SESSION_ID_NOT_FOUND' };
  if (session.epoch !== request.sessionEpoch)
    return { kind: 'refused', error: 'INVALID_FETCH_SESSION_EPOCH' };
  if (session.usesTopicIds !== usesTopicIds)
    return { kind: 'refused', error: 'FETCH_SESSION_TOPIC_ID_ERROR' };
  for (const [key, asked] of named(context, request, usesTopicIds)) {
    const known = session.partitions.get(key);
    if (known === undefined) {
      session.partitions.set(key, asked);
      continue;
    }
    known.fetchOffset = asked.fetchOffset;
    known.maxBytes = asked.maxBytes;
    known.currentLeaderEpoch = asked.currentLeaderEpoch;
    known.lastFetchedEpoch = asked.lastFetchedEpoch;
  }
  for (const topic of request.forgottenTopicsData) {
    for (const partition of topic.partitions) {
      session.partitions.delete(fetchKey(usesTopicIds ? topic.topicId : topic.topic, partition));
    }
  }
  sessions.advance(session);
  return { kind: 'targets', partitions: session.partitions, session, incremental: true };
}

function named(
  context: RequestContext,
  request: FetchRequest,
  usesTopicIds: boolean,
): Map<string, FetchPartition> {
  const partitions = new Map<string, FetchPartition>();
  const { image } = context.node.cluster;
  for (const topic of request.topics) {
    const name = usesTopicIds ? image.topicById(topic.topicId)?.name : topic.topic;
    for (const asked of topic.partitions) {
      partitions.set(fetchKey(usesTopicIds ? topic.topicId : topic.topic, asked.partition), {
        topic: name,
        topicId: topic.topicId,
        partition: asked.partition,
        fetchOffset: asked.fetchOffset,
        maxBytes: asked.partitionMaxBytes,
        currentLeaderEpoch: asked.currentLeaderEpoch,
        lastFetchedEpoch: asked.lastFetchedEpoch,
        highWatermark: -1,
        logStartOffset: -1,
      });
    }
  }
  return partitions;
}
