/**
 * The leader's side of bringing up a member that needs entries which are gone: a state machine's snapshot, chunk by chunk, each
 * asked for by the answer to the one before, so that it goes on where it stopped; or, for a log, the request to copy its files.
 */
import type { Group } from './group.ts';
import type { Snapshot } from './messages.ts';
import type { Progress } from './progress.ts';

export class SnapshotSender {
  readonly #group: Group;
  readonly #nextRead: () => number;
  /** The newest that this member has; undefined before the first. */
  latest: Snapshot | undefined;

  constructor(group: Group, latest: Snapshot | undefined, nextRead: () => number) {
    this.#group = group;
    this.latest = latest;
    this.#nextRead = nextRead;
  }

  start(follower: Progress): void {
    follower.lastSentAt = this.#group.peers.now;
    if (this.#group.catchUp === 'segments') {
      this.#requestCopy(follower);
    } else if (this.latest !== undefined) {
      follower.sending = { snapshot: this.latest, position: 0 };
      this.#readChunk(follower);
    }
  }

  /** No answer for a while: a message may be lost, or the member has started anew. */
  resume(follower: Progress): void {
    follower.lastSentAt = this.#group.peers.now;
    if (follower.sending === undefined) this.start(follower);
    else if (follower.read === undefined) this.#readChunk(follower);
  }

  /** `sizeBytes` 0: that snapshot is no longer there, and the newest one is sent from its beginning. */
  chunkRead(follower: Progress, sizeBytes: number): void {
    const { read, sending } = follower;
    const { outbox, term } = this.#group;
    follower.read = undefined;
    if (sending === undefined || read === undefined) return;
    if (sizeBytes === 0) {
      follower.sending = undefined;
      if (this.latest?.id !== sending.snapshot.id) this.start(follower);
      return;
    }
    outbox.sendChunk(
      {
        kind: 'snapshot-chunk',
        to: follower.member,
        term,
        snapshot: sending.snapshot,
        position: sending.position,
        sizeBytes,
      },
      read,
    );
  }

  answered(follower: Progress, snapshotId: string, position: number): void {
    const { sending } = follower;
    if (sending?.snapshot.id !== snapshotId || position === sending.position) return;
    sending.position = position;
    follower.read = undefined;
    if (position < sending.snapshot.sizeBytes) this.#readChunk(follower);
  }

  /** The member has more than before, and still less than the log begins with: what was on its way no longer helps. */
  outdated(follower: Progress): void {
    const { sending } = follower;
    if (sending === undefined || follower.receivedEndIndex <= sending.snapshot.lastIndex) return;
    follower.sending = undefined;
    follower.read = undefined;
    this.start(follower);
  }

  #readChunk(follower: Progress): void {
    const { sending } = follower;
    if (sending === undefined) return;
    const { snapshot, position } = sending;
    // All was received: what is asked again is the last chunk, whose repetition the member answers by what it then holds.
    const from = Math.min(position, Math.max(0, snapshot.sizeBytes - 1));
    sending.position = from;
    follower.read = this.#nextRead();
    follower.lastSentAt = this.#group.peers.now;
    this.#group.outbox.put({
      kind: 'read-chunk',
      read: follower.read,
      snapshotId: snapshot.id,
      position: from,
      sizeBytes: Math.min(this.#group.settings.chunkBytes, snapshot.sizeBytes - from),
    });
  }

  #requestCopy(follower: Progress): void {
    const { committedEndIndex, log, outbox, term } = this.#group;
    outbox.send({
      kind: 'copy-request',
      to: follower.member,
      term,
      endIndex: committedEndIndex,
      lastTerm: log.termAt(committedEndIndex - 1),
    });
  }
}
