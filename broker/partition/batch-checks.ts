/**
 * All that a leader checks in a client's batch before its producer's state is asked, in Kafka's order, and the changes that
 * the topic's settings make to it. Called for each partition of each Produce, so the good path makes no garbage but the
 * header.
 */
import {
  ProtocolError,
  readBatchHeader,
  recompressBatch,
  setCreateTime,
  setLogAppendTime,
  validateBatchRecords,
  verifyBatchCrc,
} from '../../protocol/index.ts';
import type { BatchHeader, ErrorCode, RecordFault, RecordSummary } from '../../protocol/index.ts';
import type { TopicConfig } from '../config/topic-config.ts';

export interface BatchRefusal {
  readonly error: keyof typeof ErrorCode;
  readonly message: string | null;
  /** The records at fault, by their place in the batch. */
  readonly records?: readonly { readonly index: number; readonly message: string }[];
}

export type CheckedBatch =
  | {
      readonly kind: 'good';
      readonly batch: Buffer;
      readonly header: BatchHeader;
      /** The time given to all records of a LogAppendTime topic; -1 with CreateTime. */
      readonly logAppendTimeMs: number;
    }
  | { readonly kind: 'refused'; readonly refusal: BatchRefusal };

export interface BatchRules {
  readonly config: TopicConfig;
  readonly nowMs: number;
  /** Of Produce: zstd is known from version 7 on. */
  readonly requestVersion: number;
}

export function checkBatch(records: Buffer | null, rules: BatchRules): CheckedBatch {
  if (records === null || records.length === 0)
    return refuse('INVALID_RECORD', 'the partition has no record batch');
  let header: BatchHeader;
  try {
    header = readBatchHeader(records);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return refuse(error.code === 'unsupported-magic' ? 'INVALID_RECORD' : 'CORRUPT_MESSAGE', error.message);
  }
  const fault = checkHeader(records, header, rules);
  if (fault !== undefined) return { kind: 'refused', refusal: fault };
  const summary: RecordSummary = { maxTimestamp: -1, maxTimestampOffsetDelta: -1, isSequential: true };
  const recordFault = findRecordFault(records, rules, summary);
  if (recordFault !== undefined) return { kind: 'refused', refusal: recordFault };
  return settle(records, header, rules, summary);
}

/** Makes of a good batch what the topic's settings want it to be; nearly always it is that already. */
function settle(
  records: Buffer,
  header: BatchHeader,
  rules: BatchRules,
  summary: RecordSummary,
): CheckedBatch {
  const { config, nowMs } = rules;
  const isLogAppendTime = config.messageTimestampType === 'LogAppendTime';
  const wanted = config.compressionType === 'producer' ? header.compression : codecOf(config.compressionType);
  let batch = records;
  if (wanted !== header.compression || !summary.isSequential) {
    batch = recompressBatch(records, wanted, {
      decompressedBytesMax: decompressedBytesMax(config),
      compressionLevel: levelOf(wanted, config),
    });
    if (batch.length > config.maxMessageBytes)
      return refuse('MESSAGE_TOO_LARGE', tooLarge(batch.length, config));
  }
  const isTimeAsWanted = !header.isLogAppendTime && header.maxTimestamp === summary.maxTimestamp;
  if (isLogAppendTime) setLogAppendTime(batch, 0, nowMs);
  else if (!isTimeAsWanted) setCreateTime(batch, 0, summary.maxTimestamp);
  const isAsSent = batch === records && !isLogAppendTime && isTimeAsWanted;
  return {
    kind: 'good',
    batch,
    header: isAsSent ? header : readBatchHeader(batch),
    logAppendTimeMs: isLogAppendTime ? nowMs : -1,
  };
}

function checkHeader(
  records: Buffer,
  header: BatchHeader,
  { config, requestVersion }: BatchRules,
): BatchRefusal | undefined {
  if (header.sizeBytes > records.length) return refusal('CORRUPT_MESSAGE', 'the batch is cut off');
  if (header.sizeBytes < records.length)
    return refusal('INVALID_RECORD', 'a partition takes exactly one batch');
  if (header.compression === 'zstd' && requestVersion < 7) {
    return refusal('UNSUPPORTED_COMPRESSION_TYPE', 'zstd needs Produce version 7 or later');
  }
  if (header.baseOffset !== 0)
    return refusal('INVALID_RECORD', `the base offset is ${header.baseOffset}, not 0`);
  if (header.sizeBytes > config.maxMessageBytes) {
    return refusal('MESSAGE_TOO_LARGE', tooLarge(header.sizeBytes, config));
  }
  if (!verifyBatchCrc(records))
    return refusal('CORRUPT_MESSAGE', 'the CRC of the batch does not match its bytes');
  if (header.recordCount < 1 || header.lastOffsetDelta + 1 !== header.recordCount) {
    return refusal(
      'INVALID_RECORD',
      `the batch says ${header.recordCount} records and ${header.lastOffsetDelta} as its last offset delta`,
    );
  }
  if (header.isControl) return refusal('INVALID_RECORD', 'clients may not write control batches');
  if (header.isTransactional) {
    return refusal(
      'INVALID_TXN_STATE',
      'the partition is not part of an ongoing transaction of this producer',
    );
  }
  if (header.producerId >= 0 && header.baseSequence < 0) {
    return refusal('INVALID_RECORD', `the base sequence of an idempotent producer is ${header.baseSequence}`);
  }
  if (header.isLogAppendTime && config.messageTimestampType === 'LogAppendTime') {
    return refusal('INVALID_TIMESTAMP', 'a producer may not mark its batch as LogAppendTime');
  }
  return undefined;
}

function findRecordFault(
  records: Buffer,
  rules: BatchRules,
  summary: RecordSummary,
): BatchRefusal | undefined {
  const { config, nowMs } = rules;
  let fault: RecordFault | undefined;
  try {
    fault = validateBatchRecords(records, {
      requireKeys: config.compacts,
      ...(config.messageTimestampType === 'LogAppendTime'
        ? {}
        : {
            timestampMin: nowMs - config.messageTimestampBeforeMaxMs,
            timestampMax: nowMs + config.messageTimestampAfterMaxMs,
          }),
      decompressedBytesMax: decompressedBytesMax(config),
      summary,
    });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return refusal(errorOf(error), error.message);
  }
  if (fault === undefined) return undefined;
  const error = fault.kind === 'timestamp' ? 'INVALID_TIMESTAMP' : 'INVALID_RECORD';
  return { error, message: fault.message, records: [{ index: fault.index, message: fault.message }] };
}

function errorOf(error: ProtocolError): BatchRefusal['error'] {
  switch (error.code) {
    case 'bad-compression':
      return 'CORRUPT_MESSAGE';
    case 'decompressed-too-large':
      return 'MESSAGE_TOO_LARGE';
    default:
      return 'INVALID_RECORD';
  }
}

/** The topic's limit, and one of this process: a batch is decompressed whole, in memory. */
function decompressedBytesMax(config: TopicConfig): number {
  return Math.min(config.maxDecompressedMessageBytes, 256 * 1024 * 1024);
}

function tooLarge(sizeBytes: number, config: TopicConfig): string {
  return `the batch has ${sizeBytes} bytes; max.message.bytes of the topic is ${config.maxMessageBytes}`;
}

function codecOf(compressionType: string): BatchHeader['compression'] {
  switch (compressionType) {
    case 'gzip':
    case 'snappy':
    case 'lz4':
    case 'zstd':
      return compressionType;
    default:
      return 'none';
  }
}

/** Undefined: the codec's own. */
function levelOf(codec: BatchHeader['compression'], config: TopicConfig): number | undefined {
  if (codec === 'zstd') return config.compressionZstdLevel;
  return codec === 'gzip' && config.compressionGzipLevel >= 0 ? config.compressionGzipLevel : undefined;
}

function refusal(error: BatchRefusal['error'], message: string): BatchRefusal {
  return { error, message };
}

function refuse(error: BatchRefusal['error'], message: string): CheckedBatch {
  return { kind: 'refused', refusal: { error, message } };
}
