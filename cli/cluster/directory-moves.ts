/** Carries out moves between the data directories of one node, and watches them; for `kappalog cluster move`. */
import type { Admin, LogDirDescription } from '../../client/index.ts';
import type { CommandContext } from '../command-context.ts';
import { countOf, formatBytes, formatCount } from '../table.ts';
import { directoriesOf } from './cluster-state.ts';
import { keyOf, movesUnderWay, type DirectoryMove } from './directory-plan.ts';
import type { MoveResult } from './moves.ts';
import { watch } from './watching.ts';

export type DirectoryOutcome = DirectoryMove & MoveResult;

/** Looks at which a replica may neither be on its way nor have arrived: it is closed for a moment at the end of its move. */
const looksWithoutMax = 20;
/** So long a node may be away before nobody waits for it any more. */
const awayMsMax = 30_000;

/** What a look has found. */
interface Progress {
  readonly left: number;
  readonly copiedBytes: number;
  /** The node does not answer, or is not there; `isGivenUp`: for long. */
  readonly isAway: boolean;
  readonly isGivenUp: boolean;
}

/** One outcome for each, in order. All are of one node. */
export async function carryOutInDirectories(
  admin: Admin,
  moves: readonly DirectoryMove[],
  { waits }: { readonly waits: boolean },
  context: CommandContext,
): Promise<DirectoryOutcome[]> {
  const work = new DirectoryWork(admin, moves);
  await work.begin();
  const [first] = moves;
  if (waits && first !== undefined) {
    const { node } = first;
    const totalBytes = moves.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    await watch(
      {
        look: () => work.look(),
        isDone: ({ left, isGivenUp }) => left === 0 || isGivenUp,
        describe: ({ left, copiedBytes, isAway }) =>
          isAway
            ? `Node ${node} does not answer`
            : `${formatCount(left)} of ${countOf(moves.length, 'replica')} left, ${formatBytes(copiedBytes)} of ${formatBytes(totalBytes)} copied`,
        withoutWatcher:
          'What is under way goes on by itself; "kappalog cluster move --list" shows it, and --cancel takes it back.',
      },
      context,
    );
  }
  return work.outcomes();
}

class DirectoryWork {
  readonly #admin: Admin;
  readonly #moves: readonly DirectoryMove[];
  /** Under way, with the looks that found them nowhere. */
  readonly #running = new Map<string, { readonly move: DirectoryMove; looksWithout: number }>();
  readonly #failed = new Map<string, { readonly code: string; readonly message: string }>();
  readonly #done = new Set<string>();
  #copiedBytes = 0;
  #awaySinceMs: number | undefined;

  constructor(admin: Admin, moves: readonly DirectoryMove[]) {
    this.#admin = admin;
    this.#moves = moves;
  }

  async begin(): Promise<void> {
    const asked = this.#moves.map(({ topic, partition, node, to }) => ({
      topic,
      partition,
      broker: node,
      path: to,
    }));
    const results = await this.#admin.alterReplicaLogDirs(asked);
    for (const [at, move] of this.#moves.entries()) {
      const error = results[at]?.error ?? null;
      if (error === null) this.#running.set(keyOf(move), { move, looksWithout: 0 });
      else this.#failed.set(keyOf(move), { code: error.code, message: error.message });
    }
  }

  async look(): Promise<Progress> {
    const [first] = this.#running.values();
    if (first === undefined) return { left: 0, copiedBytes: 0, isAway: false, isGivenUp: false };
    const directories = await directoriesOf(this.#admin, first.move.node);
    const isAway = directories === undefined;
    if (isAway) this.#awaySinceMs ??= performance.now();
    else {
      this.#awaySinceMs = undefined;
      this.#review(directories);
    }
    const isGivenUp = this.#awaySinceMs !== undefined && performance.now() - this.#awaySinceMs >= awayMsMax;
    return { left: this.#running.size, copiedBytes: this.#copiedBytes, isAway, isGivenUp };
  }

  outcomes(): DirectoryOutcome[] {
    return this.#moves.map((move) => {
      const error = this.#failed.get(keyOf(move)) ?? null;
      const outcome = error !== null ? 'failed' : this.#done.has(keyOf(move)) ? 'done' : 'begun';
      return { ...move, outcome, error };
    });
  }

  #review(directories: readonly LogDirDescription[]): void {
    const underWay = new Map(movesUnderWay(directories).map((move) => [keyOf(move), move]));
    const places = new Map(
      directories.flatMap(({ path, partitions }) =>
        partitions.filter(({ isFuture }) => !isFuture).map((each) => [keyOf(each), path] as const),
      ),
    );
    for (const [key, running] of this.#running) {
      const { move } = running;
      if (places.get(key) === move.to) {
        this.#running.delete(key);
        this.#done.add(key);
      } else if (underWay.get(key)?.to === move.to) running.looksWithout = 0;
      else if (++running.looksWithout === looksWithoutMax) {
        this.#running.delete(key);
        this.#failed.set(key, notMoved(move, places.get(key)));
      }
    }
    const left = [...this.#running.keys()].reduce(
      (sum, key) => sum + (underWay.get(key)?.copiedBytes ?? 0),
      0,
    );
    const done = this.#moves.filter((move) => this.#done.has(keyOf(move)));
    this.#copiedBytes = left + done.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }
}

/** What has become of a move that nobody does any more. */
function notMoved(
  { node, from }: DirectoryMove,
  place: string | undefined,
): { code: string; message: string } {
  if (place !== from) {
    const message = `Node ${node} has no such replica any more, or it was asked to move elsewhere meanwhile.`;
    return { code: 'SUPERSEDED', message };
  }
  const message = `It stayed in ${from}: somebody called the move off, or node ${node} could not do it and says in its log why, as for a full disk or a damaged log.`;
  return { code: 'NOT_MOVED', message };
}
