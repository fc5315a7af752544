/**
 * A node's replicas go to other nodes, so that it can leave the cluster: reassignments like any others, first those of the partitions
 * that it is to lead. Pure; see `controller.ts`.
 *
 * Each replacement is placed as a new replica is. Where the other nodes cannot hold the replicas that a topic has, nothing is
 * changed at all: the operator adds a node, or lowers the number of replicas of the topics that are named.
 */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import { DirectoryChoice } from './directories.ts';
import type { PartitionImage, TopicImage } from './metadata-image.ts';
import { Replacements } from './placement.ts';
import { reassignmentRecord, targetOf } from './reassignments.ts';
import { placeableNodes } from './replica-assignment.ts';

export type Drain =
  | { readonly kind: 'draining'; readonly partitions: number }
  | ({ readonly kind: 'refused' } & Refusal);

const namesShownMax = 10;

/** May be asked for again: what is on its way already stays so. */
export function decideDrain(state: ControllerState, nodeId: number): Decision<Drain> {
  if (!state.image.brokers.has(nodeId)) {
    return refuse('BROKER_ID_NOT_REGISTERED', `Node ${nodeId} is not registered.`);
  }
  const replacements = new Replacements(placeableNodes(state).filter(({ id }) => id !== nodeId));
  const moves = partitionsOn(state, nodeId).map(({ topic, partition }) => {
    const target = targetOf(partition);
    const others = target.filter((id) => id !== nodeId);
    const to = replacements.next(others);
    return { topic, partition, to, target: target.map((id) => (id === nodeId ? (to ?? -1) : id)) };
  });
  const stuck = [...new Set(moves.filter(({ to }) => to === undefined).map(({ topic }) => topic.name))];
  if (stuck.length > 0) {
    const more = stuck.length > namesShownMax ? ` and ${stuck.length - namesShownMax} more` : '';
    return refuse(
      'INVALID_REPLICATION_FACTOR',
      `Without node ${nodeId} too few nodes are left for the replicas of ${stuck.slice(0, namesShownMax).join(', ')}${more}. ` +
        'Add a node, or give these topics fewer replicas.',
    );
  }
  const choice = new DirectoryChoice(state);
  const records = moves.flatMap(
    ({ topic, partition, target }) => reassignmentRecord(topic, partition, target, choice) ?? [],
  );
  return { records, result: { kind: 'draining', partitions: moves.length } };
}

/** Those that are to stay there, by the metadata; first those that it is to lead. */
function partitionsOn(
  { image }: ControllerState,
  nodeId: number,
): { topic: TopicImage; partition: PartitionImage }[] {
  const all = [...image.topics()].flatMap((topic) =>
    topic.partitions.flatMap((partition) => {
      return targetOf(partition).includes(nodeId) ? [{ topic, partition }] : [];
    }),
  );
  const rank = ({ partition }: { partition: PartitionImage }): number =>
    targetOf(partition)[0] === nodeId ? 0 : 1;
  return all.sort((left, right) => rank(left) - rank(right));
}

function refuse(error: Refusal['error'], message: string): Decision<Drain> {
  return { records: [], result: { kind: 'refused', error, message } };
}
