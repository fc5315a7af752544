/**
 * What a leader checks record by record before it appends a client's batch: one pass over the bytes, no object for any
 * record. The batch's header, its CRC included, has been checked before.
 */
import { checkEnd, openRecords } from './batch-decoder.ts';
import { ProtocolError } from './protocol-error.ts';
import { readBatchHeader } from './record-batch.ts';
import type { BatchHeader } from './record-batch.ts';
import type { RecordCursor } from './record-cursor.ts';

export interface RecordRules {
  /** The topic is compacted. */
  readonly requireKeys?: boolean | undefined;
  /** Bounds of a record's time in a CreateTime topic, both inclusive, in milliseconds; -1 (no time) is always allowed. */
  readonly timestampMin?: number | undefined;
  readonly timestampMax?: number | undefined;
  /**
   * Offset deltas must run from 0. Kafka demands it of no one: it leaves a plain batch as it is and rebuilds a compressed
   * one, which recompressBatch does.
   */
  readonly requireSequentialOffsets?: boolean | undefined;
  readonly decompressedBytesMax?: number | undefined;
  /** Filled by a pass that finds no fault. */
  readonly summary?: RecordSummary | undefined;
}

/** What a pass learns besides faults. */
export interface RecordSummary {
  /** Largest time of a record; -1 when none has one. Kafka puts it into the header when the header says otherwise. */
  maxTimestamp: number;
  /** Of the first record with that time; -1 when none has one. */
  maxTimestampOffsetDelta: number;
  /** Whether offset deltas run from 0 without a gap. */
  isSequential: boolean;
}

export interface RecordFault {
  readonly kind: 'malformed' | 'missing-key' | 'timestamp' | 'offset-delta';
  /** Place of the record in its batch, from 0. */
  readonly index: number;
  readonly message: string;
}

/**
 * The first fault among the records of one whole batch; undefined when there is none. Throws ProtocolError for what is not
 * one record's fault: a cut batch, a false count, damaged or too large compressed data.
 */
export function validateBatchRecords(batch: Buffer, rules: RecordRules = {}): RecordFault | undefined {
  const header = readBatchHeader(batch);
  const cursor = openRecords(batch, header, rules);
  const { recordCount } = header;
  const { isLogAppendTime, baseTimestamp } = header;
  const requireKeys = rules.requireKeys === true;
  const requireSequential = rules.requireSequentialOffsets === true;
  const deltaMin = (rules.timestampMin ?? -Infinity) - baseTimestamp;
  const deltaMax = (rules.timestampMax ?? Infinity) - baseTimestamp;
  let maxDelta = -Infinity;
  let maxTimestampOffsetDelta = -1;
  let isSequential = true;
  if (isLogAppendTime) {
    const fault = checkLogAppendTime(header, rules);
    if (fault !== undefined) return fault;
  }
  for (let index = 0; index < recordCount; index++) {
    const malformed = readNext(cursor, index);
    if (malformed !== undefined) return malformed;
    if (requireKeys && cursor.keyLength < 0) return { kind: 'missing-key', index, message: missingKey };
    const { offsetDelta, timestampDelta } = cursor;
    if (offsetDelta !== index) {
      isSequential = false;
      if (requireSequential) return { kind: 'offset-delta', index, message: `offset delta ${offsetDelta}` };
    }
    if (timestampDelta > maxDelta) {
      maxDelta = timestampDelta;
      maxTimestampOffsetDelta = offsetDelta;
    }
    if ((timestampDelta < deltaMin || timestampDelta > deltaMax) && !isLogAppendTime) {
      const timestamp = baseTimestamp + timestampDelta;
      if (timestamp !== -1) return timestampFault(index, timestamp, rules);
    }
  }
  checkEnd(cursor);
  const { summary } = rules;
  if (summary !== undefined) {
    const hasTime = isLogAppendTime || baseTimestamp + maxDelta > -1;
    summary.maxTimestamp = isLogAppendTime ? header.maxTimestamp : Math.max(baseTimestamp + maxDelta, -1);
    summary.maxTimestampOffsetDelta = hasTime ? (isLogAppendTime ? 0 : maxTimestampOffsetDelta) : -1;
    summary.isSequential = isSequential;
  }
  return undefined;
}

const missingKey = 'a compacted topic does not take records without a key';

function readNext(cursor: RecordCursor, index: number): RecordFault | undefined {
  try {
    cursor.next();
    return undefined;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { kind: 'malformed', index, message: error.message };
  }
}

/** All records of such a batch have the header's maximum as their time. */
function checkLogAppendTime(header: BatchHeader, rules: RecordRules): RecordFault | undefined {
  const { maxTimestamp } = header;
  const isChecked = rules.timestampMin !== undefined || rules.timestampMax !== undefined;
  if (!isChecked || header.recordCount === 0) return undefined;
  if (maxTimestamp === -1) {
    return { kind: 'timestamp', index: 0, message: 'a batch marked LogAppendTime has no timestamp' };
  }
  const isEarly = rules.timestampMin !== undefined && maxTimestamp < rules.timestampMin;
  const isLate = rules.timestampMax !== undefined && maxTimestamp > rules.timestampMax;
  return isEarly || isLate ? timestampFault(0, maxTimestamp, rules) : undefined;
}

function timestampFault(index: number, timestamp: number, rules: RecordRules): RecordFault {
  const { timestampMin = -Infinity, timestampMax = Infinity } = rules;
  return {
    kind: 'timestamp',
    index,
    message: `the timestamp ${timestamp} is not within ${timestampMin} and ${timestampMax}`,
  };
}
