/**
 * A partition as its clients may think of it: one log, to whose end appends add, and of which a read sees all that was there. Two
 * specifications: the exact one, and one with gaps, which allows that operations were left out of a history. The second allows all
 * that the first does, with whatever left out; so what fails in it is the core of a violation that a reader can understand.
 */
import type { Operation, Specification } from './linearizability.ts';

/** `value` names a batch of `count` records; no two are the same. */
export type PartitionInput =
  | { readonly kind: 'append'; readonly value: number; readonly count: number }
  | { readonly kind: 'read'; readonly offset: number }
  | { readonly kind: 'list-latest' };

/**
 * Of an append: where it begins. Of a read: the batch at that offset, and where it begins, or without a value the end of the log,
 * as there is nothing at that offset yet. Of list-latest: the end of the log.
 */
export interface PartitionOutput {
  readonly offset: number;
  readonly value?: number;
}

export type PartitionOperation = Operation<PartitionInput, PartitionOutput>;

/** A log as the way to it: what was appended last, and the log before. Equal logs are one object. */
interface LogState {
  readonly end: number;
  readonly base: number;
  readonly value: number | undefined;
  readonly before: LogState | undefined;
  /** By the value appended. */
  readonly after: Map<number, LogState>;
}

/** For one check: it keeps all states that it has come to. */
export function partitionSpecification(): Specification<LogState, PartitionInput, PartitionOutput> {
  const initial: LogState = { end: 0, base: 0, value: undefined, before: undefined, after: new Map() };
  return {
    initial,
    step: (state, input, output) => {
      if (input.kind === 'append') {
        if (output !== undefined && output.offset !== state.end) return undefined;
        return appended(state, input.value, input.count);
      }
      if (output === undefined) return state;
      const found = input.kind === 'read' ? batchAt(state, input.offset) : undefined;
      const isSame = output.offset === (found?.base ?? state.end) && output.value === found?.value;
      return isSame ? state : undefined;
    },
    isEqual: (left, right) => left === right,
  };
}

function appended(state: LogState, value: number, count: number): LogState {
  let next = state.after.get(value);
  if (next === undefined) {
    next = { end: state.end + count, base: state.end, value, before: state, after: new Map() };
    state.after.set(value, next);
  }
  return next;
}

function batchAt(state: LogState, offset: number): LogState | undefined {
  if (offset >= state.end) return undefined;
  let batch = state;
  while (batch.base > offset) batch = batch.before!;
  return batch;
}

interface GappedState {
  /** The log is at least so long. */
  readonly end: number;
  /** What is known to stand at an offset, by offset. */
  readonly known: ReadonlyMap<number, number>;
}

/** What is left of a partition when any operations may be missing: ends never go back, and what stands somewhere stays. */
export const gappedSpecification: Specification<GappedState, PartitionInput, PartitionOutput> = {
  initial: { end: 0, known: new Map() },
  step: (state, input, output) => {
    if (output === undefined) return state;
    const { offset } = output;
    if (input.kind === 'append') {
      return offset < state.end ? undefined : withKnown(state, offset, offset + input.count, input.value);
    }
    if (input.kind === 'read' && output.value !== undefined) {
      return withKnown(state, offset, input.offset + 1, output.value);
    }
    return offset < state.end ? undefined : { ...state, end: offset };
  },
  isEqual: (left, right) =>
    left.end === right.end &&
    left.known.size === right.known.size &&
    [...left.known].every(([offset, value]) => right.known.get(offset) === value),
};

function withKnown(state: GappedState, from: number, to: number, value: number): GappedState | undefined {
  const known = new Map(state.known);
  for (let offset = from; offset < to; offset++) {
    if ((known.get(offset) ?? value) !== value) return undefined;
    known.set(offset, value);
  }
  return { end: Math.max(state.end, to), known };
}

export function describeOperation({ client, input, output, answeredAt }: PartitionOperation): string {
  const what = describeInput(input);
  if (output === undefined) return `${client}: ${what}, no answer`;
  const told = answeredAt === Infinity ? 'no answer by then' : 'answer';
  if (input.kind === 'append') return `${client}: ${what}, ${told}: at offset ${output.offset}`;
  const where =
    output.value === undefined
      ? `the log ends at ${output.offset}`
      : `${output.value}, which is at ${output.offset}`;
  return `${client}: ${what}, ${told}: ${where}`;
}

function describeInput(input: PartitionInput): string {
  if (input.kind === 'append') return `append ${input.value} (${input.count} records)`;
  return input.kind === 'read' ? `read offset ${input.offset}` : 'list the latest offset';
}
