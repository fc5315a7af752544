/** A node that joins a running cluster: what members answer it, and how it goes on asking until it belongs to it. */
import type { Clock } from '../../platform/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { fromJson, toJson } from '../cluster/peer-json.ts';
import type { PeerService } from '../peers/peer-requests.ts';
import type { PeerNetwork } from '../peers/peer-network.ts';
import { PeerError } from '../peers/peer-requests.ts';
import type { Replica } from '../partition/replica.ts';
import type { NodePeers } from '../node-peers.ts';
import { takenOutMessage } from '../cluster/controller/registration.ts';
import { memberId } from '../raft/member.ts';
import { StartError } from '../start-error.ts';
import { joinKind } from './form-cluster.ts';
import type { JoinAnswer, JoinQuestion } from './form-cluster.ts';

const admitMs = 5_000;
const pauseMs = 1_000;
const askMs = 10_000;

/** Answers nodes that are to join (`joinKind`). */
export function joinService({
  cluster,
  metadata,
  clusterId,
}: {
  readonly cluster: Cluster;
  readonly metadata: Replica;
  readonly clusterId: string;
}): PeerService {
  const answerNow = (): JoinAnswer => {
    const { voters } = metadata.configuration;
    return { clusterId, voters, nodes: [...cluster.addresses] };
  };
  return async ({ payload }) => {
    const node = fromJson<JoinQuestion>(payload);
    const { nodeId, directoryId } = node;
    if (cluster.image.isGoneMember(memberId(nodeId, directoryId))) {
      return [toJson({ ...answerNow(), refusal: takenOutMessage(nodeId), isFinal: true })];
    }
    // It may have lost the directory that it had, or another process has its id: this node may not know of it yet, the controller does.
    const replacement = await cluster.replaceDirectory({ nodeId, directoryId });
    if (replacement.kind === 'refused') return [toJson({ ...answerNow(), refusal: replacement.message })];
    const admitted = await cluster.admit(node, admitMs);
    if (admitted === undefined) {
      throw new Error('the cluster has no leader now that could take the node in');
    }
    // What is known now, not before: a node that has just been started itself does not know the others at first.
    const answer = answerNow();
    const { leaderNode } = metadata;
    if (!answer.nodes.some(([id]) => id === leaderNode)) {
      throw new Error('this node does not know yet where the leader of the cluster is');
    }
    return [toJson({ ...answer, metadataEndOffset: admitted.endOffset })];
  };
}

/**
 * Resolves with `done`: the start of the metadata on this node, or its registration. While that lasts, longer than for a moment, the node
 * goes on asking to be taken in: as long as it is not registered a leader forgets, with its leadership, where it is to be reached,
 * member or not, and the next one does not tell it that it leads.
 */
export async function askingMeanwhile(done: Promise<void>, peers: NodePeers, clock: Clock): Promise<void> {
  let isDone = false;
  let wake = (): void => {};
  const ended = done.finally(() => {
    isDone = true;
    wake();
  });
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = clock.after(pauseMs, resolve);
      wake = () => {
        timer.cancel();
        resolve();
      };
    });
  const ask = async (network: PeerNetwork, question: JoinQuestion): Promise<void> => {
    const others = [...peers.formed.addresses].filter(([nodeId]) => nodeId !== question.nodeId);
    for (let place = 0; others.length > 0; place++) {
      if (!isDone) await pause();
      if (isDone) return;
      const [, address] = others[place % others.length]!;
      try {
        const bytes = await network.requestAt(address, joinKind, [toJson(question)], { timeoutMs: askMs });
        const { nodes, refusal, isFinal } = fromJson<JoinAnswer>(bytes);
        if (refusal !== undefined && isFinal === true) throw new StartError('cluster', refusal);
        // Whoever leads may have come to lead since: it is to be answered.
        if (!isDone) peers.nodesChanged(new Map(nodes));
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
      }
    }
  };
  const { network, question } = peers;
  if (network === undefined || question === undefined) await ended;
  else await Promise.race([ended, ask(network, question).then(() => ended)]);
}
