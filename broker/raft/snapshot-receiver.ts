/**
 * The follower's side of being brought up: takes a snapshot's chunks in order, or has the log's files copied, and meanwhile
 * neither appends nor campaigns. A snapshot goes on where it stopped under another leader too, as long as it is the same one.
 */
import type { Group } from './group.ts';
import type { CopyRequest, SnapshotChunk, Snapshot } from './messages.ts';
import type { MemberId } from './member.ts';

interface Receiving {
  readonly snapshot: Snapshot;
  /** All bytes before it are written. */
  position: number;
  isWriting: boolean;
}

export class SnapshotReceiver {
  readonly #group: Group;
  #receiving: Receiving | undefined;
  #isReplacing = false;

  constructor(group: Group) {
    this.#group = group;
  }

  /** The log is being replaced: it takes no entries, and this member asks for nothing. */
  get isReplacing(): boolean {
    return this.#isReplacing;
  }

  /**
   * Returns false where the log holds already what the snapshot stands for: then it only has to be acknowledged. `sharesRemoved`:
   * whether the leader is known to have had what is removed here.
   */
  chunk(message: SnapshotChunk, sharesRemoved: boolean): boolean {
    const { snapshot, position, from } = message;
    if (this.#holds(snapshot.lastIndex, snapshot.lastTerm, sharesRemoved)) return false;
    if (this.#isReplacing) return true;
    if (this.#receiving?.snapshot.id !== snapshot.id) {
      this.#receiving = { snapshot, position: 0, isWriting: false };
    }
    const receiving = this.#receiving;
    if (receiving.isWriting) return true;
    if (receiving.position >= snapshot.sizeBytes) {
      this.#install(receiving);
    } else if (position === receiving.position) {
      receiving.isWriting = true;
      this.#group.outbox.put({ kind: 'write-chunk', snapshot, position });
    } else {
      this.#answer(from, receiving);
    }
    return true;
  }

  /**
   * `isFollower`: who has begun to campaign while the last chunk was written keeps what it has, for it may win; a leader that it hears
   * again repeats that chunk.
   */
  chunkWritten(snapshotId: string, endPosition: number, isFollower: boolean): void {
    const receiving = this.#receiving;
    if (receiving?.snapshot.id !== snapshotId) return;
    receiving.isWriting = false;
    receiving.position = endPosition;
    const { leader } = this.#group;
    if (leader !== undefined) this.#answer(leader, receiving);
    if (endPosition >= receiving.snapshot.sizeBytes && isFollower) this.#install(receiving);
  }

  /** Returns false where nothing needs copying; `sharesRemoved` as for a chunk. */
  copy(message: CopyRequest, sharesRemoved: boolean): boolean {
    if (this.#holds(message.endIndex - 1, message.lastTerm, sharesRemoved)) return false;
    if (this.#isReplacing) return true;
    this.#isReplacing = true;
    this.#group.outbox.put({ kind: 'copy-segments', leader: message.from, endIndex: message.endIndex });
    return true;
  }

  /** The replacement has ended: the log is another one, or, where its checksum was wrong or the leader has gone, the old one. */
  ended(): void {
    this.#isReplacing = false;
    this.#receiving = undefined;
  }

  #install({ snapshot }: Receiving): void {
    this.#isReplacing = true;
    this.#group.outbox.put({ kind: 'install-snapshot', snapshot });
  }

  /**
   * A log that has the entry has all before it; replacing it could only lose what it has acknowledged beyond. What is committed is in
   * every leader's log, but where that may have lost it: then the entry must be here to tell, or the leader known to have had it.
   */
  #holds(index: number, term: number, sharesRemoved: boolean): boolean {
    const { committedEndIndex, countsWritten, log } = this.#group;
    const isCommitted = index < committedEndIndex && !countsWritten;
    const isThere = (sharesRemoved || index >= log.startIndex - 1) && log.matches(index, term);
    if (!isCommitted && !isThere) return false;
    this.#group.commitTo(index + 1);
    return true;
  }

  #answer(to: MemberId, receiving: Receiving): void {
    this.#group.outbox.send({
      kind: 'snapshot-answer',
      to,
      term: this.#group.term,
      snapshotId: receiving.snapshot.id,
      position: receiving.position,
    });
  }
}
