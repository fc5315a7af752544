/**
 * What the clients of a simulated cluster have asked and been told, of every partition, and whether that can be.
 *
 * Appends, and the reads that a leader has confirmed by read-index or lease (`Consensus.requestRead`), are linearizable, and
 * checked as such. A plain fetch is not: it is served from what the asked node knows to be committed, without asking anybody, so a
 * leader that has been deposed without knowing it, or a follower, answers with an old end of the log. Of fetches this is checked: what
 * they return is committed, follows each other without gaps, and is the same for everybody for ever; and for one reader the
 * end does not go back while it stays with one life of one node in one term.
 */
import { SimulationFailure, check } from '../simulation-failure.ts';
import type { TakenBatch } from './cluster-appends.ts';
import { checkLinearizable, shortestFailing, shrink } from './linearizability.ts';
import { describeOperation, gappedSpecification, partitionSpecification } from './partition-specification.ts';
import type { PartitionInput, PartitionOperation, PartitionOutput } from './partition-specification.ts';

interface Recorded extends PartitionOperation {
  readonly group: number;
  readonly nodeId: number;
  readonly invokedMs: number;
  readonly answeredMs: number;
}

export interface Asked {
  readonly group: number;
  readonly client: string;
  readonly nodeId: number;
  readonly input: PartitionInput;
}

/** An operation that is under way. */
export interface Invocation {
  /** It has been answered. Nothing where it was answered, or given up, before. */
  answer(output: PartitionOutput): void;
  /** It certainly has not taken effect, and never will. */
  refuse(): void;
}

/** A batch as a fetch returns it. */
export interface FetchedBatch {
  readonly offset: number;
  readonly value: number;
  readonly count: number;
}

export interface FetchedRun {
  readonly group: number;
  readonly offset: number;
  readonly batches: readonly FetchedBatch[];
  /** The high watermark that came with it. */
  readonly end: number;
  readonly reader: string;
}

/** Operations of a partition that a check may take: more is left undecided, which is counted. */
const stepsMax = 500_000;

export class History {
  readonly #nowMs: () => number;
  readonly #open = new Set<Open>();
  readonly #operations: Recorded[] = [];
  /** By group and offset: the batch that somebody has fetched there. */
  readonly #fetched = new Map<number, Map<number, FetchedBatch>>();
  /** By session and group. */
  readonly #ends = new Map<string, number>();
  #moments = 0;
  readonly counts = { appends: 0, reads: 0, 'without answer': 0, refused: 0, fetches: 0, undecided: 0 };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `expected`: of an append whose place is known, though it may come to nothing. */
  invoke(asked: Asked, expected?: PartitionOutput): Invocation {
    const start = { ...asked, invokedAt: ++this.#moments, invokedMs: this.#nowMs() };
    const open = new Open(start, expected);
    this.#open.add(open);
    return {
      answer: (output) => {
        if (!this.#close(open)) return;
        this.counts[asked.input.kind === 'append' ? 'appends' : 'reads']++;
        this.#operations.push({
          ...open.start,
          output,
          answeredAt: ++this.#moments,
          answeredMs: this.#nowMs(),
        });
      },
      refuse: () => {
        if (this.#close(open)) this.counts.refused++;
      },
    };
  }

  /** A leader has taken a batch. Returns what is to be called when it acknowledges it. */
  taken(asked: Omit<Asked, 'input'>, { value, count, offset }: TakenBatch): () => void {
    const invocation = this.invoke({ ...asked, input: { kind: 'append', value, count } }, { offset });
    return () => invocation.answer({ offset });
  }

  /** As a fetch is being served; `session` names the reader, and the life and term of the node that it has asked. */
  fetching(group: number, session: string, end: number): void {
    const key = `${session}/${group}`;
    const before = this.#ends.get(key) ?? 0;
    check(
      end >= before,
      () => `the end of group ${group} that ${session} sees goes back from ${before} to ${end}`,
    );
    this.#ends.set(key, end);
  }

  /** Checks what can be checked at once. */
  fetched({ group, offset, batches, end, reader }: FetchedRun): void {
    this.counts.fetches++;
    const known = this.#fetched.get(group) ?? new Map<number, FetchedBatch>();
    this.#fetched.set(group, known);
    let next: number | undefined;
    for (const batch of batches) {
      const follows = next === undefined ? batch.offset <= offset : batch.offset === next;
      check(
        follows,
        () => `${reader} fetches group ${group} at ${offset}, and gets a batch of offset ${batch.offset}`,
      );
      next = batch.offset + batch.count;
      check(next <= end, () => `${reader} fetches group ${group} up to ${next}, above its end ${end}`);
      const other = known.get(batch.offset) ?? batch;
      check(
        other.value === batch.value && other.count === batch.count,
        () =>
          `offset ${batch.offset} of group ${group} was ${other.value} and is ${batch.value} for ${reader}`,
      );
      known.set(batch.offset, batch);
    }
  }

  /**
   * When nothing happens any more, and all that is left of a group, from `startOffset` on, has been read. Throws a
   * SimulationFailure where that cannot be.
   */
  check(group: number, startOffset: number): void {
    const operations = this.#operations.filter((operation) => operation.group === group);
    for (const { start, expected } of this.#open) {
      if (start.group !== group || start.input.kind !== 'append') continue;
      this.counts['without answer']++;
      operations.push({ ...start, output: expected, answeredAt: Infinity, answeredMs: Infinity });
    }
    this.#checkFetched(group, operations, startOffset);
    this.#checkLinearizable(group, operations);
  }

  /** What was fetched is what was there to stay. */
  #checkFetched(group: number, operations: readonly Recorded[], startOffset: number): void {
    const values = new Map<number, number>();
    for (const { output } of operations) {
      if (output?.value !== undefined) values.set(output.offset, output.value);
    }
    for (const { offset, value } of this.#fetched.get(group)?.values() ?? []) {
      if (offset < startOffset) continue;
      check(
        values.get(offset) === value,
        () =>
          `${value} was fetched at offset ${offset} of group ${group}, where ${values.get(offset)} is committed`,
      );
    }
  }

  #checkLinearizable(group: number, operations: readonly Recorded[]): void {
    const possible = this.#possible(group, operations);
    const verdict = checkLinearizable(partitionSpecification(), possible, stepsMax);
    if (verdict.kind === 'undecided') this.counts.undecided++;
    if (verdict.kind !== 'not-linearizable') return;
    const text = describeViolation(possible).join('\n');
    throw new SimulationFailure(`what clients saw of group ${group} is not linearizable:\n${text}`);
  }

  /** Without appends that came to nothing, as somebody has seen another batch where they would stand: what stands in a log stays. */
  #possible(group: number, operations: readonly Recorded[]): Recorded[] {
    const known = new Map<number, number>();
    for (const { offset, value, count } of this.#fetched.get(group)?.values() ?? []) {
      for (let at = offset; at < offset + count; at++) known.set(at, value);
    }
    for (const { input, output, answeredAt } of operations) {
      if (output === undefined || answeredAt === Infinity) continue;
      if (input.kind === 'append') {
        for (let at = output.offset; at < output.offset + input.count; at++) known.set(at, input.value);
      } else if (input.kind === 'read' && output.value !== undefined) {
        for (let at = output.offset; at <= input.offset; at++) known.set(at, output.value);
      }
    }
    return operations.filter(({ input, output, answeredAt }) => {
      if (input.kind !== 'append' || answeredAt !== Infinity || output === undefined) return true;
      for (let at = output.offset; at < output.offset + input.count; at++) {
        if ((known.get(at) ?? input.value) !== input.value) return false;
      }
      return true;
    });
  }

  #close(open: Open): boolean {
    if (!open.isOpen) return false;
    open.isOpen = false;
    return this.#open.delete(open);
  }
}

/** The few operations that cannot be together, in the order of their invocations, as lines for people. */
export function describeViolation(operations: readonly PartitionOperation[]): string[] {
  const failsWithGaps = (some: readonly PartitionOperation[]): boolean =>
    checkLinearizable(gappedSpecification, some, stepsMax).kind === 'not-linearizable';
  const failsExactly = (some: readonly PartitionOperation[]): boolean =>
    checkLinearizable(partitionSpecification(), some, stepsMax).kind === 'not-linearizable';
  const answered = operations.filter(({ output }) => output !== undefined);
  const core = failsWithGaps(answered)
    ? shrink(answered, failsWithGaps)
    : withoutReads(shortestFailing(operations, failsExactly), failsExactly);
  return core.toSorted((a, b) => a.invokedAt - b.invokedAt).map(describeAt);
}

/** Reads change nothing, so that any of them can be left out; appends make place for those after them. */
function withoutReads<T extends PartitionOperation>(
  operations: readonly T[],
  fails: (some: readonly T[]) => boolean,
): readonly T[] {
  const appends = operations.filter(({ input }) => input.kind === 'append');
  const reads = operations.filter(({ input }) => input.kind !== 'append');
  return [...appends, ...shrink(reads, (some) => fails([...appends, ...some]))];
}

function describeAt(operation: PartitionOperation & Partial<Recorded>): string {
  const { invokedMs, answeredMs, nodeId } = operation;
  const where = nodeId === undefined ? '' : ` (node ${nodeId})`;
  return `  ${timeText(invokedMs)} to ${timeText(answeredMs)}  ${describeOperation(operation)}${where}`;
}

function timeText(ms: number | undefined): string {
  return (ms === undefined || ms === Infinity ? '?' : `${ms.toFixed(2)} ms`).padStart(12);
}

type Start = Omit<Recorded, 'output' | 'answeredAt' | 'answeredMs'>;

class Open {
  readonly start: Start;
  readonly expected: PartitionOutput | undefined;
  isOpen = true;

  constructor(start: Start, expected: PartitionOutput | undefined) {
    this.start = start;
    this.expected = expected;
  }
}
