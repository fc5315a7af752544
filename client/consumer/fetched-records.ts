/**
 * The records of one partition in one answer. They stay compressed until they are asked for, one record batch after
 * the other, so that what is prefetched takes the room it took on the wire.
 *
 * Records of aborted transactions: the answer lists (producer, first offset) of those that touch it. From that offset
 * on, transactional batches of that producer are dropped until its abort marker. Control batches are never handed out.
 */
import { batchField, decodeBatch, verifyBatchCrc } from '../../protocol/index.ts';
import { KafkaError } from '../errors.ts';
import type { Message } from '../messages.ts';
import { messagesOf } from './message-decoder.ts';
import type { PartitionState } from './partition-state.ts';

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** Messages of consecutive batches, and where reading stands behind them. */
export interface DecodedMessages {
  readonly messages: Message[];
  /** The next offset to read: beyond the last message where control records or gaps follow. */
  readonly nextOffset: number;
}

const batchPrefixBytes = 12;
const batchHeaderBytes = 61;
/** Small batches are handed out together, up to about this many messages. */
const messagesTogether = 500;
const abortMarker = 0;

export class FetchedRecords {
  readonly #state: PartitionState;
  readonly #bytes: Buffer;
  readonly #isReadCommitted: boolean;
  readonly highWatermark: number;
  /** Where reading goes on behind the last complete batch. */
  readonly nextOffset: number;
  /** Complete batches end here; a cut one may follow. */
  readonly #end: number;
  #position = 0;
  /** Aborted transactions that begin behind what was read, by first offset. */
  readonly #aborted: AbortedTransaction[];
  /** Producers whose records are dropped right now. */
  readonly #aborting = new Set<number>();

  constructor(
    state: PartitionState,
    bytes: Buffer,
    answer: {
      readonly highWatermark: number;
      readonly abortedTransactions: readonly AbortedTransaction[] | null;
    },
    isReadCommitted: boolean,
  ) {
    this.#state = state;
    this.#bytes = bytes;
    this.#isReadCommitted = isReadCommitted;
    this.highWatermark = answer.highWatermark;
    this.#aborted = (answer.abortedTransactions ?? []).toSorted((a, b) => a.firstOffset - b.firstOffset);
    const { end, nextOffset } = findEnd(bytes, state.fetchOffset);
    this.#end = end;
    this.nextOffset = nextOffset;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  get isUsedUp(): boolean {
    return this.#position >= this.#end;
  }

  /** Whether there is a complete batch at all. */
  get isEmpty(): boolean {
    return this.#end === 0;
  }

  /** Decodes the next batches that hold messages from `from` on, below `endOffset`. Throws CORRUPT_MESSAGE. */
  decode(from: number, endOffset: number): DecodedMessages {
    const messages: Message[] = [];
    let nextOffset = from;
    while (!this.isUsedUp && messages.length < messagesTogether && nextOffset < endOffset) {
      const position = this.#position;
      const size = batchField.sizeBytes(this.#bytes, position);
      this.#position = position + size;
      const lastOffset = batchField.lastOffset(this.#bytes, position);
      if (lastOffset < from) continue;
      nextOffset = lastOffset + 1;
      if (!this.#isVisible(position, size, lastOffset)) continue;
      messagesOf(this.#state, this.#bytes.subarray(position, position + size), { from, endOffset }, messages);
    }
    if (nextOffset > endOffset) nextOffset = endOffset;
    return { messages, nextOffset };
  }

  #isVisible(position: number, size: number, lastOffset: number): boolean {
    const bytes = this.#bytes;
    if (bytes[position + 16] === 2 && !verifyBatchCrc(bytes, position))
      throw corrupt(this.#state, bytes, position);
    const attributes = batchField.attributes(bytes, position);
    const isControl = (attributes & 0x20) !== 0;
    if (!this.#isReadCommitted) return !isControl;
    while (this.#aborted.length > 0 && this.#aborted[0]!.firstOffset <= lastOffset) {
      this.#aborting.add(this.#aborted.shift()!.producerId);
    }
    const producerId = batchField.producerId(bytes, position);
    if (!isControl) return (attributes & 0x10) === 0 || !this.#aborting.has(producerId);
    if (this.#aborting.has(producerId) && isAbort(bytes.subarray(position, position + size))) {
      this.#aborting.delete(producerId);
    }
    return false;
  }
}

/** A control record's key is INT16 version, INT16 type. */
function isAbort(batch: Buffer): boolean {
  const key = decodeBatch(batch)[0]?.key;
  return key !== undefined && key !== null && key.length >= 4 && key.readInt16BE(2) === abortMarker;
}

function findEnd(bytes: Buffer, from: number): { end: number; nextOffset: number } {
  let end = 0;
  let nextOffset = from;
  while (bytes.length - end >= batchHeaderBytes) {
    const size = batchField.sizeBytes(bytes, end);
    if (size < batchPrefixBytes || size > bytes.length - end) break;
    nextOffset = Math.max(nextOffset, batchField.lastOffset(bytes, end) + 1);
    end += size;
  }
  return { end, nextOffset };
}

function corrupt(state: PartitionState, bytes: Buffer, position: number): KafkaError {
  const offset = batchField.baseOffset(bytes, position);
  return new KafkaError(
    'CORRUPT_MESSAGE',
    `The batch at offset ${offset} of ${state.name} does not match its checksum: it was damaged on the broker or on the way. Seek beyond it to go on.`,
    { retriable: false },
  );
}
