/**
 * How the first voters become a cluster, decided: they know each other's numbers and addresses from their command lines, and not
 * which data directories the others have; a voter is a node with its directory, and no two clusters may come of one list.
 *
 * Only the lowest-numbered voter forms the cluster, and only when every other one has told it, in one round of questions, that it
 * belongs to none and which directory it has. It writes the formation down before it tells anyone; the others take over what it
 * says, as it says it, and write that down. So there is one formation, unless the disk of the lowest-numbered one is lost before
 * any other has heard of it, and then nobody else has it: the next one forms anew. An answer of the lost one that is still on its way
 * then is not taken, as it names another directory than the one that was heard since.
 *
 * A voter that is formed already but with another directory has lost its disk: it may not come back as the voter that it was,
 * whose votes it has forgotten; it joins as a new member. Pure: questions and answers are values.
 */
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
  /** The numbers on its list, ascending. */
  readonly listed: readonly number[];
  readonly formation: Formation | undefined;
}

/** Why this node cannot be one of these voters. */
export type FormationFault =
  | { readonly kind: 'lists-differ'; readonly nodeId: number; readonly listed: readonly number[] }
  /** The cluster knows this voter with another directory. */
  | { readonly kind: 'directory-lost'; readonly clusterId: string }
  | { readonly kind: 'not-listed'; readonly clusterId: string };

export class FormingVoter {
  readonly #self: MemberId;
  readonly #nodeId: number;
  readonly #directoryId: string;
  readonly #listed: readonly number[];
  readonly #newClusterId: () => string;
  #formation: Formation | undefined;
  /** The directories that others were last heard to have. */
  readonly #directories = new Map<number, string>();

  constructor(options: {
    readonly nodeId: number;
    readonly directoryId: string;
    readonly listed: readonly number[];
    readonly formation: Formation | undefined;
    readonly newClusterId: () => string;
  }) {
    this.#nodeId = options.nodeId;
    this.#directoryId = options.directoryId;
    this.#self = memberId(options.nodeId, options.directoryId);
    this.#listed = options.listed.toSorted((a, b) => a - b);
    this.#formation = options.formation;
    this.#newClusterId = options.newClusterId;
  }

  get formation(): Formation | undefined {
    return this.#formation;
  }

  /** Of a formation that is not written down yet nothing is said. */
  state(): VoterState {
    return {
      nodeId: this.#nodeId,
      directoryId: this.#directoryId,
      listed: this.#listed,
      formation: this.#formation,
    };
  }

  /** Another voter has asked, and is to be answered with `state`. */
  asked(by: VoterState): void {
    this.#directories.set(by.nodeId, by.directoryId);
  }

  /**
   * The answers of one round: to questions that were all asked after the round before. Returns a formation that is to be written
   * down and then given to `formed`, what is wrong, or undefined: another round is needed.
   */
  answered(answers: readonly VoterState[]): Formation | FormationFault | undefined {
    for (const { nodeId, directoryId } of answers) this.#directories.set(nodeId, directoryId);
    for (const answer of answers) {
      if (answer.formation !== undefined) return this.#adopted(answer.formation);
      if (!sameNumbers(answer.listed, this.#listed)) {
        return { kind: 'lists-differ', nodeId: answer.nodeId, listed: answer.listed };
      }
    }
    if (this.#listed[0] !== this.#nodeId) return undefined;
    const others = this.#listed.filter((nodeId) => nodeId !== this.#nodeId);
    const heard = new Map(answers.map(({ nodeId, directoryId }) => [nodeId, directoryId]));
    if (!others.every((nodeId) => heard.has(nodeId))) return undefined;
    const voters = [this.#self, ...others.map((nodeId) => memberId(nodeId, heard.get(nodeId)!))];
    return { clusterId: this.#newClusterId(), voters };
  }

  /** It is written down, durably. */
  formed(formation: Formation): void {
    this.#formation = formation;
  }

  #adopted(formation: Formation): Formation | FormationFault | undefined {
    const { clusterId, voters } = formation;
    if (!voters.includes(this.#self)) {
      const isKnown = voters.some((voter) => nodeOf(voter) === this.#nodeId);
      return { kind: isKnown ? 'directory-lost' : 'not-listed', clusterId };
    }
    const former = voters[0];
    const directoryId = former === undefined ? undefined : this.#directories.get(nodeOf(former));
    const isOutdated = directoryId !== undefined && memberId(nodeOf(former!), directoryId) !== former;
    return isOutdated ? undefined : formation;
  }
}

export function isFault(outcome: Formation | FormationFault): outcome is FormationFault {
  return 'kind' in outcome;
}

function sameNumbers(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((number, place) => number === other[place]);
}
