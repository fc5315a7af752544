/**
 * Whether what clients have seen can be explained by operations that took effect one after the other, each at one moment between
 * its invocation and its answer (linearizability; Herlihy and Wing 1990), for whatever a sequential specification says of them.
 *
 * The search is Wing and Gong's with Lowe's memory ("Testing for linearizability", 2017): operations are taken in some order that
 * their times allow, back and on at the first that the specification refuses; what has been taken, with the state that it
 * led to, is never tried twice. A history that falls into parts which cannot influence each other is linearizable just where each
 * part is, so the caller checks each part alone (P-compositionality; for a broker: a partition).
 *
 * An operation without an answer may take effect at any time after its invocation, or never. Pure, and bounded by a count of
 * steps, never by a clock: the same history gives the same verdict on every machine.
 */
export interface Operation<Input, Output> {
  readonly client: string;
  readonly input: Input;
  /** Undefined where nobody knows it. It may be known though there was no answer: somebody else may have seen the effect. */
  readonly output: Output | undefined;
  /** Places in the order of all invocations and answers; no two are the same. */
  readonly invokedAt: number;
  /** Infinity where there was no answer. */
  readonly answeredAt: number;
}

export interface Specification<State, Input, Output> {
  readonly initial: State;
  /** The state afterwards; undefined where that operation cannot give this output in this state. */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  isEqual(left: State, right: State): boolean;
}

export type Verdict<Input, Output> =
  /** In this order they could have taken effect; operations that are not in it never did. */
  | { readonly kind: 'linearizable'; readonly order: readonly Operation<Input, Output>[] }
  | { readonly kind: 'not-linearizable' }
  /** Not within so many steps. */
  | { readonly kind: 'undecided' };

const stepsMaxDefault = 2_000_000;

export function checkLinearizable<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  stepsMax = stepsMaxDefault,
): Verdict<Input, Output> {
  const events = new EventList(operations);
  const seen = new Configurations<State>(operations.length, specification);
  /** What has been taken, in order, with the state before. */
  const taken: { readonly place: number; readonly before: State }[] = [];
  let state = specification.initial;
  let event = events.first;
  for (let steps = 0; events.answersLeft > 0; steps++) {
    if (steps === stepsMax) return { kind: 'undecided' };
    const place = events.invocationAt(event);
    if (place === undefined) {
      // Here is an answer of what has not been taken, or the end: something before was taken wrongly.
      const last = taken.pop();
      if (last === undefined) return { kind: 'not-linearizable' };
      seen.drop(last.place);
      events.putBack(last.place);
      state = last.before;
      event = events.after(last.place);
      continue;
    }
    const { input, output } = operations[place]!;
    const next = specification.step(state, input, output);
    if (next === undefined || !seen.take(place, next)) {
      event = events.after(place);
      continue;
    }
    taken.push({ place, before: state });
    events.takeOut(place);
    state = next;
    event = events.first;
  }
  return { kind: 'linearizable', order: taken.map(({ place }) => operations[place]!) };
}

/**
 * As few of the operations as still fail, by leaving out ever smaller runs of them. `fails` has to be such that a history which
 * does not fail does not do so with operations left out either; otherwise what is left is no proof of anything.
 */
export function shrink<T>(operations: readonly T[], fails: (some: readonly T[]) => boolean): readonly T[] {
  let left = operations;
  for (let run = Math.ceil(left.length / 2); run >= 1; run = run === 1 ? 0 : Math.ceil(run / 2)) {
    for (let from = 0; from < left.length;) {
      const fewer = [...left.slice(0, from), ...left.slice(from + run)];
      if (fails(fewer)) left = fewer;
      else from += run;
    }
  }
  return left;
}

/**
 * What had been asked by a moment; what was answered later may not have taken effect. Every beginning of a linearizable history is
 * linearizable itself.
 */
export function beginning<T extends Operation<unknown, unknown>>(
  operations: readonly T[],
  until: number,
): T[] {
  return operations
    .filter(({ invokedAt }) => invokedAt <= until)
    .map((operation) => (operation.answeredAt <= until ? operation : { ...operation, answeredAt: Infinity }));
}

/** The shortest beginning that fails; the whole does. */
export function shortestFailing<T extends Operation<unknown, unknown>>(
  operations: readonly T[],
  fails: (some: readonly T[]) => boolean,
): readonly T[] {
  const answers = operations.map(({ answeredAt }) => answeredAt).filter(Number.isFinite);
  answers.sort((a, b) => a - b);
  let low = 0;
  let high = answers.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fails(beginning(operations, answers[middle]!))) high = middle;
    else low = middle + 1;
  }
  const until = answers[low];
  return until === undefined ? operations : beginning(operations, until);
}

/** Invocations and answers in the order of their times, as a list from which an operation is taken out and into which it is put back. */
class EventList {
  /** Events are numbered: 2 x place of an invocation, 2 x place + 1 of its answer; `#end` is before the first and after the last. */
  readonly #end: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #hasAnswer: readonly boolean[];
  answersLeft: number;

  constructor(operations: readonly Operation<unknown, unknown>[]) {
    const events: { readonly at: number; readonly event: number }[] = [];
    for (const [place, { invokedAt, answeredAt }] of operations.entries()) {
      events.push({ at: invokedAt, event: 2 * place });
      if (answeredAt !== Infinity) events.push({ at: answeredAt, event: 2 * place + 1 });
    }
    events.sort((a, b) => a.at - b.at);
    this.#end = 2 * operations.length;
    this.#next = new Int32Array(this.#end + 1);
    this.#previous = new Int32Array(this.#end + 1);
    let last = this.#end;
    for (const { event } of [...events, { event: this.#end }]) {
      this.#next[last] = event;
      this.#previous[event] = last;
      last = event;
    }
    this.#hasAnswer = operations.map(({ answeredAt }) => answeredAt !== Infinity);
    this.answersLeft = this.#hasAnswer.filter(Boolean).length;
  }

  get first(): number {
    return this.#next[this.#end]!;
  }

  /** The place of the operation that is invoked here; undefined at an answer, and at the end. */
  invocationAt(event: number): number | undefined {
    return event === this.#end || event % 2 === 1 ? undefined : event / 2;
  }

  after(place: number): number {
    return this.#next[2 * place]!;
  }

  takeOut(place: number): void {
    this.#unlink(2 * place);
    if (!this.#hasAnswer[place]!) return;
    this.#unlink(2 * place + 1);
    this.answersLeft--;
  }

  /** In the reverse order of taking out. */
  putBack(place: number): void {
    if (this.#hasAnswer[place]!) {
      this.#link(2 * place + 1);
      this.answersLeft++;
    }
    this.#link(2 * place);
  }

  #unlink(event: number): void {
    const [next, previous] = [this.#next[event]!, this.#previous[event]!];
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  #link(event: number): void {
    this.#next[this.#previous[event]!] = event;
    this.#previous[this.#next[event]!] = event;
  }
}

/** Which operations are taken now, and all such sets that have been, each with the states that it led to. */
class Configurations<State> {
  readonly #specification: Pick<Specification<State, unknown, unknown>, 'isEqual'>;
  readonly #taken: Uint32Array;
  readonly #seen = new Map<number, { readonly taken: Uint32Array; readonly state: State }[]>();
  /** Of the set, whatever the order in which it came about. */
  #hash = 0;

  constructor(count: number, specification: { isEqual(left: State, right: State): boolean }) {
    this.#specification = specification;
    this.#taken = new Uint32Array(Math.ceil(count / 32));
  }

  /** False, and nothing is taken, where the same set has led to the same state before. */
  take(place: number, state: State): boolean {
    this.#flip(place);
    const alike = this.#seen.get(this.#hash) ?? [];
    const isKnown = alike.some(
      (other) => this.#isTaken(other.taken) && this.#specification.isEqual(other.state, state),
    );
    if (isKnown) {
      this.#flip(place);
      return false;
    }
    alike.push({ taken: this.#taken.slice(), state });
    this.#seen.set(this.#hash, alike);
    return true;
  }

  drop(place: number): void {
    this.#flip(place);
  }

  #flip(place: number): void {
    const word = place >>> 5;
    this.#taken[word] = this.#taken[word]! ^ (1 << (place & 31));
    const mixed = Math.imul(place + 1, 0x9e3779b1);
    this.#hash ^= Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) ^ (mixed >>> 13);
  }

  #isTaken(other: Uint32Array): boolean {
    return this.#taken.every((word, place) => word === other[place]);
  }
}
