/**
 * What a member of a group knows whatever its role: its term and vote, its log's terms and positions, the configurations, what
 * is committed. The roles read and move it; each invariant is asserted here, where its field moves.
 */
import { assert } from '../../platform/assert.ts';
import type { Random } from '../../platform/random.ts';
import { Configurations, isVoter } from './configuration.ts';
import type { Configuration, PlacedConfiguration } from './configuration.ts';
import type { MemberId } from './member.ts';
import type { OwnEntry } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { HardState } from './outbox.ts';
import type { Peers, Timing } from './peers.ts';
import { TermLog } from './term-log.ts';
import type { TermLogState, TermStart } from './term-log.ts';

/** The same for all groups of a node, and one object. */
export interface RaftSettings {
  readonly timing: Timing;
  /** Entries sent to one follower that it has not yet acknowledged: bytes, and messages. */
  readonly inflightBytesMax: number;
  readonly inflightMessagesMax: number;
  /** Of one message, but for a single larger batch. */
  readonly messageBytesMax: number;
  readonly chunkBytes: number;
  /**
   * Serve reads without asking a quorum while one has confirmed the leader this recently; undefined: always ask. Only sound
   * while no node's clock runs faster than another's by more than `driftTicks` in `electionTicks`.
   */
  readonly leases: { readonly driftTicks: number } | undefined;
}

/** Why a member may not do all that a voter may, until it has caught up with a leader. */
export type Impairment =
  /** Durable entries are missing or unreadable: those up to this one were there (correctness: damage). */
  | {
      readonly kind: 'damaged';
      readonly floor: { readonly term: number; readonly index: number };
      /** Both: past its floor it may still lack what it has acknowledged. */
      readonly hasLostMemory?: boolean;
    }
  /** Acknowledged entries may be missing: the machine lost its memory, and the group counts what is only written. */
  | { readonly kind: 'memory-lost' };

export interface RaftOptions {
  readonly id: MemberId;
  readonly settings: RaftSettings;
  readonly peers: Peers;
  readonly random: Random;
  /** As last persisted; `{ term: 0, votedFor: undefined }` in a new directory. */
  readonly hardState: HardState;
  /** All of it is durable. */
  readonly log: TermLogState;
  /** Of the log's start, then those of its entries, ascending by index. */
  readonly configurations: readonly PlacedConfiguration[];
  /** What is known to be committed: the log's start, at least. */
  readonly committedEndIndex: number;
  /** Whether written entries count as if they were flushed (`write.caching`); read at each use. */
  readonly countsWritten: () => boolean;
  /** How a follower that lacks entries the leader no longer has is brought up: a partition's log, or a state machine's. */
  readonly catchUp: 'segments' | 'snapshot';
  readonly impairment: Impairment | undefined;
}

/** The term is Kafka's leader epoch, an int32. */
const termMax = 2 ** 31 - 1;

export class Group {
  readonly id: MemberId;
  readonly settings: RaftSettings;
  readonly peers: Peers;
  readonly random: Random;
  readonly catchUp: 'segments' | 'snapshot';
  readonly log: TermLog;
  readonly outbox: Outbox;
  readonly configurations: Configurations;
  /** Who leads this term, as far as known. */
  leader: MemberId | undefined;
  /**
   * The last tick at which a leader was heard that may still count on it: this member gives no vote for an election timeout
   * from then, where leases are in use, whatever it has learned since.
   */
  #promisedAt: number;
  readonly #countsWritten: () => boolean;
  /** Invariant: the term never goes back; the vote of a term never changes once given. */
  #hardState: HardState;
  /** One past the last entry known to be committed. Invariant: never goes back, never beyond the end of the log. */
  #committedEndIndex: number;
  /** Invariant: flushed <= written <= end of the log. Both step back with a truncation only. */
  #writtenEndIndex: number;
  #flushedEndIndex: number;
  /** How often the log has been cut or replaced: completions of before do not count for what was appended since. */
  #generation = 0;
  #impairment: Impairment | undefined;

  constructor(options: RaftOptions) {
    this.id = options.id;
    this.settings = options.settings;
    this.peers = options.peers;
    this.random = options.random;
    this.catchUp = options.catchUp;
    this.log = new TermLog(options.log);
    this.outbox = new Outbox(options.id);
    this.configurations = new Configurations(options.configurations);
    // A member that has had a term may have promised a lease in it, and has forgotten when.
    this.#promisedAt = options.hardState.term > 0 ? options.peers.now : Number.NEGATIVE_INFINITY;
    this.#countsWritten = options.countsWritten;
    this.#hardState = options.hardState;
    this.#committedEndIndex = options.committedEndIndex;
    this.#writtenEndIndex = this.log.endIndex;
    this.#flushedEndIndex = this.log.endIndex;
    this.#impairment = options.impairment;
    assert(
      options.committedEndIndex >= this.log.startIndex && options.committedEndIndex <= this.log.endIndex,
      'what is committed is in the log',
    );
  }

  get term(): number {
    return this.#hardState.term;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  get configuration(): Configuration {
    return this.configurations.current;
  }

  get committedEndIndex(): number {
    return this.#committedEndIndex;
  }

  get writtenEndIndex(): number {
    return this.#writtenEndIndex;
  }

  get flushedEndIndex(): number {
    return this.#flushedEndIndex;
  }

  get generation(): number {
    return this.#generation;
  }

  get impairment(): Impairment | undefined {
    return this.#impairment;
  }

  /** Whether a leader may be serving reads in the belief that this member elects nobody else yet. */
  get hasPromised(): boolean {
    const { leases, timing } = this.settings;
    return leases !== undefined && this.peers.now - this.#promisedAt < timing.electionTicks;
  }

  promised(heardAt: number): void {
    this.#promisedAt = Math.max(this.#promisedAt, heardAt);
  }

  /** Up to where this member's own entries count for a quorum. */
  get countedEndIndex(): number {
    return this.#countsWritten() ? this.#writtenEndIndex : this.#flushedEndIndex;
  }

  get countsWritten(): boolean {
    return this.#countsWritten();
  }

  /**
   * Whether it may ask for leadership: a voter, with nothing amiss. One that an entry removes which may not be committed is still
   * needed: it may be the only one with that entry, and the others cannot do without its vote (thesis, 4.2.2).
   */
  get isPromotable(): boolean {
    if (this.#impairment !== undefined) return false;
    const { last } = this.configurations;
    if (isVoter(last.configuration, this.id)) return true;
    if (last.index < this.#committedEndIndex) return false;
    return isVoter(this.configurations.at(this.#committedEndIndex).configuration, this.id);
  }

  /** Enters `term`, or gives this term's vote. Nothing leaves before it is durable. */
  setHardState(term: number, votedFor: MemberId | undefined): void {
    const before = this.#hardState;
    assert(term > before.term || (term === before.term && before.votedFor === undefined), 'one vote a term');
    assert(term <= termMax, 'terms fit Kafka leader epochs');
    this.#hardState = { term, votedFor };
    this.outbox.persist(this.#hardState, term > before.term);
  }

  /** Returns whether the present state is durable by this; that of an earlier one may come late. */
  hardStatePersisted(hardState: HardState): boolean {
    const { term, votedFor } = this.#hardState;
    if (hardState.term !== term || hardState.votedFor !== votedFor) return false;
    this.outbox.hardStateDurable();
    return true;
  }

  /** Extends the log by entries that a leader of this term sent, which the shell has at hand. */
  append(fromIndex: number, endIndex: number, terms: readonly TermStart[]): void {
    assert(fromIndex === this.log.endIndex && endIndex > fromIndex, 'an append continues the log');
    this.log.append(
      endIndex,
      terms.filter(({ index }) => index >= fromIndex),
    );
    this.outbox.put({ kind: 'append', fromIndex, endIndex });
  }

  /** A leader's own entry at the end of the log. Returns its index. */
  appendOwn(entry: OwnEntry): number {
    const index = this.log.endIndex;
    this.log.append(index + 1, entry.kind === 'term-start' ? [{ index, term: this.term }] : []);
    this.outbox.put({ kind: 'append-own', index, term: this.term, entry });
    if (entry.kind === 'configuration') this.configure([{ index, configuration: entry.configuration }]);
    return index;
  }

  configure(placed: readonly PlacedConfiguration[]): void {
    for (const { index, configuration } of placed) {
      this.configurations.append({ index, configuration });
      this.outbox.put({ kind: 'configuration', configuration, index });
    }
  }

  /** Removes what conflicts with the leader's log. */
  truncate(endIndex: number): void {
    const isLoss = endIndex < this.#committedEndIndex;
    if (isLoss) this.#lose(endIndex);
    this.log.truncate(endIndex);
    this.#generation++;
    this.#writtenEndIndex = Math.min(this.#writtenEndIndex, endIndex);
    this.#flushedEndIndex = Math.min(this.#flushedEndIndex, endIndex);
    this.outbox.put({ kind: 'truncate', endIndex, generation: this.#generation });
    if (this.configurations.last.index >= endIndex) {
      this.configurations.truncate(endIndex, isLoss);
      this.outbox.put({ kind: 'configuration', ...this.configurations.last });
    }
  }

  /** The log is another one now, all of it durable and committed. */
  replaceLog(log: TermLogState, configurations: readonly PlacedConfiguration[]): void {
    const lostFrom = Math.min(log.endIndex, this.log.firstDifference(new TermLog(log)) ?? Infinity);
    if (lostFrom < this.#committedEndIndex) this.#lose(lostFrom);
    this.log.reset(log);
    this.configurations.reset(configurations);
    this.#generation++;
    this.#writtenEndIndex = log.endIndex;
    this.#flushedEndIndex = log.endIndex;
    this.outbox.put({ kind: 'configuration', ...this.configurations.last });
    this.commitTo(log.endIndex);
  }

  /** Committed entries from `fromIndex` on are not the group's any more. */
  #lose(fromIndex: number): void {
    assert(this.#countsWritten(), 'what is committed is not truncated');
    this.outbox.put({ kind: 'data-lost', fromIndex, endIndex: this.#committedEndIndex });
    this.#committedEndIndex = fromIndex;
  }

  /** Completions of another generation say nothing about what stands at these indexes now. Returns whether one moved. */
  stored(position: 'written' | 'flushed', endIndex: number, generation: number): boolean {
    if (generation !== this.#generation) return false;
    assert(endIndex <= this.log.endIndex, 'what is stored has been appended');
    const before = this.#flushedEndIndex + this.#writtenEndIndex;
    this.#writtenEndIndex = Math.max(this.#writtenEndIndex, endIndex);
    if (position === 'flushed') this.#flushedEndIndex = Math.max(this.#flushedEndIndex, endIndex);
    assert(this.#flushedEndIndex <= this.#writtenEndIndex, 'what is flushed has been written');
    return this.#flushedEndIndex + this.#writtenEndIndex > before;
  }

  /** Returns whether that is news. */
  commitTo(endIndex: number): boolean {
    const before = this.#committedEndIndex;
    if (endIndex <= before) return false;
    assert(endIndex <= this.log.endIndex, 'what is committed is in the log');
    this.#committedEndIndex = endIndex;
    this.outbox.put({ kind: 'committed', endIndex });
    const { last } = this.configurations;
    if (last.index >= before && last.index < endIndex) {
      this.outbox.put({ kind: 'configuration-committed', ...last });
    }
    return true;
  }

  /**
   * The log is, durably, this term's leader's up to `endIndex`: what was amiss may be made good by that. A damaged member is
   * whole once it is past its floor, or holds an entry of a later term, which in a leader's log nothing of its floor's can follow; one without memory, once it has all that was committed before this term.
   */
  maybeRepaired(endIndex: number): void {
    const impairment = this.#impairment;
    if (impairment === undefined) return;
    const committed = this.#committedEndIndex;
    const isWhole =
      impairment.kind === 'damaged'
        ? endIndex > impairment.floor.index ||
          (endIndex >= this.log.startIndex && this.log.termAt(endIndex - 1) > impairment.floor.term)
        : endIndex >= committed && this.log.termAt(committed - 1) === this.term;
    if (!isWhole) return;
    if (impairment.kind === 'damaged' && impairment.hasLostMemory === true) {
      this.#impairment = { kind: 'memory-lost' };
      this.maybeRepaired(endIndex);
      return;
    }
    this.#impairment = undefined;
    this.outbox.put({ kind: 'repaired' });
  }

  /** An operator answers for what may be missing. */
  overrideImpairment(): void {
    this.#impairment = undefined;
  }
}
