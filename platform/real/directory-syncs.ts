/**
 * Syncs of directories that several ask for at a time. Whoever asks while one is under way shares the next one with all others who
 * do: a sync vouches for the names that were there when it began, and for no later ones.
 */
interface UnderWay {
  readonly done: Promise<void>;
  /** Begins when `done` has ended. */
  next: Promise<void> | undefined;
}

export class DirectorySyncs {
  readonly #syncOne: (directory: string) => Promise<void>;
  /** By path. */
  readonly #underWay = new Map<string, UnderWay>();

  constructor(syncOne: (directory: string) => Promise<void>) {
    this.#syncOne = syncOne;
  }

  /** Resolves when a sync that began after the call has ended; rejects as that one does. */
  sync(directory: string): Promise<void> {
    const current = this.#underWay.get(directory);
    if (current === undefined) return this.#begin(directory);
    const begin = (): Promise<void> => this.#begin(directory);
    // How the one before ended is for those who share that one.
    current.next ??= current.done.then(begin, begin);
    return current.next;
  }

  #begin(directory: string): Promise<void> {
    const done = this.#syncOne(directory);
    const entry: UnderWay = { done, next: undefined };
    this.#underWay.set(directory, entry);
    const end = (): void => {
      // Where others wait, their sync takes its place.
      if (entry.next === undefined) this.#underWay.delete(directory);
    };
    done.then(end, end);
    return done;
  }
}
