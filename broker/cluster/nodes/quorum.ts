/**
 * How far each member of the metadata group has come, for operators. Only its leader knows: any node may be asked, and asks the leader,
 * which answers for itself alone and never passes it on. It is what the leader believes at that moment; nothing is decided by it.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { MemberProgress } from '../../partition/replica-types.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import { isVoter } from '../../raft/configuration.ts';
import type { Configuration } from '../../raft/configuration.ts';
import { directoryOf, nodeOf } from '../../raft/member.ts';
import type { MetadataLog } from '../metadata/metadata-log.ts';
import { fromJson, toJson } from '../peer-json.ts';
import type { Signal } from '../signal.ts';

export const quorumKind = 'metadata-quorum';

export interface QuorumMember {
  readonly nodeId: number;
  readonly directoryId: string;
  /** One past the last record that it holds durably. */
  readonly logEndOffset: number;
  /** When the leader heard its node last, and when it had all of the log last, by the leader's wall clock; -1: never. */
  readonly lastHeardMs: number;
  readonly lastCaughtUpMs: number;
}

export interface QuorumState {
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  /** While voters change, those before and those after. */
  readonly voters: readonly QuorumMember[];
  /** Who has the metadata and does not vote. */
  readonly observers: readonly QuorumMember[];
}

/** What of the metadata group's replica is told. */
export interface DescribedGroup {
  readonly term: number;
  readonly highWatermark: number;
  readonly configuration: Configuration;
  readonly acknowledgements: { progress(): readonly MemberProgress[] };
}

export interface QuorumOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly log: MetadataLog;
  readonly group: DescribedGroup;
  readonly peers: PeerRequests | undefined;
  /** Raised when who leads may have changed. */
  readonly moved: Signal;
}

interface Answer {
  /** Null: the one asked does not lead. */
  readonly state: QuorumState | null;
}

/** Between two attempts, where nothing is heard of another leader. */
const pauseMs = 100;

export class Quorum {
  readonly #options: QuorumOptions;

  constructor(options: QuorumOptions) {
    this.#options = options;
  }

  /** Undefined where no leader could be asked within this time. */
  async describe(timeoutMs: number): Promise<QuorumState | undefined> {
    const { clock, moved } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const state = await this.#attempt(Math.max(1, deadlineMs - clock.monotonicMs()));
      if (state !== undefined) return state;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return undefined;
      await moved.whenRaised(Math.min(pauseMs, leftMs));
    }
  }

  /** What other nodes ask of this one. */
  get service(): PeerService {
    return () => {
      const answer: Answer = { state: this.here() ?? null };
      return Promise.resolve([toJson(answer)]);
    };
  }

  /** Undefined unless this node leads the group. */
  here(): QuorumState | undefined {
    const { group, log, nodeId } = this.#options;
    if (!log.isReady) return undefined;
    const progress = group.acknowledgements.progress();
    const votes = ({ member }: MemberProgress): boolean => isVoter(group.configuration, member);
    return {
      leaderId: nodeId,
      leaderEpoch: group.term,
      highWatermark: group.highWatermark,
      voters: progress.filter(votes).map((each) => this.#member(each)),
      observers: progress.filter((each) => !votes(each)).map((each) => this.#member(each)),
    };
  }

  #member({ member, heldEndOffset, silentMs, behindMs }: MemberProgress): QuorumMember {
    const nowMs = this.#options.clock.wallMs();
    const ago = (ms: number): number => (Number.isFinite(ms) ? Math.round(nowMs - ms) : -1);
    return {
      nodeId: nodeOf(member),
      directoryId: directoryOf(member),
      logEndOffset: heldEndOffset,
      lastHeardMs: ago(silentMs),
      lastCaughtUpMs: ago(behindMs),
    };
  }

  async #attempt(timeoutMs: number): Promise<QuorumState | undefined> {
    const here = this.here();
    if (here !== undefined) return here;
    const { log, nodeId, peers } = this.#options;
    const { leaderNode } = log;
    if (leaderNode === undefined || leaderNode === nodeId || peers === undefined) return undefined;
    try {
      const bytes = await peers.request(leaderNode, quorumKind, [], { timeoutMs });
      return fromJson<Answer>(bytes).state ?? undefined;
    } catch (error) {
      if (error instanceof PeerError) return undefined;
      throw error;
    }
  }
}
