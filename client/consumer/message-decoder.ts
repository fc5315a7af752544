/** Turns a record batch into messages. */
import { batchField, decodeBatch, type RecordHeader } from '../../protocol/index.ts';
import { toKafkaError } from '../errors.ts';
import type { Header, Message, TopicPartition } from '../messages.ts';

const noHeaders: readonly Header[] = [];

export interface OffsetRange {
  readonly from: number;
  readonly endOffset: number;
}

/** Appends the batch's messages within the range to `into`. Throws BAD_RESPONSE for a batch that cannot be read. */
export function messagesOf(at: TopicPartition, batch: Buffer, range: OffsetRange, into: Message[]): void {
  const { topic, partition } = at;
  const { from, endOffset } = range;
  const leaderEpoch = batchField.leaderEpoch(batch, 0);
  for (const { offset, timestamp, key, value, headers } of decode(at, batch)) {
    if (offset < from || offset >= endOffset) continue;
    into.push({ topic, partition, offset, timestamp, key, value, headers: toPairs(headers), leaderEpoch });
  }
}

function decode(at: TopicPartition, batch: Buffer): ReturnType<typeof decodeBatch> {
  try {
    return decodeBatch(batch);
  } catch (error) {
    const offset = batchField.baseOffset(batch, 0);
    throw toKafkaError(error, `read the batch at offset ${offset} of ${at.topic}-${at.partition}`);
  }
}

function toPairs(headers: readonly RecordHeader[]): readonly Header[] {
  if (headers.length === 0) return noHeaders;
  return headers.map(({ key, value }): Header => [key, value]);
}
