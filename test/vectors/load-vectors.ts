/** The byte-for-byte vectors that Kafka's Java client made, one JSON object a line. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export interface MessageVector {
  readonly set: 'message';
  readonly name: string;
  readonly type: string;
  readonly version: number;
  readonly kind: 'default' | 'filled' | 'unknown-tags';
  readonly json: Readonly<Record<string, unknown>>;
  readonly unknownTaggedFields?: readonly { readonly tag: number; readonly hex: string }[];
  readonly hex: string;
  readonly framedHex?: string;
}

export interface FrameVector {
  readonly set: 'frame';
  readonly name: string;
  readonly apiKey: number;
  readonly version: number;
  readonly headerVersion: number;
  readonly header: { readonly correlationId: number; readonly clientId?: string | null };
  readonly hex: string;
}

export interface RecordVector {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers?: readonly { readonly key: string; readonly value: string | null }[];
  readonly sequence?: number;
  readonly controlType?: string;
}

export interface BatchVector {
  readonly magic: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly sizeInBytes: number;
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly timestampType: 'CreateTime' | 'LogAppendTime' | 'NoTimestampType';
  readonly maxTimestamp: number;
  readonly crc: number;
  readonly batchLength: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly headerBaseTimestamp: number;
  readonly headerMaxTimestamp: number;
  readonly deleteHorizonMs?: number;
  readonly partitionLeaderEpoch: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly recordCount: number;
  readonly records: readonly RecordVector[];
}

export interface RecordBatchVector {
  readonly set: 'recordBatch';
  readonly description: string;
  /** False where a compressor took part: another one gives other bytes. */
  readonly byteExact: boolean;
  readonly batches: readonly BatchVector[];
  readonly hex: string;
}

export interface ConsumerProtocolVector {
  readonly set: 'consumerProtocol';
  readonly kind: 'subscription' | 'assignment' | 'sticky-userData' | 'cooperative-sticky-userData';
  readonly version: number;
  readonly topics: readonly string[];
  readonly userDataHex: string | null;
  readonly ownedPartitions: readonly TopicPartition[];
  readonly partitions: readonly TopicPartition[];
  readonly generationId: number;
  readonly generation: number;
  readonly rackId: string | null;
  readonly hex: string;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface HashVector {
  readonly set: 'murmur2' | 'stringHash' | 'crc' | 'varint' | 'uuid' | 'scram';
  readonly [field: string]: unknown;
}

export type Vector =
  | MessageVector
  | FrameVector
  | RecordBatchVector
  | ConsumerProtocolVector
  | HashVector;

export function loadVectors(): Vector[] {
  const text = gunzipSync(readFileSync(new URL('vectors.jsonl.gz', import.meta.url))).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Vector => JSON.parse(line));
}

/** The vectors of one set. */
export function vectorsOf<Set extends Vector['set']>(
  vectors: readonly Vector[],
  set: Set,
): Extract<Vector, { readonly set: Set }>[] {
  return vectors.filter((vector): vector is Extract<Vector, { readonly set: Set }> => vector.set === set);
}

/** The vectors of one hash, checksum or number format. */
export function hashVectorsOf(vectors: readonly Vector[], set: HashVector['set']): HashVector[] {
  return vectors.filter((vector): vector is HashVector => vector.set === set);
}
