/**
 * The image on this node, and who waits for it to get somewhere or to hear of changes. The only place that changes it, by what
 * is committed alone.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { differences } from './image-differences.ts';
import { MetadataImage } from './metadata-image.ts';
import type { MetadataChange } from './metadata-image.ts';
import type { CommittedRecords } from './metadata-log.ts';
import { decodeMetadataRecord } from './metadata-record.ts';

/** Told of the changes of one operation together, when the image holds them all. It must not throw. */
export type ChangesListener = (changes: readonly MetadataChange[]) => void;

interface Waiter {
  readonly endOffset: number;
  readonly timer: Timer | undefined;
  settle(isReached: boolean): void;
}

export class AppliedMetadata {
  readonly #clock: Clock;
  #image = new MetadataImage();
  readonly #listeners: ChangesListener[] = [];
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be read afresh after each `await`; a snapshot replaces it whole. */
  get image(): MetadataImage {
    return this.#image;
  }

  /** Listeners are told in the order in which they came. */
  onChanges(listener: ChangesListener): void {
    this.#listeners.push(listener);
  }

  /** Throws where a record is not of a kind known here: a node of that age cannot go on. */
  apply({ records, endOffset }: CommittedRecords): void {
    const changes = records.map((record) => this.#image.apply(decodeMetadataRecord(record)));
    this.#tell(changes, endOffset);
  }

  /** Puts the image of a snapshot in the place of the present one; listeners hear what is different. */
  install({ records, endOffset }: CommittedRecords): void {
    const before = this.#image;
    const decoded = records.map((record) => decodeMetadataRecord(record));
    this.#image = MetadataImage.fromSnapshot(decoded, endOffset);
    this.#tell(differences(before, this.#image), endOffset);
  }

  /** Whether the image gets so far within this time; without a time it is waited for until the node stops. */
  whenReached(endOffset: number, timeoutMs?: number): Promise<boolean> {
    if (this.#image.endOffset >= endOffset) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (isReached: boolean): void => {
        waiter.timer?.cancel();
        this.#waiters.delete(waiter);
        resolve(isReached);
      };
      const timer = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, () => settle(false));
      const waiter: Waiter = { endOffset, timer, settle };
      this.#waiters.add(waiter);
    });
  }

  /** Nobody waits any more. */
  close(): void {
    for (const waiter of this.#waiters) waiter.settle(false);
  }

  #tell(changes: readonly MetadataChange[], endOffset: number): void {
    for (const listener of this.#listeners) listener(changes);
    for (const waiter of this.#waiters) if (waiter.endOffset <= endOffset) waiter.settle(true);
  }
}
