/**
 * What members have committed and read back, and whether it goes together: each partition of a group is a register whose values are
 * given once. An acknowledged commit is never lost, what was refused is never seen, and nothing goes back by itself.
 */
import { check } from '../simulation-failure.ts';

interface Commit {
  readonly value: number;
  readonly beganMs: number;
  /** Infinity while nobody knows, and where nobody ever will. */
  acknowledgedMs: number;
  wasRefused: boolean;
}

interface Seen {
  readonly commit: Commit;
  readonly beganMs: number;
  readonly endedMs: number;
}

interface Register {
  readonly commits: Map<number, Commit>;
  readonly seen: Seen[];
}

export class CommitHistory {
  readonly #nowMs: () => number;
  readonly #registers = new Map<string, Register>();
  #lastValue = 0;
  readonly counts = { acknowledged: 0, refused: 0, unknown: 0, read: 0 };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A commit of a value that no other has. */
  begin(register: string): Commit {
    this.#lastValue++;
    const commit = {
      value: this.#lastValue,
      beganMs: this.#nowMs(),
      acknowledgedMs: Infinity,
      wasRefused: false,
    };
    this.#register(register).commits.set(commit.value, commit);
    this.counts.unknown++;
    return commit;
  }

  acknowledged(commit: Commit): void {
    commit.acknowledgedMs = this.#nowMs();
    this.counts.unknown--;
    this.counts.acknowledged++;
  }

  /** It has not been carried out, and will not be. */
  refused(commit: Commit): void {
    commit.wasRefused = true;
    this.counts.unknown--;
    this.counts.refused++;
  }

  /** A read that began at `beganMs` has just given `value`; -1: there is none. */
  read(register: string, value: number, beganMs: number): void {
    this.counts.read++;
    const { commits, seen } = this.#register(register);
    const what = (): string => `${register}: ${value} was read`;
    if (value === -1) {
      const lost = [...commits.values()].find(({ acknowledgedMs }) => acknowledgedMs < beganMs);
      check(lost === undefined, () => `${what()}, though ${lost!.value} had been acknowledged`);
      return;
    }
    const commit = commits.get(value);
    check(commit !== undefined, () => `${what()}, which nobody has committed there`);
    check(!commit.wasRefused, () => `${what()}, though that commit was refused`);
    for (const other of commits.values()) {
      const isBetween = other.beganMs > commit.acknowledgedMs && other.acknowledgedMs < beganMs;
      check(!isBetween, () => `${what()}, though ${other.value} was acknowledged after it`);
    }
    for (const earlier of seen) {
      const isAfter = earlier.beganMs > commit.acknowledgedMs && earlier.commit !== commit;
      check(!isAfter || earlier.endedMs >= beganMs, () => `${what()} again, after ${earlier.commit.value}`);
    }
    seen.push({ commit, beganMs, endedMs: this.#nowMs() });
  }

  #register(name: string): Register {
    let register = this.#registers.get(name);
    if (register === undefined) {
      register = { commits: new Map(), seen: [] };
      this.#registers.set(name, register);
    }
    return register;
  }
}

export type { Commit };
