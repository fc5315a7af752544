/**
 * Records on their way to one partition. Open while records are added; closed and built when first sent; sent again,
 * byte for byte, until its fate is known, so that the broker can tell a retry from new data.
 */
import {
  BatchBuilder,
  setProducerState,
  type CompressionCodec,
  type NewRecord,
} from '../../protocol/index.ts';
import { Delivery, type Settlement } from './settlement.ts';

export interface BatchFormat {
  readonly compression: CompressionCodec;
  readonly compressionLevel: number | undefined;
  /** Before compression. */
  readonly batchBytes: number;
}

/** Who the broker takes the producer for. */
export interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

const noSequence = -1;

export class ProducerBatch {
  readonly settlement: Settlement;
  readonly createdAtMs: number;
  /** Place in its partition's order; grows by one with each batch, stays through retries, and has fractions for parts. */
  readonly order: number;
  readonly #builder: BatchBuilder;
  #bytes: Buffer | undefined;
  #sequence = noSequence;
  #identity: Identity | undefined;
  /** What its records count for in the producer's buffer. */
  bufferedBytes = 0;
  recordCount = 0;
  /** How much of the partition's order is its own: parts of it find their places within. */
  orderSpan = 1;
  /** Times it was sent, and when it was last. */
  attempts = 0;
  sentAtMs = 0;
  /** The broker has said that it did not append the batch when it was last sent: it may take another sequence. */
  isRejected = false;

  constructor(settlement: Settlement, order: number, createdAtMs: number, format: BatchFormat) {
    this.settlement = settlement;
    this.order = order;
    this.createdAtMs = createdAtMs;
    this.#builder = new BatchBuilder({
      compression: format.compression,
      ...(format.compressionLevel === undefined ? {} : { compressionLevel: format.compressionLevel }),
      sizeBytesMax: format.batchBytes,
    });
  }

  /** Adds a record if there is room; the first one always fits. */
  tryAppend(record: NewRecord, bufferedBytes: number): Delivery | undefined {
    if (!this.#builder.tryAppend(record)) return undefined;
    this.bufferedBytes += bufferedBytes;
    return new Delivery(this.settlement, this.recordCount++, record.timestamp);
  }

  /** Bytes so far, before compression. */
  get sizeBytes(): number {
    return this.#builder.estimatedSizeBytes;
  }

  get hasSequence(): boolean {
    return this.#sequence !== noSequence;
  }

  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** The first record's sequence. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The sequence that follows this batch's last one; after 2^31 - 1 comes 0. */
  get nextSequence(): number {
    return (this.#sequence + this.recordCount) % 2 ** 31;
  }

  /** Numbers the batch for the idempotent producer; again only after it was rejected. */
  number(identity: Identity, sequence: number): void {
    this.#identity = identity;
    this.#sequence = sequence;
    this.isRejected = false;
    if (this.#bytes !== undefined) setProducerState(this.#bytes, 0, { ...identity, baseSequence: sequence });
  }

  /** The batch as it goes over the wire; built at the first call. */
  bytes(): Buffer {
    const identity = this.#identity;
    this.#bytes ??= this.#builder.build(
      identity === undefined ? {} : { ...identity, baseSequence: this.#sequence },
    );
    return this.#bytes;
  }
}
