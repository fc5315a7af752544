/**
 * How the first voters become a cluster, decided: they know each other's numbers and addresses from their command lines, and not
 * which data directories the others have; a voter is a node with its directory, and no two clusters may come of one list.
 * Pure: questions and answers are values. In rounds each voter asks all others what they are, and answers what it is.
 *
 * Only the lowest-numbered voter forms the cluster, when in two rounds, one after the other, every other one has told it that it
 * belongs to none, and which directory it has, the same both times. It writes the formation down before it tells anyone; the
 * others take over what they hear, as it is, and write it down before they tell anyone. So one process makes one formation.
 *
 * Another one can come only of the same number with another directory, its disk lost: L made F, and its successor L' asks. Let Y be the
 * first that takes F over after it has answered the second round of L' with "none". It heard of F by a question that it asked after that
 * answer, as a round during which it has so answered the one that forms is void. Whoever told it, Z, held F when it was asked, which
 * is after Z had answered the first round of L'. Z is not L', and did not hold F in that round, nor in the second, where it had
 * the same directory; a voter that is about to write down F answers nothing. So Z has taken F over after its second answer and
 * before Y did: Y was not the first. The questions that a voter asks are lost with its process, so a crash makes no exception. A
 * majority that lost its disks after it has begun to work forms anew: nobody is left who could tell it of F.
 *
 * It is assumed that a number runs once at a time: its directory is locked, and its address is the same in all lists, which are compared.
 *
 * A voter that the formation names with another directory has lost its disk: it may not come back as the voter that it was,
 * whose votes it has forgotten; it joins as a new member. From then on it knows the cluster, and not whom that began with: it says
 * so, and who hears nothing better joins as well. That is safe for whoever does: a new member has no vote until it is given one.
 */
import type { Address } from '../../platform/network.ts';
import { memberId, nodeOf } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';

export interface Formation {
  readonly clusterId: string;
  /** The first voters of the metadata's group. */
  readonly voters: readonly MemberId[];
}

/** What a voter says of itself, asking or answering. */
export interface VoterState {
  readonly nodeId: number;
  readonly directoryId: string;
  /** Its list, `ID@HOST:PORT` each, by ascending number. */
  readonly listed: readonly string[];
  readonly formation: Formation | undefined;
  /** The cluster that it has joined after that was formed; undefined: none, or it was there from the beginning. */
  readonly joined?: string | undefined;
}

/** Why this node cannot be one of these voters. */
export type FormationFault =
  | { readonly kind: 'lists-differ'; readonly nodeId: number; readonly listed: readonly string[] }
  /** The cluster knows this voter with another directory. */
  | { readonly kind: 'directory-lost'; readonly clusterId: string }
  /** There is a cluster; of those who have answered, none was there when it was formed. */
  | { readonly kind: 'formed-before'; readonly clusterId: string }
  | { readonly kind: 'not-listed'; readonly clusterId: string };

/** Every voter of the list, this one among them, with what is known of it. */
export interface VoterOptions {
  readonly nodeId: number;
  readonly directoryId: string;
  readonly voters: ReadonlyMap<number, Address>;
  readonly newClusterId: () => string;
}

export class FormingVoter {
  readonly #options: VoterOptions;
  readonly #self: MemberId;
  readonly #listed: readonly string[];
  /** Of the one that forms the cluster. */
  readonly #lowest: number;
  #formation: Formation | undefined;
  /** The cluster that this node has joined. */
  #joined: string | undefined;
  /** A formation is being written down, or another directory's was met: nothing is said of it, nor that there is none. */
  #isSilent = false;
  /** The one that forms has been told, since this round began, that this node belongs to no cluster. */
  #isVoid = false;
  /** The directories of all others, if none of them belonged to a cluster in the last round. */
  #unformed: ReadonlyMap<number, string> | undefined;

  constructor(options: VoterOptions) {
    this.#options = options;
    this.#self = memberId(options.nodeId, options.directoryId);
    this.#listed = listOf(options.voters);
    this.#lowest = Math.min(...options.voters.keys());
  }

  get formation(): Formation | undefined {
    return this.#formation;
  }

  /** A round begins: what is asked of all others is answered after this. */
  beginRound(): void {
    this.#isVoid = false;
  }

  /** What this node answers to a voter that asks; undefined: nothing, it is to ask again. */
  asked(by: number): VoterState | undefined {
    if (this.#isSilent) return undefined;
    if (by === this.#lowest && this.#formation === undefined) this.#isVoid = true;
    const { nodeId, directoryId } = this.#options;
    return { nodeId, directoryId, listed: this.#listed, formation: this.#formation, joined: this.#joined };
  }

  /**
   * The answers to the questions of the round. Returns a formation that is to be written down and then given to `formed`, what is
   * wrong, or undefined: another round is needed.
   */
  answered(answers: readonly VoterState[]): Formation | FormationFault | undefined {
    const unformed = this.#unformed;
    this.#unformed = undefined;
    if (this.#isVoid) return undefined;
    const formation = answers.find((answer) => answer.formation !== undefined)?.formation;
    if (formation !== undefined) return this.#adopted(formation);
    const clusterId = answers.find(({ joined }) => joined !== undefined)?.joined;
    if (clusterId !== undefined) {
      this.#isSilent = true;
      return { kind: 'formed-before', clusterId };
    }
    for (const { nodeId, listed } of answers) {
      if (!sameTexts(listed, this.#listed)) return { kind: 'lists-differ', nodeId, listed };
    }
    const { nodeId, voters, newClusterId } = this.#options;
    if (nodeId !== this.#lowest) return undefined;
    const heard = new Map(answers.map((answer) => [answer.nodeId, answer.directoryId]));
    const others = [...voters.keys()].filter((id) => id !== nodeId).sort((a, b) => a - b);
    if (!others.every((id) => heard.has(id))) return undefined;
    this.#unformed = heard;
    if (!others.every((id) => unformed?.get(id) === heard.get(id))) return undefined;
    this.#isSilent = true;
    const members = others.map((id) => memberId(id, heard.get(id)!));
    return { clusterId: newClusterId(), voters: [this.#self, ...members] };
  }

  /** It is written down, durably. */
  formed(formation: Formation): void {
    this.#formation = formation;
    this.#isSilent = false;
  }

  /** It is a member of a cluster that was there before it, which is written down. */
  joined(clusterId: string): void {
    this.#joined = clusterId;
    this.#isSilent = false;
  }

  #adopted(formation: Formation): Formation | FormationFault {
    const { clusterId, voters } = formation;
    this.#isSilent = true;
    if (voters.includes(this.#self)) return formation;
    const isKnown = voters.some((voter) => nodeOf(voter) === this.#options.nodeId);
    return { kind: isKnown ? 'directory-lost' : 'not-listed', clusterId };
  }
}

/** As `VoterState.listed` has it. */
export function listOf(voters: ReadonlyMap<number, Address>): string[] {
  const ids = [...voters.keys()].sort((a, b) => a - b);
  return ids.map((id) => {
    const { host, port } = voters.get(id)!;
    return `${id}@${host.includes(':') ? `[${host}]` : host}:${port}`;
  });
}

export function isFault(outcome: Formation | FormationFault): outcome is FormationFault {
  return 'kind' in outcome;
}

function sameTexts(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, place) => text === other[place]);
}
