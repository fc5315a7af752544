/**
 * Who waits for entries of one replica, and for how many copies: acks=1 for this node's write, acks=all for the commit and, where
 * `min.insync.replicas` asks for more than a majority, for as many flushed copies. And who is in sync, which acks=all depends on.
 *
 * Waiters belong to one leadership: when it ends they are told that their entries may be gone. Invariant: nobody is told that an
 * entry is safe before max(majority, min(`min.insync.replicas`, voters)) members hold it as durably as the topic asks.
 */
import type { Clock } from '../../platform/clock.ts';
import type { CommitLog } from '../log/commit-log.ts';
import { membersOf } from '../raft/configuration.ts';
import { nodeOf } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';
import type { Consensus } from './consensus/consensus.ts';
import { InSync } from './in-sync.ts';
import type { Awaited, MemberProgress } from './replica-types.ts';
import { Waiters } from './waiters.ts';
import type { Outcome } from './waiters.ts';

export interface AcknowledgementsOptions {
  readonly clock: Clock;
  readonly log: CommitLog;
  readonly consensus: Consensus;
  /** `min.insync.replicas`, `replica.lag.time.max.ms`. Live. */
  readonly minInSyncReplicas: () => number;
  readonly lagMsMax: () => number;
  /** Of the start of a node that the metadata counts on; undefined: it is fenced, about to stop, or unknown. Live. */
  readonly serviceEpoch: (nodeId: number) => number | undefined;
  /** How long nothing has been heard of a node; Infinity where nothing ever was. */
  readonly silentMs: (nodeId: number) => number;
}

const noMembers: readonly MemberId[] = [];

export class Acknowledgements {
  readonly #options: AcknowledgementsOptions;
  readonly #inSync: InSync;
  readonly #written = new Waiters();
  readonly #committed = new Waiters();
  /** As last told; in no order that means anything. */
  #toldInSync = noMembers;

  constructor(options: AcknowledgementsOptions) {
    this.#options = options;
    const { raft } = options.consensus;
    this.#inSync = new InSync({
      ...options,
      endIndex: () => raft.endIndex,
      heldBy: (member) => raft.progressOf(member)?.matchedEndIndex ?? 0,
    });
  }

  /** The log is to grow by an entry of this leader. */
  beforeAppend(): void {
    this.#inSync.beforeAppend();
  }

  whenWritten({ term, endIndex }: Awaited, outcome: Outcome): void {
    if (!this.#leadsIn(term)) outcome(false);
    else if (this.#options.log.writtenEndIndex >= endIndex) outcome(true);
    else this.#written.add(endIndex, outcome);
  }

  whenCommitted({ term, endIndex }: Awaited, outcome: Outcome): void {
    if (!this.#leadsIn(term)) outcome(false);
    else if (this.#safeEndIndex >= endIndex) outcome(true);
    else this.#committed.add(endIndex, outcome);
  }

  /** What this node has written, or a member holds, has moved. */
  moved(): void {
    this.#written.reached(this.#options.log.writtenEndIndex);
    if (this.#committed.count > 0) this.#committed.reached(this.#safeEndIndex);
  }

  /** A member has said how far it has come. Returns whether that brings it in sync. */
  answered(from: MemberId): boolean {
    this.#inSync.answered(from);
    if (this.#neededCopies > this.#majority) this.moved();
    return !this.#toldInSync.includes(from) && this.review();
  }

  /** This node leads, or the voters of the group that it leads are others. */
  follow(): void {
    const { id, configuration } = this.#options.consensus.raft;
    const members = membersOf(configuration).filter((member) => member !== id);
    this.#inSync.follow(members, (member) => configuration.voters.includes(member));
    this.#toldInSync = this.inSyncMembers();
  }

  /** It does not lead any more: nobody's entry is sure to stay. */
  end(): void {
    this.#inSync.forget();
    this.#toldInSync = noMembers;
    this.#written.fail();
    this.#committed.fail();
  }

  /** The voters that are in sync, this node among them; empty where it does not lead. */
  inSyncMembers(): readonly MemberId[] {
    const { id, role, configuration } = this.#options.consensus.raft;
    const { voters } = configuration;
    if (role !== 'leader') return noMembers;
    const isInSync = (voter: MemberId): boolean => voter === id || this.#isInSync(voter);
    return voters.every(isInSync) ? voters : voters.filter(isInSync);
  }

  /**
   * The in-sync voters but this node that know of everything before `offset` to be committed, so that they can be read from there;
   * who knows of most comes first. Empty where this node does not lead.
   */
  readableFrom(offset: number): readonly MemberId[] {
    const { log } = this.#options;
    const { raft } = this.#options.consensus;
    const neededEndIndex = offset <= log.logStartOffset ? 0 : log.indexOfOffset(offset - 1) + 1;
    const known = (member: MemberId): number => raft.progressOf(member)?.knownCommittedEndIndex ?? 0;
    return this.inSyncMembers()
      .filter((member) => member !== raft.id && known(member) >= neededEndIndex)
      .toSorted((a, b) => known(b) - known(a));
  }

  /** Whether an append with acks=all may be taken (Kafka's NOT_ENOUGH_REPLICAS otherwise). */
  get hasEnoughInSync(): boolean {
    return this.#minInSync === 1 || this.inSyncMembers().length >= this.#minInSync;
  }

  /**
   * Looks who is in sync now that time has gone by, or nodes have come or gone; returns whether that is news. Those whose entries are committed, and lack
   * copies that will not come, are told so.
   */
  review(): boolean {
    this.#inSync.review();
    const now = this.inSyncMembers();
    const before = this.#toldInSync;
    if (now.length === before.length && now.every((member) => before.includes(member))) return false;
    this.#toldInSync = now;
    if (now.length < this.#minInSync) this.#committed.failed(this.#options.consensus.committedEndIndex);
    return true;
  }

  /** How far each member has come; empty where this node does not lead. */
  progress(): MemberProgress[] {
    const { consensus, log, silentMs } = this.#options;
    const { raft } = consensus;
    if (raft.role !== 'leader') return [];
    return membersOf(raft.configuration).map((member) => {
      const isSelf = member === raft.id;
      const isVoter = raft.configuration.voters.includes(member);
      const progress = raft.progressOf(member);
      const heldEndIndex = isSelf ? raft.flushedEndIndex : (progress?.matchedEndIndex ?? 0);
      return {
        member,
        isVoter,
        isInSync: isSelf || (isVoter && this.#isInSync(member)),
        heldEndIndex,
        lagEntries: raft.endIndex - heldEndIndex,
        heldEndOffset: heldEndIndex < raft.startIndex ? 0 : log.offsetOfIndex(heldEndIndex),
        silentMs: isSelf ? 0 : silentMs(nodeOf(member)),
        behindMs: isSelf ? 0 : this.#inSync.behindMs(member),
        state: isSelf ? 'leader' : (progress?.state ?? 'unknown'),
      };
    });
  }

  /** Bytes of the log from this offset on, about: within a segment, by the share of its offsets. */
  bytesAfter(offset: number): number {
    let bytes = 0;
    for (const segment of this.#options.log.segments().toReversed()) {
      const { baseOffset, endOffset, sizeBytes } = segment;
      if (offset <= baseOffset) {
        bytes += sizeBytes;
        continue;
      }
      if (offset < endOffset) bytes += (sizeBytes * (endOffset - offset)) / (endOffset - baseOffset);
      break;
    }
    return Math.ceil(bytes);
  }

  /** Not this node. One that is fenced is so at once, as with Kafka, though its log would give it more time. */
  #isInSync(voter: MemberId): boolean {
    return this.#inSync.has(voter) && this.#options.serviceEpoch(nodeOf(voter)) !== undefined;
  }

  get #voterCount(): number {
    return this.#options.consensus.raft.configuration.voters.length;
  }

  get #majority(): number {
    return Math.floor(this.#voterCount / 2) + 1;
  }

  get #minInSync(): number {
    return Math.min(this.#options.minInSyncReplicas(), this.#voterCount);
  }

  get #neededCopies(): number {
    return Math.max(this.#majority, this.#minInSync);
  }

  /** Everything before it is as safe as acks=all promises. */
  get #safeEndIndex(): number {
    const { committedEndIndex, raft } = this.#options.consensus;
    const copies = this.#neededCopies;
    if (copies === this.#majority) return committedEndIndex;
    return Math.min(committedEndIndex, raft.endIndexHeldBy(copies));
  }

  #leadsIn(term: number): boolean {
    const { raft, hasEnded } = this.#options.consensus;
    return raft.role === 'leader' && raft.term === term && !hasEnded;
  }
}
