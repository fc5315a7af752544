/**
 * Where the replicas of new partitions go. Pure and deterministic: the same nodes and loads give the same places.
 *
 * Replicas of one partition are spread over racks, then over hosts, then over nodes; among equals the node with the
 * fewest replicas takes the next one, and the one that leads the fewest partitions leads. Fewer racks or hosts than
 * replicas is allowed; fewer nodes is not.
 */

export interface PlaceableNode {
  readonly id: number;
  readonly rack: string | null;
  readonly host: string | null;
  /** What the node holds already: replicas, and partitions that it leads. */
  readonly replicaCount: number;
  readonly leaderCount: number;
}

export interface PlacementRequest {
  readonly nodes: readonly PlaceableNode[];
  readonly partitionCount: number;
  /** At least 1 and at most the number of nodes. */
  readonly replicationFactor: number;
}

interface Candidate {
  readonly node: PlaceableNode;
  replicas: number;
  leads: number;
}

/** For each new partition the ids of its nodes, the leader's first. */
export function place(request: PlacementRequest): number[][] {
  const candidates = request.nodes.map((node) => ({
    node,
    replicas: node.replicaCount,
    leads: node.leaderCount,
  }));
  return Array.from({ length: request.partitionCount }, () =>
    placeOne(candidates, request.replicationFactor),
  );
}

/** Places for replicas that have to leave their node, one after the other: each counts for those after it. */
export class Replacements {
  readonly #candidates: readonly Candidate[];

  constructor(nodes: readonly PlaceableNode[]) {
    this.#candidates = nodes.map((node) => ({ node, replicas: node.replicaCount, leads: node.leaderCount }));
  }

  /** The node for another replica of a partition that these hold as well; undefined where there is none. */
  next(others: readonly number[]): number | undefined {
    const chosen = this.#candidates.filter(({ node }) => others.includes(node.id));
    const free = this.#candidates.filter((candidate) => !chosen.includes(candidate));
    if (free.length === 0) return undefined;
    const best = free.reduce((left, right) => (compare(left, right, chosen) <= 0 ? left : right));
    best.replicas++;
    return best.node.id;
  }
}

function placeOne(candidates: readonly Candidate[], replicationFactor: number): number[] {
  const chosen: Candidate[] = [];
  while (chosen.length < replicationFactor) {
    const best = candidates
      .filter((candidate) => !chosen.includes(candidate))
      .reduce((left, right) => (compare(left, right, chosen) <= 0 ? left : right));
    chosen.push(best);
  }
  const [leader] = chosen;
  if (leader !== undefined) leader.leads++;
  for (const candidate of chosen) candidate.replicas++;
  return chosen.map(({ node }) => node.id);
}

/** Negative where `left` is the better place for the next replica. */
function compare(left: Candidate, right: Candidate, chosen: readonly Candidate[]): number {
  const neighbours = ({ node }: Candidate, domain: 'rack' | 'host') =>
    node[domain] === null ? 0 : chosen.filter((other) => other.node[domain] === node[domain]).length;
  const leads = chosen.length === 0 ? left.leads - right.leads : 0;
  return (
    neighbours(left, 'rack') - neighbours(right, 'rack') ||
    neighbours(left, 'host') - neighbours(right, 'host') ||
    leads ||
    left.replicas - right.replicas ||
    left.node.id - right.node.id
  );
}
