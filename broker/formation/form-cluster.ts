/**
 * How a node gets to know its cluster at its start: from its disk, from the other voters of its list (`formation.ts`), or from a
 * member that it was told of. After that it needs neither list nor member again.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Address } from '../../platform/network.ts';
import { fromJson, toJson } from '../cluster/peer-json.ts';
import type { PeerRequestOptions, PeerRequests, PeerService } from '../peers/peer-requests.ts';
import { refusalOf } from '../peers/dial.ts';
import { PeerError } from '../peers/peer-requests.ts';
import { memberId } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';
import { StartError } from '../start-error.ts';
import { FormingVoter, isFault, listOf } from './formation.ts';
import type { Formation, FormationFault, VoterState } from './formation.ts';
import { DamagedFile } from './sealed-json.ts';
import {
  raiseIncarnation,
  readFormation,
  readKnownNodes,
  writeFormation,
  writeKnownNodes,
} from './formation-files.ts';

export const formationKind = 'formation';
export const joinKind = 'join';

/** What forming needs of the network between nodes. */
export interface FormingPeers extends PeerRequests {
  requestAt(
    address: Address,
    kind: string,
    payload: readonly Buffer[],
    options: PeerRequestOptions,
  ): Promise<Buffer>;
  setAddress(nodeId: number, address: Address | undefined): void;
  serve(kind: string, service: PeerService): void;
}

export interface FormingOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The node's first data directory, and its ids. */
  readonly directory: string;
  readonly nodeId: number;
  readonly directoryId: string;
  /** As its meta.properties says; undefined: it belongs to none yet. */
  readonly clusterId: string | undefined;
  /** Undefined: this node is alone, and nobody can reach it. */
  readonly peers: FormingPeers | undefined;
  /** Where others reach this node. */
  readonly address: Address | undefined;
  /** The first voters, this node among them, by id. */
  readonly voters: ReadonlyMap<number, Address> | undefined;
  /** A member of the cluster that this node is to join. */
  readonly join: Address | undefined;
  readonly newClusterId: () => string;
  /** Told now and then while it waits for others. */
  readonly onWaiting: (message: string) => void;
  /** Told of what is not as it should be, and does not keep the node from starting. */
  readonly onWarning: (message: string) => void;
  /** The node is to stop: forming rejects soon. */
  readonly isStopping: () => boolean;
}

export interface Formed {
  readonly clusterId: string;
  /** Whom the metadata's group began with, as far as this node knows; undefined: with this node alone. */
  readonly voters: readonly MemberId[] | undefined;
  readonly addresses: ReadonlyMap<number, Address>;
}

/** A voter asks what another one is. */
interface FormationQuestion {
  readonly nodeId: number;
}

/** A node that is to join: its first data directory, and where others reach it. */
export interface JoinQuestion extends Address {
  readonly nodeId: number;
  readonly directoryId: string;
}

/** What a member tells a node that is to join. */
export interface JoinAnswer {
  readonly clusterId: string;
  readonly voters: readonly MemberId[];
  readonly nodes: readonly (readonly [number, Address])[];
  /** Of the metadata, as its leader had it when it took the node in. */
  readonly metadataEndOffset?: number;
  /** Why it cannot join now; a sentence. */
  readonly refusal?: string;
  /** It never can, with what it has. */
  readonly isFinal?: boolean;
}

/** How often a node may start for each record that the metadata gets meanwhile; each start that succeeds is one. */
const startsPerRecordMax = 2 ** 20;
const roundMs = 200;
const askMs = 1_000;
/** A question that nobody answers: who gets as far as that has greeted, and is of the same cluster. */
const greetingKind = 'greeting';
/** A member has it taken into the metadata's group before it answers. */
const joinMs = 10_000;
/** Between two questions of a node that has been refused, and for how long it asks again. */
const refusedMs = 1_000;
const refusedMsMax = 30_000;
/** How often it is said that others are waited for, and the first time: when all start together they are there by then. */
const roundsPerWord = 25;
const roundsToFirstWord = 5;

/** Rejects with a StartError where this node cannot be what it was told to be. */
export async function formCluster(options: FormingOptions): Promise<Formed> {
  const { disk, directory, clusterId, voters, join, peers } = options;
  const kept = await readFormation(disk, directory);
  const readNodes = await knownNodes(options);
  const known = readNodes ?? new Map<number, Address>();
  if (clusterId !== undefined) await checkNamed(options, clusterId);
  if (kept !== undefined) return formedBy(options, kept, new Map([...(voters ?? []), ...known]));
  if (clusterId !== undefined) {
    // It has never had another node, so that the one it is to join is in another cluster.
    if (join !== undefined && readNodes?.size === 0) {
      throw new StartError(
        'bad-setting',
        `this node began as a cluster of its own (${clusterId}) and cannot join another; ` +
          'start it without --join, or give it an empty data directory',
      );
    }
    if (voters === undefined || voters.size === 1) {
      return { clusterId, voters: undefined, addresses: new Map([...(voters ?? []), ...known]) };
    }
    throw new StartError(
      'bad-setting',
      `this node began as a cluster of its own (${clusterId}) and cannot begin again with other voters; ` +
        'start it without --voters and let the others join it, or give it an empty data directory',
    );
  }
  if (join !== undefined && peers !== undefined) {
    const { addresses, ...formation } = await joinCluster(options, peers, [join]);
    return formedBy(options, formation, addresses);
  }
  if (voters === undefined || voters.size === 1 || peers === undefined) {
    return { clusterId: options.newClusterId(), voters: undefined, addresses: new Map() };
  }
  return form(options, peers, voters);
}

/** Undefined: damaged. Without it the node goes by its list, or is heard of by those that it once knew. */
async function knownNodes({
  disk,
  directory,
  onWarning,
}: FormingOptions): Promise<Map<number, Address> | undefined> {
  try {
    return await readKnownNodes(disk, directory);
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    onWarning(
      `${directory}/known-nodes is damaged: it is ignored, and written anew once other nodes are heard of`,
    );
    return undefined;
  }
}

/** It tells the others of its list also at later starts; one that has joined does not know whom the group began with. */
function formedBy(
  { nodeId, directoryId, peers, voters: listed = new Map() }: FormingOptions,
  formation: Formation,
  addresses: ReadonlyMap<number, Address>,
): Formed {
  const { clusterId, voters } = formation;
  const voter = { nodeId, directoryId, listed: listOf(listed) };
  const isFirst = voters.includes(memberId(nodeId, directoryId));
  const state: VoterState = isFirst
    ? { ...voter, formation }
    : { ...voter, formation: undefined, joined: clusterId };
  peers?.serve(formationKind, () => Promise.resolve([toJson(state)]));
  return { clusterId, voters, addresses };
}

async function form(
  options: FormingOptions,
  peers: FormingPeers,
  voters: ReadonlyMap<number, Address>,
): Promise<Formed> {
  const { clock, disk, directory, nodeId } = options;
  const voter = new FormingVoter({ ...options, voters });
  peers.serve(formationKind, ({ payload }) => {
    const answer = voter.asked(fromJson<FormationQuestion>(payload).nodeId);
    if (answer === undefined) return Promise.reject(new Error('it is writing down its cluster'));
    return Promise.resolve([toJson(answer)]);
  });
  for (const [id, address] of voters) if (id !== nodeId) peers.setAddress(id, address);
  for (let round = 1; ; round++) {
    if (options.isStopping())
      throw new StartError('cluster', 'this node was stopped before its cluster was formed');
    const others = [...voters.keys()].filter((id) => id !== nodeId);
    voter.beginRound();
    const answers = await Promise.all(others.map((id) => ask(peers, id, { nodeId })));
    const heard = answers.filter((answer) => answer !== undefined);
    const outcome = voter.answered(heard);
    if (outcome !== undefined && isFault(outcome)) {
      if (outcome.kind !== 'directory-lost' && outcome.kind !== 'formed-before') {
        throw faultError(outcome, options);
      }
      options.onWaiting(joinMessage(outcome, nodeId));
      const members = heard.filter(({ formation, joined }) => (formation ?? joined) !== undefined);
      const addresses = members.map((member) => voters.get(member.nodeId)!);
      const formed = await joinCluster(options, peers, addresses);
      voter.joined(formed.clusterId);
      return formed;
    }
    if (outcome !== undefined) {
      await writeFormation(disk, directory, outcome);
      await writeKnownNodes(disk, directory, voters);
      voter.formed(outcome);
      return { ...outcome, addresses: voters };
    }
    if (round % roundsPerWord === roundsToFirstWord) {
      const missing = others.filter((id) => !heard.some((answer) => answer.nodeId === id));
      options.onWaiting(
        missing.length === 0
          ? 'the other voters have been heard; the lowest-numbered one forms the cluster'
          : `the cluster is formed when all of its first voters are there; missing: ${missing.map((id) => `node ${id}`).join(', ')}`,
      );
    }
    await pause(clock, roundMs);
  }
}

async function ask(
  peers: FormingPeers,
  nodeId: number,
  question: FormationQuestion,
): Promise<VoterState | undefined> {
  try {
    return fromJson<VoterState>(
      await peers.request(nodeId, formationKind, [toJson(question)], { timeoutMs: askMs }),
    );
  } catch (error) {
    if (error instanceof PeerError) return undefined;
    throw error;
  }
}

/** Asks one member after the other, until one takes it in. */
async function joinCluster(
  options: FormingOptions,
  peers: FormingPeers,
  members: readonly Address[],
): Promise<Formation & Pick<Formed, 'addresses'>> {
  const { clock, disk, directory, nodeId, directoryId } = options;
  const question: JoinQuestion = { nodeId, directoryId, ...options.address! };
  /** From the first refusal on: until somebody answers, nobody has refused it. */
  let untilMs: number | undefined;
  for (let round = 1; ; round++) {
    if (options.isStopping())
      throw new StartError('cluster', 'this node was stopped before it joined its cluster');
    const asked = await askToJoin(peers, members[(round - 1) % members.length]!, question);
    if (asked.kind !== 'taken-in') {
      // The session of a process that died without a word ends by itself.
      if (asked.kind === 'refused') untilMs ??= clock.monotonicMs() + refusedMsMax;
      const isOver = asked.kind === 'refused' && (asked.isFinal || clock.monotonicMs() >= untilMs!);
      if (isOver) throw new StartError('cluster', asked.why);
      if (round % roundsPerWord === 1) options.onWaiting(`the cluster cannot be joined yet: ${asked.why}`);
      await pause(clock, asked.kind === 'refused' ? refusedMs : roundMs);
      continue;
    }
    const { clusterId, voters, nodes, metadataEndOffset = 0 } = asked.answer;
    const addresses = new Map(nodes);
    // Others may remember one of its number: what they take for an earlier start of the same node they do not listen to.
    await raiseIncarnation(disk, directory, metadataEndOffset * startsPerRecordMax);
    await writeKnownNodes(disk, directory, addresses);
    await writeFormation(disk, directory, { clusterId, voters });
    return { clusterId, voters, addresses };
  }
}

/** What a node that is to join is told; 'silent': nothing. `why` is a sentence. */
type Asked =
  | { readonly kind: 'taken-in'; readonly answer: JoinAnswer }
  | { readonly kind: 'refused'; readonly why: string; readonly isFinal: boolean }
  | { readonly kind: 'silent'; readonly why: string };

async function askToJoin(peers: FormingPeers, address: Address, question: JoinQuestion): Promise<Asked> {
  try {
    const answer = fromJson<JoinAnswer>(
      await peers.requestAt(address, joinKind, [toJson(question)], { timeoutMs: joinMs }),
    );
    const { refusal, isFinal = false } = answer;
    return refusal === undefined ? { kind: 'taken-in', answer } : { kind: 'refused', why: refusal, isFinal };
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    const refusal = refusalOf(error);
    // Who has no cluster yet takes in nobody until it has one.
    const isRefused = refusal !== undefined && refusal !== 'not-formed';
    return isRefused
      ? { kind: 'refused', why: error.message, isFinal: false }
      : { kind: 'silent', why: error.message };
  }
}

/**
 * A node that belongs to a cluster does not start where those that it is told to join, or its list of first voters, belong to another
 * one: it was given the wrong directory, or the wrong addresses. Who does not answer at once says nothing of that.
 */
async function checkNamed(
  { peers, nodeId, join, voters = new Map() }: FormingOptions,
  clusterId: string,
): Promise<void> {
  if (peers === undefined) return;
  const others = [...voters].filter(([id]) => id !== nodeId).map(([, address]) => address);
  const named = join === undefined ? others : [join];
  const heard = await Promise.all(named.map((address) => isOfCluster(peers, address)));
  if (heard.includes(true) || !heard.includes(false)) return;
  const { host, port } = named[heard.indexOf(false)]!;
  throw new StartError(
    'cluster',
    `this node belongs to the cluster ${clusterId}, and the node at ${host}:${port} ` +
      `(--${join === undefined ? 'voters' : 'join'}) to another one; correct the address, or give this node an empty data directory`,
  );
}

/** Undefined: it does not say. */
async function isOfCluster(peers: FormingPeers, address: Address): Promise<boolean | undefined> {
  try {
    await peers.requestAt(address, greetingKind, [], { timeoutMs: askMs });
    return true;
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    if (error.code === 'failed' || error.code === 'unsupported') return true;
    return refusalOf(error) === 'wrong-cluster' ? false : undefined;
  }
}

function faultError(fault: FormationFault, { nodeId, voters }: FormingOptions): StartError {
  switch (fault.kind) {
    case 'lists-differ':
      return new StartError(
        'cluster',
        `node ${fault.nodeId} was started with the voters ${fault.listed.join(',')} and this one with ` +
          `${listOf(voters ?? new Map()).join(',')}; give all of them the same --voters`,
      );
    case 'directory-lost':
    case 'formed-before':
      return new StartError('cluster', joinMessage(fault, nodeId));
    case 'not-listed':
    default:
      return new StartError(
        'cluster',
        `the cluster ${fault.clusterId} was formed without node ${nodeId}; start it with --join instead of --voters`,
      );
  }
}

function joinMessage({ kind, clusterId }: FormationFault & { clusterId: string }, nodeId: number): string {
  return kind === 'directory-lost'
    ? `the cluster ${clusterId} knows node ${nodeId} with another data directory, whose votes this one lacks; ` +
        'it joins as a new member, which has none, once the session of that one has ended'
    : `the cluster ${clusterId} has been formed, and whoever answers has joined it later; node ${nodeId} joins it as a new member`;
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
