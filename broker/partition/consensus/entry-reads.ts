/**
 * The reads of entries that a leader's followers wait for. They begin at the end of the turn in which they are asked for, so that
 * one read, and one message, takes all that the turn has appended. A read belongs to one term: the core numbers them anew in each.
 */
import { assert } from '../../../platform/assert.ts';
import type { Append } from '../../raft/messages.ts';
import type { Output } from '../../raft/raft.ts';
import type { GroupLog, ReadEntries } from './group-log.ts';
import { withoutFirst } from './received-entries.ts';

type Wanted = Extract<Output, { kind: 'read-entries' }>;

export interface EntryReadsOptions {
  readonly entries: GroupLog;
  /** The term that this member leads in, if it does. */
  readonly leadsIn: () => number | undefined;
  readonly endIndex: () => number;
  readonly finished: (read: number, endIndex: number, sizeBytes: number) => void;
  readonly failed: (error: unknown) => void;
}

interface Held extends ReadEntries {
  readonly fromIndex: number;
}

export class EntryReads {
  readonly #options: EntryReadsOptions;
  #wanted: Wanted[] = [];
  /** What has been read and is about to be sent, by the number of the read; made with the first follower's. */
  #held: Map<number, Held> | undefined;

  constructor(options: EntryReadsOptions) {
    this.#options = options;
  }

  want(wanted: Wanted): void {
    if (this.#wanted.push(wanted) === 1) queueMicrotask(() => this.#begin());
  }

  /** The bytes for this message, which is sent once. The follower may have come further since they were asked for. */
  take(read: number, message: Append): { parts: readonly Buffer[]; release: () => void } {
    const held = this.#held?.get(read);
    assert(held?.endIndex === message.endIndex, 'entries are sent that have been read');
    this.#held?.delete(read);
    const skipped = message.fromIndex - held.fromIndex;
    const parts = skipped === 0 ? held.parts : withoutFirst(held.parts, skipped);
    assert(skipped >= 0 && parts !== undefined, 'a follower holds whole batches');
    return { parts, release: () => held.release() };
  }

  /** The leadership has ended. */
  forget(): void {
    this.#wanted = [];
    for (const held of this.#held?.values() ?? []) held.release();
    this.#held = undefined;
  }

  #begin(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    const term = this.#options.leadsIn();
    if (term === undefined) return;
    for (const each of wanted) this.#read(each, term);
  }

  #read({ read, fromIndex, endIndex, bytesMax }: Wanted, term: number): void {
    const { entries, leadsIn } = this.#options;
    if (leadsIn() !== term) return;
    const end = Math.max(endIndex, this.#options.endIndex());
    const result = entries.read(fromIndex, end, bytesMax);
    if (!(result instanceof Promise)) {
      this.#finish(read, { ...result, release: () => result.release(), fromIndex }, term);
      return;
    }
    result.then(
      (done) => this.#finish(read, { ...done, release: () => done.release(), fromIndex }, term),
      (error: unknown) => {
        if (leadsIn() !== term) return;
        this.#options.finished(read, fromIndex, 0);
        this.#options.failed(error);
      },
    );
  }

  #finish(read: number, held: Held, term: number): void {
    if (this.#options.leadsIn() !== term) {
      held.release();
      return;
    }
    (this.#held ??= new Map()).set(read, held);
    this.#options.finished(read, held.endIndex, held.sizeBytes);
    // Where it was not sent, it was not wanted any more.
    if (this.#held?.get(read) === held) {
      this.#held.delete(read);
      held.release();
    }
  }
}
