/**
 * The batches of one partition, oldest first, and, for the idempotent producer, their numbering.
 *
 * Invariants: batches are sent in order; at most `inFlightMax` are unanswered; a batch that was sent keeps identity,
 * sequence and bytes until the broker has said that it did not append it; while a retry waits, nothing newer is
 * sent. So the log gets every batch once and in order, whatever happens to the answers.
 *
 * Renewal: when a batch was given up, or the broker lost the producer's state, the numbers have a gap that no retry
 * closes. The queue then waits until nothing is in flight, settles the batches whose fate is unknown by sending them
 * as they are (they are acknowledged, or refused because of the gap), and numbers the rest from 0 under a new identity.
 */
import { assert } from '../../platform/assert.ts';
import type { KafkaError } from '../errors.ts';
import type { Identity, ProducerBatch } from './producer-batch.ts';

export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  readonly #inFlightMax: number;
  /** Takes records; the last in order. */
  open: ProducerBatch | undefined;
  /** Closed or to be sent again, in order. */
  readonly waiting: ProducerBatch[] = [];
  /** Sent and unanswered, in order. */
  readonly inFlight: ProducerBatch[] = [];
  /** The broker that the batches in flight went to, as leader of this epoch: nothing goes elsewhere before they are answered or given up. */
  inFlightNode = -1;
  inFlightEpoch = -1;
  /** Nothing is sent before this time. */
  retryAtMs = 0;
  /** Failures since the last success. */
  failures = 0;
  /** Why the last attempt failed; undefined after a success. */
  lastError: KafkaError | undefined;
  #nextOrder = 0;
  #identity: Identity | undefined;
  #nextSequence = 0;
  #needsIdentity = true;
  /** Numbered, and no batch of this numbering was acknowledged yet. */
  #needsProof = false;

  constructor(topic: string, partition: number, inFlightMax: number) {
    this.topic = topic;
    this.partition = partition;
    this.#inFlightMax = inFlightMax;
  }

  get isIdle(): boolean {
    return this.open === undefined && this.waiting.length === 0 && this.inFlight.length === 0;
  }

  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Bytes that wait or are in flight, before compression. */
  get queuedBytes(): number {
    let bytes = this.open?.sizeBytes ?? 0;
    for (const batch of this.waiting) bytes += batch.bufferedBytes;
    for (const batch of this.inFlight) bytes += batch.bufferedBytes;
    return bytes;
  }

  /** When the oldest sending was that is not answered; Infinity where none is. */
  get unansweredSinceMs(): number {
    let sinceMs = Infinity;
    for (const { sentAtMs } of this.inFlight) if (sentAtMs < sinceMs) sinceMs = sentAtMs;
    return sinceMs;
  }

  takeOrder(): number {
    return this.#nextOrder++;
  }

  /** Closes the open batch, which then waits to be sent. */
  closeOpen(): void {
    if (this.open === undefined) return;
    this.waiting.push(this.open);
    this.open = undefined;
  }

  /** Whether the oldest waiting batch may be sent now as it is, or as soon as it has a number. */
  get maySend(): boolean {
    const head = this.waiting[0];
    if (head === undefined) return false;
    const oldest = this.inFlight[0];
    // A retry goes only when it is the oldest of all that is undecided; then what was sent behind it is being refused.
    if (head.attempts > 0) return oldest === undefined || (head.order < oldest.order && head.hasSequence);
    if (oldest === undefined) return true;
    // A broker that knows nothing of an identity takes any sequence from it. So until one batch is acknowledged, and
    // while a retry is under way, a batch travels alone: otherwise the second could be taken, and the first be lost.
    if (head.hasSequence || this.#needsProof || this.inFlight.some((batch) => batch.attempts > 1))
      return false;
    return this.inFlight.length < this.#inFlightMax;
  }

  /**
   * Whether the head needs a new numbering: 'due' where nothing stands in the way of it, 'blocked' while batches are in
   * flight. A head whose fate is unknown needs none: it is sent again as it is.
   */
  get renewal(): 'none' | 'blocked' | 'due' {
    const head = this.waiting[0];
    if (!this.#needsIdentity || head === undefined || (head.hasSequence && !head.isRejected)) return 'none';
    return this.inFlight.length > 0 ? 'blocked' : 'due';
  }

  /** The numbering has a gap, or the broker does not know it any more. */
  requireRenewal(): void {
    this.#needsIdentity = true;
  }

  /** Starts the numbering anew: all that waits is numbered when it is next sent. */
  renew(identity: Identity): void {
    assert(this.renewal === 'due', 'a numbering starts anew only when no batch of the old one is undecided');
    this.#identity = identity;
    this.#nextSequence = 0;
    this.#needsIdentity = false;
    this.#needsProof = true;
    for (const batch of this.waiting) if (batch.hasSequence) this.#number(batch);
  }

  /** Takes the head for sending; it counts as in flight from here on. */
  take(isNumbered: boolean): ProducerBatch {
    const batch = this.waiting.shift();
    assert(batch !== undefined, 'a batch is taken only where one waits');
    if (isNumbered && !batch.hasSequence) this.#number(batch);
    batch.attempts++;
    batch.isRejected = false;
    insert(this.inFlight, batch);
    return batch;
  }

  /** The batch is no longer in flight. */
  land(batch: ProducerBatch): void {
    const index = this.inFlight.indexOf(batch);
    assert(index >= 0, 'only a batch in flight can land');
    this.inFlight.splice(index, 1);
  }

  /** A batch was acknowledged: the broker knows the numbering. */
  onAcknowledged(): void {
    this.failures = 0;
    this.lastError = undefined;
    this.#needsProof = false;
  }

  /** Puts a batch that landed back in its place. */
  requeue(batch: ProducerBatch): void {
    insert(this.waiting, batch);
  }

  /** Replaces a batch that landed by parts of it, which take its place and share out its sequences. */
  replace(batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
    let sequence = batch.sequence;
    for (const part of parts) {
      if (batch.identity !== undefined) {
        part.number(batch.identity, sequence);
        sequence = part.nextSequence;
      }
    }
    const index = this.waiting.findIndex((other) => other.order > batch.order);
    this.waiting.splice(index < 0 ? this.waiting.length : index, 0, ...parts);
  }

  /** Whether the batch is older than all others that are undecided. */
  isOldest(batch: ProducerBatch): boolean {
    const others = [this.inFlight[0], this.waiting[0]];
    const isYounger = (other: ProducerBatch): boolean =>
      other === batch || !other.hasSequence || other.order > batch.order;
    return others.every((other) => other === undefined || isYounger(other));
  }

  #number(batch: ProducerBatch): void {
    assert(this.#identity !== undefined, 'a batch is numbered under an identity');
    batch.number(this.#identity, this.#nextSequence);
    this.#nextSequence = batch.nextSequence;
  }
}

function insert(list: ProducerBatch[], batch: ProducerBatch): void {
  let index = list.length;
  while (index > 0 && list[index - 1]!.order > batch.order) index--;
  list.splice(index, 0, batch);
}
