/** Asks the leaders of partitions, each for its own, again where they have moved, until every partition is answered. */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster, RetryLimits } from '../cluster/cluster.ts';
import { peerName } from '../cluster/broker-link.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { hasMoved, unlessMoved } from '../cluster/patience.ts';
import { brokerError, KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';

export interface PartitionOutcome<R> extends TopicPartition {
  readonly errorCode: number;
  readonly value: R;
}

export interface AtLeadersOptions extends RetryLimits {
  /** Completes "Could not ...", before 'of <partition>'. */
  readonly doing: string;
}

/** `ask` sends one request to one broker about partitions that it leads. The results are in the order of `items`. */
export async function atLeaders<I extends TopicPartition, R>(
  cluster: Cluster,
  items: readonly I[],
  options: AtLeadersOptions,
  ask: (node: NodeInfo, items: readonly I[]) => Promise<PartitionOutcome<R>[]>,
): Promise<R[]> {
  const { doing } = options;
  const done = new Map<string, R>();
  const open = (): I[] => items.filter((item) => !done.has(keyOf(item)));
  cluster.track(new Set(items.map((item) => item.topic)));
  await cluster.retry(
    doing,
    async (tries) => {
      if (tries > 1) await cluster.refresh();
      for (const topic of new Set(open().map((item) => item.topic))) await cluster.topic(topic, options);
      const byLeader = Map.groupBy(open(), (item) => leaderOf(cluster, item, { doing, isFresh: tries > 1 }));
      const answers = await Promise.all(
        [...byLeader].map(([node, group]) => whileLeading(cluster, node, group, ask(node, group))),
      );
      const failed: PartitionOutcome<R>[] = [];
      for (const answer of answers.flat()) {
        if (answer.errorCode === ErrorCode.NONE) done.set(keyOf(answer), answer.value);
        else failed.push(answer);
      }
      const first = failed[0];
      if (first !== undefined)
        throw brokerError(first.errorCode, `${doing} of ${first.topic}-${first.partition}`);
    },
    options,
  );
  return items.map((item) => done.get(keyOf(item))!);
}

/** The answer of a leader, for as long as none of the partitions has another one. */
function whileLeading<R>(
  cluster: Cluster,
  node: NodeInfo,
  items: readonly TopicPartition[],
  answer: Promise<R>,
): Promise<R> {
  const { metadata } = cluster;
  const asked = items.map((item) => {
    const leaderEpoch = metadata.partition(item.topic, item.partition)?.leaderEpoch ?? -1;
    return { item, leader: { nodeId: node.id, leaderEpoch } };
  });
  return unlessMoved(cluster.components, answer, {
    peer: peerName(node, node.id),
    hasMoved: async () => {
      await cluster.refresh();
      return asked.some(({ item, leader }) => hasMoved(metadata, item, leader));
    },
  });
}

/** `isFresh`: the metadata was read for this attempt, so that a partition it lacks does not exist. */
function leaderOf(
  cluster: Cluster,
  item: TopicPartition,
  context: { doing: string; isFresh: boolean },
): NodeInfo {
  const leader = cluster.metadata.leader(item.topic, item.partition);
  if (leader !== undefined) return leader;
  const isKnown = cluster.metadata.partition(item.topic, item.partition) !== undefined;
  const code = isKnown ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  const error = brokerError(code, `${context.doing} of ${item.topic}-${item.partition}`);
  if (isKnown || !context.isFresh) throw error;
  throw new KafkaError(error.code, error.message, { retriable: false });
}

function keyOf(item: TopicPartition): string {
  return `${item.topic}/${item.partition}`;
}
