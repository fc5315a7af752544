/**
 * Voters that form a cluster over a network that loses, repeats, delays and reorders, with processes that crash at any point and
 * disks that are lost. Every choice comes from one seed.
 */
import { FormingVoter, isFault } from '../../../broker/formation/formation.ts';
import type { Formation, VoterState } from '../../../broker/formation/formation.ts';
import type { Address } from '../../../platform/network.ts';
import type { Random } from '../../../platform/random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

interface Process {
  readonly number: number;
  readonly voter: FormingVoter;
  round: number;
  answers: Map<number, VoterState>;
  writing: Formation | undefined;
  /** It has learned that it cannot be one of the voters. */
  isLost: boolean;
}

interface Node {
  readonly id: number;
  directoryId: string;
  /** On its disk. */
  formation: Formation | undefined;
  process: Process | undefined;
}

interface Message {
  readonly from: Node;
  readonly to: Node;
  /** Whose question it is, or answers. */
  readonly asker: Process;
  readonly round: number;
  readonly answer?: VoterState;
}

const messagesMax = 60;

export class FormingWorld {
  readonly #random: Random;
  readonly #voters: Map<number, Address>;
  readonly #nodes: Node[];
  #messages: Message[] = [];
  #made = 0;
  /** Clusters that were made, known to anybody or not. */
  formations = 0;

  constructor(count: number, seed: number) {
    this.#random = new SeededRandom(seed);
    const ids = Array.from({ length: count }, (_, place) => place + 1);
    this.#voters = new Map(ids.map((id) => [id, { host: 'h', port: id }]));
    this.#nodes = ids.map((id) => ({
      id,
      directoryId: this.#name('d'),
      formation: undefined,
      process: undefined,
    }));
    for (const node of this.#nodes) if (this.#chance(80)) this.#start(node);
  }

  step(): void {
    const node = this.#nodes[this.#random.below(this.#nodes.length)]!;
    const choice = this.#random.below(1_000);
    if (choice < 600) this.#deliver(this.#random.below(Math.max(1, this.#messages.length)));
    else if (choice < 800) this.#endRound(node, this.#chance(10));
    else if (choice < 860) this.#finishWrite(node);
    else if (choice < 870) this.#messages.splice(this.#random.below(Math.max(1, this.#messages.length)), 1);
    else if (choice < 970) {
      if (node.process === undefined) this.#start(node);
    } else if (choice < 980) this.#crash(node);
    // Mostly the one that forms, which begins anew at once.
    else if (choice < 990) this.#loseDisk(this.#chance(50) ? this.#nodes[0]! : node);
  }

  /** Throws where nodes belong to different clusters, or disagree on how theirs began. */
  check(): void {
    const held = this.#nodes.flatMap(({ formation }) => (formation === undefined ? [] : [formation]));
    for (const one of held) {
      if (JSON.stringify(one) !== JSON.stringify(held[0])) {
        throw new Error(`two clusters: ${JSON.stringify(held)}`);
      }
    }
    for (const { id, directoryId, formation } of this.#nodes) {
      if (formation !== undefined && !formation.voters.includes(`${id}/${directoryId}`)) {
        throw new Error(`node ${id} took over a formation without it: ${JSON.stringify(formation)}`);
      }
    }
  }

  /** Every node is started anew, and from now on nothing is lost. */
  heal(): void {
    for (const node of this.#nodes) {
      this.#crash(node);
      this.#start(node);
    }
    for (let round = 0; round < 10; round++) {
      while (this.#messages.length > 0) this.#deliver(0);
      for (const node of this.#nodes) this.#endRound(node, true);
      for (const node of this.#nodes) this.#finishWrite(node);
    }
  }

  outcomes(): ('formed' | 'lost' | 'unformed')[] {
    return this.#nodes.map(({ formation, process }) =>
      formation === undefined ? (process!.isLost ? 'lost' : 'unformed') : 'formed',
    );
  }

  #start(node: Node): void {
    const { id: nodeId, directoryId, formation } = node;
    const newClusterId = (): string => {
      this.formations++;
      return this.#name('c');
    };
    const voter = new FormingVoter({ nodeId, directoryId, voters: this.#voters, newClusterId });
    if (formation !== undefined) voter.formed(formation);
    const number = ++this.#made;
    const process = { number, voter, round: 0, answers: new Map(), writing: undefined, isLost: false };
    node.process = process;
    this.#beginRound(node, process);
  }

  #beginRound(node: Node, process: Process): void {
    if (process.voter.formation !== undefined || process.isLost) return;
    process.round++;
    process.answers = new Map();
    process.voter.beginRound();
    for (const to of this.#nodes) {
      if (to !== node) this.#send({ from: node, to, asker: process, round: process.round });
    }
  }

  /** It goes on without those who have not answered only where it is to. */
  #endRound(node: Node, isImpatient: boolean): void {
    const { process } = node;
    if (!isImpatient && process !== undefined && process.answers.size < this.#nodes.length - 1) return;
    if (process === undefined || process.writing !== undefined || process.isLost) return;
    if (process.voter.formation !== undefined) return;
    const outcome = process.voter.answered([...process.answers.values()]);
    if (outcome === undefined) this.#beginRound(node, process);
    else if (isFault(outcome)) process.isLost = true;
    else process.writing = outcome;
  }

  #finishWrite(node: Node): void {
    const { process } = node;
    if (process?.writing === undefined) return;
    node.formation = process.writing;
    process.voter.formed(process.writing);
    process.writing = undefined;
  }

  /** What was being written is there, or is not. */
  #crash(node: Node): void {
    if (node.process?.writing !== undefined && this.#chance(50)) node.formation = node.process.writing;
    node.process = undefined;
  }

  #loseDisk(node: Node): void {
    this.#crash(node);
    node.formation = undefined;
    node.directoryId = this.#name('d');
    this.#start(node);
  }

  #deliver(place: number): void {
    const message = this.#messages[place];
    if (message === undefined) return;
    // One in ten comes again.
    if (message.answer !== undefined || !this.#chance(10)) this.#messages.splice(place, 1);
    const { from, to, asker, round, answer } = message;
    const { process } = to;
    // One that cannot be a voter has ended.
    if (process === undefined || process.isLost) return;
    if (answer !== undefined) {
      if (process === asker && process.round === round) process.answers.set(answer.nodeId, answer);
      return;
    }
    const state = process.voter.asked(from.id);
    if (state !== undefined) this.#send({ from: to, to: from, asker, round, answer: state });
  }

  #send(message: Message): void {
    if (this.#messages.length < messagesMax) this.#messages.push(message);
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent;
  }

  #name(prefix: string): string {
    return `${prefix}${++this.#made}`;
  }
}
