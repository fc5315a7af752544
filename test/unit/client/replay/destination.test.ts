import { describe, expect, it } from 'vitest';
import { KafkaError, type TopicDescription } from '../../../../client/index.ts';
import { createDestination, planDestination } from '../../../../client/replay/destination.ts';
import type { DestinationAdmin } from '../../../../client/replay/destination.ts';

function topicWith(name: string, replicas: readonly (readonly number[])[]): TopicDescription {
  const partitions = replicas.map((nodes, partition) => ({
    partition,
    leader: nodes[0]!,
    leaderEpoch: 1,
    replicas: [...nodes],
    inSyncReplicas: [...nodes],
    offlineReplicas: [],
  }));
  return { name, topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', internal: false, partitions };
}

/** A cluster that has these topics; keeps what it is asked to make. */
function adminOf(...topics: readonly TopicDescription[]) {
  const made: unknown[] = [];
  const admin: DestinationAdmin = {
    describeTopics: ([name]) => {
      const found = topics.find((topic) => topic.name === name);
      if (found !== undefined) return Promise.resolve([found]);
      return Promise.reject(new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'It is not there.'));
    },
    describeConfigs: () => {
      const entry = { name: 'min.insync.replicas', value: '2', readOnly: false, sensitive: false };
      const entries = [
        { ...entry, source: 'topic' as const },
        { ...entry, name: 'retention.ms', source: 'default' as const },
      ];
      return Promise.resolve([{ type: 'topic', name: 'source', entries }]);
    },
    createTopics: (asked) => {
      made.push(...asked);
      return Promise.resolve();
    },
  };
  return { admin, made };
}

describe('a destination that is to be created', () => {
  it('has the partitions, the replicas and the settings of the source', async () => {
    // Partition 1 is on its way to another node.
    const source = topicWith('source', [
      [1, 2, 3],
      [2, 3, 1, 4],
    ]);
    const { admin, made } = adminOf(source);
    const planned = await planDestination(admin, source, { topic: 'copy', create: true });
    expect(planned).toEqual({
      topic: 'copy',
      partitions: 2,
      toBeCreated: true,
      replicationFactor: 3,
      partitioning: 'source',
    });
    await createDestination(admin, 'source', planned);
    expect(made).toEqual([
      { name: 'copy', partitions: 2, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } },
    ]);
  });

  it('is left as it is where it exists', async () => {
    const source = topicWith('source', [[1, 2, 3]]);
    const copy = topicWith('copy', [[1], [2]]);
    const { admin, made } = adminOf(source, copy);
    const planned = await planDestination(admin, source, { topic: 'copy', create: true });
    expect(planned).toMatchObject({ partitions: 2, toBeCreated: false, replicationFactor: 1 });
    expect(made).toEqual([]);
  });
});
