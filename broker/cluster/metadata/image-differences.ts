/** What changed between two images, for listeners, where a snapshot took the place of the records in between. Pure. */
import { ConfigResourceType } from './metadata-image.ts';
import type { MetadataChange, MetadataImage, TopicImage } from './metadata-image.ts';

/** Deletions come first, so that a topic made again under its name finds the old one gone. */
export function differences(before: MetadataImage, after: MetadataImage): MetadataChange[] {
  const gone = [...before.topics()].filter(({ id }) => after.topicById(id) === undefined);
  return [
    ...gone.map((topic): MetadataChange => ({ kind: 'topic-deleted', topic })),
    ...brokerDifferences(before, after),
    ...[...after.topics()].flatMap((topic) => topicDifferences(before.topicById(topic.id), topic)),
    ...settingDifferences(before, after),
  ];
}

function topicDifferences(before: TopicImage | undefined, topic: TopicImage): MetadataChange[] {
  const changes: MetadataChange[] = [];
  if (before === undefined) changes.push({ kind: 'topic-created', topic });
  for (const partition of topic.partitions) {
    const { index } = partition;
    const old = before?.partitions[index];
    if (old === undefined) changes.push({ kind: 'partition-created', topic, partition: index });
    else if (JSON.stringify(old) !== JSON.stringify(partition)) {
      changes.push({ kind: 'partition-changed', topic, partition: index, before: old });
    }
  }
  return changes;
}

function brokerDifferences(before: MetadataImage, after: MetadataImage): MetadataChange[] {
  const ids = new Set([...before.brokers.keys(), ...after.brokers.keys()]);
  return [...ids].flatMap((nodeId): MetadataChange[] => {
    const broker = after.brokers.get(nodeId);
    const isSame = JSON.stringify(before.brokers.get(nodeId)) === JSON.stringify(broker);
    return isSame ? [] : [{ kind: 'broker-changed', nodeId, broker }];
  });
}

/** A topic that is gone took its settings along. */
function settingDifferences(before: MetadataImage, after: MetadataImage): MetadataChange[] {
  const resources = new Map(
    [...before.settingResources(), ...after.settingResources()].map((resource) => [
      `${resource.type}:${resource.name}`,
      resource,
    ]),
  );
  return [...resources.values()].flatMap(({ type, name }): MetadataChange[] => {
    if (type === ConfigResourceType.TOPIC && after.topic(name) === undefined) return [];
    // One that was made again under its name took over nothing.
    const isAnother = type === ConfigResourceType.TOPIC && before.topic(name)?.id !== after.topic(name)?.id;
    const old = isAnother ? new Map<string, string>() : before.settings(type, name);
    const now = after.settings(type, name);
    const isSame = old.size === now.size && [...now].every(([key, value]) => old.get(key) === value);
    return isSame ? [] : [{ kind: 'config-changed', resourceType: type, resourceName: name }];
  });
}
