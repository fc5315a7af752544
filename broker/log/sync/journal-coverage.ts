/**
 * Which logs have bytes in the sync journal, and whether their own files have been synced since: what the Syncer goes by when
 * it frees a half of the journal, and when a log is to be cut or removed. Bookkeeping only.
 *
 * Logs are known by their directories' names, as the journal's records are: a log may be closed and opened again while the
 * journal has records of its first life.
 */
import type { JournalForget } from './sync-journal-format.ts';

export interface CoveredLog<Target> {
  readonly name: string;
  target: Target;
  /** The last frame with a record of it. */
  frame: number;
  generation: number;
  /** Records up to this frame are durable in its files. */
  settledFrame: number;
  /** Records up to this frame are void. */
  voidFrame: number;
}

export class JournalCoverage<Target> {
  readonly #logs = new Map<string, CoveredLog<Target>>();
  readonly #ofGeneration = new Map<number, Set<CoveredLog<Target>>>();

  of(name: string): CoveredLog<Target> | undefined {
    return this.#logs.get(name);
  }

  /** A frame with a record of this log is about to be written. */
  add(name: string, target: Target, place: { readonly frame: number; readonly generation: number }): void {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = { name, target, frame: 0, generation: 0, settledFrame: 0, voidFrame: 0 };
      this.#logs.set(name, log);
    }
    log.target = target;
    log.frame = place.frame;
    log.generation = place.generation;
    let covered = this.#ofGeneration.get(place.generation);
    if (covered === undefined) {
      covered = new Set();
      this.#ofGeneration.set(place.generation, covered);
    }
    covered.add(log);
  }

  /** Logs of this generation with records, up to that frame, that are not durable in their own files. */
  unsettled(generation: number, frame: number): CoveredLog<Target>[] {
    const covered = this.#ofGeneration.get(generation) ?? [];
    return [...covered].filter(
      ({ settledFrame, voidFrame, frame: last }) => Math.max(settledFrame, voidFrame) < Math.min(last, frame),
    );
  }

  /** The generation is done: its records are never replayed. */
  forgetGeneration(generation: number): void {
    for (const log of this.#ofGeneration.get(generation) ?? []) {
      if (log.generation <= generation) this.#logs.delete(log.name);
    }
    this.#ofGeneration.delete(generation);
  }

  all(): IterableIterator<CoveredLog<Target>> {
    return this.#logs.values();
  }

  get isSettled(): boolean {
    for (const log of this.#logs.values()) if (isUnsettled(log)) return false;
    return true;
  }
}

export function isUnsettled(log: CoveredLog<unknown>): boolean {
  return log.settledFrame < log.frame && log.voidFrame < log.frame;
}

/** A wish to make records void, and who waits for it. */
export interface PendingForget extends JournalForget {
  resolve(): void;
  reject(error: unknown): void;
}
