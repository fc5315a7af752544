/**
 * Goes over the batches of a segment for their headers, and relies on none: what a recovery point vouches for has not been read since
 * it was written, and may have rotted. Each batch is checked by its CRC and by its place among the others.
 */
import { batchField, verifyBatchCrc } from '../../../protocol/index.ts';
import type { ScanEnd, ScannedBatch, Visit } from './batch-scan.ts';
import { OrderCheck } from '../recovery/order-check.ts';
import type { PositionTable } from '../segments/position-table.ts';
import type { Segment } from '../segments/segment.ts';

/** Bytes of a log, once durable, are not as they were written. What is before them is as it should be. */
export class DamagedSegment extends Error {
  readonly segmentBaseOffset: number;
  readonly file: string;
  readonly position: number;

  constructor(segment: Segment, position: number, reason: string) {
    super(`${segment.path} is damaged at byte ${position}: ${reason}.`);
    this.name = 'DamagedSegment';
    this.segmentBaseOffset = segment.baseOffset;
    this.file = segment.path;
    this.position = position;
  }
}

/** Calls `visit` for each batch from a position on, which is a batch's border. Throws a DamagedSegment. */
export async function scanSound(
  {
    segment,
    from,
    table,
  }: { readonly segment: Segment; readonly from: number; readonly table: PositionTable },
  walk: (visit: Visit) => Promise<ScanEnd>,
  visit: (batch: ScannedBatch) => void,
): Promise<void> {
  let order: OrderCheck | undefined;
  const { position, fault } = await walk((batch) => {
    if (segment.isRemoved) return 'stop';
    order ??= orderOf(segment, table, from === 0 ? segment.baseOffset : baseOffsetOf(batch));
    const reason = verifyBatchCrc(batch.buffer, batch.at)
      ? order.take(batch)
      : 'the CRC does not fit the batch';
    if (reason === undefined) visit(batch);
    return reason;
  });
  if (segment.isRemoved) return;
  const reason = fault ?? order?.endSegment();
  if (reason !== undefined) throw new DamagedSegment(segment, position, reason);
}

function orderOf(segment: Segment, table: PositionTable, offset: number): OrderCheck {
  const firstOwn = table.raftOnlyEntries[0]?.index ?? Infinity;
  // Where nothing says that Kafka did not write it, and within a cleaned segment, there may be gaps.
  const isWithin = offset > segment.baseOffset;
  const mayLeaveGaps = firstOwn >= segment.startIndex || (isWithin && segment.isCleaned);
  const order = new OrderCheck({ writer: mayLeaveGaps ? 'kafka' : 'kappalog', table }, { offset });
  if (!isWithin) order.beginSegment(segment.baseOffset);
  return order;
}

function baseOffsetOf({ buffer, at }: ScannedBatch): number {
  return batchField.baseOffset(buffer, at);
}
