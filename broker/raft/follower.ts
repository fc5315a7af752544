/**
 * A member that takes the leader's log for its own (thesis, 3.5), or waits for a leader to be heard of.
 *
 * It answers with what it holds of the leader's log: an entry is acknowledged when it is flushed (or written, where that counts)
 * and never what it has beyond the part that is known to be the same. While its leader's node is heard it wants no ticks.
 */
import { assert } from '../../platform/assert.ts';
import { campaignTicks, canBeElected, drawJitter } from './election.ts';
import type { Group } from './group.ts';
import { nodeOf } from './member.ts';
import type { MemberId } from './member.ts';
import type { Append, Rejection } from './messages.ts';
import { isSilent } from './peers.ts';
import type { TermLog } from './term-log.ts';

/** As a hint: the follower has nothing that the leader's log could be joined to. */
const nothing = { term: 0, endIndex: 0 };

export class Follower {
  readonly #group: Group;
  readonly #jitter: number;
  /** When there was last reason to leave the group alone, of what concerns this group only. */
  #heardAt: number;
  /** Up to where the log is known to be that of this term's leader. Invariant: never goes back within a term. */
  #matchedEndIndex = 0;
  /** How far the last answer has acknowledged. */
  #answeredEndIndex = 0;
  /** Of the newest message of the leader, to be given back. */
  #echo = { sentAt: Number.NEGATIVE_INFINITY, readSequence: 0 };

  constructor(group: Group) {
    this.#group = group;
    this.#jitter = drawJitter(group, group.settings.timing.rankTicks);
    this.#heardAt = group.peers.now;
  }

  /** Whether the leader has been heard recently enough to be protected from others' elections. */
  get isLeaderAlive(): boolean {
    const { leader, peers, settings } = this.#group;
    return leader !== undefined && peers.now - this.#lastHeardAt(leader) < settings.timing.electionTicks;
  }

  /** The last sign of life of the leader that it follows; -Infinity without one. */
  get leaderHeardAt(): number {
    const { leader } = this.#group;
    return leader === undefined ? Number.NEGATIVE_INFINITY : this.#lastHeardAt(leader);
  }

  get wantsTicks(): boolean {
    const { leader, peers, settings } = this.#group;
    if (!this.#group.isPromotable) return false;
    return leader === undefined || isSilent(peers, settings.timing, nodeOf(leader));
  }

  get isCampaignDue(): boolean {
    const group = this.#group;
    if (!group.isPromotable || !canBeElected(group)) return false;
    return group.peers.now - this.#lastHeardAt(group.leader) >= campaignTicks(group, this.#jitter);
  }

  /** It cannot be due before this tick, unless a node falls silent or is heard again. */
  get quietUntil(): number {
    const { leader } = this.#group;
    if (!canBeElected(this.#group)) return Infinity;
    return this.#lastHeardAt(leader) + campaignTicks(this.#group, this.#jitter);
  }

  /** A vote was given, or another message shows that someone is at work. */
  heard(): void {
    this.#heardAt = this.#group.peers.now;
  }

  /** The leader is known to lead no more: the time that it would have been waited for is over. */
  leaderGone(): void {
    const { peers, settings } = this.#group;
    this.#heardAt = peers.now - settings.timing.electionTicks;
  }

  /**
   * The leader's node is gone, though the leader itself may have been heard since: its connections have ended. With leases only
   * time counts.
   */
  nodeSilent(nodeId: number): void {
    const { leader, peers, settings } = this.#group;
    if (leader === undefined || nodeOf(leader) !== nodeId || settings.leases !== undefined) return;
    if (isSilent(peers, settings.timing, nodeId)) this.leaderGone();
  }

  /** `message` is of this term, from its leader. */
  append(message: Append): void {
    const group = this.#group;
    const { log } = group;
    this.heard();
    this.#echo = {
      sentAt: Math.max(this.#echo.sentAt, message.sentAt),
      readSequence: Math.max(this.#echo.readSequence, message.readSequence),
    };
    if (contradictsRemoved(log, message)) {
      // Nothing that is left here says where the logs part: the whole of the leader's log is wanted.
      assert(group.countsWritten, 'what was removed is in every later leader’s log');
      this.#answer(message.from, { fromIndex: message.fromIndex, hint: nothing }, message.sentAt);
      return;
    }
    if (!log.matches(message.fromIndex - 1, message.previousTerm)) {
      this.#answer(message.from, this.#rejection(message), message.sentAt);
      return;
    }
    const conflict = firstConflict(log, message);
    if (conflict !== undefined) {
      assert(conflict >= this.#matchedEndIndex, 'a leader only appends to its log');
      group.truncate(conflict);
    }
    const isNew = message.endIndex > log.endIndex;
    if (isNew) {
      const fromIndex = log.endIndex;
      group.append(fromIndex, message.endIndex, message.terms);
      group.configure(message.configurations.filter(({ index }) => index >= fromIndex));
    }
    this.#matchedEndIndex = Math.max(this.#matchedEndIndex, message.endIndex);
    group.commitTo(Math.min(message.committedEndIndex, this.#matchedEndIndex));
    // New entries are answered when they are stored; what is asked again, by a leader that may take this member for lost, at once.
    if (!isNew) this.#answer(message.from, undefined);
    this.#maybeRepaired();
  }

  /** More of the log has been written or flushed. */
  stored(): void {
    const { leader } = this.#group;
    this.#maybeRepaired();
    if (leader !== undefined && this.#acknowledgedEndIndex > this.#answeredEndIndex) {
      this.#answer(leader, undefined);
    }
  }

  /** Whether this leader is known to have had what is removed here. */
  get sharesRemoved(): boolean {
    return this.#matchedEndIndex >= this.#group.log.startIndex;
  }

  /**
   * The log, up to `endIndex`, is what this term's leader has, which has replaced it or need not. Of what is committed beyond, the
   * leader may have lost something only where entries count before they are durable.
   */
  replaced(leader: MemberId, endIndex: number): void {
    const { committedEndIndex, countsWritten } = this.#group;
    this.heard();
    const sharedEndIndex = countsWritten ? endIndex : committedEndIndex;
    this.#matchedEndIndex = Math.max(this.#matchedEndIndex, sharedEndIndex);
    this.#maybeRepaired();
    this.#answer(leader, undefined);
  }

  get #acknowledgedEndIndex(): number {
    return Math.min(this.#matchedEndIndex, this.#group.countedEndIndex);
  }

  #lastHeardAt(leader: MemberId | undefined): number {
    if (leader === undefined) return this.#heardAt;
    return Math.max(this.#heardAt, this.#group.peers.heardAt(nodeOf(leader)));
  }

  #maybeRepaired(): void {
    const { impairment, countedEndIndex, flushedEndIndex } = this.#group;
    // What went with the memory is there again once it counts, which under `write.caching` need not be on the disk.
    const heldEndIndex = impairment?.kind === 'memory-lost' ? countedEndIndex : flushedEndIndex;
    this.#group.maybeRepaired(Math.min(this.#matchedEndIndex, heldEndIndex));
  }

  /** `sentAt`: of what is answered; where it is not one message, of the newest. */
  #answer(leader: MemberId, rejected: Rejection | undefined, sentAt = this.#echo.sentAt): void {
    const group = this.#group;
    const matchedEndIndex = this.#matchedEndIndex;
    this.#answeredEndIndex = this.#acknowledgedEndIndex;
    group.outbox.send({
      kind: 'append-answer',
      to: leader,
      term: group.term,
      matchedEndIndex,
      writtenEndIndex: Math.min(matchedEndIndex, group.writtenEndIndex),
      flushedEndIndex: Math.min(matchedEndIndex, group.flushedEndIndex),
      committedEndIndex: group.committedEndIndex,
      sentAt,
      readSequence: this.#echo.readSequence,
      rejected,
    });
  }

  #rejection(message: Append): Rejection {
    const hint = this.#group.log.endOfTermAtMost(message.previousTerm);
    return {
      fromIndex: message.fromIndex,
      hint: { term: hint.term, endIndex: Math.min(hint.endIndex, message.fromIndex - 1) },
    };
  }
}

/** Whether the leader has other entries than those that were committed and removed here. */
function contradictsRemoved(log: TermLog, message: Append): boolean {
  const { fromIndex, endIndex, previousTerm } = message;
  const { startIndex } = log;
  if (fromIndex - 1 < startIndex - 1 && !log.matches(fromIndex - 1, previousTerm)) return true;
  const lastIndex = Math.min(endIndex, startIndex) - 1;
  return lastIndex >= fromIndex && !log.matches(lastIndex, termIn(message, lastIndex));
}

/** The first index at which the log has another term than the message. Terms are runs: they can only part where one begins. */
function firstConflict(log: TermLog, message: Append): number | undefined {
  const fromIndex = Math.max(message.fromIndex, log.startIndex);
  const endIndex = Math.min(message.endIndex, log.endIndex);
  const borders = [fromIndex, ...message.terms.map(({ index }) => index)];
  for (const { index } of log.startsWithin(fromIndex, endIndex)) borders.push(index);
  return borders
    .sort((a, b) => a - b)
    .find((index) => index >= fromIndex && index < endIndex && log.termAt(index) !== termIn(message, index));
}

function termIn(message: Append, index: number): number {
  return message.terms.findLast((start) => start.index <= index)?.term ?? message.previousTerm;
}
