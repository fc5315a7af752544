/**
 * Which partition a record goes to. With a key: Kafka's murmur2, over all partitions, so that every client agrees.
 * Without one: whole batches go to one partition at a time (KIP-794), which makes batches large and, over time, the
 * shares even; the next partition is drawn with weights that favour those with little queued.
 */
import { murmur2 } from '../../protocol/index.ts';
import type { Random } from '../../platform/random.ts';

/** A partition is left at the end of a batch when this much has gone to it. */
const stickyBytes = 16 * 1024;

export function partitionOfKey(key: Buffer, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}

/** What the choice depends on; bytes queued matter only in relation to one another. */
export interface PartitionLoad {
  readonly partition: number;
  readonly hasLeader: boolean;
  readonly queuedBytes: number;
}

export class StickyPartitioner {
  readonly #random: Random;
  readonly #bytesMax: number;
  #current = -1;
  #bytes = 0;

  /** `batchBytes`: after twice this much the partition is left even in the middle of a batch. */
  constructor(random: Random, batchBytes: number) {
    this.#random = random;
    this.#bytesMax = 2 * Math.max(batchBytes, stickyBytes);
  }

  /** The partition for a record of the given size. `loads` is called only when a new one is drawn. */
  choose(recordBytes: number, loads: () => readonly PartitionLoad[]): number {
    if (this.#current < 0 || this.#bytes >= this.#bytesMax) {
      this.#current = draw(this.#random, loads());
      this.#bytes = 0;
    }
    this.#bytes += recordBytes;
    return this.#current;
  }

  /** A batch of the partition is complete: the moment to move on, when enough has gone there. */
  onBatchComplete(partition: number): void {
    if (partition === this.#current && this.#bytes >= stickyBytes) this.#current = -1;
  }
}

/** Partitions without a leader are left out, unless there is none with one. */
export function draw(random: Random, loads: readonly PartitionLoad[]): number {
  const led = loads.filter((load) => load.hasLeader);
  const open = led.length > 0 ? led : loads;
  const most = Math.max(...open.map((load) => load.queuedBytes));
  // Whole batches would do as a unit too; kibibytes keep the sum far below 2^32.
  const weights = open.map((load) => Math.floor((most - load.queuedBytes) / 1024) + 1);
  let ticket = random.below(weights.reduce((sum, weight) => sum + weight, 0));
  for (let index = 0; index < open.length; index++) {
    ticket -= weights[index]!;
    if (ticket < 0) return open[index]!.partition;
  }
  return open.at(-1)!.partition;
}
