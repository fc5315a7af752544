/**
 * How a node that is to join gets the metadata before it is known: whoever it asks has the metadata leader take it in as a learner.
 * The leader alone does so, and forgets it with its leadership: the node that joins asks again until it is served.
 */
import type { Clock } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import type { MetadataLog } from '../metadata/metadata-log.ts';
import type { MetadataMembership } from './metadata-membership.ts';
import { fromJson, toJson } from '../peer-json.ts';
import type { Signal } from '../signal.ts';

export const admissionKind = 'metadata-admission';

export interface JoiningNode {
  readonly nodeId: number;
  /** Of its first data directory, which has nothing of this cluster, or did not have when it was asked. */
  readonly directoryId: string;
  /** Where other nodes reach it. */
  readonly host: string;
  readonly port: number;
}

export interface AdmissionOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly log: MetadataLog;
  readonly membership: MetadataMembership;
  readonly peers: PeerRequests | undefined;
  readonly isLeading: () => boolean;
  readonly moved: Signal;
  /** A node that is not in the image yet is to be reached there. */
  readonly onAddress: (node: JoiningNode) => void;
}

interface Answer {
  readonly isMember: boolean;
}

const pauseMs = 100;

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Whether the node is a member of the metadata group within this time. */
  async admit(node: JoiningNode, timeoutMs: number): Promise<boolean> {
    const { clock, moved } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      if (await this.#attempt(node, Math.max(1, deadlineMs - clock.monotonicMs()))) return true;
      if (clock.monotonicMs() >= deadlineMs) return false;
      await moved.whenRaised(pauseMs);
    }
  }

  /** What other nodes ask of this one. */
  get service(): PeerService {
    return ({ payload }) => {
      const answer: Answer = { isMember: this.#admitHere(fromJson<JoiningNode>(payload)) };
      return Promise.resolve([toJson(answer)]);
    };
  }

  async #attempt(node: JoiningNode, timeoutMs: number): Promise<boolean> {
    const { log, nodeId, peers, isLeading, onAddress } = this.#options;
    if (isLeading()) return this.#admitHere(node);
    const { leaderNode } = log;
    if (leaderNode === undefined || leaderNode === nodeId || peers === undefined) return false;
    // The one who joins hears from whoever leads next too.
    onAddress(node);
    try {
      const bytes = await peers.request(leaderNode, admissionKind, [toJson(node)], { timeoutMs });
      return fromJson<Answer>(bytes).isMember;
    } catch (error) {
      if (error instanceof PeerError) return false;
      throw error;
    }
  }

  /** Not at once: the change has to be made first. */
  #admitHere(node: JoiningNode): boolean {
    const { isLeading, membership, onAddress } = this.#options;
    if (!isLeading()) return false;
    onAddress(node);
    if (membership.has(node.nodeId, node.directoryId)) return true;
    membership.admit(node.nodeId, node.directoryId);
    return false;
  }
}
