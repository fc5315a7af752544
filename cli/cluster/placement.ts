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
  /** By topic; none where it holds nothing of it. */
  readonly topics: Map<string, TopicLoad>;
  sizeBytes: number;
}

interface TopicLoad {
  holds: number;
  readonly leads: Set<Placed>;
}

const none: ReadonlySet<Placed> = new Set();

/**
 * What makes the numbers of replicas, of preferred leaderships of each topic and of all differ by at most one between these nodes, as far as
 * that can be. A topic comes before the sum over all: one topic's load is not spread by leading others elsewhere.
 */
export function evenOut(nodes: readonly PlanNode[], partitions: readonly PlanPartition[]): Move[] {
  const placed = partitions.map((partition): Placed => ({ partition, replicas: [...partition.replicas] }));
  const loads = loadsOf(nodes, placed);
  while (moveOne(loads));
  spreadLeaderships(loads, placed);
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
  spreadLeaderships(
    loads,
    placed.filter(({ partition, replicas }) => replicas[0] !== partition.replicas[0]),
  );
  return movesOf(placed);
}

function loadsOf(nodes: readonly PlanNode[], placed: readonly Placed[]): Map<number, Load> {
  const loads = new Map(
    nodes.map((node): [number, Load] => [
      node.id,
      { node, holds: new Set(), leads: new Set(), topics: new Map(), sizeBytes: 0 },
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
  const { topic } = placed.partition;
  const ofTopic = load.topics.get(topic) ?? { holds: 0, leads: new Set() };
  load.topics.set(topic, ofTopic);
  ofTopic.holds++;
  if (leads) giveLead(load, placed);
}

function take(load: Load, placed: Placed): void {
  takeLead(load, placed);
  load.holds.delete(placed);
  load.sizeBytes -= placed.partition.sizeBytes;
  const ofTopic = load.topics.get(placed.partition.topic);
  if (ofTopic !== undefined) ofTopic.holds--;
}

function giveLead(load: Load, placed: Placed): void {
  load.leads.add(placed);
  load.topics.get(placed.partition.topic)?.leads.add(placed);
}

function takeLead(load: Load, placed: Placed): void {
  load.leads.delete(placed);
  load.topics.get(placed.partition.topic)?.leads.delete(placed);
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

/** Of the topic that is least even between both nodes, the partition whose move brings their bytes closest together. */
function bestToMove(loads: ReadonlyMap<number, Load>, from: Load, to: Load): Placed | undefined {
  const heldOf = ({ topics }: Load, topic: string): number => topics.get(topic)?.holds ?? 0;
  let best: Placed | undefined;
  let bestMore = -Infinity;
  let bestBytes = Infinity;
  for (const each of from.holds) {
    const { topic, sizeBytes } = each.partition;
    const more = heldOf(from, topic) - heldOf(to, topic);
    const apartBytes = Math.abs(from.sizeBytes - to.sizeBytes - 2 * sizeBytes);
    const isBetter = more > bestMore || (more === bestMore && apartBytes < bestBytes);
    if (!isBetter || to.holds.has(each) || !isAsSpread(loads, each, from, to)) continue;
    best = each;
    bestMore = more;
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

/** Which leaderships are to be even, and which may be handed over for it. */
interface Spread {
  readonly leads: (load: Load) => ReadonlySet<Placed>;
  readonly mayGo: (placed: Placed, from: Load, to: Load) => boolean;
}

/** Evens out the preferred leaderships of each topic, then of all, by the order of these partitions' replicas alone. */
function spreadLeaderships(loads: ReadonlyMap<number, Load>, among: readonly Placed[]): void {
  const movable = new Set(among);
  for (const topic of new Set(among.map(({ partition }) => partition.topic))) {
    const leads = ({ topics }: Load): ReadonlySet<Placed> => topics.get(topic)?.leads ?? none;
    while (shiftLeadership(loads, { leads, mayGo: (placed) => movable.has(placed) }));
  }
  const countOf = ({ topics }: Load, { partition }: Placed): number =>
    topics.get(partition.topic)?.leads.size ?? 0;
  const ofAll: Spread = {
    leads: ({ leads }) => leads,
    // No topic may be less even for it.
    mayGo: (placed, from, to) => movable.has(placed) && countOf(from, placed) > countOf(to, placed),
  };
  while (shiftLeadership(loads, ofAll));
}

/**
 * Hands one preferred leadership from a node to another that has at least two fewer, by way of others where they share no partition;
 * false where none can be handed over. Only the order of replicas changes.
 */
function shiftLeadership(loads: ReadonlyMap<number, Load>, spread: Spread): boolean {
  const count = (load: Load): number => spread.leads(load).size;
  const ordered = [...loads.values()].sort(
    (left, right) => count(right) - count(left) || left.node.id - right.node.id,
  );
  return ordered.some((from) => {
    const path = shortestPath(loads, from, spread);
    for (const { placed, to } of path) lead(loads, placed, to);
    return path.length > 0;
  });
}

interface Step {
  readonly placed: Placed;
  readonly to: Load;
}

/** From a node to the nearest that leads at least two fewer; empty where there is none. */
function shortestPath(loads: ReadonlyMap<number, Load>, from: Load, { leads, mayGo }: Spread): Step[] {
  const reached = new Map<Load, Step[]>([[from, []]]);
  for (const [load, path] of reached) {
    for (const placed of leads(load)) {
      for (const id of placed.replicas) {
        const to = loads.get(id);
        if (to === undefined || reached.has(to) || !mayGo(placed, load, to)) continue;
        const longer = [...path, { placed, to }];
        if (leads(from).size - leads(to).size >= 2) return longer;
        reached.set(to, longer);
      }
      if (reached.size === loads.size) return [];
    }
  }
  return [];
}

function lead(loads: ReadonlyMap<number, Load>, placed: Placed, to: Load): void {
  const [before = -1] = placed.replicas;
  const from = loads.get(before);
  placed.replicas = [to.node.id, ...placed.replicas.filter((id) => id !== to.node.id)];
  if (from !== undefined) takeLead(from, placed);
  giveLead(to, placed);
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
