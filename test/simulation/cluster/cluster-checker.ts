/**
 * What must hold in a simulated cluster, whatever happens: told of every step, it throws a SimulationFailure at the first that
 * breaks it. It knows each group as a whole: what any member has ever appended, promised or seen committed.
 *
 * - Election safety: a term has one leader.
 * - Log matching: an index and a term name one entry, with one entry before it, in all logs at all times.
 * - Leader completeness: who leads has all that was committed in earlier terms.
 * - State machine safety: what is committed at an index is the same everywhere, for ever.
 * - High watermark: of a member it never goes back while its process lives, but where a loss is told.
 * - Promises: terms and votes never go back, and no message says more than is durable.
 *
 * Consensus itself asserts that a leader only appends and that positions do not go back within a life.
 *
 * Groups with `write.caching` may lose what was committed, where members have lost their memory and who remembers is not
 * there: `forgetful` says who has. Then the group goes on from what its new leader has, and everything else holds as ever.
 */
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { Message } from '../../../broker/raft/messages.ts';
import type { HardState } from '../../../broker/raft/raft.ts';
import { check } from '../simulation-failure.ts';
import type { ClusterGroup } from './cluster-life.ts';

export interface Acknowledged {
  readonly baseIndex: number;
  readonly baseOffset: number;
  /** A copy of the batch. */
  readonly bytes: Buffer;
}

interface Committed {
  readonly term: number;
  /** The term in which it was first seen to be committed. */
  readonly inTerm: number;
}

interface GroupBook {
  /** By index. */
  readonly committed: (Committed | undefined)[];
  /** By term. */
  readonly leaders: Map<number, MemberId>;
  /** By index and term: its content and the term before it. */
  readonly entries: Map<string, string>;
  /** By member: what is durable of its term and vote. */
  readonly promises: Map<MemberId, HardState>;
  /** Members that may have forgotten what they acknowledged (`write.caching`). */
  readonly forgetful: Set<MemberId>;
  acknowledged: Acknowledged[];
  /** Records below this offset may have been deleted. */
  deletedBelow: number;
}

/** How far back what is committed is compared again each time. */
const comparedEntries = 20;

export class ClusterChecker {
  readonly #books = new Map<number, GroupBook>();
  /** By the life of a member. */
  readonly #highWatermarks = new WeakMap<ClusterGroup['consensus'], number>();
  readonly counts = { elections: 0, acknowledged: 0, commits: 0, forgotten: 0 };

  book(group: number): GroupBook {
    let book = this.#books.get(group);
    if (book === undefined) {
      book = {
        committed: [],
        leaders: new Map(),
        entries: new Map(),
        promises: new Map(),
        forgetful: new Set(),
        acknowledged: [],
        deletedBelow: 0,
      };
      this.#books.set(group, book);
    }
    return book;
  }

  /** A member leads from now on. */
  leads(group: ClusterGroup): void {
    const { number, member, consensus, log } = group;
    const { term } = consensus.raft;
    const book = this.book(number);
    const known = book.leaders.get(term);
    check(
      known === undefined || known === member,
      () => `term ${term} of group ${number} has two leaders, ${known} and ${member}`,
    );
    if (known === undefined) this.counts.elections++;
    book.leaders.set(term, member);
    for (let index = firstIndex(group); index < book.committed.length; index++) {
      const entry = book.committed[index];
      if (entry === undefined || entry.inTerm >= term) continue;
      // While its log is being cut, what comes after is on its way into it.
      const isThere =
        index < consensus.placedEndIndex ? log.termAt(index) === entry.term : index < consensus.raft.endIndex;
      if (isThere) continue;
      check(
        book.forgetful.size > 0,
        () =>
          `${member} leads group ${number} in term ${term} without index ${index}, committed in term ${entry.inTerm}`,
      );
      this.#forget(book, index);
      return;
    }
  }

  /** An entry, or those of a batch, stands in a member's log from `index` on. */
  appended({ number, log, member }: ClusterGroup, index: number, batch: { term: number; crc: string }): void {
    const { entries } = this.book(number);
    const before = index > 1 ? log.termAt(index - 1) : 0;
    const content = `${batch.crc} after term ${before}`;
    const key = `${index}/${batch.term}`;
    const known = entries.get(key);
    check(
      known === undefined || known === content,
      () => `index ${index} of term ${batch.term} in group ${number} is another entry on ${member}`,
    );
    entries.set(key, content);
  }

  /** A member has learned of more that is committed. */
  committed(group: ClusterGroup): void {
    const { number, log, consensus, member } = group;
    const { committed } = this.book(number);
    const { highWatermark } = consensus;
    const before = this.#highWatermarks.get(consensus) ?? 0;
    check(
      highWatermark >= before,
      () => `the high watermark of group ${number} on ${member} goes back from ${before} to ${highWatermark}`,
    );
    this.#highWatermarks.set(consensus, highWatermark);
    const endIndex = Math.min(consensus.committedEndIndex, consensus.placedEndIndex);
    const seen = Math.min(endIndex, committed.length) - comparedEntries;
    for (let index = Math.max(firstIndex(group), seen); index < endIndex; index++) {
      const term = log.termAt(index);
      const known = (committed[index] ??= this.#firstCommitted(term, consensus.raft.term));
      check(
        known.term === term,
        () =>
          `index ${index} of group ${number} is committed in terms ${known.term} and, on ${member}, ${term}`,
      );
    }
  }

  /** A member says that it has lost what was committed. */
  dataLost({ consensus }: ClusterGroup): void {
    this.#highWatermarks.delete(consensus);
  }

  acknowledge(group: number, acknowledged: Acknowledged, term: number): void {
    this.counts.acknowledged++;
    const book = this.book(group);
    check(
      book.committed[acknowledged.baseIndex]?.term === term,
      () => `index ${acknowledged.baseIndex} of group ${group} is acknowledged and not committed`,
    );
    book.acknowledged.push(acknowledged);
  }

  /** A term or vote is durable: it has just been written, or is found when the member is opened. */
  promised(group: number, member: MemberId, state: HardState): void {
    const { promises } = this.book(group);
    this.#keeps(group, member, state);
    promises.set(member, state);
  }

  /** A message leaves its member. `log` is the sender's. */
  sent(group: number, message: Message, log: CommitLog | undefined): void {
    const { kind, from, term } = message;
    const promise = this.book(group).promises.get(from);
    const isProspect = kind === 'pre-vote' || (kind === 'pre-vote-answer' && message.isGranted);
    check(
      isProspect || (promise?.term ?? 0) >= term,
      () => `${from} says ${kind} in a term that is not durable`,
    );
    if (kind === 'vote-answer' && message.isGranted && promise?.term === term) {
      check(promise.votedFor === message.to, () => `${from} grants a vote that is not durable`);
    }
    if (kind !== 'append-answer' || log === undefined) return;
    check(
      message.flushedEndIndex <= log.flushedEndIndex && message.writtenEndIndex <= log.writtenEndIndex,
      () => `${from} of group ${group} acknowledges what its disk has not`,
    );
  }

  #firstCommitted(term: number, inTerm: number): Committed {
    this.counts.commits++;
    return { term, inTerm };
  }

  #keeps(group: number, member: MemberId, state: HardState): void {
    const before = this.book(group).promises.get(member);
    if (before === undefined) return;
    check(state.term >= before.term, () => `the term of ${member} in group ${group} goes back`);
    check(
      state.term > before.term || before.votedFor === undefined || state.votedFor === before.votedFor,
      () => `${member} votes twice in term ${state.term} of group ${group}`,
    );
  }

  #forget(book: GroupBook, fromIndex: number): void {
    this.counts.forgotten++;
    book.committed.length = fromIndex;
    book.acknowledged = book.acknowledged.filter(({ baseIndex }) => baseIndex < fromIndex);
  }
}

/** The first entry that a member's log can be asked about. Raft's own entries have no offset: those that stand before the log's start too. */
function firstIndex({ log, consensus }: ClusterGroup): number {
  const { startIndex } = consensus.raft;
  if (log.logStartOffset === 0) return Math.max(1, startIndex);
  let index = log.indexOfOffset(log.logStartOffset);
  while (index > startIndex && log.offsetOfIndex(index - 1) >= log.logStartOffset) index--;
  return Math.max(index, startIndex);
}
