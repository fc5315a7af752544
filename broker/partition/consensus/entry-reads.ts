/**
 * The reads of entries that a leader's followers wait for. They begin at the end of the turn in which they are asked for, so that
 * one read, and one message, takes all that the turn has appended. A read belongs to one term: the core numbers them anew in each.
 *
 * Those for learners wait until their bytes may be sent (`catch-up/send-pace.ts`); the core asks for no more of a member meanwhile, and
 * time has no part in what it thinks of a read. A learner that comes to vote waits no longer.
 */
import { assert } from '../../../platform/assert.ts';
import { nodeOf } from '../../raft/member.ts';
import type { MemberId } from '../../raft/member.ts';
import type { Append } from '../../raft/messages.ts';
import type { Output } from '../../raft/raft.ts';
import type { ConsensusOptions } from './consensus-types.ts';
import type { GroupLog, ReadEntries } from './group-log.ts';
import type { Grant, SendPace } from './catch-up/send-pace.ts';
import { withoutFirst } from './received-entries.ts';

type Wanted = Extract<Output, { kind: 'read-entries' }>;

export interface EntryReadsOptions {
  readonly entries: GroupLog;
  /** The term that this member leads in, if it does. */
  readonly leadsIn: () => number | undefined;
  readonly endIndex: () => number;
  readonly finished: (read: number, endIndex: number, sizeBytes: number) => void;
  readonly failed: (error: unknown) => void;
  /** Undefined: nobody waits. */
  readonly pace?: LearnerPace | undefined;
}

export interface LearnerPace {
  readonly group: string;
  readonly sending: SendPace;
  readonly isLearner: (member: MemberId) => boolean;
}

/** Of groups whose members are brought up by copies of segments: a state machine's log is short, and urgent. */
export function learnerPace(
  { group, catchUp }: Pick<ConsensusOptions, 'group' | 'catchUp'>,
  isLearner: LearnerPace['isLearner'],
): LearnerPace | undefined {
  if (catchUp?.means.kind !== 'segments') return undefined;
  return { group, sending: catchUp.means.copying.sending, isLearner };
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
    const { pace } = this.#options;
    for (const each of wanted) {
      if (pace?.isLearner(each.to) === true) void this.#readForLearner(each, term, pace);
      else this.#read(each, term);
    }
  }

  async #readForLearner(wanted: Wanted, term: number, pace: LearnerPace): Promise<void> {
    const { group, sending, isLearner } = pace;
    const { to, bytesMax } = wanted;
    const grant = await sending.grant({
      kind: 'entries',
      group,
      to: nodeOf(to),
      bytesMax,
      state: () => {
        if (this.#options.leadsIn() !== term) return 'unwanted';
        return isLearner(to) ? 'waiting' : 'free';
      },
    });
    if (grant !== undefined) this.#read({ ...wanted, bytesMax: grant.bytesMax }, term, grant);
  }

  #read({ read, fromIndex, endIndex, bytesMax }: Wanted, term: number, grant?: Grant): void {
    const { entries, leadsIn } = this.#options;
    if (leadsIn() !== term) {
      grant?.used(0);
      return;
    }
    const end = Math.max(endIndex, this.#options.endIndex());
    const result = entries.read(fromIndex, end, bytesMax);
    if (!(result instanceof Promise)) {
      grant?.used(result.sizeBytes);
      this.#finish(read, { ...result, release: () => result.release(), fromIndex }, term);
      return;
    }
    result.then(
      (done) => {
        grant?.used(done.sizeBytes);
        this.#finish(read, { ...done, release: () => done.release(), fromIndex }, term);
      },
      (error: unknown) => {
        grant?.used(0);
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
