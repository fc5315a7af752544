/**
 * The replicas of nodes go to other nodes, so that these can be serviced or leave the cluster: reassignments like any others, first those
 * of the partitions that they are to lead. Pure; see `controller.ts`. It is decided with the setting that says which nodes hold
 * nothing (`drained-nodes.ts`), as `alter-configs.ts` has it.
 *
 * Each replacement is placed as a new replica is. Where the other nodes cannot hold the replicas that a topic has, nothing is
 * changed at all: the operator adds a node, or lowers the number of replicas of the topics that are named.
 */
import type { ControllerState, Refusal } from './controller.ts';
import { DirectoryChoice } from './directories.ts';
import type { PartitionImage, TopicImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { Replacements } from './placement.ts';
import { reassignmentRecord, targetOf } from './reassignments.ts';
import { checkCapacity, placeableNodes } from './replica-assignment.ts';

/** The records that move the replicas; none where all have gone, or are on their way. */
export type Drain =
  | { readonly records: readonly NewMetadataRecord[] }
  | ({ readonly kind: 'refused' } & Refusal);

interface Move {
  readonly topic: TopicImage;
  readonly partition: PartitionImage;
  /** Undefined where too few nodes are left. */
  readonly target: readonly number[] | undefined;
}

const namesShownMax = 10;

/** All replicas of these nodes are to go. May be asked for again: what is on its way already stays so. */
export function decideDrain(state: ControllerState, names: readonly string[]): Drain {
  const { brokers } = state.image;
  const unknown = names.find((name) => !/^\d{1,10}$/.test(name) || !brokers.has(Number(name)));
  if (unknown !== undefined) {
    const known = inOrder(brokers.keys());
    return refuse('BROKER_ID_NOT_REGISTERED', `Node ${unknown} is not registered. Registered: ${known}.`);
  }
  const nodeIds = new Set(names.map(Number));
  if (nodeIds.size === brokers.size) {
    return refuse('INVALID_REQUEST', 'No node would be left that takes replicas. Add a node first.');
  }
  const moves = movesFrom(state, nodeIds);
  const stuck = [
    ...new Set(moves.flatMap(({ topic, target }) => (target === undefined ? [topic.name] : []))),
  ];
  if (stuck.length > 0) return refuseTooFew(state, nodeIds, stuck);
  const capacity = checkCapacity(state, moves.map(addedBy));
  if (capacity.kind === 'refused') return refuse(capacity.error, capacity.message);
  const choice = new DirectoryChoice(state);
  const records = moves.flatMap(
    ({ topic, partition, target }) => reassignmentRecord(topic, partition, target ?? [], choice) ?? [],
  );
  return { records };
}

function movesFrom(state: ControllerState, nodeIds: ReadonlySet<number>): Move[] {
  const replacements = new Replacements(takers(state, nodeIds));
  return partitionsOn(state, nodeIds).map(({ topic, partition }) => {
    const target = targetOf(partition);
    for (const [place, id] of target.entries()) {
      if (!nodeIds.has(id)) continue;
      const others = target.filter((other) => !nodeIds.has(other));
      const to = replacements.next(others);
      if (to === undefined) return { topic, partition, target: undefined };
      target[place] = to;
    }
    return { topic, partition, target };
  });
}

function takers(state: ControllerState, nodeIds: ReadonlySet<number>) {
  return placeableNodes(state).filter(({ id }) => !nodeIds.has(id));
}

function addedBy({ partition, target = [] }: Move): number[] {
  return target.filter((id) => !partition.replicas.includes(id));
}

/** Those that are to stay there, by the metadata; first those that these nodes are to lead. */
function partitionsOn(
  { image }: ControllerState,
  nodeIds: ReadonlySet<number>,
): { topic: TopicImage; partition: PartitionImage }[] {
  const all = [...image.topics()].flatMap((topic) =>
    topic.partitions.flatMap((partition) => {
      return targetOf(partition).some((id) => nodeIds.has(id)) ? [{ topic, partition }] : [];
    }),
  );
  const rank = ({ partition }: { partition: PartitionImage }): number =>
    nodeIds.has(targetOf(partition)[0] ?? -1) ? 0 : 1;
  return all.sort((left, right) => rank(left) - rank(right));
}

function refuseTooFew(
  state: ControllerState,
  nodeIds: ReadonlySet<number>,
  topics: readonly string[],
): Drain {
  const more = topics.length > namesShownMax ? ` and ${topics.length - namesShownMax} more` : '';
  const left = takers(state, nodeIds).map(({ id }) => id);
  const others = left.length === 0 ? 'none' : inOrder(left);
  return refuse(
    'INVALID_REPLICATION_FACTOR',
    `Without node ${[...nodeIds].join(', ')} too few nodes are left for the replicas of ${topics.slice(0, namesShownMax).join(', ')}${more} ` +
      `(nodes that take replicas now: ${others}). Add a node, or give these topics fewer replicas.`,
  );
}

function inOrder(nodeIds: Iterable<number>): string {
  return [...nodeIds].sort((left, right) => left - right).join(', ');
}

function refuse(error: Refusal['error'], message: string): Drain {
  return { kind: 'refused', error, message };
}
