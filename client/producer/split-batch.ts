/** Cuts a batch that the broker found too large in two; the parts keep the records' order, and the sequences if there are any. */
import { decodeBatch } from '../../protocol/index.ts';
import { recordBytesBound } from './content.ts';
import type { ProducerBatch } from './producer-batch.ts';
import type { Delivery } from './settlement.ts';

export interface SplitBatch {
  readonly parts: readonly ProducerBatch[];
  /** By the record's index in the batch that was cut. */
  readonly deliveries: readonly Delivery[];
}

/** `newBatch` makes an empty batch at a place in the partition's order. */
export function splitBatch(batch: ProducerBatch, newBatch: (order: number) => ProducerBatch): SplitBatch {
  const records = decodeBatch(batch.bytes());
  const middle = Math.ceil(records.length / 2);
  const spans = [records.slice(0, middle), records.slice(middle)];
  const deliveries: Delivery[] = [];
  const parts = spans.map((span, index) => {
    const part = newBatch(batch.order + (index * batch.orderSpan) / 2);
    part.orderSpan = batch.orderSpan / 2;
    for (const record of span) deliveries.push(part.tryAppend(record, recordBytesBound(record))!);
    return part;
  });
  return { parts, deliveries };
}
