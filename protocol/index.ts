/** The door of the Kafka wire format: message codecs, framing, record batches, compression, checksums. No IO. */
export { ProtocolError } from './protocol-error.ts';
export type { ProtocolErrorCode } from './protocol-error.ts';
export { Reader } from './reader.ts';
export { Writer } from './writer.ts';
export { codec } from './codec.ts';
export type { Codec, Encodable } from './codec.ts';
export { apiByKey, apiByName, apis, messages } from './catalogue.ts';
export type { ApiDescription, ErrorInfo, MessageDescription, MessageName } from './catalogue.ts';
export { ErrorCode, errorInfo, errorName } from './error-codes.ts';
export type { ErrorName } from './error-codes.ts';
export { decodeRequestHeader, decodeResponse, encodeRequest, encodeResponse } from './framing.ts';
export type { DecodedRequestHeader, DecodedResponse, RequestHead, ResponseHead } from './framing.ts';
export type * from './generated/messages.js';
export { crc32c } from './checksums.ts';
export { javaStringHash, murmur2, partitionOfCoordinator, partitionOfKey } from './hashing.ts';
export { compress, decompress } from './compression/compression.ts';
export { compressAsync } from './compression/compress-async.ts';
export { decompressAsync } from './compression/decompress-async.ts';
export {
  batchField,
  batchHeaderBytes,
  readBatchHeader,
  setBaseOffset,
  setCreateTime,
  setLogAppendTime,
  setPartitionLeaderEpoch,
  setProducerState,
  verifyBatchCrc,
} from './record-batch.ts';
export type { BatchHeader, CompressionCodec } from './record-batch.ts';
export { BatchBuilder, encodeBatch } from './batch-builder.ts';
export type {
  AsyncCompress,
  BatchOptions,
  BuilderOptions,
  NewRecord,
  ProducerFields,
} from './batch-builder.ts';
export type { RecordContent, RecordHeader } from './record-buffer.ts';
export { decodeBatch, iterateBatches, openRecords, readHeaders } from './batch-decoder.ts';
export type { BatchSlice, DecodeLimits, LogRecord } from './batch-decoder.ts';
export { RecordCursor } from './record-cursor.ts';
export { validateBatchRecords } from './batch-validator.ts';
export type { RecordFault, RecordRules, RecordSummary } from './batch-validator.ts';
export { completeBatch, completeEmptyBatch, recordBytesMax, writeRecords } from './batch-thinning.ts';
export type { BatchChange, RecordStretches } from './batch-thinning.ts';
export { rebuildBatch, recompressBatch } from './batch-rebuilder.ts';
export type { RebuildOptions, RecompressOptions } from './batch-rebuilder.ts';
export { decodeFetched, decodeLegacy, iterateFetched, verifyFetchedCrc } from './legacy-records.ts';
export type { FetchedBatch } from './legacy-records.ts';
export { decodeControlRecord, encodeControlBatch, encodeTransactionMarker } from './control-records.ts';
export type { ControlRecord, TransactionMarker, TransactionMarkerType } from './control-records.ts';
export {
  coordinatorKeyType,
  decodeConsumerAssignment,
  decodeConsumerSubscription,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  decodeMetadataRecord,
  encodeConsumerAssignment,
  encodeConsumerSubscription,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
  encodeMetadataRecord,
} from './record-framing.ts';
export type {
  CoordinatorKeyName,
  CoordinatorValueName,
  DecodedMetadataRecord,
  MetadataRecordName,
} from './record-framing.ts';
export {
  decodeCooperativeStickyUserData,
  decodeStickyUserData,
  encodeCooperativeStickyUserData,
  encodeStickyUserData,
} from './sticky-user-data.ts';
export type { StickyUserData } from './sticky-user-data.ts';
export * as scram from './scram.ts';
