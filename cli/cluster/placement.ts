/**
 * Where replicas should lie, so that nodes carry alike: plans for `kappalog cluster rebalance` and `reassign`. Pure and
 * deterministic: the same cluster gives the same plan.
 *
 * A plan never puts two replicas of a partition on one node, nor fewer racks or hosts under a partition than it had. The order of
 * replicas is kept where it can be: the first is the preferred leader.
 */
import type { TopicPartition } from '../../client/index.ts';

export interface PlanNode {
  readonly id: number;
  readonly rack: string | null;
  /** Nodes that are reached at one address by different ports are taken for one machine. */
  readonly host: string;
}

export interface PlanPartition extends TopicPartition {
  /** Those that are to be, the preferred leader first. */
  readonly replicas: readonly number[];
  readonly sizeBytes: number;
}

/** A partition with other replicas, or the same in another order. */
export interface Move extends TopicPartition {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly sizeBytes: number;
}

interface Placed {
  readonly partition: PlanPartition;
  replicas: number[];
}

interface Load {
  readonly node: PlanNode;
  replicas: number;
  sizeBytes: number;
  leads: number;
}

/** What makes the numbers of replicas and of preferred leaderships differ by at most one between these nodes, as far as that can be. */
export function evenOut(nodes: readonly PlanNode[], partitions: readonly PlanPartition[]): Move[] {
  const placed = partitions.map((partition): Placed => ({ partition, replicas: [...partition.replicas] }));
  const loads = loadsOf(nodes, placed);
  while (moveOne(loads, placed));
  while (shiftLeadership(loads, placed));
  return movesOf(placed);
}

export interface PlaceRequest {
  /** The nodes that may hold these partitions. */
  readonly nodes: readonly PlanNode[];
  /** Those that are to be placed. */
  readonly partitions: readonly PlanPartition[];
  /** All others of the cluster: what the nodes carry already. */
  readonly others: readonly PlanPartition[];
  /** As many as each has where undefined; at most the number of nodes. */
  readonly replicationFactor: number | undefined;
}

/** Puts partitions on some nodes alone. What lies on one of them already stays there. */
export function placeOn({ nodes, partitions, others, replicationFactor }: PlaceRequest): Move[] {
  const allowed = new Set(nodes.map(({ id }) => id));
  const placed = partitions.map((partition): Placed => {
    const count = replicationFactor ?? partition.replicas.length;
    return { partition, replicas: partition.replicas.filter((id) => allowed.has(id)).slice(0, count) };
  });
  const loads = loadsOf(nodes, [
    ...placed,
    ...others.map((partition): Placed => ({ partition, replicas: [...partition.replicas] })),
  ]);
  for (const each of placed) {
    const count = replicationFactor ?? each.partition.replicas.length;
    while (each.replicas.length < count) addReplica(loads, each);
  }
  const fresh = placed.filter(({ partition, replicas }) => replicas[0] !== partition.replicas[0]);
  while (shiftLeadership(loads, fresh));
  return movesOf(placed);
}

function loadsOf(nodes: readonly PlanNode[], placed: readonly Placed[]): Map<number, Load> {
  const loads = new Map(
    nodes.map((node): [number, Load] => [node.id, { node, replicas: 0, sizeBytes: 0, leads: 0 }]),
  );
  for (const { partition, replicas } of placed) {
    for (const [place, id] of replicas.entries()) {
      const load = loads.get(id);
      if (load === undefined) continue;
      load.replicas++;
      load.sizeBytes += partition.sizeBytes;
      if (place === 0) load.leads++;
    }
  }
  return loads;
}

/** Moves one replica from a node that has at least two more to one that has fewer; false where none can be moved. */
function moveOne(loads: ReadonlyMap<number, Load>, placed: readonly Placed[]): boolean {
  const ordered = [...loads.values()].sort(
    (left, right) => right.replicas - left.replicas || left.node.id - right.node.id,
  );
  for (const from of ordered) {
    for (const to of ordered.toReversed()) {
      if (from.replicas - to.replicas < 2) break;
      const best = bestToMove(loads, placed, from, to);
      if (best === undefined) continue;
      replace(best, from, to);
      return true;
    }
  }
  return false;
}

/** The partition whose move brings the bytes of both nodes closest together. */
function bestToMove(
  loads: ReadonlyMap<number, Load>,
  placed: readonly Placed[],
  from: Load,
  to: Load,
): Placed | undefined {
  let best: Placed | undefined;
  let bestBytes = Infinity;
  for (const each of placed) {
    const { replicas, partition } = each;
    if (!replicas.includes(from.node.id) || replicas.includes(to.node.id)) continue;
    const apartBytes = Math.abs(from.sizeBytes - to.sizeBytes - 2 * partition.sizeBytes);
    if (apartBytes >= bestBytes) continue;
    const after = replicas.map((id) => (id === from.node.id ? to.node.id : id));
    if (!isAsSpread(loads, replicas, after)) continue;
    best = each;
    bestBytes = apartBytes;
  }
  return best;
}

function isAsSpread(
  loads: ReadonlyMap<number, Load>,
  before: readonly number[],
  after: readonly number[],
): boolean {
  const domains = (ids: readonly number[], of: 'rack' | 'host'): number =>
    new Set(ids.map((id) => loads.get(id)?.node[of] ?? `node ${id}`)).size;
  return (['rack', 'host'] as const).every((of) => domains(after, of) >= domains(before, of));
}

function replace(placed: Placed, from: Load, to: Load): void {
  const place = placed.replicas.indexOf(from.node.id);
  placed.replicas[place] = to.node.id;
  from.replicas--;
  to.replicas++;
  from.sizeBytes -= placed.partition.sizeBytes;
  to.sizeBytes += placed.partition.sizeBytes;
  if (place !== 0) return;
  from.leads--;
  to.leads++;
}

/** Among nodes with the fewest neighbours in rack and host, the one that holds least. */
function addReplica(loads: ReadonlyMap<number, Load>, placed: Placed): void {
  const neighbours = (load: Load, of: 'rack' | 'host'): number =>
    load.node[of] === null
      ? 0
      : placed.replicas.filter((id) => loads.get(id)?.node[of] === load.node[of]).length;
  const [best] = [...loads.values()]
    .filter(({ node }) => !placed.replicas.includes(node.id))
    .sort(
      (left, right) =>
        neighbours(left, 'rack') - neighbours(right, 'rack') ||
        neighbours(left, 'host') - neighbours(right, 'host') ||
        left.replicas - right.replicas ||
        left.sizeBytes - right.sizeBytes ||
        left.node.id - right.node.id,
    );
  if (best === undefined) throw new RangeError('more replicas were asked for than there are nodes');
  placed.replicas.push(best.node.id);
  best.replicas++;
  best.sizeBytes += placed.partition.sizeBytes;
  if (placed.replicas.length === 1) best.leads++;
}

/**
 * Hands one preferred leadership from a node to another that has at least two fewer, by way of others where they share no partition;
 * false where none can be handed over. Only the order of replicas changes.
 */
function shiftLeadership(loads: ReadonlyMap<number, Load>, placed: readonly Placed[]): boolean {
  const ordered = [...loads.values()].sort(
    (left, right) => right.leads - left.leads || left.node.id - right.node.id,
  );
  return ordered.some((from) => {
    const path = shortestPath(loads, placed, from);
    for (const { placed: each, to } of path) lead(loads, each, to);
    return path.length > 0;
  });
}

interface Step {
  readonly placed: Placed;
  readonly to: number;
}

/** From a node to the nearest that leads at least two fewer; empty where there is none. */
function shortestPath(loads: ReadonlyMap<number, Load>, placed: readonly Placed[], from: Load): Step[] {
  const reached = new Map<number, Step[]>([[from.node.id, []]]);
  for (const [id, path] of reached) {
    if (from.leads - (loads.get(id)?.leads ?? Infinity) >= 2) return path;
    for (const each of placed) {
      if (each.replicas[0] !== id) continue;
      for (const to of each.replicas) {
        if (loads.has(to) && !reached.has(to)) reached.set(to, [...path, { placed: each, to }]);
      }
    }
  }
  return [];
}

function lead(loads: ReadonlyMap<number, Load>, placed: Placed, to: number): void {
  const [before] = placed.replicas;
  placed.replicas = [to, ...placed.replicas.filter((id) => id !== to)];
  const from = before === undefined ? undefined : loads.get(before);
  const taker = loads.get(to);
  if (from !== undefined) from.leads--;
  if (taker !== undefined) taker.leads++;
}

function movesOf(placed: readonly Placed[]): Move[] {
  return placed.flatMap(({ partition: { topic, partition, replicas: before, sizeBytes }, replicas: after }) =>
    before.join() === after.join() ? [] : [{ topic, partition, before, after, sizeBytes }],
  );
}

/** Bytes that nodes receive in all. */
export function bytesMoved(moves: readonly Move[]): number {
  return moves.reduce(
    (sum, { before, after, sizeBytes }) =>
      sum + sizeBytes * after.filter((id) => !before.includes(id)).length,
    0,
  );
}
