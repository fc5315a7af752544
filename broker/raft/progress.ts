/**
 * How far one member has come, as its leader sees it, and what may be sent to it.
 *
 *   probe      where the logs agree is not known: one message at a time, without entries once one was rejected
 *   replicate  known: messages follow each other without waiting, up to the window's size
 *   catch-up   it needs what the log no longer holds: a snapshot or copied segments, and no entries meanwhile
 *
 * Invariant: matchedEndIndex <= nextIndex, but in catch-up; a member's acknowledged entries never shrink, unless its node has
 * started anew (`reset`).
 */
import { assert } from '../../platform/assert.ts';
import { nodeOf } from './member.ts';
import type { MemberId } from './member.ts';
import type { Snapshot } from './messages.ts';

export type ProgressState = 'probe' | 'replicate' | 'catch-up';

interface Inflight {
  readonly endIndex: number;
  readonly sizeBytes: number;
}

/** The snapshot on its way; its position is where the next chunk begins. */
export interface Sending {
  readonly snapshot: Snapshot;
  position: number;
}

export class Progress {
  readonly member: MemberId;
  readonly nodeId: number;
  state: ProgressState = 'probe';
  /** The next entry to send. */
  nextIndex: number;
  /** Everything before it counts for the quorum: this member holds it, as durably as the group asks. */
  matchedEndIndex = 0;
  /** Its log is this leader's up to here, as far as it has answered, whether or not that would outlive a crash of it. */
  receivedEndIndex = 0;
  /** Ticks: the newest send that an answer which says so has seen. */
  receivedSendAt = Number.NEGATIVE_INFINITY;
  /** What this member knows to be committed, and what it has been told. */
  knownCommittedEndIndex = 0;
  toldCommittedEndIndex = 0;
  /** A probe is unanswered; it is repeated by ticks only. */
  isProbing = false;
  /** The last probe was rejected: the next ones carry no entries until the logs are known to agree. */
  isSearching = false;
  /** The number of the read of entries or of a chunk that has been asked for. */
  read: number | undefined;
  sending: Sending | undefined;
  /** Ticks: the latest send that it has answered, and when it was first heard in this term; undefined: not yet. */
  answeredSendAt = Number.NEGATIVE_INFINITY;
  followsSince: number | undefined;
  /** The newest read barrier that it has answered. */
  readSequence = 0;
  /** When it was last sent anything, by which what is lost is found out. */
  lastSentAt = Number.NEGATIVE_INFINITY;
  /** How often that has been repeated since it answered last. */
  repeats = 0;
  /** When it was last gone back to what it holds, as a message of a row was lost or came out of turn. */
  rewoundAt = Number.NEGATIVE_INFINITY;
  /** Oldest first, from `#inflightStart` on. */
  #inflights: Inflight[] = [];
  #inflightStart = 0;
  #inflightBytes = 0;

  constructor(member: MemberId, nextIndex: number) {
    this.member = member;
    this.nodeId = nodeOf(member);
    this.nextIndex = nextIndex;
  }

  get inflightCount(): number {
    return this.#inflights.length - this.#inflightStart;
  }

  get inflightBytes(): number {
    return this.#inflightBytes;
  }

  /** Its node has started anew: nothing that it said before holds. */
  reset(nextIndex: number): void {
    this.matchedEndIndex = 0;
    this.receivedEndIndex = 0;
    this.receivedSendAt = Number.NEGATIVE_INFINITY;
    this.knownCommittedEndIndex = 0;
    this.followsSince = undefined;
    this.answeredSendAt = Number.NEGATIVE_INFINITY;
    this.readSequence = 0;
    this.repeats = 0;
    this.rewoundAt = Number.NEGATIVE_INFINITY;
    this.becomeProbe(nextIndex);
  }

  becomeProbe(nextIndex: number): void {
    this.state = 'probe';
    this.nextIndex = Math.max(nextIndex, this.matchedEndIndex);
    this.isProbing = false;
    this.isSearching = false;
    this.read = undefined;
    this.sending = undefined;
    this.toldCommittedEndIndex = Math.min(this.toldCommittedEndIndex, this.knownCommittedEndIndex);
    this.#forgetInflights();
  }

  becomeReplicate(nextIndex: number): void {
    this.becomeProbe(nextIndex);
    this.state = 'replicate';
  }

  becomeCatchUp(): void {
    this.becomeProbe(this.nextIndex);
    this.state = 'catch-up';
  }

  sentEntries(endIndex: number, sizeBytes: number): void {
    assert(endIndex > this.nextIndex, 'a message with entries moves on');
    if (this.state === 'probe') {
      this.isProbing = true;
      return;
    }
    this.nextIndex = endIndex;
    this.#inflights.push({ endIndex, sizeBytes });
    this.#inflightBytes += sizeBytes;
  }

  /** Its log is the leader's up to `endIndex`, it says, having seen what was sent at `sentAt`: that much is in flight no longer. */
  received(endIndex: number, sentAt: number): void {
    for (;;) {
      const first = this.#inflights[this.#inflightStart];
      if (first === undefined || first.endIndex > endIndex) break;
      this.#inflightBytes -= first.sizeBytes;
      this.#inflightStart++;
    }
    if (this.#inflightStart === this.#inflights.length) this.#forgetInflights();
    else if (this.#inflightStart > 64) {
      this.#inflights = this.#inflights.slice(this.#inflightStart);
      this.#inflightStart = 0;
    }
    if (endIndex >= this.receivedEndIndex) {
      this.receivedEndIndex = endIndex;
      this.receivedSendAt = Math.max(this.receivedSendAt, sentAt);
    }
    this.nextIndex = Math.max(this.nextIndex, endIndex);
  }

  /** Later than it said so it denies what it has received: it was closed and opened again before all of that was written. */
  lostReceived(): void {
    this.receivedEndIndex = this.matchedEndIndex;
  }

  acknowledged(endIndex: number): boolean {
    if (endIndex <= this.matchedEndIndex) return false;
    this.matchedEndIndex = endIndex;
    return true;
  }

  #forgetInflights(): void {
    this.#inflights = [];
    this.#inflightStart = 0;
    this.#inflightBytes = 0;
  }
}
