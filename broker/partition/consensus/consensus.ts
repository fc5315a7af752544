/**
 * Raft for one replica, with its real log: gives the core (broker/raft) what happens and carries out what it says, in order.
 * The only one who appends to the log, cuts it, and moves its high watermark.
 *
 * Every input is followed by all of its outputs before anything else is done; who listens is told afterwards, when nothing is
 * left to carry out, so that it may call back. Reads for followers begin at the end of the turn, and so take along what the
 * turn appends. Invariant: high watermark = committed, as a Kafka offset, as far as the log holds what is committed; it never goes
 * back, but where data was lost after power failures under `write.caching`, which is told.
 *
 * A member whose log fails leaves its group: it resigns, and neither hears nor says anything until it is opened anew.
 */
import { assert } from '../../../platform/assert.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import { batchField } from '../../../protocol/index.ts';
import type { Appended, CommitLog } from '../../log/commit-log.ts';
import { noPayload } from '../../log/raft-only.ts';
import type { RaftOnlyEntry } from '../../log/raft-only.ts';
import { encodeConfiguration } from '../../raft/configuration-codec.ts';
import { isVoter } from '../../raft/configuration.ts';
import type { PlacedConfiguration } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/member.ts';
import type { Append, Message } from '../../raft/messages.ts';
import { Raft } from '../../raft/raft.ts';
import type { HardState, Output } from '../../raft/raft.ts';
import { CatchUp } from './catch-up/catch-up.ts';
import { CommittedPosition } from './committed-position.ts';
import type { ConsensusListener, ConsensusOptions, GroupMember } from './consensus-types.ts';
import { EntryReads, learnerPace } from './entry-reads.ts';
import { GroupLog } from './group-log.ts';
import { GroupStanding } from './group-standing.ts';
import { receivedBatches } from './received-entries.ts';
import type { ReceivedBatch } from './received-entries.ts';

export type ConsensusAppend =
  | ({ readonly kind: 'appended'; readonly term: number } & Appended)
  | { readonly kind: 'refused'; readonly reason: AppendRefusal };

/** 'busy': it leads, but the end of its log is still being cut. 'failed': the log takes nothing any more. */
export type AppendRefusal = 'not-leader' | 'transferring' | 'busy' | 'failed';

export class Consensus implements GroupMember {
  readonly group: string;
  readonly #options: ConsensusOptions;
  readonly #raft: Raft;
  readonly #log: CommitLog;
  readonly #entries: GroupLog;
  readonly #reads: EntryReads;
  readonly #catchUp: CatchUp;
  readonly #position: CommittedPosition;
  readonly #standing: GroupStanding;
  /** The batches of the message that is being given to the core. */
  #received: readonly ReceivedBatch[] = [];
  /** What listeners are to be told when all outputs are carried out. */
  #notices: (() => void)[] = [];
  #isDraining = false;
  #hasEnded = false;
  /** Messages that were not what they said, and were dropped. */
  malformedMessages = 0;

  /** Throws where the log holds a configuration that cannot be read. To be given to its node, then to be started. */
  constructor(options: ConsensusOptions) {
    this.#options = options;
    this.group = options.group;
    this.#log = options.log;
    const { host, listener, log, peers } = options;
    this.#standing = new GroupStanding(this, host, () => peers.now);
    this.#entries = new GroupLog(log, {
      batchReceived: (batch) => listener.batchReceived(batch),
      raftOnlyAppended: (entry) => listener.raftOnlyAppended(entry),
      truncated: (endIndex) => this.#truncated(endIndex),
      moved: () => this.#stored(),
      failed: (failure) => this.#fail(failure),
    });
    const state = this.#entries.state();
    this.#position = new CommittedPosition(log, this.#entries, state, options.configuration);
    const configurations = this.#entries.configurations(this.#position.kept);
    if (configurations === undefined) {
      throw new Error(`${log.directory} holds a configuration of its Raft group that cannot be read.`);
    }
    this.#raft = new Raft({
      id: options.member,
      settings: options.settings,
      peers: options.peers,
      random: options.random,
      hardState: options.hardState,
      log: state,
      configurations,
      committedEndIndex: state.startIndex,
      countsWritten: () => log.config.writeCaching,
      catchUp: options.catchUp?.means.kind ?? 'segments',
      impairment: options.impairment,
    });
    this.#reads = new EntryReads({
      entries: this.#entries,
      leadsIn: () => (this.#raft.role === 'leader' && !this.#hasEnded ? this.#raft.term : undefined),
      endIndex: () => this.#raft.endIndex,
      finished: (read, endIndex, sizeBytes) => {
        this.#noticeStart();
        this.#input((raft) => raft.entriesRead(read, endIndex, sizeBytes));
      },
      failed: (error) => listener.readFailed(error),
      pace: learnerPace(options, (member) => !isVoter(this.#raft.configuration, member)),
    });
    this.#catchUp = new CatchUp(options, {
      entries: this.#entries,
      position: this.#position,
      raft: this.#raft,
      input: (call) => this.#input(call),
      hasEnded: () => this.#hasEnded,
      broken: (cause) => this.#fail({ kind: 'truncation', cause }),
    });
  }

  /** Joins its group, as a follower. */
  start(): void {
    this.#standing.place(this.#raft);
    this.#drain();
    this.#catchUp.start();
  }

  /** For what only looks: who leads, terms, positions, progress of members. */
  get raft(): Pick<
    Raft,
    | 'role'
    | 'id'
    | 'term'
    | 'leader'
    | 'configuration'
    | 'isReady'
    | 'isImpaired'
    | 'holdsLease'
    | 'progressOf'
    | 'endIndexHeldBy'
    | 'endIndex'
    | 'startIndex'
    | 'flushedEndIndex'
    | 'hardState'
  > {
    return this.#raft;
  }

  get committedEndIndex(): number {
    return this.#position.endIndex;
  }

  /** Kafka's: records below it are committed, and in this log. */
  get highWatermark(): number {
    return this.#position.highWatermark;
  }

  /** Up to here the log is what the group means; more of it may be about to be cut. */
  get placedEndIndex(): number {
    return this.#entries.placedEndIndex;
  }

  /**
   * The newest configuration that is committed and durable in this log: to be in its file before the log loses its beginning. One
   * that is committed alone may be missing here after a loss of power, and comes again.
   */
  durableConfiguration(): PlacedConfiguration {
    return this.#position.configuration(this.#raft.flushedEndIndex);
  }

  /** The newest configuration that is known to be committed, durable here or not. */
  committedConfiguration(): PlacedConfiguration {
    return this.#position.configuration();
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Takes one validated batch, which belongs to the log from here on; its base offset and leader epoch are set in place. */
  append(batch: Buffer, lease: Lease = unpooled): ConsensusAppend {
    const count = batchField.lastOffsetDelta(batch) + 1;
    return this.#propose(count, (term) => this.#entries.appendBatch(batch, term, lease));
  }

  /** An entry of Raft's own that its user wants, such as a deletion of records. */
  appendRaftOnly(kind: 'delete-records', payload: Buffer): ConsensusAppend {
    return this.#propose(1, (term) => {
      const baseIndex = this.#log.endIndex;
      this.#entries.appendOwn({ kind, term, payload });
      const { endIndex, logEndOffset, logStartOffset } = this.#log;
      return { baseOffset: logEndOffset, lastOffset: logEndOffset - 1, baseIndex, endIndex, logStartOffset };
    });
  }

  /** A message for this member, with the bytes that came with it. */
  step(message: Message, bytes: Buffer | undefined, lease: Lease = unpooled): void {
    if (this.#hasEnded || message.to !== this.#raft.id) return;
    const isDamaged = this.#isDamaged;
    if (message.kind === 'append' && !isDamaged) {
      this.#stepAppend(message, bytes ?? Buffer.alloc(0), lease);
      return;
    }
    const passed = this.#catchUp.pass(message, bytes, isDamaged);
    if (passed === undefined) return;
    this.#input((raft) => raft.step(passed));
    if (message.kind === 'append-answer') this.#options.listener.answered?.(message.from);
  }

  tick(): void {
    this.#standing.dueAt = Infinity;
    if (!this.#hasEnded) this.#input((raft) => raft.tick());
  }

  get isLeader(): boolean {
    return this.#raft.role === 'leader';
  }

  get isInElection(): boolean {
    return !this.#hasEnded && this.#raft.role !== 'follower' && !this.#raft.isReady;
  }

  get dueAt(): number {
    return this.#standing.dueAt;
  }

  nodeHeard(nodeId: number): void {
    this.#input((raft) => raft.nodeHeard(nodeId));
  }

  nodeSilent(nodeId: number): void {
    this.#input((raft) => raft.nodeSilent(nodeId));
  }

  nodeRestarted(nodeId: number): void {
    this.#input((raft) => raft.nodeRestarted(nodeId));
  }

  leaderGone(term: number): void {
    this.#input((raft) => raft.leaderGone(term));
  }

  unfollowed(nodeId: number): void {
    this.#input((raft) => raft.unfollowed(nodeId));
  }

  campaign(): void {
    if (!this.#hasEnded) this.#input((raft) => raft.campaign());
  }

  resign(): void {
    this.#input((raft) => raft.resign());
  }

  transferLeadership(to: MemberId): ReturnType<Raft['transferLeadership']> {
    return this.#input((raft) => raft.transferLeadership(to));
  }

  changeMembers(...members: Parameters<Raft['changeMembers']>): ReturnType<Raft['changeMembers']> {
    return this.#input((raft) => raft.changeMembers(...members));
  }

  forceConfiguration(
    ...members: Parameters<Raft['forceConfiguration']>
  ): ReturnType<Raft['forceConfiguration']> {
    return this.#input((raft) => raft.forceConfiguration(...members));
  }

  overrideImpairment(): void {
    this.#input((raft) => raft.overrideImpairment());
  }

  /** A linearizable read: `readConfirmed` with this token follows. False where this is not the leader. */
  requestRead(token: number): boolean {
    return this.#input((raft) => raft.requestRead(token));
  }

  /** See CatchUp. */
  takeSnapshot(endOffset: number, records: Iterable<Buffer>): Promise<void> {
    return this.#catchUp.takeSnapshot(endOffset, records);
  }

  /** Its log is not being cut or replaced: after the end it may be closed. */
  async settled(): Promise<void> {
    await this.#entries.settled();
    await this.#catchUp.settled();
  }

  /** The log starts later than before, by retention, DeleteRecords or compaction. */
  logStartMoved(): void {
    if (!this.#hasEnded) this.#noticeStart();
  }

  /** After `persistFailed`. */
  retryPersist(): void {
    if (!this.#hasEnded) this.#persist(this.#raft.hardState);
  }

  /** Leaves the group, as the node stops or the replica goes; leadership is handed over where somebody can take it. */
  end(): void {
    if (this.#hasEnded) return;
    this.resign();
    this.#leave();
  }

  /** A log that was opened damaged takes nothing: it votes by its floor, and waits for repair. */
  get #isDamaged(): boolean {
    return this.#log.failure?.kind === 'damage';
  }

  #stepAppend(message: Append, bytes: Buffer, lease: Lease): void {
    const batches = receivedBatches(message, bytes, lease);
    if (batches === undefined || !this.#isInPlace(message, batches)) {
      this.malformedMessages++;
      return;
    }
    this.#received = batches;
    this.#input((raft) => raft.step(message));
    this.#received = [];
  }

  /** No checksum covers a base offset: where what stands before the entries is the same, that says which offset they begin with. */
  #isInPlace({ fromIndex, previousTerm }: Append, batches: readonly ReceivedBatch[]): boolean {
    const { startIndex, endIndex } = this.#raft;
    const first = batches.find(({ index }) => index >= startIndex);
    if (first === undefined || first.index > endIndex) return true;
    if (fromIndex >= startIndex && this.#raft.termAt(fromIndex - 1) !== previousTerm) return true;
    return this.#entries.offsetAt(first.index) === batchField.baseOffset(first.batch);
  }

  #propose(count: number, append: (term: number) => Appended): ConsensusAppend {
    if (this.#hasEnded || this.#isDamaged) return { kind: 'refused', reason: 'failed' };
    if (!this.#entries.isAtRest) {
      return { kind: 'refused', reason: this.#raft.role === 'leader' ? 'busy' : 'not-leader' };
    }
    return this.#input((raft) => {
      const proposal = raft.propose(count);
      if (proposal.kind === 'refused') return proposal;
      const appended = append(proposal.term);
      assert(
        appended.baseIndex === proposal.baseIndex && appended.endIndex === proposal.endIndex,
        'consensus and log agree on where an entry stands',
      );
      return { kind: 'appended', term: proposal.term, ...appended };
    });
  }

  #input<T>(call: (raft: Raft) => T): T {
    assert(!this.#isDraining, 'one input at a time');
    this.#options.host.beforeInput();
    const result = call(this.#raft);
    this.#drain();
    return result;
  }

  #drain(): void {
    this.#isDraining = true;
    for (let outputs = this.#raft.take(); outputs.length > 0; outputs = this.#raft.take()) {
      for (const output of outputs) this.#carryOut(output);
    }
    this.#isDraining = false;
    if (!this.#hasEnded) this.#standing.settle(this.#raft);
    const notices = this.#notices;
    this.#notices = [];
    for (const notice of notices) notice();
  }

  #carryOut(output: Output): void {
    if (this.#hasEnded) return;
    const { host, listener } = this.#options;
    switch (output.kind) {
      case 'persist-hard-state':
        this.#persist(output.hardState);
        break;
      case 'send':
        host.send(this.group, output.message);
        break;
      case 'send-entries': {
        const { parts, release } = this.#reads.take(output.read, output.message);
        host.send(this.group, output.message, parts, release);
        break;
      }
      case 'read-entries':
        this.#reads.want(output);
        break;
      case 'append-own':
        this.#appendOwn(output);
        break;
      case 'append':
        this.#entries.appendReceived(this.#received.filter(({ index }) => index >= output.fromIndex));
        this.#catchUp.entriesCame();
        break;
      case 'truncate':
        assert(this.#raft.role !== 'leader', 'a leader only appends to its log');
        this.#entries.truncate(output.endIndex, output.generation);
        break;
      case 'committed':
        this.#position.endIndex = output.endIndex;
        this.#notices.push(() => this.#advance());
        break;
      case 'role':
        if (output.role !== 'leader') this.#reads.forget();
        this.#standing.place(this.#raft);
        this.#notices.push(() => listener.roleChanged(output.role, output.term, output.leader));
        break;
      case 'configuration':
        this.#standing.place(this.#raft);
        this.#notices.push(() => listener.configurationChanged(output.configuration, output.index));
        break;
      case 'configuration-committed': {
        const { configuration, index } = output;
        this.#notices.push(() => listener.configurationCommitted({ configuration, index }));
        break;
      }
      case 'read':
        this.#notices.push(() => listener.readConfirmed(output.token, output.endIndex));
        break;
      case 'transfer-ended':
        this.#notices.push(() => listener.transferEnded(output.to, output.reason));
        break;
      case 'data-lost':
        this.#position.lose(output.fromIndex);
        this.#notices.push(() => listener.dataLost(output.fromIndex, output.endIndex));
        break;
      case 'repaired':
        this.#notices.push(() => listener.repaired());
        break;
      case 'ticking':
        host.ticking(this, output.isTicking);
        break;
      default:
        this.#catchUp.carryOut(output, (notice) => this.#notices.push(notice));
    }
  }

  #appendOwn({ term, entry }: Extract<Output, { kind: 'append-own' }>): void {
    const payload = entry.kind === 'configuration' ? encodeConfiguration(entry.configuration) : noPayload;
    const own: RaftOnlyEntry = { kind: entry.kind, term, payload };
    this.#entries.appendOwn(own);
  }

  #persist(hardState: HardState): void {
    const { host } = this.#options;
    host.persist(this.group, hardState).then(
      () => {
        if (!this.#hasEnded) this.#input((raft) => raft.hardStatePersisted(hardState));
      },
      (error: unknown) => {
        if (!this.#hasEnded) host.persistFailed(this, error);
      },
    );
  }

  /** Written and flushed ends are the log's, told along with the cut that it had last. */
  #stored(): void {
    if (this.#hasEnded || this.#entries.isReplacing) return;
    const { writtenEndIndex, flushedEndIndex } = this.#log;
    const { generation } = this.#entries;
    this.#input((raft) => {
      raft.written(writtenEndIndex, generation);
      raft.flushed(flushedEndIndex, generation);
    });
    // What waited for a cut may be in the log now.
    this.#advance();
    this.#options.listener.stored();
  }

  async #truncated(endIndex: number): Promise<void> {
    try {
      await this.#options.listener.truncated(endIndex);
    } catch (cause) {
      this.#fail({ kind: 'truncation', cause });
    }
  }

  #advance(): void {
    if (this.#position.advance()) this.#options.listener.committed();
  }

  /** The core is to know which entries cannot be had any more, before it asks for them again. */
  #noticeStart(): void {
    if (!this.#entries.isAtRest) return;
    const { committedEndIndex, flushedEndIndex, startIndex } = this.#raft;
    const start = Math.min(this.#entries.startIndex(), committedEndIndex, flushedEndIndex);
    if (start > startIndex) this.#raft.compacted(start);
  }

  #fail(cause: Parameters<ConsensusListener['failed']>[0]): void {
    if (this.#hasEnded) return;
    if (this.#isDraining) {
      this.#notices.push(() => this.#fail(cause));
      return;
    }
    // Those who are told of lost leadership are to know why.
    this.#options.listener.failed(cause);
    this.end();
  }

  #leave(): void {
    this.#hasEnded = true;
    this.#entries.end();
    this.#catchUp.end();
    this.#reads.forget();
    this.#standing.end();
  }
}
