/**
 * Batches and records in the words of Kafka's DumpLogSegments, so that people who know its output, and their scripts, find the
 * same fields in the same order.
 */
import type { BatchHeader, LogRecord } from '../../protocol/index.ts';
import { decodeControlRecord } from '../../protocol/index.ts';

const sequenceMax = 2 ** 31 - 1;

export interface DumpedBatch {
  readonly header: BatchHeader;
  readonly position: number;
  readonly isValid: boolean;
}

/** The fields of a batch in Kafka's order. */
export function batchFields({ header, position, isValid }: DumpedBatch): Record<string, unknown> {
  return {
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    count: header.recordCount,
    baseSequence: header.baseSequence,
    lastSequence: lastSequenceOf(header),
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    deleteHorizonMs: optionalLong(header.hasDeleteHorizon ? header.baseTimestamp : undefined),
    position,
    [timestampType(header)]: header.maxTimestamp,
    size: header.sizeBytes,
    magic: header.magic,
    compresscodec: header.compression,
    crc: header.crc,
    isvalid: isValid,
  };
}

export function recordFields(header: BatchHeader, record: LogRecord): Record<string, unknown> {
  const fields: Record<string, unknown> = {
    offset: record.offset,
    [timestampType(header)]: record.timestamp,
    keySize: record.key?.length ?? -1,
    valueSize: record.value?.length ?? -1,
    sequence: sequenceOf(header, record.offset - header.baseOffset),
    headerKeys: `[${record.headers.map(({ key }) => key).join(',')}]`,
  };
  return header.isControl ? { ...fields, ...controlFields(record) } : fields;
}

export function textOf(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join(' ');
}

export function optionalLong(value: number | undefined): string {
  return value === undefined ? 'OptionalLong.empty' : `OptionalLong[${value}]`;
}

function controlFields(record: LogRecord): Record<string, unknown> {
  const control = decodeControlRecord(record);
  switch (control.type) {
    case 'ABORT':
    case 'COMMIT':
      return { endTxnMarker: control.type, coordinatorEpoch: control.coordinatorEpoch };
    case 'UNKNOWN':
      return { controlType: `UNKNOWN(${control.typeNumber})` };
    case 'LEADER_CHANGE':
      return { LeaderChange: JSON.stringify(control.body) };
    default:
      return { [control.type]: JSON.stringify(control.body) };
  }
}

function timestampType(header: BatchHeader): string {
  return header.isLogAppendTime ? 'LogAppendTime' : 'CreateTime';
}

function lastSequenceOf(header: BatchHeader): number {
  return header.baseSequence < 0 ? -1 : sequenceOf(header, header.lastOffsetDelta);
}

/** Sequences begin anew at 0 after the largest int32. */
function sequenceOf({ baseSequence }: BatchHeader, offsetDelta: number): number {
  if (baseSequence < 0) return -1;
  return baseSequence > sequenceMax - offsetDelta
    ? offsetDelta - (sequenceMax - baseSequence) - 1
    : baseSequence + offsetDelta;
}
