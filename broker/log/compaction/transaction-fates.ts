/**
 * Follows transactions through a log from one batch to the next, and says which batches were aborted and which markers nobody
 * needs any more. A marker is needed while a batch of its transaction is in the log: a batch that this very pass
 * takes out still counts, as a consumer may have read it and wait for the marker.
 *
 * Made for one pass over a log, from its first segment on, or from where the index of keys begins.
 */
import { ProtocolError } from '../../../protocol/index.ts';
import type { AbortedTransaction } from '../segments/aborted-transactions.ts';

interface OpenAbort {
  readonly transaction: AbortedTransaction;
  hasBatches: boolean;
}

export interface MarkerFate {
  /** No batch of its transaction has been met. */
  readonly isUnneeded: boolean;
  /** The entry of the index of aborted transactions that has to stay with the marker. */
  readonly aborted: AbortedTransaction | undefined;
}

const needed: MarkerFate = { isUnneeded: false, aborted: undefined };
const unneeded: MarkerFate = { isUnneeded: true, aborted: undefined };

export class TransactionFates {
  /** By first offset. */
  readonly #aborted: readonly AbortedTransaction[];
  #next = 0;
  /** By producer id. */
  readonly #openAborts = new Map<number, OpenAbort>();
  /** Producers with batches of a transaction that was not aborted. */
  readonly #committing = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#aborted = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Takes a data batch of a transaction; whether that was aborted. */
  isAborted(producerId: number, lastOffset: number): boolean {
    this.#openUpTo(lastOffset);
    const open = this.#openAborts.get(producerId);
    // What follows the abort's marker belongs to another transaction, wherever that marker has gone.
    if (open === undefined || open.transaction.lastOffset < lastOffset) {
      this.#committing.add(producerId);
      return false;
    }
    open.hasBatches = true;
    return true;
  }

  /**
   * Takes the marker that ends a producer's transaction. Throws a ProtocolError where it aborts one that the index of aborted
   * transactions does not know: what it wrote would be taken for the latest values of its keys.
   */
  end(type: 'ABORT' | 'COMMIT', producerId: number, lastOffset: number): MarkerFate {
    this.#openUpTo(lastOffset);
    if (type === 'COMMIT') return this.#committing.delete(producerId) ? needed : unneeded;
    const open = this.#openAborts.get(producerId);
    if (open === undefined && this.#committing.has(producerId))
      throw new ProtocolError('bad-batch', 'the transaction that this marker aborts is not in the index');
    if (open !== undefined && open.transaction.lastOffset <= lastOffset) this.#openAborts.delete(producerId);
    return open?.hasBatches === true ? { isUnneeded: false, aborted: open.transaction } : unneeded;
  }

  #openUpTo(offset: number): void {
    for (; this.#next < this.#aborted.length; this.#next++) {
      const transaction = this.#aborted[this.#next]!;
      if (transaction.firstOffset > offset) return;
      this.#openAborts.set(transaction.producerId, { transaction, hasBatches: false });
    }
  }
}
