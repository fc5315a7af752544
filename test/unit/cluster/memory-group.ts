/**
 * The metadata log of several nodes without a network, disks or time: what Raft promises, one small step at a time, each of which
 * a test asks for. Leaders are deposed without hearing of it, followers lag, and what a deposed leader wrote may stay or go.
 */
import type { AppendOutcome, MemberProgress } from '../../../broker/partition/replica-types.ts';
import type { MetadataReplica } from '../../../broker/cluster/metadata/replica-metadata-log.ts';
import { membersOf } from '../../../broker/raft/configuration.ts';
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { memberId, nodeOf } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { ChangeRefusal, Members } from '../../../broker/raft/membership.ts';
import type { BatchHeader } from '../../../protocol/index.ts';
import { uuid } from './cluster-fixtures.ts';
import { Gate } from './memory-cluster.ts';
import { setBaseOffset, setPartitionLeaderEpoch } from '../../../protocol/index.ts';

/** The first data directory of a node. */
export function directoryOf(nodeId: number): string {
  return uuid(1_000 + nodeId);
}

interface Entry {
  readonly term: number;
  /** A term's first entry has none, and takes no offset. */
  readonly batch: Buffer | undefined;
  /** Offsets of the records before it, and at its end. */
  readonly baseOffset: number;
  readonly endOffset: number;
}

interface Read {
  readonly term: number;
  readonly resolve: (endIndex: number | undefined) => void;
}

/** One node's copy of the log. */
export class MemoryReplica implements MetadataReplica {
  readonly nodeId: number;
  readonly group: MemoryGroup;
  entries: Entry[] = [];
  /** Entries that this node knows to be committed. */
  committed = 0;
  /** The newest term that it has heard of. */
  term = 0;
  isLeader = false;
  leaderNode: number | undefined;
  failed = false;
  closed = false;
  logStartOffset = 0;
  readonly changes: string[] = [];
  /** What each other node holds of this leader's log, as it knows. */
  readonly matched = new Map<number, number>();
  reads: Read[] = [];
  /** Holds back what is read of its log. */
  readonly reading = new Gate();
  readonly #watchers = new Set<() => void>();

  constructor(nodeId: number, group: MemoryGroup) {
    this.nodeId = nodeId;
    this.group = group;
  }

  get configuration(): Configuration {
    return this.group.configuration;
  }

  get isSoleVoter(): boolean {
    const { voters } = this.configuration;
    return voters.length === 1 && voters[0] === memberId(this.nodeId, directoryOf(this.nodeId));
  }

  get ready(): boolean {
    return this.isLeader && this.entries.slice(0, this.committed).some(({ term }) => term === this.term);
  }

  get logEndOffset(): number {
    return this.entries.at(-1)?.endOffset ?? 0;
  }

  get highWatermark(): number {
    return this.entries[this.committed - 1]?.endOffset ?? 0;
  }

  /** Each member's log is its own; nobody is ever silent. */
  readonly acknowledgements = {
    progress: (): MemberProgress[] =>
      membersOf(this.configuration).map((member) => {
        const held = nodeOf(member) === this.nodeId ? this.entries.length : this.matched.get(nodeOf(member));
        const heldEndIndex = held ?? 0;
        return {
          member,
          isVoter: this.configuration.voters.includes(member),
          isInSync: heldEndIndex === this.entries.length,
          heldEndIndex,
          lagEntries: this.entries.length - heldEndIndex,
          heldEndOffset: this.entries[heldEndIndex - 1]?.endOffset ?? 0,
          silentMs: 0,
          behindMs: heldEndIndex === this.entries.length ? 0 : Infinity,
          state: 'replicate',
        };
      }),
  };

  append(batch: Buffer, header: BatchHeader): AppendOutcome {
    if (!this.isLeader) return { kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' };
    const baseOffset = this.logEndOffset;
    setBaseOffset(batch, 0, baseOffset);
    setPartitionLeaderEpoch(batch, 0, this.term);
    this.write(batch, header.recordCount);
    return {
      kind: 'appended',
      baseOffset,
      endIndex: this.entries.length,
      term: this.term,
      logStartOffset: 0,
    };
  }

  /** Who votes here is only noted: majorities are always those of all nodes. */
  changeMembers(members: Members): ChangeRefusal | undefined {
    if (!this.isLeader) return 'not-leader';
    const { voters, learners } = this.group.configuration;
    const isBehind = members.voters.some(
      (member) =>
        !voters.includes(member) &&
        (!learners.includes(member) || this.matched.get(nodeOf(member)) !== this.entries.length),
    );
    if (isBehind) return 'learner-behind';
    this.group.configuration = { ...members, outgoing: [] };
    const shown = (list: readonly MemberId[]): string => list.map(nodeOf).join(' ');
    this.changes.push(`${shown(members.voters)} + ${shown(members.learners)}`);
    for (const replica of this.group.replicas.values()) replica.moved();
    return undefined;
  }

  /** Only of a leader. */
  write(batch: Buffer | undefined, recordCount: number): void {
    const baseOffset = this.logEndOffset;
    this.entries.push({ term: this.term, batch, baseOffset, endOffset: baseOffset + recordCount });
    this.group.maybeCommit(this);
  }

  confirmRead(): Promise<number | undefined> {
    if (!this.isLeader) return Promise.resolve(undefined);
    return new Promise((resolve) => this.reads.push({ term: this.term, resolve }));
  }

  async read(offset: number) {
    await this.reading.pass();
    const parts = this.entries
      .slice(0, this.committed)
      .flatMap(({ batch, endOffset }) => (batch === undefined || endOffset <= offset ? [] : [batch]));
    // A read ends somewhere: here after one batch.
    return { parts: parts.slice(0, 1), sizeBytes: parts[0]?.length ?? 0, release: () => {} };
  }

  watch(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers.delete(watcher);
  }

  moved(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }

  /** A newer term is heard of. */
  follow(term: number, leaderNode: number | undefined): void {
    if (term === this.term && (leaderNode === this.leaderNode || leaderNode === undefined)) return;
    this.term = term;
    this.leaderNode = leaderNode;
    this.isLeader = leaderNode === this.nodeId;
    if (!this.isLeader) for (const { resolve } of this.reads.splice(0)) resolve(undefined);
    this.moved();
  }
}

export class MemoryGroup {
  readonly replicas = new Map<number, MemoryReplica>();
  configuration: Configuration;
  #term = 0;

  /** `voterIds`: all unless told. */
  constructor(nodeIds: readonly number[], voterIds: readonly number[] = nodeIds) {
    const voters = voterIds.map((id) => memberId(id, directoryOf(id)));
    this.configuration = { voters, outgoing: [], learners: [], revision: 0 };
    for (const id of nodeIds) this.replicas.set(id, new MemoryReplica(id, this));
  }

  get majority(): number {
    return Math.floor(this.replicas.size / 2) + 1;
  }

  /** The leader of the newest term that has one. */
  get leader(): MemoryReplica | undefined {
    const leaders = [...this.replicas.values()].filter(({ isLeader }) => isLeader);
    return leaders.toSorted((left, right) => right.term - left.term)[0];
  }

  /** These nodes, a majority, elect the candidate among them, if none of them holds more; whether they did. */
  elect(candidate: MemoryReplica, voters: readonly MemoryReplica[]): boolean {
    if (!voters.includes(candidate) || voters.length < this.majority) return false;
    if (voters.some((voter) => compareLogs(voter, candidate) > 0)) return false;
    this.#term++;
    for (const voter of voters) {
      if (voter !== candidate) voter.follow(this.#term, undefined);
    }
    candidate.matched.clear();
    candidate.follow(this.#term, candidate.nodeId);
    candidate.write(undefined, 0);
    return true;
  }

  /** One message from a leader, new or old: the other gets up to so many entries, or the leader hears that it is none. */
  replicate(leader: MemoryReplica, to: MemoryReplica, entriesMax: number): void {
    if (!leader.isLeader || leader === to) return;
    if (to.term > leader.term) {
      leader.follow(to.term, undefined);
      return;
    }
    to.follow(leader.term, leader.nodeId);
    let same = 0;
    while (same < to.entries.length && to.entries[same]?.term === leader.entries[same]?.term) same++;
    const count = Math.min(leader.entries.length, same + entriesMax);
    // What is the same is never cut.
    if (same < to.entries.length || count > to.entries.length) {
      to.entries = leader.entries.slice(0, Math.max(count, same));
    }
    leader.matched.set(to.nodeId, Math.max(count, same));
    to.committed = Math.max(to.committed, Math.min(leader.committed, to.entries.length));
    this.maybeCommit(leader);
    to.moved();
  }

  /** A leader asks these nodes, itself among them, whether it still leads. */
  confirm(leader: MemoryReplica, asked: readonly MemoryReplica[]): void {
    if (!leader.isLeader || !asked.includes(leader) || asked.length < this.majority) return;
    const newest = Math.max(...asked.map(({ term }) => term));
    if (newest > leader.term) {
      leader.follow(newest, undefined);
      return;
    }
    for (const { resolve } of leader.reads.splice(0)) resolve(leader.committed);
  }

  maybeCommit(leader: MemoryReplica): void {
    const held = [...this.replicas.values()]
      .map((replica) =>
        replica === leader ? leader.entries.length : (leader.matched.get(replica.nodeId) ?? 0),
      )
      .toSorted((left, right) => right - left);
    const count = held[this.majority - 1] ?? 0;
    // Only by entries of its own term (Raft 5.4.2).
    if (count <= leader.committed || leader.entries[count - 1]?.term !== leader.term) return;
    leader.committed = count;
    leader.moved();
  }
}

/** Positive where the left log is more up to date. */
function compareLogs(left: MemoryReplica, right: MemoryReplica): number {
  const terms = (left.entries.at(-1)?.term ?? 0) - (right.entries.at(-1)?.term ?? 0);
  return terms === 0 ? left.entries.length - right.entries.length : terms;
}
