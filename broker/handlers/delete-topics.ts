/**
 * DeleteTopics: by name, from version 6 also by id. Answers when the deletion is committed; the files go afterwards. With
 * delete.topic.enable=false every topic is refused (TOPIC_DELETION_DISABLED, INVALID_REQUEST before version 3). A client
 * that may not see a topic learns nothing of it; one that asks by an id and may not see the topic is not told its name.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DeleteTopicsRequest } from '../../protocol/index.ts';
import type { TopicImage } from '../cluster/metadata/metadata-image.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

interface TopicAnswer {
  readonly name: string | null;
  readonly topicId: string;
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
}

type Asked = DeleteTopicsRequest['topics'][number];

/** What one entry of the request means: a topic to delete, or an answer already. */
type Target =
  | { readonly topic: TopicImage }
  /** `isUnknown`: as far as this node knows. */
  | { readonly answer: TopicAnswer; readonly isUnknown?: boolean };

const notAuthorized = 'Topic authorization failed.';
const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export const deleteTopics = defineHandler({
  api: 'DeleteTopics',
  versions: [1, 6],
  async handle(context, request) {
    const asked =
      context.apiVersion >= 6
        ? request.topics
        : request.topicNames.map((name): Asked => ({ name, topicId: noTopicId }));
    if (!context.node.config.deleteTopicEnable) {
      return { throttleTimeMs: 0, responses: asked.map((topic) => disabled(context, topic)) };
    }
    const targets = onlyOnce(await resolveAll(context, distinct(asked)));
    const ids = targets.flatMap((target) => ('topic' in target ? [target.topic.id] : []));
    const deletions = await unlessLogRefuses(context.node.cluster.deleteTopics(ids), (refusal) =>
      ids.map((topicId) => ({ kind: 'refused' as const, topicId, ...refusal })),
    );
    const byId = new Map(deletions.map((deletion) => [deletion.topicId, deletion]));
    const responses = targets.map((target): TopicAnswer => {
      if ('answer' in target) return target.answer;
      const { name, id } = target.topic;
      const deletion = byId.get(id);
      return deletion?.kind === 'refused'
        ? answer(name, id, deletion.error, deletion.message)
        : answer(name, id, 'NONE', null);
    });
    return { throttleTimeMs: 0, responses };
  },
});

/** What this node does not know it may not know yet: that a topic does not exist is said once the image is as the controller's was. */
async function resolveAll(
  context: RequestContext,
  asked: readonly (Asked & { times: number })[],
): Promise<Target[]> {
  const { cluster } = context.node;
  const targets = asked.map((topic) => resolve(context, topic));
  if (!targets.some((target) => 'answer' in target && target.isUnknown === true)) return targets;
  const current = cluster.catchUp().then(() => undefined);
  const refusal = await unlessLogRefuses(current, (refused) => refused);
  if (refusal === undefined) return asked.map((topic) => resolve(context, topic));
  return targets.map((target): Target => {
    if (!('answer' in target) || target.isUnknown !== true) return target;
    const { name, topicId } = target.answer;
    return { answer: answer(name, topicId, refusal.error, refusal.message) };
  });
}

function resolve(context: RequestContext, { name, topicId, times }: Asked & { times: number }): Target {
  const refuse = (error: keyof typeof ErrorCode, message: string): Target => ({
    answer: answer(name, topicId, error, message),
  });
  if (name === null && topicId === noTopicId) {
    return refuse('INVALID_REQUEST', 'Neither topic name nor id were specified.');
  }
  if (name !== null && topicId !== noTopicId) {
    return refuse('INVALID_REQUEST', 'You may not specify both topic name and topic id.');
  }
  if (times > 1) return refuse('INVALID_REQUEST', `Duplicate topic ${name === null ? 'id' : 'name'}.`);
  const { image } = context.node.cluster;
  if (name === null) {
    const topic = image.topicById(topicId);
    if (topic === undefined) {
      const unknown = answer(name, topicId, 'UNKNOWN_TOPIC_ID', 'There is no topic with this id.');
      return { answer: unknown, isUnknown: true };
    }
    if (mayDelete(context, topic.name)) return { topic };
    const shown = context.authorize('DESCRIBE', 'TOPIC', topic.name) ? topic.name : null;
    return { answer: answer(shown, topicId, 'TOPIC_AUTHORIZATION_FAILED', notAuthorized) };
  }
  if (!mayDelete(context, name)) return refuse('TOPIC_AUTHORIZATION_FAILED', notAuthorized);
  const topic = image.topic(name);
  if (topic !== undefined) return { topic };
  const message = `The topic '${name}' does not exist.`;
  return { answer: answer(name, topicId, 'UNKNOWN_TOPIC_OR_PARTITION', message), isUnknown: true };
}

function mayDelete(context: RequestContext, name: string): boolean {
  return (
    context.authorize('DELETE', 'CLUSTER', clusterResource) || context.authorize('DELETE', 'TOPIC', name)
  );
}

/** Each entry once, with the number of times that it was given. */
function distinct(asked: readonly Asked[]): (Asked & { times: number })[] {
  const entries = new Map<string, Asked & { times: number }>();
  for (const { name, topicId } of asked) {
    const key = JSON.stringify([name, topicId]);
    entries.set(key, { name, topicId, times: (entries.get(key)?.times ?? 0) + 1 });
  }
  return [...entries.values()];
}

/** A topic given both by its name and by its id is deleted for neither. */
function onlyOnce(targets: readonly Target[]): Target[] {
  const counts = new Map<string, number>();
  for (const target of targets) {
    if ('topic' in target) counts.set(target.topic.id, (counts.get(target.topic.id) ?? 0) + 1);
  }
  return targets.map((target) => {
    if (!('topic' in target) || counts.get(target.topic.id) === 1) return target;
    const message = 'The provided topic name maps to an ID that was already supplied.';
    return { answer: answer(target.topic.name, target.topic.id, 'INVALID_REQUEST', message) };
  });
}

function disabled(context: RequestContext, { name, topicId }: Asked): TopicAnswer {
  const error = context.apiVersion < 3 ? 'INVALID_REQUEST' : 'TOPIC_DELETION_DISABLED';
  return answer(name, topicId, error, 'Topic deletion is disabled (delete.topic.enable=false).');
}

function answer(
  name: string | null,
  topicId: string,
  error: keyof typeof ErrorCode,
  errorMessage: string | null,
): TopicAnswer {
  return { name, topicId, errorCode: ErrorCode[error], errorMessage };
}
