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

/** What a node carries: partitions that it holds, and of these the ones that it is to lead. */
interface Load {
  readonly node: PlanNode;
  readonly holds: Set<Placed>;
  readonly leads: Set<Placed>;
  sizeBytes: number;
}

/** What makes the numbers of replicas and of preferred leaderships differ by at most one between these nodes, as far as that can be. */
export function evenOut(nodes: readonly PlanNode[], partitions: readonly PlanPartition[]): Move[] {
  const placed = partitions.map((partition): Placed => ({ partition, replicas: [...partition.replicas] }));
  const loads = loadsOf(nodes, placed);
  while (moveOne(loads));
  while (shiftLeadership(loads));
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
  const fresh = new Set(placed.filter(({ partition, replicas }) => replicas[0] !== partition.replicas[0]));
  while (shiftLeadership(loads, fresh));
  return movesOf(placed);
}

function loadsOf(nodes: readonly PlanNode[], placed: readonly Placed[]): Map<number, Load> {
  const loads = new Map(
    nodes.map((node): [number, Load] => [
      node.id,
      { node, holds: new Set(), leads: new Set(), sizeBytes: 0 },
    ]),
  );
  for (const each of placed) {
    for (const [place, id] of each.replicas.entries()) {
      const load = loads.get(id);
      if (load !== undefined) give(load, each, place === 0);
    }
  }
  return loads;
}

function give(load: Load, placed: Placed, leads: boolean): void {
  load.holds.add(placed);
  load.sizeBytes += placed.partition.sizeBytes;
  if (leads) load.leads.add(placed);
}

function take(load: Load, placed: Placed): void {
  load.holds.delete(placed);
  load.sizeBytes -= placed.partition.sizeBytes;
  load.leads.delete(placed);
}

/** Moves one replica from a node that has at least two more to one that has fewer; false where none can be moved. */
function moveOne(loads: ReadonlyMap<number, Load>): boolean {
  const ordered = [...loads.values()].sort(
    (left, right) => right.holds.size - left.holds.size || left.node.id - right.node.id,
  );
  for (const from of ordered) {
    for (const to of ordered.toReversed()) {
      if (from.holds.size - to.holds.size < 2) break;
      const best = bestToMove(loads, from, to);
      if (best === undefined) continue;
      const place = best.replicas.indexOf(from.node.id);
      best.replicas[place] = to.node.id;
      take(from, best);
      give(to, best, place === 0);
      return true;
    }
  }
  return false;
}

/** The partition whose move brings the bytes of both nodes closest together. */
function bestToMove(loads: ReadonlyMap<number, Load>, from: Load, to: Load): Placed | undefined {
  let best: Placed | undefined;
  let bestBytes = Infinity;
  for (const each of from.holds) {
    const apartBytes = Math.abs(from.sizeBytes - to.sizeBytes - 2 * each.partition.sizeBytes);
    if (apartBytes >= bestBytes || to.holds.has(each) || !isAsSpread(loads, each, from, to)) continue;
    best = each;
    bestBytes = apartBytes;
  }
  return best;
}

/** Whether the partition lies in as many racks and on as many hosts when one replica has moved. */
function isAsSpread(loads: ReadonlyMap<number, Load>, { replicas }: Placed, from: Load, to: Load): boolean {
  return (['rack', 'host'] as const).every((of) => {
    const isShared = (load: Load): boolean =>
      load.node[of] !== null &&
      replicas.some((id) => id !== from.node.id && loads.get(id)?.node[of] === load.node[of]);
    return isShared(from) || !isShared(to);
  });
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
        left.holds.size - right.holds.size ||
        left.sizeBytes - right.sizeBytes ||
        left.node.id - right.node.id,
    );
  if (best === undefined) throw new RangeError('more replicas were asked for than there are nodes');
  placed.replicas.push(best.node.id);
  give(best, placed, placed.replicas.length === 1);
}

/**
 * Hands one preferred leadership from a node to another that has at least two fewer, by way of others where they share no partition;
 * false where none can be handed over. Only the order of replicas changes, and only that of these partitions where some are named.
 */
function shiftLeadership(loads: ReadonlyMap<number, Load>, among?: ReadonlySet<Placed>): boolean {
  const ordered = [...loads.values()].sort(
    (left, right) => right.leads.size - left.leads.size || left.node.id - right.node.id,
  );
  return ordered.some((from) => {
    const path = shortestPath(loads, from, among);
    for (const { placed, to } of path) lead(loads, placed, to);
    return path.length > 0;
  });
}

interface Step {
  readonly placed: Placed;
  readonly to: Load;
}

/** From a node to the nearest that leads at least two fewer; empty where there is none. */
function shortestPath(
  loads: ReadonlyMap<number, Load>,
  from: Load,
  among: ReadonlySet<Placed> | undefined,
): Step[] {
  const reached = new Map<Load, Step[]>([[from, []]]);
  for (const [load, path] of reached) {
    for (const placed of load.leads) {
      if (among?.has(placed) === false) continue;
      for (const id of placed.replicas) {
        const to = loads.get(id);
        if (to === undefined || reached.has(to)) continue;
        const longer = [...path, { placed, to }];
        if (from.leads.size - to.leads.size >= 2) return longer;
        reached.set(to, longer);
      }
      if (reached.size === loads.size) return [];
    }
  }
  return [];
}

function lead(loads: ReadonlyMap<number, Load>, placed: Placed, to: Load): void {
  const [before = -1] = placed.replicas;
  placed.replicas = [to.node.id, ...placed.replicas.filter((id) => id !== to.node.id)];
  loads.get(before)?.leads.delete(placed);
  to.leads.add(placed);
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
