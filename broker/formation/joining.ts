/** A node that joins a running cluster: what members answer it, and how it goes on asking until it belongs to it. */
import type { Clock } from '../../platform/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { fromJson, toJson } from '../cluster/peer-json.ts';
import type { PeerService } from '../peers/peer-requests.ts';
import type { PeerNetwork } from '../peers/peer-network.ts';
import { PeerError } from '../peers/peer-requests.ts';
import type { Replica } from '../partition/replica.ts';
import { membersOf } from '../raft/configuration.ts';
import { nodeOf } from '../raft/member.ts';
import type { NodePeers } from '../node-peers.ts';
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
  return async ({ payload }) => {
    const node = fromJson<JoinQuestion>(payload);
    const { nodeId, directoryId } = node;
    const known = cluster.image.brokers.get(nodeId);
    const { voters } = metadata.configuration;
    const nodes = [...cluster.addresses];
    const answer: JoinAnswer = { clusterId, voters, nodes };
    if (known !== undefined && known.logDirectories[0] !== directoryId) {
      // It has lost the directory that it had, or another process has its id.
      const replacement = await cluster.replaceDirectory({ nodeId, directoryId });
      if (replacement.kind === 'refused') return [toJson({ ...answer, refusal: replacement.message })];
    }
    if (await cluster.admit(node, admitMs)) return [toJson(answer)];
    throw new Error('the cluster has no leader now that could take the node in');
  };
}

/** Starts the cluster's metadata on this node; one that is not a member yet asks to be one until it is. */
export async function startAmongOthers(
  cluster: Cluster,
  peers: NodePeers,
  { clock, metadata }: { readonly clock: Clock; readonly metadata: Replica },
): Promise<void> {
  let isStarted = false;
  const started = cluster.start().finally(() => {
    isStarted = true;
  });
  const isMember = (): boolean =>
    membersOf(metadata.configuration).some((member) => nodeOf(member) === peers.question?.nodeId);
  const ask = async (network: PeerNetwork, question: JoinQuestion): Promise<void> => {
    const addresses = [...peers.formed.addresses.values()];
    for (let place = 0; addresses.length > 0; place++) {
      await new Promise<void>((resolve) => {
        clock.after(pauseMs, resolve);
      });
      if (isStarted || isMember()) return;
      const address = addresses[place % addresses.length]!;
      await network
        .requestAt(address, joinKind, [toJson(question)], { timeoutMs: askMs })
        .catch((error: unknown) => {
          if (!(error instanceof PeerError)) throw error;
        });
    }
  };
  const { network, question } = peers;
  if (network === undefined || question === undefined || isMember()) await started;
  else await Promise.all([started, ask(network, question)]);
}
