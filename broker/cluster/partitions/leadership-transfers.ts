/**
 * Hands the leadership of partitions to other nodes, wherever it is now: only a leader can give it away, so it is asked to.
 */
import type { Clock } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import type { Leaderships } from './leaderships.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import { fromJson, toJson } from '../peer-json.ts';

export const transferKind = 'leadership-transfers';

/** A partition, and the node that is to lead it. */
export interface WantedTransfer {
  readonly topicId: string;
  readonly partition: number;
  readonly to: number;
}

/**
 * 'not-leader': nobody is known to lead it, or not the one who was asked. 'not-taken': the node does not vote in the group, or did not
 * take it in time; who led before goes on.
 */
export type TransferOutcome = 'transferred' | 'already-leads' | 'not-leader' | 'not-taken';

/** What of a replica is used. */
interface TransferableReplica {
  readonly identity: { readonly topicId: string };
  readonly isLeader: boolean;
  transferLeadership(nodeId: number): Promise<boolean>;
}

export interface LeadershipTransfersOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  readonly leaderships: Leaderships;
  readonly replica: (topic: string, partition: number) => TransferableReplica | undefined;
  readonly peers: PeerRequests | undefined;
}

/** Leaderships that are on their way from this node at one time. */
const transfersMax = 16;
const questionMsMax = 15_000;
/** How long the news of a leader that has taken over may take to come here. */
const newsMsMax = 1_000;

export class LeadershipTransfers {
  readonly #options: LeadershipTransfersOptions;

  constructor(options: LeadershipTransfersOptions) {
    this.#options = options;
  }

  /** What this node answers others (`transferKind`). */
  get service(): PeerService {
    return async ({ payload }) => [toJson(await this.#transferHere(fromJson<WantedTransfer[]>(payload)))];
  }

  /** One outcome for each, in order; this node knows of what was transferred then, as a rule. Never rejects for what other nodes do. */
  async transfer(wanted: readonly WantedTransfer[]): Promise<TransferOutcome[]> {
    const { leaderships } = this.#options;
    const outcomes: TransferOutcome[] = wanted.map(() => 'not-leader');
    const places = wanted.map((transfer, place) => ({ transfer, place }));
    const byLeader = Map.groupBy(
      places,
      ({ transfer }) => leaderships.of(transfer.topicId, transfer.partition)?.leader,
    );
    await Promise.all(
      [...byLeader].map(async ([leader, group]) => {
        if (leader === undefined) return;
        const told = await this.#ask(
          leader,
          group.map(({ transfer }) => transfer),
        );
        for (const [at, { place }] of group.entries()) outcomes[place] = told[at] ?? 'not-leader';
      }),
    );
    const done = wanted.filter((_, place) => outcomes[place] === 'transferred');
    await this.#whenKnown(done);
    return outcomes;
  }

  /** Resolves when this node has heard of all these leaders, or has waited long enough for it. */
  async #whenKnown(transfers: readonly WantedTransfer[]): Promise<void> {
    const { leaderships, clock } = this.#options;
    const isKnown = ({ topicId, partition, to }: WantedTransfer): boolean =>
      leaderships.of(topicId, partition)?.leader === to;
    const areKnown = (): boolean => transfers.every(isKnown);
    if (!areKnown()) await leaderships.whenHeard(areKnown, { clock, timeoutMs: newsMsMax });
  }

  async #ask(leader: number, wanted: readonly WantedTransfer[]): Promise<readonly TransferOutcome[]> {
    const { nodeId, peers } = this.#options;
    if (leader === nodeId) return this.#transferHere(wanted);
    if (peers === undefined) return [];
    try {
      const options = { timeoutMs: questionMsMax };
      return fromJson<TransferOutcome[]>(
        await peers.request(leader, transferKind, [toJson(wanted)], options),
      );
    } catch (error) {
      if (error instanceof PeerError) return [];
      throw error;
    }
  }

  async #transferHere(wanted: readonly WantedTransfer[]): Promise<TransferOutcome[]> {
    const outcomes: TransferOutcome[] = wanted.map(() => 'not-leader');
    const queue = wanted.entries();
    const workers = Array.from({ length: Math.min(transfersMax, wanted.length) }, async () => {
      for (const [place, transfer] of queue) outcomes[place] = await this.#transferOne(transfer);
    });
    await Promise.all(workers);
    return outcomes;
  }

  async #transferOne({ topicId, partition, to }: WantedTransfer): Promise<TransferOutcome> {
    const { image, replica, nodeId } = this.#options;
    const topic = image().topicById(topicId);
    const here = topic === undefined ? undefined : replica(topic.name, partition);
    if (here?.identity.topicId !== topicId || !here.isLeader) return 'not-leader';
    if (to === nodeId) return 'already-leads';
    return (await here.transferLeadership(to)) ? 'transferred' : 'not-taken';
  }
}
