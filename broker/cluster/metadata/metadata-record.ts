/**
 * The records of the metadata log, in Kafka's own schemas and framing: UNSIGNED_VARINT frame version (1), record type
 * and record version, then the body. `storage-format.md` lists them.
 *
 * One thing Kafka's RegisterBrokerRecord lacks is the machine that a node runs on, which is a domain of failure of its
 * own; it travels as a tagged field, so that a reader of Kafka's schema goes past it.
 */
import { codec, ProtocolError } from '../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../protocol/index.ts';

/** Each kind of record with its number in Kafka and the version in which it is written; all versions are read. */
const recordKinds = {
  RegisterBrokerRecord: { number: 0, version: 4 },
  UnregisterBrokerRecord: { number: 1, version: 0 },
  TopicRecord: { number: 2, version: 0 },
  PartitionRecord: { number: 3, version: 2 },
  ConfigRecord: { number: 4, version: 0 },
  PartitionChangeRecord: { number: 5, version: 2 },
  RemoveTopicRecord: { number: 9, version: 0 },
  FeatureLevelRecord: { number: 12, version: 0 },
  ProducerIdsRecord: { number: 15, version: 0 },
  BrokerRegistrationChangeRecord: { number: 17, version: 3 },
} as const;

export type RecordKind = keyof typeof recordKinds;
export type RecordValue<Kind extends RecordKind> = MessageTypes[Kind];

interface RecordOf<Kind extends RecordKind> {
  readonly type: Kind;
  readonly value: RecordValue<Kind>;
}

interface NewRecordOf<Kind extends RecordKind> {
  readonly type: Kind;
  readonly value: Encodable<RecordValue<Kind>>;
}

/** A record as read. */
export type MetadataRecord = { [Kind in RecordKind]: RecordOf<Kind> }[RecordKind];

/** A record to be written: fields that are left out take the schema's default. */
export type NewMetadataRecord = { [Kind in RecordKind]: NewRecordOf<Kind> }[RecordKind];

/** All three numbers of the frame are below 128, where an UNSIGNED_VARINT is one byte. */
const frameVersion = 1;
const frameSizeBytes = 3;

type Decoder = (version: number, body: Buffer) => MetadataRecord;

const decoders: ReadonlyMap<number, Decoder> = new Map([
  decoder('RegisterBrokerRecord', (value) => ({ type: 'RegisterBrokerRecord', value })),
  decoder('UnregisterBrokerRecord', (value) => ({ type: 'UnregisterBrokerRecord', value })),
  decoder('TopicRecord', (value) => ({ type: 'TopicRecord', value })),
  decoder('PartitionRecord', (value) => ({ type: 'PartitionRecord', value })),
  decoder('ConfigRecord', (value) => ({ type: 'ConfigRecord', value })),
  decoder('PartitionChangeRecord', (value) => ({ type: 'PartitionChangeRecord', value })),
  decoder('RemoveTopicRecord', (value) => ({ type: 'RemoveTopicRecord', value })),
  decoder('FeatureLevelRecord', (value) => ({ type: 'FeatureLevelRecord', value })),
  decoder('ProducerIdsRecord', (value) => ({ type: 'ProducerIdsRecord', value })),
  decoder('BrokerRegistrationChangeRecord', (value) => ({ type: 'BrokerRegistrationChangeRecord', value })),
]);

function decoder<Kind extends RecordKind>(
  kind: Kind,
  wrap: (value: RecordValue<Kind>) => MetadataRecord,
): [number, Decoder] {
  return [recordKinds[kind].number, (version, body) => wrap(codec(kind, version).decode(body))];
}

export function encodeMetadataRecord<Kind extends RecordKind>(record: NewRecordOf<Kind>): Buffer {
  const { number, version } = recordKinds[record.type];
  const body = codec(record.type, version).encode(record.value);
  return Buffer.concat([Buffer.of(frameVersion, number, version), body]);
}

/** Throws a ProtocolError for anything that is not a record of a kind and version known here. */
export function decodeMetadataRecord(bytes: Buffer): MetadataRecord {
  const [frame, number = -1, version = -1] = bytes;
  if (bytes.length < frameSizeBytes) throw new ProtocolError('short', 'a metadata record ends in its frame');
  if (frame !== frameVersion) {
    throw new ProtocolError('unsupported-version', `the frame of a metadata record has version ${frame}`);
  }
  const decode = decoders.get(number);
  if (decode === undefined) {
    throw new ProtocolError('unknown-message', `a metadata record is of the unknown type ${number}`);
  }
  return decode(version, bytes.subarray(frameSizeBytes));
}

/** Kappalog's own tag in RegisterBrokerRecord, far above those that Kafka uses: the machine's name, in UTF-8. */
const hostTag = 10_000;

/** The tagged field that says on which machine a node runs. */
export function hostField(host: string): { tag: number; data: Buffer }[] {
  return [{ tag: hostTag, data: Buffer.from(host) }];
}

/** The machine that a node said it runs on; null where it did not say. */
export function registeredHost(value: RecordValue<'RegisterBrokerRecord'>): string | null {
  const field = value.unknownTaggedFields?.find(({ tag }) => tag === hostTag);
  return field === undefined ? null : field.data.toString();
}

/** Kappalog's own tag in UnregisterBrokerRecord: the id of a data directory, in UTF-8. */
const directoryTag = 10_000;

/** The tagged field of a snapshot that says with which data directory a node was taken out. */
export function directoryField(directoryId: string): { tag: number; data: Buffer }[] {
  return [{ tag: directoryTag, data: Buffer.from(directoryId) }];
}

export function takenOutDirectories(value: RecordValue<'UnregisterBrokerRecord'>): string[] {
  const fields = value.unknownTaggedFields ?? [];
  return fields.filter(({ tag }) => tag === directoryTag).map(({ data }) => data.toString());
}
