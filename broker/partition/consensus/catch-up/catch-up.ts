/**
 * Carries out what the core wants done for a member that lacks entries which are gone: on the one that lacks them another log is put
 * in the place of its own, copied from its leader or beginning after a snapshot; on the leader a snapshot is read piece by piece.
 *
 * Invariants: the log in place is the old one or the new one, whole, and the core knows which; the new one reaches at least as far
 * as the leader had asked for, so that nothing is lost that this member may have acknowledged (raft/snapshot-receiver.ts).
 */
import { AssertionError, assert } from '../../../../platform/assert.ts';
import { stagingDirectory } from '../../../log/log-replacement.ts';
import { nodeOf } from '../../../raft/member.ts';
import type { MemberId } from '../../../raft/member.ts';
import type { Message, Snapshot, SnapshotChunk } from '../../../raft/messages.ts';
import type { Output, Raft } from '../../../raft/raft.ts';
import type { CatchUpMeans, ConsensusOptions } from '../consensus-types.ts';
import type { CommittedPosition } from '../committed-position.ts';
import type { GroupLog } from '../group-log.ts';
import { CopyFailed } from './segment-copy.ts';
import { stageSnapshot } from './snapshot-staging.ts';
import type { StoredSnapshot } from './snapshot-store.ts';
import type { StagedLog } from './staged-log.ts';

type CatchUpOutput = Extract<
  Output,
  { kind: 'copy-segments' | 'read-chunk' | 'send-chunk' | 'write-chunk' | 'install-snapshot' }
>;

/** The member that it works for. */
export interface CatchUpMember {
  readonly entries: GroupLog;
  readonly position: CommittedPosition;
  readonly raft: Pick<
    Raft,
    'term' | 'role' | 'committedEndIndex' | 'countsWritten' | 'startIndex' | 'endIndex' | 'termAt'
  >;
  /** Gives the core an input and carries out its outputs. */
  readonly input: <T>(call: (raft: Raft) => T) => T;
  readonly hasEnded: () => boolean;
  /** The log has been replaced, and what goes with it could not be: the member is to end. */
  readonly broken: (cause: unknown) => void;
}

/** After a failure the leader, who asks again at once, is not listened to for so long. */
const restMs = 1_000;

export class CatchUp {
  readonly #options: ConsensusOptions;
  readonly #member: CatchUpMember;
  /** The piece of a snapshot that came with the message that is being given to the core. */
  #chunk: Buffer = Buffer.alloc(0);
  /** Pieces of a snapshot that have been read and are about to be sent, by the number of the read. */
  readonly #chunks = new Map<number, Buffer>();
  /** The log is being replaced: neither it nor its files may be touched by others. */
  #installing: Promise<void> = Promise.resolve();
  #isReplacing = false;
  /** What an earlier run has left in `catch-up/` is gone. */
  #hasTidied = false;
  #endRest: (() => void) | undefined;

  constructor(options: ConsensusOptions, member: CatchUpMember) {
    this.#options = options;
    this.#member = member;
  }

  start(): void {
    const means = this.#means;
    if (means?.kind === 'snapshot') this.#announce(means.snapshots.newest);
    if (means?.kind !== 'segments') return;
    const { group, log } = this.#options;
    const { entries, position } = this.#member;
    means.copying.add(group, {
      log,
      get committedEndIndex() {
        return position.copyableEndIndex;
      },
      configurationAt: (endIndex) => entries.configurationAt(endIndex, position.kept),
    });
  }

  end(): void {
    const means = this.#means;
    if (means?.kind === 'segments') means.copying.remove(this.#options.group);
    this.#endRest?.();
  }

  /** No log is being replaced. What is still copied after the end is put aside and does nothing. */
  settled(): Promise<void> {
    return this.#installing;
  }

  /**
   * What the core is to be given of a message that has come; undefined: nothing.
   *
   * A damaged log takes no entries: the leader's log is copied whole, once all that this one holds is known to be committed, or not
   * to be, as what it may have acknowledged is not given up. Of term 0 no entry is, so that none speaks against copying.
   */
  pass(message: Message, bytes: Buffer | undefined, isDamaged: boolean): Message | undefined {
    const means = this.#means;
    const isPiece = message.kind === 'snapshot-chunk';
    if (isPiece || message.kind === 'snapshot-answer') {
      if (means?.kind !== 'snapshot' || (isPiece && bytes?.length !== message.sizeBytes)) return undefined;
      this.#chunk = bytes ?? this.#chunk;
    }
    if (message.kind === 'copy-request' && means?.kind === 'snapshot') return undefined;
    if (!isDamaged || (message.kind !== 'append' && message.kind !== 'copy-request')) return message;
    const endIndex = message.kind === 'append' ? message.committedEndIndex : message.endIndex;
    if (means?.kind !== 'segments' || endIndex < this.#member.raft.endIndex) return undefined;
    const { from, to, term } = message;
    return { kind: 'copy-request', from, to, term, endIndex, lastTerm: 0 };
  }

  /** `later` is told what is to be done when the core's other outputs have been carried out. */
  carryOut(output: CatchUpOutput, later: (action: () => void) => void): void {
    switch (output.kind) {
      case 'copy-segments': {
        const { leader, endIndex } = output;
        if (this.#means === undefined) later(() => this.#refuse(leader, endIndex));
        else void this.#replace(() => this.#copied(leader, endIndex));
        break;
      }
      case 'install-snapshot':
        void this.#replace(() => this.#received(output.snapshot));
        break;
      case 'read-chunk':
        void this.#readChunk(output);
        break;
      case 'send-chunk':
        this.#sendChunk(output.message, output.read);
        break;
      case 'write-chunk':
        void this.#writeChunk(output.snapshot, output.position, this.#chunk);
        break;
    }
  }

  /** Entries have come: what was begun to be copied by an earlier run is not needed. */
  entriesCame(): void {
    if (this.#hasTidied || this.#isReplacing || this.#options.catchUp === undefined) return;
    this.#hasTidied = true;
    const { disk } = this.#options.catchUp;
    const { listener, log } = this.#options;
    this.#installing = this.#installing
      .then(() => disk.removeDirectory(stagingDirectory(log.directory)))
      .catch((error: unknown) => listener.catchUpFailed?.(error));
  }

  /** Keeps a state machine's state at `endOffset`, all before which is committed; durable when it resolves. Rejects with a DiskError. */
  async takeSnapshot(endOffset: number, records: Iterable<Buffer>): Promise<void> {
    const { catchUp, log } = this.#options;
    const { position, raft, hasEnded } = this.#member;
    assert(catchUp?.means.kind === 'snapshot', 'a group whose members are brought up by snapshots');
    if (endOffset <= log.logStartOffset) return;
    const lastIndex = log.indexOfOffset(endOffset - 1);
    assert(lastIndex < raft.committedEndIndex, 'a snapshot holds what is committed');
    // After a start a newer one may be known than what held there: it is committed, and may hold from there on.
    const { index, configuration: members } = position.configuration(lastIndex + 1);
    const configuration = { index: Math.min(index, lastIndex), configuration: members };
    const point = { endOffset, lastIndex, lastTerm: log.termAt(lastIndex), configuration };
    const stored = await catchUp.means.snapshots.write(point, catchUp.clock.wallMs(), records);
    if (!hasEnded()) this.#announce(stored);
  }

  get #means(): CatchUpMeans | undefined {
    return this.#options.catchUp?.means;
  }

  #announce(snapshot: StoredSnapshot | undefined): void {
    if (snapshot === undefined) return;
    const { id, lastIndex, lastTerm, configuration, sizeBytes, checksum } = snapshot;
    this.#member.input((raft) =>
      raft.snapshotTaken({ id, lastIndex, lastTerm, configuration, sizeBytes, checksum }),
    );
  }

  #refuse(leader: MemberId, endIndex: number): void {
    this.#member.input((raft) => raft.replacementFailed());
    this.#options.listener.catchUpRefused(leader, endIndex);
  }

  async #copied(leader: MemberId, endIndex: number): Promise<StagedLog | undefined> {
    const means = this.#means;
    if (means?.kind !== 'segments') return undefined;
    const { group, log } = this.#options;
    const isWanted = (): boolean => !this.#member.hasEnded();
    return means.copying.copy({ group, from: nodeOf(leader), endIndex, log, isWanted });
  }

  async #received(snapshot: Snapshot): Promise<StagedLog | undefined> {
    const { catchUp, log } = this.#options;
    if (catchUp?.means.kind !== 'snapshot') return undefined;
    const { clock, disk, means } = catchUp;
    const staged = await stageSnapshot({ clock, disk, log, snapshots: means.snapshots }, snapshot);
    if (staged === undefined) throw new CopyFailed('a snapshot is not what was announced');
    return staged;
  }

  /** Puts the log that `make` gives in place, and tells the core; where none comes of it the log is as it was, and the core hears that. */
  async #replace(make: () => Promise<StagedLog | undefined>): Promise<void> {
    const { hasEnded, input } = this.#member;
    this.#isReplacing = true;
    // By now the end of an earlier run's files.
    await this.#installing;
    try {
      const staged = await make();
      if (staged !== undefined && !hasEnded()) {
        const installed = this.#install(staged);
        this.#installing = installed.catch(() => undefined);
        await installed;
        return;
      }
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (hasEnded()) return;
      this.#options.listener.catchUpFailed?.(error);
      await this.#rest();
    } finally {
      this.#isReplacing = false;
    }
    if (!hasEnded()) input((raft) => raft.replacementFailed());
  }

  async #install(staged: StagedLog): Promise<void> {
    const { entries, position, input, broken, hasEnded } = this.#member;
    const { listener, log } = this.#options;
    const means = this.#means;
    await entries.beginReplacing();
    try {
      if (hasEnded()) return;
      this.#check(staged);
      await log.replaceBy(staged.replacement);
    } catch (error) {
      entries.endReplacing();
      throw error;
    }
    try {
      entries.reload();
      position.kept = staged.configuration;
      if (means?.kind === 'snapshot') await means.snapshots.reload();
      await listener.logReplaced?.(staged.configuration);
    } catch (error) {
      // The core means the log of before: it can only begin anew, with what is there now.
      broken(error);
    }
    if (hasEnded()) return;
    const configurations = entries.configurations(position.kept);
    assert(configurations !== undefined, 'a log that was checked can be read');
    input((raft) => {
      raft.logReplaced(entries.state(), configurations);
      entries.endReplacing(raft.generation);
    });
    if (means?.kind === 'snapshot') this.#announce(means.snapshots.newest);
  }

  /** The last word on whether the present log may go. */
  #check({ endIndex, state }: StagedLog): void {
    const { raft } = this.#member;
    const { committedEndIndex, countsWritten, startIndex } = raft;
    // What the leader has lost is told once the log is the leader's.
    if (countsWritten) return;
    if (endIndex < committedEndIndex) throw new CopyFailed('more has been committed here meanwhile');
    const lastIndex = committedEndIndex - 1;
    const isInBoth = lastIndex >= Math.max(startIndex, state.table.start.index);
    if (isInBoth && raft.termAt(lastIndex) !== state.table.termAt(lastIndex))
      throw new CopyFailed(`it contradicts what is committed here at index ${lastIndex}`);
  }

  async #readChunk({
    read,
    snapshotId,
    position,
    sizeBytes,
  }: Extract<Output, { kind: 'read-chunk' }>): Promise<void> {
    const { input, raft, hasEnded } = this.#member;
    const { term } = raft;
    const means = this.#means;
    let bytes: Buffer = Buffer.alloc(0);
    try {
      if (means?.kind === 'snapshot')
        bytes = await means.snapshots.readChunk(snapshotId, position, sizeBytes);
    } catch (error) {
      this.#options.listener.catchUpFailed?.(error);
    }
    // The core numbers its reads anew in each term that it leads in.
    if (hasEnded() || raft.role !== 'leader' || raft.term !== term) return;
    this.#chunks.set(read, bytes);
    input((core) => core.chunkRead(read, bytes.length));
    this.#chunks.delete(read);
  }

  #sendChunk(message: SnapshotChunk, read: number): void {
    const { group, host } = this.#options;
    const bytes = this.#chunks.get(read);
    assert(bytes?.length === message.sizeBytes, 'a piece is sent that has been read');
    host.send(group, message, [bytes]);
  }

  async #writeChunk(snapshot: Snapshot, position: number, bytes: Buffer): Promise<void> {
    const { input, hasEnded } = this.#member;
    const means = this.#means;
    if (means?.kind !== 'snapshot') return;
    try {
      const endPosition = await means.snapshots.receive(snapshot, position, bytes);
      if (!hasEnded()) input((raft) => raft.chunkWritten(snapshot.id, endPosition));
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (hasEnded()) return;
      this.#options.listener.catchUpFailed?.(error);
      input((raft) => raft.replacementFailed());
    }
  }

  async #rest(): Promise<void> {
    const { catchUp } = this.#options;
    assert(catchUp !== undefined, 'only what was begun can fail');
    await new Promise<void>((resolve) => {
      const timer = catchUp.clock.after(restMs, resolve);
      this.#endRest = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endRest = undefined;
  }
}
