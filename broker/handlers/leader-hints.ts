/**
 * Tells clients that asked the wrong node, or with an epoch that is over, who leads now and where it is reached, so that they
 * need not ask for metadata first (KIP-951). One for each answer; nothing is said of leaders that a client could not reach.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { currentLeader, visibleNodes } from './cluster-view.ts';
import type { VisibleNode } from './cluster-view.ts';
import type { RequestContext } from './handler.ts';

export interface LeaderHint {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

export type NodeEndpoint = Pick<VisibleNode, 'nodeId' | 'host' | 'port' | 'rack'>;

export class LeaderHints {
  readonly #context: RequestContext;
  readonly #sinceVersion: number;
  readonly #named = new Map<number, NodeEndpoint>();
  #visible: ReadonlyMap<number, VisibleNode> | undefined;

  /** `sinceVersion`: the first version of the answer that has room for it. */
  constructor(context: RequestContext, sinceVersion: number) {
    this.#context = context;
    this.#sinceVersion = sinceVersion;
  }

  /** The nodes that have been named so far, where the client reaches them. */
  get endpoints(): NodeEndpoint[] {
    return [...this.#named.values()];
  }

  /** Who leads the partition; undefined where the error is of another kind, or it is not known. */
  for(errorCode: ErrorCode, topic: string, partition: number): LeaderHint | undefined {
    const isOfLeaders =
      errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH;
    if (!isOfLeaders || this.#context.apiVersion < this.#sinceVersion) return undefined;
    const hint = this.#leaderOf(topic, partition);
    this.#visible ??= new Map(visibleNodes(this.#context).map((node) => [node.nodeId, node]));
    const node = hint === undefined ? undefined : this.#visible.get(hint.leaderId);
    if (node === undefined) return undefined;
    const { nodeId, host, port, rack } = node;
    this.#named.set(nodeId, { nodeId, host, port, rack });
    return hint;
  }

  #leaderOf(topic: string, partition: number): LeaderHint | undefined {
    const { nodeId, partitions, cluster } = this.#context.node;
    const known = cluster.image.topic(topic);
    if (known === undefined) return undefined;
    const replica = partitions.replica(topic, partition);
    if (replica?.identity.topicId === known.id && replica.isLeader) {
      return { leaderId: nodeId, leaderEpoch: replica.term };
    }
    return currentLeader(this.#context, known.id, partition);
  }
}
