/**
 * The entries that came with a leader's message: whole batches, as the leader's log has them. All of it is checked here, before
 * consensus counts on a single entry: that they are whole and unharmed, follow each other, and are what the message says.
 */
import { assert } from '../../../platform/assert.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import { batchField, batchHeaderBytes, verifyBatchCrc } from '../../../protocol/index.ts';
import { isRaftOnly, readRaftOnly } from '../../log/raft-only.ts';
import type { PlacedRaftOnlyEntry } from '../../log/raft-only.ts';
import { encodeConfiguration } from '../../raft/configuration-codec.ts';
import type { Append } from '../../raft/messages.ts';

/** A batch at its place; its bytes are a part of the message's, in memory that belongs to whoever has the lease. */
export interface ReceivedBatch {
  readonly index: number;
  readonly batch: Buffer;
  /** Undefined for data. */
  readonly raftOnly: PlacedRaftOnlyEntry | undefined;
  readonly lease: Lease;
}

/** Undefined where they are not what the message says: then it is as good as lost. */
export function receivedBatches(
  message: Append,
  bytes: Buffer,
  lease: Lease = unpooled,
): readonly ReceivedBatch[] | undefined {
  const batches: ReceivedBatch[] = [];
  let index = message.fromIndex;
  let term = message.previousTerm;
  let offset: number | undefined;
  const terms = message.terms.values();
  const configurations = message.configurations.values();
  for (let position = 0; position < bytes.length;) {
    if (bytes.length - position < batchHeaderBytes) return undefined;
    const sizeBytes = batchField.sizeBytes(bytes, position);
    if (sizeBytes < batchHeaderBytes || position + sizeBytes > bytes.length) return undefined;
    const batch = bytes.subarray(position, position + sizeBytes);
    if (batchField.magic(batch) !== 2 || !verifyBatchCrc(batch)) return undefined;
    const baseOffset = batchField.baseOffset(batch);
    offset ??= baseOffset;
    if (baseOffset !== offset) return undefined;
    const raftOnly = isRaftOnly(batch, 0) ? readRaftOnly(batch, 0) : undefined;
    if (raftOnly === undefined) {
      const offsets = batchField.lastOffsetDelta(batch) + 1;
      if (offsets < 1 || batchField.leaderEpoch(batch) !== term) return undefined;
      batches.push({ index, batch, raftOnly, lease });
      index += offsets;
      offset += offsets;
    } else {
      if (raftOnly.index !== index) return undefined;
      if (raftOnly.kind === 'term-start') {
        const start = terms.next().value;
        if (start?.index !== index || start.term !== raftOnly.term) return undefined;
        term = raftOnly.term;
      } else if (raftOnly.kind === 'configuration') {
        const placed = configurations.next().value;
        if (placed?.index !== index) return undefined;
        if (!encodeConfiguration(placed.configuration).equals(raftOnly.payload)) return undefined;
      }
      if (raftOnly.term !== term) return undefined;
      batches.push({ index, batch, raftOnly, lease });
      index++;
    }
    position += sizeBytes;
  }
  const isComplete = index === message.endIndex && terms.next().done === true;
  return isComplete && configurations.next().done === true ? batches : undefined;
}

/**
 * How many indexes the batches of data in these parts take, which were read for this range of offsets; a batch may go from one part into
 * the next. Undefined where they are not whole batches that follow each other from its beginning on: the disk gives other bytes.
 */
export function indexesWithin(
  parts: readonly Buffer[],
  { offset, endOffset }: { readonly offset: number; readonly endOffset: number },
): number | undefined {
  let next = offset;
  let isSound = true;
  const walkedBytes = walkBatches(parts, (buffer, at) => {
    const offsets = batchField.lastOffsetDelta(buffer, at) + 1;
    isSound =
      batchField.sizeBytes(buffer, at) >= batchHeaderBytes &&
      batchField.baseOffset(buffer, at) === next &&
      offsets >= 1 &&
      next + offsets <= endOffset;
    next += offsets;
    return isSound;
  });
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  return isSound && walkedBytes === sizeBytes ? next - offset : undefined;
}

/** The parts without the batches of the first `indexes` indexes; undefined where no batch ends there. */
export function withoutFirst(parts: readonly Buffer[], indexes: number): Buffer[] | undefined {
  let left = indexes;
  let skippedBytes = walkBatches(parts, (buffer, at) => {
    if (left <= 0) return false;
    left -= indexesAt(buffer, at);
    return true;
  });
  if (left !== 0) return undefined;
  const rest: Buffer[] = [];
  for (const part of parts) {
    if (skippedBytes < part.length) rest.push(part.subarray(skippedBytes));
    skippedBytes = Math.max(0, skippedBytes - part.length);
  }
  return rest;
}

function indexesAt(buffer: Buffer, position: number): number {
  return isRaftOnly(buffer, position) ? 1 : batchField.lastOffsetDelta(buffer, position) + 1;
}

/** Visits each batch by its header until told to stop. Returns where it stopped, in bytes from the beginning of all parts. */
function walkBatches(parts: readonly Buffer[], visit: (buffer: Buffer, at: number) => boolean): number {
  let place = 0;
  let position = 0;
  let walkedBytes = 0;
  for (;;) {
    while (place < parts.length && position >= parts[place]!.length) position -= parts[place++]!.length;
    const part = parts[place];
    if (part === undefined) return walkedBytes;
    const isWhole = position + batchHeaderBytes <= part.length;
    const buffer = isWhole ? part : headerAcross(parts, place, position);
    const at = isWhole ? position : 0;
    if (!visit(buffer, at)) return walkedBytes;
    const sizeBytes = batchField.sizeBytes(buffer, at);
    assert(sizeBytes >= batchHeaderBytes, 'what a log reads are batches');
    position += sizeBytes;
    walkedBytes += sizeBytes;
  }
}

/** A header that goes from one part into the next. */
function headerAcross(parts: readonly Buffer[], place: number, position: number): Buffer {
  const header = Buffer.alloc(batchHeaderBytes);
  let filled = parts[place]!.copy(header, 0, position);
  for (let next = place + 1; next < parts.length && filled < batchHeaderBytes; next++) {
    filled += parts[next]!.copy(header, filled);
  }
  return header;
}
