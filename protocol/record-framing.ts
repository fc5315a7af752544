/**
 * Messages that are stored or carried inside records and byte fields, with what Kafka puts in front of them: coordinator
 * records, records of the metadata log, subscriptions and assignments of the classic consumer protocol.
 */
import { messages } from './catalogue.ts';
import type { MessageDescription, MessageName } from './catalogue.ts';
import { codec } from './codec.ts';
import type { Codec, Encodable } from './codec.ts';
import type {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
  MessageTypes,
} from './generated/messages.js';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export type CoordinatorKeyName = Extract<MessageName, `${string}Key`>;
export type CoordinatorValueName = Extract<MessageName, `${string}Value`>;
export type MetadataRecordName = Extract<MessageName, `${string}Record`>;

const metadataFrameVersion = 1;
const consumerProtocolVersionMax = 3;

const descriptions = new Map(messages.map((message) => [message.name, message]));
/** Types are numbered anew in each log. */
const metadataNames = {
  cluster: namesByType((name) => !name.startsWith('Remote')),
  'remote-log': namesByType((name) => name.startsWith('Remote')),
};

/** INT16 type, body. */
export function encodeCoordinatorKey<Name extends CoordinatorKeyName>(
  name: Name,
  value: Encodable<MessageTypes[Name]>,
): Buffer {
  const writer = new Writer(64);
  writer.int16(describe(name).apiKey!);
  codec(name, 0).write(writer, value);
  return writer.finish();
}

/** The type in front of a key, by which its schema is found. */
export function coordinatorKeyType(key: Buffer): number {
  return new Reader(key).int16();
}

/** Throws ProtocolError 'bad-value' for a key of another type. */
export function decodeCoordinatorKey<Name extends CoordinatorKeyName>(
  name: Name,
  key: Buffer,
): MessageTypes[Name] {
  const reader = new Reader(key);
  const type = reader.int16();
  const expected = describe(name).apiKey;
  if (type !== expected)
    throw new ProtocolError('bad-value', `a key of type ${type}; ${name} has ${expected}`);
  return readAll(codec(name, 0), reader);
}

/** INT16 version, body. */
export function encodeCoordinatorValue<Name extends CoordinatorValueName>(
  name: Name,
  version: number,
  value: Encodable<MessageTypes[Name]>,
): Buffer {
  const writer = new Writer();
  writer.int16(version);
  codec(name, version).write(writer, value);
  return writer.finish();
}

/** Throws ProtocolError 'unsupported-version' for a value of a version that is not known. */
export function decodeCoordinatorValue<Name extends CoordinatorValueName>(
  name: Name,
  bytes: Buffer,
): { version: number; value: MessageTypes[Name] } {
  const reader = new Reader(bytes);
  const version = reader.int16();
  return { version, value: readAll(codec(name, version), reader) };
}

/** UNSIGNED_VARINT frame version, type and version, body. */
export function encodeMetadataRecord<Name extends MetadataRecordName>(
  name: Name,
  version: number,
  value: Encodable<MessageTypes[Name]>,
): Buffer {
  const description = describe(name);
  if (description.type !== 'metadata') {
    throw new ProtocolError('unknown-message', `${name} is not a record of the metadata log`);
  }
  const writer = new Writer();
  writer.unsignedVarint(metadataFrameVersion);
  writer.unsignedVarint(description.apiKey!);
  writer.unsignedVarint(version);
  codec(name, version).write(writer, value);
  return writer.finish();
}

export interface DecodedMetadataRecord {
  readonly name: MetadataRecordName;
  readonly version: number;
  readonly value: MessageTypes[MetadataRecordName];
}

/**
 * A record of the cluster's metadata log, or of the log where tiered storage keeps its own.
 * Throws ProtocolError 'unknown-message' or 'unsupported-version' for records of a newer Kafka.
 */
export function decodeMetadataRecord(
  bytes: Buffer,
  log: 'cluster' | 'remote-log' = 'cluster',
): DecodedMetadataRecord {
  const reader = new Reader(bytes);
  const frameVersion = reader.unsignedVarint();
  if (frameVersion !== metadataFrameVersion) {
    throw new ProtocolError('unsupported-version', `metadata records of frame version ${frameVersion}`);
  }
  const type = reader.unsignedVarint();
  const name = metadataNames[log].get(type);
  if (name === undefined) throw new ProtocolError('unknown-message', `metadata records of type ${type}`);
  const version = reader.unsignedVarint();
  return { name, version, value: readAll(codec(name, version), reader) };
}

/** INT16 version, body: a member's metadata in JoinGroup. */
export function encodeConsumerSubscription(
  version: number,
  value: Encodable<ConsumerProtocolSubscription>,
): Buffer {
  return encodeVersioned('ConsumerProtocolSubscription', version, value);
}

/**
 * A version above the highest known is read as the highest known, and bytes that a newer version added are passed over,
 * as Kafka's own clients do with each other.
 */
export function decodeConsumerSubscription(bytes: Buffer): {
  version: number;
  value: ConsumerProtocolSubscription;
} {
  return decodeVersioned('ConsumerProtocolSubscription', bytes);
}

/** INT16 version, body: what a member gets in SyncGroup. */
export function encodeConsumerAssignment(
  version: number,
  value: Encodable<ConsumerProtocolAssignment>,
): Buffer {
  return encodeVersioned('ConsumerProtocolAssignment', version, value);
}

/** As for subscriptions; no bytes at all are an assignment of nothing. */
export function decodeConsumerAssignment(bytes: Buffer): {
  version: number;
  value: ConsumerProtocolAssignment;
} {
  if (bytes.length === 0) return { version: 0, value: { assignedPartitions: [], userData: null } };
  return decodeVersioned('ConsumerProtocolAssignment', bytes);
}

function encodeVersioned<Name extends 'ConsumerProtocolSubscription' | 'ConsumerProtocolAssignment'>(
  name: Name,
  version: number,
  value: Encodable<MessageTypes[Name]>,
): Buffer {
  const writer = new Writer();
  writer.int16(version);
  codec(name, version).write(writer, value);
  return writer.finish();
}

function decodeVersioned<Name extends 'ConsumerProtocolSubscription' | 'ConsumerProtocolAssignment'>(
  name: Name,
  bytes: Buffer,
): { version: number; value: MessageTypes[Name] } {
  const reader = new Reader(bytes);
  const version = reader.int16();
  return { version, value: codec(name, Math.min(version, consumerProtocolVersionMax)).read(reader) };
}

function namesByType(belongs: (name: string) => boolean): Map<number | null, MetadataRecordName> {
  const ofLog = messages.filter(isMetadata).filter(({ name }) => belongs(name));
  return new Map(ofLog.map(({ apiKey, name }) => [apiKey, name]));
}

function isMetadata(
  message: MessageDescription,
): message is MessageDescription & { readonly name: MetadataRecordName } {
  return message.type === 'metadata';
}

function describe(name: string): MessageDescription {
  const description = descriptions.get(name);
  if (description === undefined) throw new ProtocolError('unknown-message', `there is no message ${name}`);
  return description;
}

function readAll<T>(message: Codec<T>, reader: Reader): T {
  const value = message.read(reader);
  reader.finish();
  return value;
}
