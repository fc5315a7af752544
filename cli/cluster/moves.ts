/** Carries out moves of replicas, some at a time, and watches them; for `kappalog cluster rebalance` and `reassign`. */
import type { Admin, TopicPartition } from '../../client/index.ts';
import type { CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, formatBytes, formatCount, renderTable, type Column } from '../table.ts';
import { describeAllTopics } from './cluster-state.ts';
import type { Move } from './placement.ts';
import { bytesMoved } from './placement.ts';
import { reassignmentDocument } from './reassignment-file.ts';
import { watch } from './watching.ts';

/** 'begun': nobody waited for its end. 'failed': it was refused, or somebody asked for something else meanwhile. */
export interface MoveResult {
  readonly outcome: 'done' | 'begun' | 'failed';
  readonly error: { readonly code: string; readonly message: string } | null;
}

export type MoveOutcome = Move & MoveResult;

export interface MoveOptions {
  /** Partitions under way at one time. */
  readonly atOnce: number;
  readonly waits: boolean;
}

const moveColumns: readonly Column<Move>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', cell: ({ partition }) => partition, align: 'right' },
  { title: 'before', cell: ({ before }) => before.join(',') },
  { title: 'after', cell: ({ after }) => after.join(',') },
  { title: 'size', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
];

/** Looks at which a partition may neither be under way nor have its new replicas: the nodes hear of changes one after the other. */
const looksWithoutMax = 20;

/** What would be done, for people. */
export function renderPlan(moves: readonly Move[]): string {
  if (moves.length === 0) return 'Nothing is to be moved.';
  return `${renderTable(moveColumns, moves)}\n\n${summaryOf(moves)}`;
}

export function summaryOf(moves: readonly Move[]): string {
  const bytes = formatBytes(bytesMoved(moves));
  return `${countOf(moves.length, 'partition gets', 'partitions get')} other replicas; about ${bytes} are copied.`;
}

/** What `-o json` prints; `reassignment` is what kafka-reassign-partitions takes. */
export function moveDocument(moves: readonly Move[]): object {
  const assignments = moves.map(({ topic, partition, after }) => ({ topic, partition, replicas: after }));
  return { bytes: bytesMoved(moves), reassignment: reassignmentDocument(assignments) };
}

/** One outcome for each, in order. */
export async function carryOut(
  admin: Admin,
  moves: readonly Move[],
  { atOnce, waits }: MoveOptions,
  context: CommandContext,
): Promise<MoveOutcome[]> {
  const work = new MoveWork(admin, moves, waits ? atOnce : Infinity);
  await work.begin();
  if (waits) {
    await watch(
      {
        look: () => work.look(),
        isDone: (left) => left === 0,
        describe: (left) => `${formatCount(left)} of ${countOf(moves.length, 'partition')} left`,
        withoutWatcher: 'What is under way goes on by itself; "kappalog cluster reassign --list" shows it.',
      },
      context,
    );
  }
  return work.outcomes();
}

export function exitCodeOf(outcomes: readonly MoveResult[]): ExitCode {
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed');
  if (failed.length === 0) return ExitCode.ok;
  return failed.length === outcomes.length ? ExitCode.error : ExitCode.partial;
}

/** How it went, for people. */
export function renderOutcomes(outcomes: readonly MoveOutcome[]): string {
  const count = (wanted: MoveOutcome['outcome']): number =>
    outcomes.filter(({ outcome }) => outcome === wanted).length;
  const failed = outcomes.flatMap(({ topic, partition, error }) =>
    error === null ? [] : [`${topic}-${partition}: ${error.message}`],
  );
  const isWaited = !outcomes.some(({ outcome }) => outcome === 'begun');
  const done = isWaited
    ? `${countOf(count('done'), 'partition has its', 'partitions have their')} new replicas.`
    : `${countOf(count('begun'), 'partition is on its', 'partitions are on their')} way; "kappalog cluster reassign --list" shows what is left.`;
  return failed.length === 0
    ? done
    : [done, `${countOf(count('failed'), 'was', 'were')} not moved:`, ...failed].join('\n');
}

class MoveWork {
  readonly #admin: Admin;
  readonly #moves: readonly Move[];
  readonly #atOnce: number;
  readonly #waiting: Move[];
  /** Under way, with the looks that found neither them nor their new replicas. */
  readonly #running = new Map<string, { readonly move: Move; looksWithout: number }>();
  readonly #failed = new Map<string, { readonly code: string; readonly message: string }>();
  readonly #done = new Set<string>();

  constructor(admin: Admin, moves: readonly Move[], atOnce: number) {
    this.#admin = admin;
    this.#moves = moves;
    this.#atOnce = atOnce;
    this.#waiting = [...moves];
  }

  /** Asks for as many as may be under way. */
  async begin(): Promise<void> {
    const next = this.#waiting.splice(0, Math.max(0, this.#atOnce - this.#running.size));
    if (next.length === 0) return;
    const asked = next.map(({ topic, partition, after }) => ({ topic, partition, replicas: after }));
    const results = await this.#admin.alterPartitionReassignments(asked);
    for (const [at, move] of next.entries()) {
      const error = results[at]?.error ?? null;
      if (error === null) this.#running.set(keyOf(move), { move, looksWithout: 0 });
      else this.#failed.set(keyOf(move), { code: error.code, message: error.message });
    }
  }

  /** How many are left. */
  async look(): Promise<number> {
    if (this.#running.size > 0) await this.#review();
    await this.begin();
    return this.#running.size + this.#waiting.length;
  }

  outcomes(): MoveOutcome[] {
    return this.#moves.map((move) => {
      const error = this.#failed.get(keyOf(move)) ?? null;
      const outcome = error !== null ? 'failed' : this.#done.has(keyOf(move)) ? 'done' : 'begun';
      return { ...move, outcome, error };
    });
  }

  async #review(): Promise<void> {
    const [reassignments, topics] = await Promise.all([
      this.#admin.listPartitionReassignments(),
      describeAllTopics(this.#admin),
    ]);
    const ongoing = new Set(reassignments.map(keyOf));
    const present = new Map(
      topics.flatMap(({ name: topic, partitions }) =>
        partitions.map(({ partition, replicas }) => [keyOf({ topic, partition }), replicas.join()] as const),
      ),
    );
    for (const [key, running] of this.#running) {
      if (ongoing.has(key)) running.looksWithout = 0;
      else if (present.get(key) === running.move.after.join()) {
        this.#running.delete(key);
        this.#done.add(key);
      } else if (++running.looksWithout === looksWithoutMax) {
        this.#running.delete(key);
        const message = 'The partition was deleted, or somebody asked for other replicas meanwhile.';
        this.#failed.set(key, { code: 'SUPERSEDED', message });
      }
    }
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
