/**
 * What the core wants done, in order, and the rule that no message leaves in a term that is not durable here: an answer that
 * depends on a vote or a term must not be outlived by it. Messages wait in the outbox until the shell says that it is.
 *
 * The shell takes the outputs after every input and carries them out in order, before the next input. 'append', 'append-own',
 * 'truncate', 'replace-log' act on the log one after the other; they may take their time, and their completion is an input.
 */
import type { Configuration } from './configuration.ts';
import type { MemberId } from './member.ts';
import type { Append, Letter, Message, OwnEntry, Snapshot, SnapshotChunk } from './messages.ts';

/** What a voter must never forget. */
export interface HardState {
  readonly term: number;
  readonly votedFor: MemberId | undefined;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export type Output =
  /** Sync this, then call `hardStatePersisted` with it. */
  | { readonly kind: 'persist-hard-state'; readonly hardState: HardState }
  | { readonly kind: 'send'; readonly message: Exclude<Message, SnapshotChunk> }
  /** Send with the bytes that the read with this number gave. */
  | { readonly kind: 'send-entries'; readonly message: Append; readonly read: number }
  | { readonly kind: 'send-chunk'; readonly message: SnapshotChunk; readonly read: number }
  /** Read whole batches from `fromIndex` on (one, then while they fit `bytesMax`), up to `endIndex`; then call `entriesRead`. */
  | {
      readonly kind: 'read-entries';
      readonly read: number;
      /** Whom they are for. */
      readonly to: MemberId;
      readonly fromIndex: number;
      readonly endIndex: number;
      readonly bytesMax: number;
    }
  /** Read these bytes of the snapshot; then call `chunkRead`. */
  | {
      readonly kind: 'read-chunk';
      readonly read: number;
      readonly snapshotId: string;
      readonly position: number;
      readonly sizeBytes: number;
    }
  /** A leader's entry of Raft's own stands at `index`, the end of the log. */
  | { readonly kind: 'append-own'; readonly index: number; readonly term: number; readonly entry: OwnEntry }
  /** Append the entries [fromIndex, endIndex) of the message just given. */
  | { readonly kind: 'append'; readonly fromIndex: number; readonly endIndex: number }
  /** Remove all entries at or above `endIndex`, durably, before anything is appended. From now on completions carry `generation`. */
  | { readonly kind: 'truncate'; readonly endIndex: number; readonly generation: number }
  /** Put the chunk just given at `position`; then call `chunkWritten`. */
  | { readonly kind: 'write-chunk'; readonly snapshot: Snapshot; readonly position: number }
  /** All chunks are there: check the checksum, replace log and state; then call `logReplaced` or `snapshotRefused`. */
  | { readonly kind: 'install-snapshot'; readonly snapshot: Snapshot }
  /** Fetch the log's files from the leader, up to `endIndex` or beyond as far as committed; then call `logReplaced`. */
  | { readonly kind: 'copy-segments'; readonly leader: MemberId; readonly endIndex: number }
  | { readonly kind: 'committed'; readonly endIndex: number }
  | {
      readonly kind: 'role';
      readonly role: Role;
      readonly term: number;
      readonly leader: MemberId | undefined;
    }
  /** The members have changed, or a change has been taken back: it holds from now on. */
  | { readonly kind: 'configuration'; readonly configuration: Configuration; readonly index: number }
  | {
      readonly kind: 'configuration-committed';
      readonly configuration: Configuration;
      readonly index: number;
    }
  /** A read may be served once this node has applied everything before `endIndex`; undefined: leadership was lost, ask again. */
  | { readonly kind: 'read'; readonly token: number; readonly endIndex: number | undefined }
  /** A transfer of leadership has ended, one way or the other. */
  | {
      readonly kind: 'transfer-ended';
      readonly to: MemberId;
      readonly reason: 'handed-over' | 'timed-out' | 'aborted';
    }
  /** What was committed has to be cut, after power losses under `write.caching`: report it as lost. */
  | { readonly kind: 'data-lost'; readonly fromIndex: number; readonly endIndex: number }
  /** What was missing at start is there again and durable. */
  | { readonly kind: 'repaired' }
  /** Whether the group wants `tick` from now on; idle groups do not. */
  | { readonly kind: 'ticking'; readonly isTicking: boolean };

export class Outbox {
  readonly #from: MemberId;
  #outputs: Output[] = [];
  /** In order. Invariant: empty while the hard state is durable. */
  #held: Output[] = [];
  #isDurable = true;

  constructor(from: MemberId) {
    this.#from = from;
  }

  /** Everything since the last call, in order. */
  take(): Output[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  put(output: Output): void {
    this.#outputs.push(output);
  }

  send(letter: Letter & { readonly kind: Exclude<Message['kind'], 'snapshot-chunk'> }): void {
    const message = { ...letter, from: this.#from } as Exclude<Message, SnapshotChunk>;
    this.#release({ kind: 'send', message });
  }

  sendEntries(letter: Omit<Append, 'from'>, read: number): void {
    this.#release({ kind: 'send-entries', message: { ...letter, from: this.#from }, read });
  }

  sendChunk(letter: Omit<SnapshotChunk, 'from'>, read: number): void {
    this.#release({ kind: 'send-chunk', message: { ...letter, from: this.#from }, read });
  }

  /** Messages of an older term that still wait need not be sent any more. */
  persist(hardState: HardState, isNewTerm: boolean): void {
    if (isNewTerm) this.#held = [];
    this.#isDurable = false;
    this.put({ kind: 'persist-hard-state', hardState });
  }

  hardStateDurable(): void {
    this.#isDurable = true;
    this.#outputs.push(...this.#held);
    this.#held = [];
  }

  #release(output: Output): void {
    if (this.#isDurable) this.#outputs.push(output);
    else this.#held.push(output);
  }
}
