/** What all members of a group have told, in the order in which it was read; and waiting for what it must come to say. */
import type { MemberEvent } from './line-protocol.ts';

export interface JournalEntry {
  /** The member's name; no two processes of a group have the same. */
  readonly member: string;
  readonly event: MemberEvent;
}

export class Journal {
  readonly #entries: JournalEntry[] = [];
  readonly #waiting = new Set<() => void>();

  get entries(): readonly JournalEntry[] {
    return this.#entries;
  }

  add(entry: JournalEntry): void {
    this.#entries.push(entry);
    this.touch();
  }

  /** What is waited for may have changed. */
  touch(): void {
    for (const look of this.#waiting) look();
  }

  /** Resolves once `missing` gives undefined; it is asked after every event. Rejects with what it gave last when the time is over. */
  async until(what: string, timeoutMs: number, missing: () => string | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      try {
        if (missing() === undefined) resolve();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    const timer = setTimeout(() => {
      reject(new Error(`${what}: not after ${timeoutMs / 1000} s: ${missing() ?? 'it came too late'}`));
    }, timeoutMs);
    this.#waiting.add(look);
    look();
    try {
      await promise;
    } finally {
      this.#waiting.delete(look);
      clearTimeout(timer);
    }
  }
}
