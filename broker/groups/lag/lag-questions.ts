/**
 * What the coordinator of a group asks the leaders of the partitions that the group reads: where each log begins and ends, and when the
 * first record was written that is left to read (docs/internal-protocol.md, "group-lag").
 */
import { decodeBatch, readBatchHeader } from '../../../protocol/index.ts';

/** The kind of the question. */
export const lagKind = 'group-lag';
/** The most partitions of one question. */
export const askedPartitionsMax = 1_000;

/** Topic, its id, partition, committed offset, and whether the time of the first record there is wanted. */
export type AskedPartition = readonly [
  topic: string,
  topicId: string,
  partition: number,
  committed: number,
  wantsTime: boolean,
];

/** Start, end, and the timestamp (ms) of the first record at or after the committed offset, null where none is known or wanted; a string: why not. */
export type FoundPartition = readonly [start: number, end: number, timestampMs: number | null] | string;

/** What of a replica is asked. */
export interface LaggedReplica {
  readonly identity: { readonly topicId: string };
  readonly isLeader: boolean;
  readonly ready: boolean;
  readonly failed: boolean;
  readonly logStartOffset: number;
  readonly lastStableOffset: number;
  read(offset: number, maxBytes: number, minOneBatch: boolean): LogRead | Promise<LogRead>;
}

interface LogRead {
  readonly parts: readonly Buffer[];
  release(): void;
}

/** Batches without a record that is left, in a compacted log, are passed over, but not for ever. */
const batchesMax = 8;

/** One after the other: a reader of history must not be held up by questions about it. */
export async function findLags(
  asked: readonly AskedPartition[],
  replica: (topic: string, partition: number) => LaggedReplica | undefined,
): Promise<FoundPartition[]> {
  const found: FoundPartition[] = [];
  for (const [topic, topicId, partition, committed, wantsTime] of asked) {
    const at = replica(topic, partition);
    if (at === undefined || at.identity.topicId !== topicId || !at.isLeader)
      found.push('the node does not lead it');
    else if (at.failed || !at.ready) found.push('its leader is not ready');
    else found.push(await find(at, committed, wantsTime));
  }
  return found;
}

async function find(replica: LaggedReplica, committed: number, wantsTime: boolean): Promise<FoundPartition> {
  const { logStartOffset: start, lastStableOffset: end } = replica;
  const first = Math.max(start, committed);
  const timestampMs = wantsTime && first < end ? await timestampAt(replica, first, end) : null;
  return [start, end, timestampMs];
}

async function timestampAt(replica: LaggedReplica, first: number, end: number): Promise<number | null> {
  let offset = first;
  for (let batches = 0; batches < batchesMax && offset < end; batches++) {
    const read = await replica.read(offset, 1, true);
    try {
      const [batch] = read.parts;
      if (batch === undefined) return null;
      const bytes = read.parts.length === 1 ? batch : Buffer.concat(read.parts);
      const { isControl, lastOffset } = readBatchHeader(bytes);
      for (const record of isControl ? [] : decodeBatch(bytes)) {
        if (record.offset >= offset) return record.timestamp < 0 ? null : record.timestamp;
      }
      offset = lastOffset + 1;
    } finally {
      read.release();
    }
  }
  return null;
}
