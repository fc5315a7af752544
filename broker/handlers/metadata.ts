/**
 * Metadata: the nodes, and for each topic asked for its partitions and who leads them.
 *
 * All topics are asked for by null, in version 0 by an empty list, which means none from version 1. From version 10 the
 * answer has topic ids, from 12 a topic may be asked for by id. A missing topic is created where both the request (before
 * version 4 always) and auto.create.topics.enable want it. Kafka answers UNKNOWN_TOPIC_OR_PARTITION then and has the
 * client ask again; this node answers once the topic can be used. Versions 8 to 10 can ask for what the client may do with
 * the cluster, 8 and later for what it may do with each topic. A topic that the client must not see is never looked up.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { MetadataRequest } from '../../protocol/index.ts';
import type { TopicImage } from '../cluster/metadata/metadata-image.ts';
import { isInternalTopic, topicNameFault } from '../cluster/topic-names.ts';
import { clusterAuthorizedOperations, topicAuthorizedOperations } from './authorized-operations.ts';
import { partitionView, visibleController, visibleNodes } from './cluster-view.ts';
import type { PartitionView } from './cluster-view.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

interface TopicAnswer {
  readonly errorCode: ErrorCode;
  readonly name: string | null;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly partitions: readonly PartitionView[];
  topicAuthorizedOperations?: number;
}

const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export const metadata = defineHandler({
  api: 'Metadata',
  versions: [0, 13],
  async handle(context, request) {
    const topics = await findTopics(context, request);
    if (request.includeTopicAuthorizedOperations) {
      for (const topic of topics) {
        if (topic.name === null || topic.errorCode === ErrorCode.TOPIC_AUTHORIZATION_FAILED) continue;
        topic.topicAuthorizedOperations = topicAuthorizedOperations(context, topic.name);
      }
    }
    const answer = {
      throttleTimeMs: 0,
      brokers: visibleNodes(context),
      clusterId: context.node.clusterId,
      controllerId: visibleController(context),
      topics,
    };
    return request.includeClusterAuthorizedOperations
      ? { ...answer, clusterAuthorizedOperations: clusterAuthorizedOperations(context) }
      : answer;
  },
});

async function findTopics(context: RequestContext, request: MetadataRequest): Promise<TopicAnswer[]> {
  const { image } = context.node.cluster;
  if (request.topics === null || (context.apiVersion === 0 && request.topics.length === 0)) {
    return [...image.topics()]
      .filter(({ name }) => context.authorize('DESCRIBE', 'TOPIC', name))
      .map((topic) => found(context, topic));
  }
  const byId = request.topics.filter(({ topicId }) => topicId !== noTopicId);
  const byName = request.topics.filter(({ topicId }) => topicId === noTopicId);
  const namesNothing =
    byName.some(({ name }) => name === null) && (context.apiVersion < 12 || byId.length === 0);
  if (namesNothing || (context.apiVersion < 12 && byId.length > 0)) {
    return request.topics.map(({ name }) => missing('INVALID_REQUEST', name ?? ''));
  }
  const ids = new Set(byId.map(({ topicId }) => topicId));
  const names = new Set(byName.flatMap(({ name }) => (name === null ? [] : [name])));
  return [...[...ids].map((id) => findById(context, id)), ...(await findByName(context, request, names))];
}

function findById(context: RequestContext, topicId: string): TopicAnswer {
  const topic = context.node.cluster.image.topicById(topicId);
  if (topic === undefined) return missing('UNKNOWN_TOPIC_ID', null, topicId);
  if (context.authorize('DESCRIBE', 'TOPIC', topic.name)) return found(context, topic);
  return missing('TOPIC_AUTHORIZATION_FAILED', null, topicId);
}

async function findByName(
  context: RequestContext,
  request: MetadataRequest,
  names: ReadonlySet<string>,
): Promise<TopicAnswer[]> {
  const { cluster } = context.node;
  const visible = new Set([...names].filter((name) => context.authorize('DESCRIBE', 'TOPIC', name)));
  const absent = [...visible].filter((name) => cluster.image.topic(name) === undefined);
  const refusals = request.allowAutoTopicCreation ? await createMissing(context, absent) : new Map();
  return [...names].map((name) => {
    if (!visible.has(name)) return missing('TOPIC_AUTHORIZATION_FAILED', name);
    const topic = cluster.image.topic(name);
    if (topic !== undefined) return found(context, topic);
    const invalid = topicNameFault(name) !== undefined;
    return missing(
      invalid ? 'INVALID_TOPIC_EXCEPTION' : (refusals.get(name) ?? 'UNKNOWN_TOPIC_OR_PARTITION'),
      name,
    );
  });
}

/** Creates what may be created; gives the errors by name. */
async function createMissing(
  context: RequestContext,
  names: readonly string[],
): Promise<Map<string, keyof typeof ErrorCode>> {
  const refusals = new Map<string, keyof typeof ErrorCode>();
  const { cluster, config } = context.node;
  if (!config.autoCreateTopicsEnable || names.length === 0) return refusals;
  const anyTopic = context.authorize('CREATE', 'CLUSTER', clusterResource);
  const creatable = names.filter((name) => {
    if (topicNameFault(name) !== undefined) return false;
    if (anyTopic || context.authorize('CREATE', 'TOPIC', name)) return true;
    refusals.set(name, 'TOPIC_AUTHORIZATION_FAILED');
    return false;
  });
  const ordinary = creatable.filter((name) => !isInternalTopic(name));
  const toCreate = ordinary.map((name) => ({
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [],
    configs: [],
  }));
  const results = await unlessLogRefuses(cluster.createTopics(toCreate), (refusal) =>
    ordinary.map((name) => ({ kind: 'refused' as const, name, ...refusal })),
  );
  for (const name of creatable.filter(isInternalTopic)) {
    const ensured = await cluster.ensureInternalTopic(name);
    if ('kind' in ensured) results.push(ensured);
  }
  for (const result of results) {
    if (result.kind !== 'refused') continue;
    // Another request was faster: the topic can be used as soon as its replicas are open.
    if (result.error === 'TOPIC_ALREADY_EXISTS') await cluster.whenOpen(result.name);
    else refusals.set(result.name, result.error);
  }
  return refusals;
}

function found(context: RequestContext, topic: TopicImage): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.partitions.map((partition) => partitionView(context, topic, partition)),
  };
}

function missing(error: keyof typeof ErrorCode, name: string | null, topicId = noTopicId): TopicAnswer {
  return {
    errorCode: ErrorCode[error],
    name,
    topicId,
    isInternal: name !== null && isInternalTopic(name),
    partitions: [],
  };
}
