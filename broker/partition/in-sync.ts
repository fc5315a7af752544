/**
 * Which voters of a group are in sync, as its leader sees it: those that have had all of its log at some time within
 * `replica.lag.time.max.ms` (Kafka's definition). One that has all of it now is in sync for as long as its node is heard.
 * When learners had all of it is known too; they are not asked for here.
 *
 * A follower of a busy log never has all of it at once. So each answer is held against where the log ended at the answer before:
 * what it lacked then it has now, and so it had everything at that time.
 *
 * What a node's process had counts for its next one only where that is everything: one that was away, however briefly, has to have all of the
 * log again first, as with Kafka.
 */
import type { Clock } from '../../platform/clock.ts';
import { nodeOf } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';

export interface InSyncOptions {
  readonly clock: Clock;
  /** `replica.lag.time.max.ms`. Live. */
  readonly lagMsMax: () => number;
  readonly endIndex: () => number;
  /** One past the last entry that the member holds durably. */
  readonly heldBy: (member: MemberId) => number;
  /** How long nothing has been heard of a node; Infinity where nothing ever was. */
  readonly silentMs: (nodeId: number) => number;
  /** Of the start of a node that the metadata counts on; undefined: none. */
  readonly serviceEpoch: (nodeId: number) => number | undefined;
}

interface Follower {
  readonly isVoter: boolean;
  /** As it was last seen (`serviceEpoch`). */
  serviceEpoch: number | undefined;
  /** When it had everything, at the latest; -Infinity: never. */
  caughtUpAtMs: number;
  /** Where the log ended at its last answer, and when that was. */
  aimEndIndex: number;
  aimAtMs: number;
}

/** Groups of one member have no followers, and there may be many of those. */
const nobody: ReadonlyMap<MemberId, Follower> = new Map();

export class InSync {
  readonly #options: InSyncOptions;
  #followers: ReadonlyMap<MemberId, Follower> = nobody;

  constructor(options: InSyncOptions) {
    this.#options = options;
  }

  /** A leadership begins, or its members are others: new voters whose nodes are there get the time to catch up. */
  follow(members: readonly MemberId[], votes: (member: MemberId) => boolean): void {
    if (members.length === 0) {
      this.#followers = nobody;
      return;
    }
    const before = this.#followers;
    this.#followers = new Map(
      members.map((member) => [member, this.#follower(before.get(member), member, votes(member))]),
    );
  }

  forget(): void {
    this.#followers = nobody;
  }

  /** Nodes may have come back: they count anew. */
  review(): void {
    const { clock, endIndex, serviceEpoch } = this.#options;
    for (const [member, follower] of this.#followers) {
      const epoch = serviceEpoch(nodeOf(member));
      if (epoch === follower.serviceEpoch) continue;
      follower.serviceEpoch = epoch;
      follower.caughtUpAtMs = Number.NEGATIVE_INFINITY;
      follower.aimEndIndex = endIndex();
      follower.aimAtMs = clock.monotonicMs();
    }
  }

  /** The log is to grow: who has all of it has had it until now. */
  beforeAppend(): void {
    const { clock, endIndex, heldBy } = this.#options;
    const end = endIndex();
    const nowMs = clock.monotonicMs();
    for (const [member, follower] of this.#followers) {
      if (heldBy(member) < end) continue;
      follower.caughtUpAtMs = nowMs - this.#options.silentMs(nodeOf(member));
      follower.aimEndIndex = end;
      follower.aimAtMs = follower.caughtUpAtMs;
    }
  }

  /** The member has said how far it has come. */
  answered(member: MemberId): void {
    const follower = this.#followers.get(member);
    if (follower === undefined) return;
    const { clock, endIndex, heldBy } = this.#options;
    if (heldBy(member) < follower.aimEndIndex) return;
    follower.caughtUpAtMs = Math.max(follower.caughtUpAtMs, follower.aimAtMs);
    follower.aimEndIndex = endIndex();
    follower.aimAtMs = clock.monotonicMs();
  }

  has(member: MemberId): boolean {
    return this.behindMs(member) <= this.#options.lagMsMax();
  }

  /** For how long it has not had everything, as far as is known; Infinity where it never had, or is nobody's. */
  behindMs(member: MemberId): number {
    const follower = this.#followers.get(member);
    if (follower === undefined) return Infinity;
    const { clock, endIndex, heldBy, silentMs } = this.#options;
    return heldBy(member) >= endIndex()
      ? silentMs(nodeOf(member))
      : clock.monotonicMs() - follower.caughtUpAtMs;
  }

  #follower(known: Follower | undefined, member: MemberId, isVoter: boolean): Follower {
    if (known?.isVoter === isVoter) return known;
    const { clock, silentMs, endIndex, serviceEpoch } = this.#options;
    const nowMs = clock.monotonicMs();
    const neverMs = Number.NEGATIVE_INFINITY;
    return {
      isVoter,
      serviceEpoch: known === undefined ? serviceEpoch(nodeOf(member)) : known.serviceEpoch,
      caughtUpAtMs: Math.max(
        known?.caughtUpAtMs ?? neverMs,
        isVoter ? nowMs - silentMs(nodeOf(member)) : neverMs,
      ),
      aimEndIndex: known?.aimEndIndex ?? endIndex(),
      aimAtMs: known?.aimAtMs ?? nowMs,
    };
  }
}
