/**
 * What a partition knows of its idempotent producers: each one's epoch and its last five batches, so that a batch that is
 * sent again is recognised and one that would leave a gap is refused. (record format: "producer state"; KIP-98, KIP-360.)
 *
 * It covers the appended tail, not only what is committed: a duplicate must be known before its first append is. It is
 * rebuilt from a snapshot and the batches after it. States expire by this broker's own time of their last append or
 * recovery, never by the batches' timestamps: a backfill of old events would lose its deduplication by those.
 */
import type { Clock } from '../../platform/clock.ts';
import { codec, crc32c, ProtocolError } from '../../protocol/index.ts';
import type { BatchHeader } from '../../protocol/index.ts';

export type ProducerVerdict =
  | { readonly kind: 'accept' }
  | {
      readonly kind: 'duplicate';
      readonly baseOffset: number;
      readonly lastOffset: number;
      /** The largest timestamp of the batch as it was appended. */
      readonly timestamp: number;
    }
  | { readonly kind: 'error'; readonly error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' | 'INVALID_PRODUCER_EPOCH' };

export interface ProducerStatesOptions {
  readonly clock: Clock;
  readonly expirationMs: () => number;
}

/** As many batches as a producer may have in flight. */
const batchesKept = 5;
const sequenceMax = 2 ** 31 - 1;

const accept: ProducerVerdict = { kind: 'accept' };
const outOfOrder: ProducerVerdict = { kind: 'error', error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' };
const oldEpoch: ProducerVerdict = { kind: 'error', error: 'INVALID_PRODUCER_EPOCH' };

/** One batch that was appended. */
interface KnownBatch {
  baseSequence: number;
  lastSequence: number;
  baseOffset: number;
  lastOffset: number;
  timestamp: number;
}

interface ProducerState {
  epoch: number;
  /** Oldest first; at most five; the objects are used again in turn. */
  readonly batches: KnownBatch[];
  /** On this broker's clock. */
  updatedMs: number;
}

export class ProducerStates {
  readonly #options: ProducerStatesOptions;
  readonly #producers = new Map<number, ProducerState>();

  constructor(options: ProducerStatesOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#producers.size;
  }

  /** Whether this batch may be appended next. A producer that nothing is known of may begin anywhere. */
  check(header: BatchHeader): ProducerVerdict {
    const state = this.#producers.get(header.producerId);
    if (state === undefined) return accept;
    if (header.producerEpoch < state.epoch) return oldEpoch;
    if (header.producerEpoch > state.epoch) return header.baseSequence === 0 ? accept : outOfOrder;
    const lastSequence = addSequence(header.baseSequence, header.lastOffsetDelta);
    for (const batch of state.batches) {
      if (batch.baseSequence !== header.baseSequence || batch.lastSequence !== lastSequence) continue;
      const { baseOffset, lastOffset, timestamp } = batch;
      return { kind: 'duplicate', baseOffset, lastOffset, timestamp };
    }
    const last = state.batches.at(-1);
    if (last === undefined || header.baseSequence === addSequence(last.lastSequence, 1)) return accept;
    return outOfOrder;
  }

  /** Notes a batch that the log took at `baseOffset`, or that is read back from it. */
  append(header: BatchHeader, baseOffset: number): void {
    let state = this.#producers.get(header.producerId);
    if (state === undefined) {
      state = { epoch: header.producerEpoch, batches: [], updatedMs: 0 };
      this.#producers.set(header.producerId, state);
    }
    if (header.producerEpoch !== state.epoch) {
      state.epoch = header.producerEpoch;
      state.batches.length = 0;
    }
    state.updatedMs = this.#options.clock.monotonicMs();
    const batch = state.batches.length < batchesKept ? emptyBatch() : state.batches.shift()!;
    batch.baseSequence = header.baseSequence;
    batch.lastSequence = addSequence(header.baseSequence, header.lastOffsetDelta);
    batch.baseOffset = baseOffset;
    batch.lastOffset = baseOffset + header.lastOffsetDelta;
    batch.timestamp = header.maxTimestamp;
    state.batches.push(batch);
  }

  /**
   * The last offset of each producer's last batch below `endOffset`, by producer id: compaction keeps that batch, for its
   * sequence. A later one may yet be lost with the tail that is not committed, and this is its last one then.
   */
  lastOffsets(endOffset: number): Map<number, number> {
    const offsets = new Map<number, number>();
    for (const [id, { batches }] of this.#producers) {
      const last = batches.findLast(({ lastOffset }) => lastOffset < endOffset);
      if (last !== undefined) offsets.set(id, last.lastOffset);
    }
    return offsets;
  }

  /** Forgets producers that have not written for `producer.id.expiration.ms`. */
  expire(): void {
    const oldestMs = this.#options.clock.monotonicMs() - this.#options.expirationMs();
    for (const [id, state] of this.#producers) if (state.updatedMs < oldestMs) this.#producers.delete(id);
  }

  /**
   * All states in the format of Kafka's `.snapshot` files. Kafka keeps each producer's last batch; here each of its batches
   * is an entry, oldest first, so that none of five in flight is unknown after a restart. Kafka's reader takes the last.
   */
  snapshot(): Buffer {
    const producerEntries = [...this.#producers].flatMap(([producerId, { epoch, batches }]) =>
      batches.map(({ lastSequence, lastOffset, baseOffset, timestamp }) => ({
        producerId,
        epoch,
        lastSequence,
        lastOffset,
        offsetDelta: lastOffset - baseOffset,
        timestamp,
        coordinatorEpoch: -1,
        currentTxnFirstOffset: -1,
      })),
    );
    const bytes = snapshotCodec().encode({ crc: 0, producerEntries });
    const file = Buffer.alloc(versionBytes + bytes.length);
    file.writeInt16BE(snapshotVersion, 0);
    bytes.copy(file, versionBytes);
    file.writeUInt32BE(crc32c(file.subarray(versionBytes + crcBytes)), versionBytes);
    return file;
  }

  /** Undefined where the bytes are damaged or of another version: the log itself then tells everything. */
  static restore(file: Buffer, options: ProducerStatesOptions): ProducerStates | undefined {
    if (file.length < versionBytes + crcBytes || file.readInt16BE(0) !== snapshotVersion) return undefined;
    if (file.readUInt32BE(versionBytes) !== crc32c(file.subarray(versionBytes + crcBytes))) return undefined;
    const states = new ProducerStates(options);
    const updatedMs = options.clock.monotonicMs();
    try {
      for (const entry of snapshotCodec().decode(file.subarray(versionBytes)).producerEntries) {
        const { producerId, epoch, lastSequence, lastOffset, offsetDelta, timestamp } = entry;
        const baseSequence = subtractSequence(lastSequence, offsetDelta);
        const batch = {
          baseSequence,
          lastSequence,
          baseOffset: lastOffset - offsetDelta,
          lastOffset,
          timestamp,
        };
        const known = states.#producers.get(producerId);
        if (known === undefined) states.#producers.set(producerId, { epoch, batches: [batch], updatedMs });
        else known.batches.push(batch);
      }
    } catch (error) {
      if (error instanceof ProtocolError) return undefined;
      throw error;
    }
    return states;
  }
}

const snapshotVersion = 1;
const versionBytes = 2;
const crcBytes = 4;

function snapshotCodec(): ReturnType<typeof codec<'ProducerSnapshot'>> {
  return codec('ProducerSnapshot', snapshotVersion);
}

function emptyBatch(): KnownBatch {
  return { baseSequence: 0, lastSequence: 0, baseOffset: 0, lastOffset: 0, timestamp: 0 };
}

/** After 2^31 - 1 comes 0. */
function addSequence(sequence: number, increment: number): number {
  const sum = sequence + increment;
  return sum > sequenceMax ? sum - sequenceMax - 1 : sum;
}

function subtractSequence(sequence: number, decrement: number): number {
  const difference = sequence - decrement;
  return difference < 0 ? difference + sequenceMax + 1 : difference;
}
