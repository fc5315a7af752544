/** What a log should hold after a cleaning, worked out in the plainest way from batches as objects. */
import type { AbortedTransaction } from '../../../../broker/log/segments/aborted-transactions.ts';
import type { CleanerLimits } from '../../../../broker/log/compaction/cleanable-log.ts';
import { isCleanedHeader } from '../../../../broker/log/segments/cleaned-header.ts';
import { isRaftOnly } from '../../../../broker/log/raft-only.ts';
import {
  decodeBatch,
  decodeControlRecord,
  iterateBatches,
  verifyBatchCrc,
} from '../../../../protocol/index.ts';

export interface PlainRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: string;
}

export interface PlainBatch {
  readonly kind: 'raft-only' | 'data' | 'ABORT' | 'COMMIT' | 'empty-control';
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly producer: string;
  readonly producerId: number;
  readonly isTransactional: boolean;
  readonly compression: string;
  readonly horizonMs: number | undefined;
  /** -1 where the batch has been emptied, as its time is then only that of its header. */
  readonly maxTimestamp: number;
  readonly records: readonly PlainRecord[];
}

/** The batches of a segment file without the header of a cleaned one; every CRC is checked. */
export function plainBatches(bytes: Buffer): PlainBatch[] {
  const batches: PlainBatch[] = [];
  for (const { header, bytes: batch } of iterateBatches(bytes)) {
    if (!verifyBatchCrc(batch)) throw new Error(`the batch at offset ${header.baseOffset} has a wrong CRC`);
    if (isCleanedHeader(batch, 0)) continue;
    const records = isRaftOnly(batch, 0) ? [] : decodeBatch(batch);
    let kind: PlainBatch['kind'] = 'data';
    if (isRaftOnly(batch, 0)) kind = 'raft-only';
    else if (header.isControl && records.length === 0) kind = 'empty-control';
    else if (header.isControl) kind = decodeControlRecord(records[0]!).type === 'ABORT' ? 'ABORT' : 'COMMIT';
    batches.push({
      kind,
      baseOffset: header.baseOffset,
      lastOffset: header.lastOffset,
      producer: `${header.producerId}/${header.producerEpoch}/${header.baseSequence}/${header.partitionLeaderEpoch}`,
      producerId: header.producerId,
      isTransactional: header.isTransactional,
      compression: header.compression,
      horizonMs: header.hasDeleteHorizon ? header.baseTimestamp : undefined,
      maxTimestamp: records.length === 0 ? -1 : header.maxTimestamp,
      records: records.map((record) => ({
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key?.toString(),
        value: record.value?.toString(),
        headers: record.headers.map(({ key, value }) => `${key}=${value?.toString() ?? 'null'}`).join(),
      })),
    });
  }
  return batches;
}

export interface ModelCleaning {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly limits: CleanerLimits;
}

/** `batches`: all of the log below the cleaning's end. */
export function modelClean(batches: readonly PlainBatch[], cleaning: ModelCleaning): PlainBatch[] {
  const { startOffset, aborted } = cleaning;
  const isAborted = (batch: PlainBatch): boolean =>
    batch.kind === 'data' &&
    batch.isTransactional &&
    aborted.some(
      ({ producerId, firstOffset, lastOffset }) =>
        producerId === batch.producerId && firstOffset <= batch.lastOffset && batch.lastOffset < lastOffset,
    );
  const latest = new Map<string, number>();
  for (const batch of batches) {
    if (batch.kind !== 'data' || isAborted(batch)) continue;
    for (const { key, offset } of batch.records) {
      if (key !== undefined && offset >= startOffset) latest.set(key, offset);
    }
  }
  return batches.flatMap((batch, place) => {
    if (batch.kind === 'raft-only') return [batch];
    if (batch.kind === 'ABORT' || batch.kind === 'COMMIT') {
      return modelMarker(batch, hasBatches(batches, place), cleaning);
    }
    const records = isAborted(batch)
      ? []
      : batch.records.filter(({ key, value, offset }) => {
          if (key === undefined) return false;
          if (value === undefined && batch.horizonMs !== undefined && batch.horizonMs <= cleaning.nowMs)
            return false;
          return offset >= (latest.get(key) ?? -1);
        });
    if (records.length === 0) return modelEmpty(batch, cleaning);
    const hasTombstones = records.some(({ value }) => value === undefined);
    const newHorizonMs = hasTombstones ? cleaning.nowMs + cleaning.deleteRetentionMs : undefined;
    const maxTimestamp = Math.max(...records.map(({ timestamp }) => timestamp));
    return [{ ...batch, records, maxTimestamp, horizonMs: batch.horizonMs ?? newHorizonMs }];
  });
}

/** Whether data of the transaction that the marker at `place` ends stands before it. */
function hasBatches(batches: readonly PlainBatch[], place: number): boolean {
  const { producerId } = batches[place]!;
  for (let before = place - 1; before >= 0; before--) {
    const batch = batches[before]!;
    if (batch.producerId !== producerId || !batch.isTransactional) continue;
    return batch.kind === 'data';
  }
  return false;
}

function modelMarker(marker: PlainBatch, isNeeded: boolean, cleaning: ModelCleaning): PlainBatch[] {
  if (isNeeded) return [marker];
  if (marker.horizonMs !== undefined && marker.horizonMs <= cleaning.nowMs)
    return modelEmpty(marker, cleaning);
  return [{ ...marker, horizonMs: marker.horizonMs ?? cleaning.nowMs + cleaning.deleteRetentionMs }];
}

function modelEmpty(batch: PlainBatch, { limits, endOffset }: ModelCleaning): PlainBatch[] {
  const stays =
    batch.lastOffset + 1 === endOffset ||
    limits.lastOffsetsOfProducers.get(batch.producerId) === batch.lastOffset;
  const kind = batch.kind === 'data' ? 'data' : 'empty-control';
  const emptied = { compression: 'none', horizonMs: undefined, maxTimestamp: -1, records: [] };
  return stays ? [{ ...batch, kind, ...emptied }] : [];
}
