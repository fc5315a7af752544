/**
 * How a node that is to join gets the metadata before it is known: whoever it asks has the metadata leader take it in as a learner.
 * The leader alone does so, and forgets it with its leadership: the node that joins asks again until it is served.
 */
import type { Clock } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import { memberId } from '../../raft/member.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
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
  readonly image: () => MetadataImage;
  readonly moved: Signal;
  /** A node that is not in the image yet is to be reached there. */
  readonly onAddress: (node: JoiningNode) => void;
}

interface Answer {
  readonly isMember: boolean;
  /** Of the leader's image, which has all that was ever registered. Not told by releases that did not know it. */
  readonly endOffset?: number;
}

/** A node that has been taken in. */
export interface Admitted {
  /** Of the metadata, as its leader has it: above every earlier registration of this node's number. */
  readonly endOffset: number;
}

const pauseMs = 100;

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Undefined where the node is no member of the metadata group within this time. */
  async admit(node: JoiningNode, timeoutMs: number): Promise<Admitted | undefined> {
    const { clock, moved } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const answer = await this.#attempt(node, Math.max(1, deadlineMs - clock.monotonicMs()));
      if (answer?.isMember === true) return { endOffset: answer.endOffset ?? 0 };
      if (clock.monotonicMs() >= deadlineMs) return undefined;
      await moved.whenRaised(pauseMs);
    }
  }

  /** What other nodes ask of this one. */
  get service(): PeerService {
    return ({ payload }) => Promise.resolve([toJson(this.#admitHere(fromJson<JoiningNode>(payload)))]);
  }

  /** Undefined where the leader could not be asked. */
  async #attempt(node: JoiningNode, timeoutMs: number): Promise<Answer | undefined> {
    const { log, nodeId, peers, isLeading, onAddress } = this.#options;
    if (isLeading()) return this.#admitHere(node);
    const { leaderNode } = log;
    if (leaderNode === undefined || leaderNode === nodeId || peers === undefined) return undefined;
    // The one who joins hears from whoever leads next too.
    onAddress(node);
    try {
      const bytes = await peers.request(leaderNode, admissionKind, [toJson(node)], { timeoutMs });
      return fromJson<Answer>(bytes);
    } catch (error) {
      if (error instanceof PeerError) return undefined;
      throw error;
    }
  }

  /** Not at once: the change has to be made first. */
  #admitHere(node: JoiningNode): Answer {
    const { isLeading, membership, image, onAddress } = this.#options;
    // A question may be older than its node's end.
    const isGone = image().isGoneMember(memberId(node.nodeId, node.directoryId));
    if (!isLeading() || isGone) return { isMember: false };
    onAddress(node);
    const isMember = membership.has(node.nodeId, node.directoryId);
    if (!isMember) membership.admit(node.nodeId, node.directoryId);
    return { isMember, endOffset: image().endOffset };
  }
}
