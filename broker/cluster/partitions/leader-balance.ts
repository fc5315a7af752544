/**
 * Brings leadership back to the preferred leaders, now and then, as after a restart of a node all that it led is led by others
 * (`auto.leader.rebalance.enable`). Each node looks at what it leads itself: only it can give that away.
 *
 * A few at a time and each only to a node that is in sync, so that clients of many partitions are never sent elsewhere at once. While
 * a node is the only one there is no timer.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { LeadershipTransfers, WantedTransfer } from './leadership-transfers.ts';
import type { Leaderships } from './leaderships.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import { targetOf } from '../controller/reassignments.ts';

export interface LeaderBalanceOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  readonly leaderships: Leaderships;
  readonly transfers: Pick<LeadershipTransfers, 'transfer'>;
  /** `auto.leader.rebalance.enable`, `leader.imbalance.check.interval.seconds`. Live. */
  readonly isEnabled: () => boolean;
  readonly intervalMs: () => number;
  readonly onFailure: (error: unknown) => void;
}

/** Leaderships that one look hands over at a time, and in all. */
const togetherMax = 8;
const transfersMax = 1_000;

/** What this node leads and another, which is there and in sync, is to lead; nothing of a partition that gets other replicas. */
export function transfersToPreferred(
  nodeId: number,
  image: MetadataImage,
  leaderships: Leaderships,
): WantedTransfer[] {
  const transfers: WantedTransfer[] = [];
  for (const { topicId, partition, inSync } of leaderships.ledBy(nodeId)) {
    const wanted = image.topicById(topicId)?.partitions[partition];
    if (wanted === undefined || wanted.adding.length > 0) continue;
    const [to] = targetOf(wanted);
    const broker = to === undefined ? undefined : image.brokers.get(to);
    if (to === nodeId || broker === undefined || !inSync.includes(broker.id)) continue;
    if (broker.fenced || broker.inControlledShutdown) continue;
    transfers.push({ topicId, partition, to: broker.id });
    if (transfers.length === transfersMax) break;
  }
  return transfers;
}

export class LeaderBalance {
  readonly #options: LeaderBalanceOptions;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: LeaderBalanceOptions) {
    this.#options = options;
    this.nodesChanged();
  }

  /** Nodes have come or gone. */
  nodesChanged(): void {
    const { image, clock, intervalMs } = this.#options;
    if (this.#timer !== undefined || this.#isClosed || image().brokers.size < 2) return;
    this.#timer = clock.after(intervalMs(), () => {
      void this.#balance()
        .catch((error: unknown) => this.#options.onFailure(error))
        .finally(() => {
          this.#timer = undefined;
          this.nodesChanged();
        });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #balance(): Promise<void> {
    const { nodeId, image, leaderships, transfers, isEnabled } = this.#options;
    if (!isEnabled()) return;
    const wanted = transfersToPreferred(nodeId, image(), leaderships);
    while (wanted.length > 0 && !this.#isClosed) {
      const outcomes = await transfers.transfer(wanted.splice(0, togetherMax));
      // Something is in the way; the next look finds it again if it should.
      if (outcomes.every((outcome) => outcome !== 'transferred')) return;
    }
  }
}
