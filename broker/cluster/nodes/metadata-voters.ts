/**
 * Which nodes vote in the metadata group: 1, 3 or 5, one on each host where possible; all others are its learners. Pure.
 *
 * Stable: a voter stays one unless it is gone for good, has another first directory, shares its host while another host
 * could have a voter, or is drained while another node could take its place. A voter that is only silent stays: it may come back, and
 * a majority does not need it. A node that was named when the cluster was formed and has yet to register stays too.
 */
import { memberId, nodeOf } from '../../raft/member.ts';
import type { MemberId } from '../../raft/member.ts';
import type { BrokerImage } from '../metadata/broker-image.ts';

export interface MetadataVotersRequest {
  readonly brokers: Iterable<BrokerImage>;
  /** Nodes that are to join and have yet to register, in the directories that they have now. */
  readonly admitted: Iterable<MemberId>;
  /** Whether a node was unregistered. */
  readonly isGone: (nodeId: number) => boolean;
  /** Whether a node is to hold nothing: where no other can vote instead, it goes on voting until it is taken out. */
  readonly isDrained: (nodeId: number) => boolean;
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /** Stays a voter where it can. */
  readonly leader: MemberId;
}

export interface MetadataMembers {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

interface Candidate {
  readonly member: MemberId;
  readonly nodeId: number;
  /** Nodes of one host fail together; one that does not say where it is has a host of its own. */
  readonly host: string;
  readonly rack: string | null;
  readonly isAlive: boolean;
  readonly isDrained: boolean;
}

export function chooseMetadataMembers(request: MetadataVotersRequest): MetadataMembers {
  const candidates = candidatesOf(request);
  const byMember = new Map(candidates.map((candidate) => [candidate.member, candidate]));
  const kept = request.voters.flatMap((member) => byMember.get(member) ?? []);
  const size = voterCount(candidates);
  const voters =
    kept.length > size
      ? fewer(kept, size, request.leader)
      : better(more(kept, size, candidates), candidates, request.leader);
  const chosen = withoutDrained(voters, candidates).map(({ member }) => member);
  const learners = candidates.map(({ member }) => member).filter((member) => !chosen.includes(member));
  return { voters: chosen, learners };
}

/** Every node that belongs to the group, once, by node id. */
function candidatesOf(request: MetadataVotersRequest): Candidate[] {
  const byNode = new Map<number, Candidate>();
  const add = (member: MemberId, broker: BrokerImage | undefined): void => {
    const nodeId = nodeOf(member);
    byNode.set(nodeId, {
      member,
      nodeId,
      host: broker?.host ?? `node ${nodeId}`,
      rack: broker?.rack ?? null,
      isAlive: broker?.fenced === false,
      isDrained: request.isDrained(nodeId),
    });
  };
  for (const member of [...request.voters, ...request.learners]) {
    if (!request.isGone(nodeOf(member))) add(member, undefined);
  }
  for (const broker of request.brokers) {
    const [first] = broker.logDirectories;
    if (first !== undefined) add(memberId(broker.id, first), broker);
  }
  // It votes as what it is, whatever it was registered as before this start.
  const leading = byNode.get(nodeOf(request.leader));
  if (leading !== undefined) byNode.set(leading.nodeId, { ...leading, member: request.leader });
  for (const member of request.admitted) {
    // One that is registered in this directory is known in full.
    if (byNode.get(nodeOf(member))?.member !== member) add(member, undefined);
  }
  return [...byNode.values()].toSorted((left, right) => left.nodeId - right.nodeId);
}

/** With three hosts or more as many voters as hosts, so that the loss of one costs one voter. */
function voterCount(candidates: readonly Candidate[]): number {
  const hosts = new Set(candidates.map(({ host }) => host)).size;
  const byNodes = oddCount(candidates.length);
  return hosts >= 3 ? Math.min(byNodes, oddCount(hosts)) : byNodes;
}

function oddCount(count: number): number {
  if (count >= 5) return 5;
  return count >= 3 ? 3 : 1;
}

/** Takes away those that are silent first, then those that are drained, then those who share a host, then the last. */
function fewer(kept: readonly Candidate[], size: number, leader: MemberId): Candidate[] {
  const voters = [...kept];
  while (voters.length > size) {
    const spare = voters.filter(({ member }) => member !== leader);
    const last =
      spare.findLast(({ isAlive }) => !isAlive) ??
      spare.findLast(({ isDrained }) => isDrained) ??
      spare.findLast((one) => sharesHost(one, voters)) ??
      spare.at(-1);
    voters.splice(voters.indexOf(last!), 1);
  }
  return voters;
}

/** Adds nodes that are alive, in twos where one more would make an even number that is no better. */
function more(kept: readonly Candidate[], size: number, candidates: readonly Candidate[]): Candidate[] {
  const voters = [...kept];
  while (voters.length < size) {
    const next = bestOf(candidates, voters);
    if (next === undefined) break;
    voters.push(next);
  }
  if (voters.length > kept.length && voters.length % 2 === 0) voters.pop();
  return voters;
}

/** Moves one voter from a host that has several to one that has none. */
function better(
  voters: readonly Candidate[],
  candidates: readonly Candidate[],
  leader: MemberId,
): readonly Candidate[] {
  const crowded = voters.findLast((one) => one.member !== leader && sharesHost(one, voters));
  const next = bestOf(candidates, voters);
  if (crowded === undefined || next === undefined || sharesHost(next, voters)) return voters;
  return voters.map((voter) => (voter === crowded ? next : voter));
}

/** Puts another node in the place of each that is drained, as far as there are others; also of the leader, who then hands over. */
function withoutDrained(
  voters: readonly Candidate[],
  candidates: readonly Candidate[],
): readonly Candidate[] {
  let kept = voters;
  for (const drained of voters.filter(({ isDrained }) => isDrained)) {
    const others = kept.filter((voter) => voter !== drained);
    const next = bestOf(candidates, others);
    if (next !== undefined) kept = [...others, next];
  }
  return kept;
}

function bestOf(candidates: readonly Candidate[], voters: readonly Candidate[]): Candidate | undefined {
  const on = (domain: 'host' | 'rack', one: Candidate): number =>
    one[domain] === null ? 0 : voters.filter((voter) => voter[domain] === one[domain]).length;
  return candidates
    .filter((one) => one.isAlive && !one.isDrained && !voters.includes(one))
    .toSorted(
      (left, right) =>
        on('host', left) - on('host', right) ||
        on('rack', left) - on('rack', right) ||
        left.nodeId - right.nodeId,
    )[0];
}

function sharesHost(one: Candidate, voters: readonly Candidate[]): boolean {
  return voters.some((other) => other !== one && other.host === one.host);
}
