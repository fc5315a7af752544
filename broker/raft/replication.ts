/**
 * A leader's work of bringing everybody's log up to its own (thesis, 3.5 and 10.2.1): which entries go to whom, when what is
 * unanswered is asked again, and where the logs agree.
 *
 * Nothing is sent for its own sake. A member that holds the last entry, and knows it committed, is left alone, and so is
 * one whose node is silent; its return is an input.
 */
import { membersOf } from './configuration.ts';
import type { Group } from './group.ts';
import type { MemberId } from './member.ts';
import type { AppendAnswer, Rejection } from './messages.ts';
import { isSilent } from './peers.ts';
import { Progress } from './progress.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { Snapshot } from './messages.ts';

export class Replication {
  readonly #group: Group;
  readonly #followers = new Map<MemberId, Progress>();
  readonly #snapshots: SnapshotSender;
  #reads = 0;
  /** The newest read that waits for a quorum's answer; goes out with every message. */
  readSequence = 0;

  constructor(group: Group, snapshot: Snapshot | undefined) {
    this.#group = group;
    this.#snapshots = new SnapshotSender(group, snapshot, () => ++this.#reads);
    this.reconfigure();
  }

  get followers(): Iterable<Progress> {
    return this.#followers.values();
  }

  of(member: MemberId): Progress | undefined {
    return this.#followers.get(member);
  }

  snapshotTaken(snapshot: Snapshot): void {
    this.#snapshots.latest = snapshot;
  }

  /** The members are others now: those who have come are probed for what they hold. */
  reconfigure(): void {
    const { configuration, id, log } = this.#group;
    const members = membersOf(configuration);
    for (const member of this.#followers.keys()) {
      if (!members.includes(member)) this.#followers.delete(member);
    }
    for (const member of members) {
      if (member !== id && !this.#followers.has(member)) {
        this.#followers.set(member, new Progress(member, log.endIndex));
      }
    }
  }

  /** Whether nothing is left to tell this member. */
  isSettled(follower: Progress): boolean {
    const { committedEndIndex, log } = this.#group;
    return (
      follower.state === 'replicate' &&
      follower.followsSince !== undefined &&
      follower.matchedEndIndex === log.endIndex &&
      follower.knownCommittedEndIndex === committedEndIndex &&
      follower.readSequence === this.readSequence
    );
  }

  isSilent(follower: Progress): boolean {
    const { peers, settings } = this.#group;
    return isSilent(peers, settings.timing, follower.nodeId);
  }

  sendToAll(): void {
    for (const follower of this.#followers.values()) this.maybeSend(follower);
  }

  /** A bare message to everybody, for the sake of its answer. */
  barrier(): void {
    this.readSequence++;
    for (const follower of this.#followers.values()) {
      if (follower.state !== 'catch-up') this.#sendBare(follower);
    }
  }

  /** Sends what there is to send, as far as it may be sent now. */
  maybeSend(follower: Progress): void {
    const { log, outbox, settings } = this.#group;
    if (this.isSilent(follower) || follower.state === 'catch-up') return;
    if (follower.nextIndex < log.startIndex) {
      follower.becomeCatchUp();
      this.#snapshots.start(follower);
      return;
    }
    if (follower.read !== undefined || !this.#hasRoom(follower)) return;
    if (follower.nextIndex < log.endIndex && !follower.isSearching) {
      follower.read = ++this.#reads;
      outbox.put({
        kind: 'read-entries',
        read: follower.read,
        to: follower.member,
        fromIndex: follower.nextIndex,
        endIndex: log.endIndex,
        bytesMax: settings.messageBytesMax,
      });
    } else if (follower.state === 'probe' || this.#hasNews(follower)) {
      this.#sendBare(follower);
    }
  }

  /**
   * The shell has read the batches up to `endIndex`; the message that goes with them is among the outputs, unless they are
   * no longer wanted. None where `endIndex` is where the read was to begin: they could not be read, and are asked for again later.
   */
  entriesRead(read: number, endIndex: number, sizeBytes: number): void {
    const follower = this.#waitingFor(read);
    if (follower === undefined) return;
    follower.read = undefined;
    const { log } = this.#group;
    if (endIndex <= follower.nextIndex || follower.nextIndex < log.startIndex) {
      if (follower.nextIndex < log.startIndex) this.maybeSend(follower);
      else follower.becomeProbe(follower.nextIndex);
      follower.isProbing = follower.state === 'probe';
      return;
    }
    this.#group.outbox.sendEntries(this.#letter(follower, endIndex), read);
    follower.sentEntries(endIndex, sizeBytes);
    this.maybeSend(follower);
  }

  chunkRead(read: number, sizeBytes: number): void {
    const follower = this.#waitingFor(read);
    if (follower !== undefined) this.#snapshots.chunkRead(follower, sizeBytes);
  }

  chunkAnswered(follower: Progress, snapshotId: string, position: number): void {
    this.#snapshots.answered(follower, snapshotId, position);
  }

  /** Takes what a member says of its log. Returns whether more of it counts than before. */
  answered(follower: Progress, answer: AppendAnswer): boolean {
    const { peers, log, countsWritten } = this.#group;
    follower.repeats = 0;
    follower.answeredSendAt = Math.max(follower.answeredSendAt, answer.sentAt);
    follower.followsSince ??= peers.now;
    follower.readSequence = Math.max(follower.readSequence, answer.readSequence);
    if (answer.rejected !== undefined) {
      this.#rejected(follower, answer.rejected, answer.sentAt);
      return false;
    }
    // What it took for committed beyond that is another leader's, and about to be cut (`write.caching`).
    const committedEndIndex = Math.min(answer.committedEndIndex, answer.matchedEndIndex);
    follower.knownCommittedEndIndex = Math.max(follower.knownCommittedEndIndex, committedEndIndex);
    const endIndex = countsWritten ? answer.writtenEndIndex : answer.flushedEndIndex;
    const isNews = follower.acknowledged(endIndex);
    follower.received(answer.matchedEndIndex, answer.sentAt);
    if (follower.state === 'probe') follower.becomeReplicate(answer.matchedEndIndex);
    else if (follower.state === 'catch-up') {
      if (answer.matchedEndIndex >= log.startIndex) follower.becomeReplicate(answer.matchedEndIndex);
      else this.#snapshots.outdated(follower);
    }
    this.maybeSend(follower);
    return isNews;
  }

  /**
   * When what this member has not answered is asked again: later and later, as it may have its hands full with all that it was
   * asked before.
   */
  repeatAt(follower: Progress): number {
    const { electionTicks, heartbeatTicks } = this.#group.settings.timing;
    const ticks = Math.min(heartbeatTicks << Math.min(follower.repeats, 4), electionTicks >> 1);
    return follower.lastSentAt + Math.max(heartbeatTicks, ticks);
  }

  /** Asks again what has not been answered, of those who are there. */
  tick(): void {
    const { now } = this.#group.peers;
    for (const follower of this.#followers.values()) {
      if (this.isSettled(follower) || this.isSilent(follower) || now < this.repeatAt(follower)) continue;
      follower.repeats++;
      if (follower.state === 'catch-up') this.#snapshots.resume(follower);
      else if (follower.state === 'probe' || follower.nextIndex < this.#group.log.startIndex) {
        follower.isProbing = false;
        this.maybeSend(follower);
      } else if (follower.read === undefined) this.#sendBare(follower);
    }
  }

  #waitingFor(read: number): Progress | undefined {
    for (const follower of this.#followers.values()) if (follower.read === read) return follower;
    return undefined;
  }

  #hasRoom(follower: Progress): boolean {
    const { inflightBytesMax, inflightMessagesMax } = this.#group.settings;
    if (follower.state === 'probe') return !follower.isProbing;
    return follower.inflightCount < inflightMessagesMax && follower.inflightBytes < inflightBytesMax;
  }

  /** What is committed is told by the next entries; by a message of its own only when none are on their way. */
  #hasNews(follower: Progress): boolean {
    return follower.inflightCount === 0 && follower.toldCommittedEndIndex < this.#group.committedEndIndex;
  }

  #sendBare(follower: Progress): void {
    if (follower.nextIndex < this.#group.log.startIndex) return;
    this.#group.outbox.send(this.#letter(follower, follower.nextIndex));
    if (follower.state === 'probe') follower.isProbing = true;
  }

  #letter(follower: Progress, endIndex: number) {
    const { committedEndIndex, configurations, log, peers, term } = this.#group;
    const fromIndex = follower.nextIndex;
    follower.toldCommittedEndIndex = committedEndIndex;
    follower.lastSentAt = peers.now;
    return {
      kind: 'append' as const,
      to: follower.member,
      term,
      fromIndex,
      endIndex,
      previousTerm: log.termAt(fromIndex - 1),
      terms: log.startsWithin(fromIndex, endIndex),
      configurations: configurations.within(fromIndex, endIndex),
      committedEndIndex,
      sentAt: peers.now,
      readSequence: this.readSequence,
    };
  }

  /**
   * A lost message has all that follow it rejected, each perhaps several times: of what was sent before it was gone back, nothing
   * is a reason to go back again, or rows of messages would beget rows. What was sent in the same tick is found out by ticks.
   */
  #rejected(follower: Progress, rejected: Rejection, sentAt: number): void {
    if (rejected.hint.endIndex === 0) {
      // It has removed what was committed and this log has lost (`write.caching`): what it said of the part that is left is void.
      if (follower.state === 'catch-up' || sentAt <= follower.receivedSendAt) return;
      follower.reset(this.#group.log.startIndex - 1);
      this.maybeSend(follower);
      return;
    }
    if (sentAt > follower.receivedSendAt && rejected.fromIndex <= follower.receivedEndIndex) {
      follower.lostReceived();
    }
    const isStale =
      follower.state === 'catch-up' ||
      rejected.fromIndex > follower.nextIndex ||
      rejected.fromIndex <= follower.receivedEndIndex ||
      (follower.state === 'probe' ? rejected.fromIndex !== follower.nextIndex : sentAt <= follower.rewoundAt);
    if (isStale) return;
    if (follower.state === 'replicate') follower.rewoundAt = this.#group.peers.now;
    follower.becomeProbe(Math.max(this.#agreement(rejected), follower.receivedEndIndex));
    follower.isSearching = true;
    this.maybeSend(follower);
  }

  /** The last place where the logs can agree: each answer rules out a whole term, not an entry. */
  #agreement({ fromIndex, hint }: Rejection): number {
    const { log } = this.#group;
    const own = log.endOfTermAtMost(hint.term);
    // What the follower has is older than anything that is left here.
    if (own.term > hint.term) return log.startIndex - 1;
    const endIndex = own.term === hint.term ? Math.min(own.endIndex, hint.endIndex) : own.endIndex;
    return Math.min(endIndex, fromIndex - 1);
  }
}
