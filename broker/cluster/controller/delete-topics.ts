/** Deletion of topics by id. Pure; see `controller.ts`. Names are resolved by the caller, who also checks its rights. */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';

export type TopicDeletion =
  | { readonly kind: 'deleted'; readonly topicId: string; readonly name: string }
  | ({ readonly kind: 'refused'; readonly topicId: string } & Refusal);

/** One result for each id, in order. An id must not stand twice. */
export function decideDeleteTopics(
  state: ControllerState,
  topicIds: readonly string[],
): Decision<TopicDeletion[]> {
  const records: NewMetadataRecord[] = [];
  const result = topicIds.map((topicId): TopicDeletion => {
    const topic = state.image.topicById(topicId);
    if (topic === undefined) {
      const message = `There is no topic with the id ${topicId}.`;
      return { kind: 'refused', topicId, error: 'UNKNOWN_TOPIC_ID', message };
    }
    records.push({ type: 'RemoveTopicRecord', value: { topicId } });
    return { kind: 'deleted', topicId, name: topic.name };
  });
  return { records, result };
}
