/**
 * CreateTopics: makes topics and answers when this node's replicas of them are open, so that a produce right after it
 * finds them. From version 5 the answer has the settings of each new topic, if the client may see them, from 7 its id.
 * Each topic stands or falls by itself; more than 10,000 partitions in one request fall together. The request's time
 * limit is not needed: what is asked for is either done at once or refused.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { CreateTopicsRequest } from '../../protocol/index.ts';
import type { TopicCreation } from '../cluster/controller/create-topics.ts';
import { topicConfigEntries } from '../config/config-entries.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

type Topic = CreateTopicsRequest['topics'][number];

export const createTopics = defineHandler({
  api: 'CreateTopics',
  versions: [2, 7],
  async handle(context, request) {
    const allowed = request.topics.filter(({ name }) => mayCreate(context, name));
    const created = await unlessLogRefuses(
      context.node.cluster.createTopics(allowed, request.validateOnly),
      (refusal) => allowed.map(({ name }) => ({ kind: 'refused' as const, name, ...refusal })),
    );
    const byName = new Map(created.map((result) => [result.name, result]));
    const names = new Set(request.topics.map(({ name }) => name));
    return { throttleTimeMs: 0, topics: [...names].map((name) => answer(context, name, byName.get(name))) };
  },
});

function mayCreate(context: RequestContext, name: Topic['name']): boolean {
  return (
    context.authorize('CREATE', 'CLUSTER', clusterResource) || context.authorize('CREATE', 'TOPIC', name)
  );
}

function answer(context: RequestContext, name: string, result: TopicCreation | undefined) {
  if (result === undefined) return refused(name, 'TOPIC_AUTHORIZATION_FAILED', 'Authorization failed.');
  if (result.kind === 'refused') return refused(name, result.error, result.message);
  const made = { name, topicId: result.topicId, errorCode: ErrorCode.NONE, errorMessage: null };
  if (!context.authorize('DESCRIBE_CONFIGS', 'TOPIC', name)) {
    return { ...made, topicConfigErrorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED, configs: [] };
  }
  return {
    ...made,
    numPartitions: result.partitionCount,
    replicationFactor: result.replicationFactor,
    configs: topicConfigEntries(new Map(result.overrides), context.node.config),
  };
}

function refused(name: string, error: keyof typeof ErrorCode, errorMessage: string) {
  return { name, errorCode: ErrorCode[error], errorMessage, configs: [] };
}
