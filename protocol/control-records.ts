/** Control batches: the markers that end transactions, and those of Kafka's own Raft logs. */
import { encodeBatch } from './batch-builder.ts';
import type { LogRecord } from './batch-decoder.ts';
import { codec } from './codec.ts';
import type { MessageTypes } from './generated/messages.js';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export type TransactionMarkerType = 'ABORT' | 'COMMIT';

export interface TransactionMarker {
  readonly type: TransactionMarkerType;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  /** 0 unless given. */
  readonly baseOffset?: number;
  /** -1 unless given. */
  readonly partitionLeaderEpoch?: number;
}

/** Bodies of the control records that Kafka's Raft logs hold, by type; they begin with a version of their own. */
const bodyNames = {
  LEADER_CHANGE: 'LeaderChangeMessage',
  SNAPSHOT_HEADER: 'SnapshotHeaderRecord',
  SNAPSHOT_FOOTER: 'SnapshotFooterRecord',
  KRAFT_VERSION: 'KRaftVersionRecord',
  KRAFT_VOTERS: 'VotersRecord',
} as const;
type BodyType = keyof typeof bodyNames;

export type ControlRecord =
  | { readonly type: TransactionMarkerType; readonly coordinatorEpoch: number }
  | {
      [Type in BodyType]: { readonly type: Type; readonly body: MessageTypes[(typeof bodyNames)[Type]] };
    }[BodyType]
  /** A type of a newer Kafka, to be skipped. */
  | { readonly type: 'UNKNOWN'; readonly typeNumber: number };

/** By the number in the key. */
const typeNames = [
  'ABORT',
  'COMMIT',
  'LEADER_CHANGE',
  'SNAPSHOT_HEADER',
  'SNAPSHOT_FOOTER',
  'KRAFT_VERSION',
  'KRAFT_VOTERS',
] as const;

/** The batch of one record that ends a producer's transaction in a partition. */
export function encodeTransactionMarker(marker: TransactionMarker): Buffer {
  const value = new Writer(8);
  value.int16(0);
  codec('EndTxnMarker', 0).write(value, { coordinatorEpoch: marker.coordinatorEpoch });
  return encodeControlBatch(marker.type, value.finish(), { ...marker, isTransactional: true });
}

/** A control batch of one record of the given type and finished value; the parts of `fields` that are absent take their defaults. */
export function encodeControlBatch(
  type: (typeof typeNames)[number],
  value: Buffer,
  fields: {
    readonly timestamp: number;
    readonly baseOffset?: number;
    readonly partitionLeaderEpoch?: number;
    readonly producerId?: number;
    readonly producerEpoch?: number;
    readonly isTransactional?: boolean;
  },
): Buffer {
  const key = new Writer(4);
  key.int16(0);
  key.int16(typeNames.indexOf(type));
  const { timestamp, baseOffset = 0, partitionLeaderEpoch = -1, isTransactional = false } = fields;
  return encodeBatch([{ timestamp, key: key.finish(), value }], {
    baseOffset,
    partitionLeaderEpoch,
    isTransactional,
    isControl: true,
    producerId: fields.producerId ?? -1,
    producerEpoch: fields.producerEpoch ?? -1,
  });
}

/** What a record of a control batch says. A key of a higher version is read as version 0. */
export function decodeControlRecord(record: Pick<LogRecord, 'key' | 'value'>): ControlRecord {
  if (record.key === null) throw new ProtocolError('bad-record', 'a control record without a key');
  const key = new Reader(record.key);
  const version = key.int16();
  if (version < 0) throw new ProtocolError('bad-record', `a control record of version ${version}`);
  const typeNumber = key.int16();
  const type = typeNames[typeNumber];
  if (type === undefined) return { type: 'UNKNOWN', typeNumber };
  if (record.value === null)
    throw new ProtocolError('bad-record', `a control record ${type} without a value`);
  if (type === 'ABORT' || type === 'COMMIT') {
    const reader = new Reader(record.value);
    if (reader.int16() < 0)
      throw new ProtocolError('bad-record', `a control record ${type} of a negative version`);
    return { type, coordinatorEpoch: codec('EndTxnMarker', 0).read(reader).coordinatorEpoch };
  }
  return { type, body: codec(bodyNames[type], 0).decode(record.value) } as ControlRecord;
}
