/**
 * A roll call names all groups that a node leads with another one, which may be many: it travels in parts, and is heard only when
 * all parts have come, in order, as a list with some groups missing would say that they are led no more. The parts of a roll's
 * answer are answers of their own, and none of them says anything by what it leaves out.
 */
import type { GroupTerm, NodeMessage } from './node-heartbeats.ts';

type RollCall = Extract<NodeMessage, { kind: 'roll-call' }>;
type RollAnswer = Extract<NodeMessage, { kind: 'roll-answer' }>;

export interface RollCallPart {
  readonly kind: 'roll-call-part';
  readonly from: number;
  readonly to: number;
  readonly incarnation: number;
  /** When it was sent: ascends with each roll that the sender's incarnation calls. */
  readonly roll: number;
  readonly part: number;
  readonly parts: number;
  readonly led: readonly GroupTerm[];
}

/** What one node tells another about itself, as it travels. */
export type WireNodeMessage = Exclude<NodeMessage, RollCall> | RollCallPart;

/** At least one part; each of at most `groupsMax` groups. */
export function rollCallParts(call: RollCall, groupsMax: number): RollCallPart[] {
  const { from, to, incarnation, sentAt: roll, led } = call;
  const parts = Math.max(1, Math.ceil(led.length / groupsMax));
  return Array.from({ length: parts }, (_, part) => ({
    kind: 'roll-call-part',
    from,
    to,
    incarnation,
    roll,
    part,
    parts,
    led: led.slice(part * groupsMax, (part + 1) * groupsMax),
  }));
}

export function rollAnswerParts(answer: RollAnswer, groupsMax: number): RollAnswer[] {
  if (answer.strayed.length <= groupsMax) return [answer];
  const answers: RollAnswer[] = [];
  for (let start = 0; start < answer.strayed.length; start += groupsMax) {
    answers.push({ ...answer, isWhole: false, strayed: answer.strayed.slice(start, start + groupsMax) });
  }
  return answers;
}

/** Puts the roll calls of one other node together again. Invariant: keeps the first parts of one roll only. */
export class RollAssembler {
  #incarnation = 0;
  #roll = 0;
  #nextPart = 0;
  #led: GroupTerm[] = [];

  /** The whole roll call with its last part; undefined before, and where a part is missing: a later roll will be whole. */
  add(message: RollCallPart): RollCall | undefined {
    const { from, to, incarnation, roll, part, parts, led } = message;
    if (part === 0) {
      this.#incarnation = incarnation;
      this.#roll = roll;
      this.#nextPart = 0;
      this.#led = [];
    }
    if (incarnation !== this.#incarnation || roll !== this.#roll || part !== this.#nextPart) return undefined;
    this.#nextPart++;
    this.#led.push(...led);
    if (this.#nextPart < parts) return undefined;
    const whole = this.#led;
    this.#led = [];
    // What is repeated of this roll begins no other.
    this.#nextPart = -1;
    return { kind: 'roll-call', from, to, incarnation, sentAt: roll, led: whole };
  }
}
