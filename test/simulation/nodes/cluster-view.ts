/** What single nodes say of the cluster, and what of that is not as it should be once nothing happens any more. */
import type { NodeClient } from './node-client.ts';

const callMs = 5_000;
const metadataTopic = '__cluster_metadata';

export interface ClusterView {
  /** All that nodes have to agree on. */
  readonly text: string;
  /** Where replicas are, by `topic-partition`. */
  readonly replicas: ReadonlyMap<string, readonly number[]>;
  /** Undefined where all is as it should be. */
  readonly fault: string | undefined;
}

/** What one node says of the cluster, which should have these members. Rejects with NoAnswer. */
export async function viewOf(
  client: NodeClient,
  nodeId: number,
  members: readonly number[],
): Promise<ClusterView> {
  const answer = await client.call(nodeId, 'Metadata', { topics: null }, callMs);
  const reassigned = await client.call(
    nodeId,
    'ListPartitionReassignments',
    { topics: null, timeoutMs: callMs },
    callMs,
  );
  const brokers = inOrder(answer.brokers.map((broker) => broker.nodeId));
  const replicas = new Map<string, readonly number[]>();
  let fault: string | undefined;
  if (brokers.join() !== members.join()) fault = `node ${nodeId} knows of nodes ${brokers.join(', ')}`;
  if (reassigned.topics.length > 0) fault = `${reassigned.topics[0]!.name} is still being reassigned`;
  const topics = answer.topics
    .map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions
        .map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes }) => {
          const isr = inOrder(isrNodes);
          replicas.set(`${name}-${partitionIndex}`, replicaNodes);
          if (leaderId < 0) fault = `${name}-${partitionIndex} has no leader, as node ${nodeId} says`;
          if (isr.length !== replicaNodes.length) {
            fault = `${name}-${partitionIndex} on ${replicaNodes.join(', ')} has in sync ${isr.join(', ')}, as node ${nodeId} says`;
          }
          return { partitionIndex, leaderId, leaderEpoch, replicaNodes, isr };
        })
        .sort((a, b) => a.partitionIndex - b.partitionIndex),
    }))
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
  const resources = topics.map(({ name }) => ({
    resourceType: 2,
    resourceName: name ?? '',
    configurationKeys: null,
  }));
  const described = await client.call(nodeId, 'DescribeConfigs', { resources }, callMs);
  const configs = described.results.map(({ resourceName, configs: settings }) => [
    resourceName,
    settings.filter(({ configSource }) => configSource === 1).map(({ name, value }) => [name, value]),
  ]);
  return { text: JSON.stringify({ brokers, topics, configs }), replicas, fault };
}

/** What is wrong with the group of the metadata, as its leader says; it should have these members. Rejects with NoAnswer. */
export async function quorumFault(
  client: NodeClient,
  nodeId: number,
  members: readonly number[],
): Promise<string | undefined> {
  const request = { topics: [{ topicName: metadataTopic, partitions: [{ partitionIndex: 0 }] }] };
  const { topics } = await client.call(nodeId, 'DescribeQuorum', request, callMs);
  const { errorCode, highWatermark, currentVoters, observers } = topics[0]!.partitions[0]!;
  if (errorCode !== 0) return 'the metadata has no leader';
  const known = inOrder([...currentVoters, ...observers].map(({ replicaId }) => replicaId));
  // A node that has changed its directory is two members, until the old one is let go of.
  if (known.join() !== members.join()) return `the metadata has members ${known.join(', ')}`;
  const behind = currentVoters.find(({ logEndOffset }) => logEndOffset < highWatermark);
  return behind && `voter ${behind.replicaId} of the metadata is behind`;
}

export function inOrder(ids: readonly number[]): number[] {
  return ids.toSorted((left, right) => left - right);
}
