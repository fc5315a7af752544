/** Control batches: the markers that end transactions, and those of Kafka's own Raft logs. */
import { encodeBatch } from './batch-builder.ts';
import type { LogRecord } from './batch-decoder.ts';
import { codec } from './codec.ts';
import type {
  KRaftVersionRecord,
  LeaderChangeMessage,
  SnapshotFooterRecord,
  SnapshotHeaderRecord,
  VotersRecord,
} from './generated/messages.js';
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

export type ControlRecord =
  | { readonly type: 'ABORT'; readonly coordinatorEpoch: number }
  | { readonly type: 'COMMIT'; readonly coordinatorEpoch: number }
  | { readonly type: 'LEADER_CHANGE'; readonly body: LeaderChangeMessage }
  | { readonly type: 'SNAPSHOT_HEADER'; readonly body: SnapshotHeaderRecord }
  | { readonly type: 'SNAPSHOT_FOOTER'; readonly body: SnapshotFooterRecord }
  | { readonly type: 'KRAFT_VERSION'; readonly body: KRaftVersionRecord }
  | { readonly type: 'KRAFT_VOTERS'; readonly body: VotersRecord }
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
  return decodeValue(type, record.value);
}

function decodeValue(type: (typeof typeNames)[number], value: Buffer): ControlRecord {
  switch (type) {
    case 'ABORT':
    case 'COMMIT': {
      const reader = new Reader(value);
      const version = reader.int16();
      if (version < 0)
        throw new ProtocolError('bad-record', `a control record ${type} of version ${version}`);
      return { type, coordinatorEpoch: codec('EndTxnMarker', 0).read(reader).coordinatorEpoch };
    }
    // The bodies of Kafka's Raft logs begin with a version of their own, but are written in version 0.
    case 'LEADER_CHANGE':
      return { type, body: codec('LeaderChangeMessage', 0).decode(value) };
    case 'SNAPSHOT_HEADER':
      return { type, body: codec('SnapshotHeaderRecord', 0).decode(value) };
    case 'SNAPSHOT_FOOTER':
      return { type, body: codec('SnapshotFooterRecord', 0).decode(value) };
    case 'KRAFT_VERSION':
      return { type, body: codec('KRaftVersionRecord', 0).decode(value) };
    case 'KRAFT_VOTERS':
      return { type, body: codec('VotersRecord', 0).decode(value) };
    default:
      throw new ProtocolError('bad-record', `a control record of type ${String(type)}`);
  }
}
