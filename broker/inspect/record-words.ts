/** Keys and values of records as `kappalog log dump` prints them: text, or what the record means in one of Kafka's own logs. */
import {
  coordinatorKeyType,
  decodeConsumerAssignment,
  decodeConsumerSubscription,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  decodeMetadataRecord,
  messages,
} from '../../protocol/index.ts';
import type { CoordinatorKeyName, CoordinatorValueName, LogRecord } from '../../protocol/index.ts';

export type RecordDecoder = 'text' | 'offsets' | 'transactions' | 'cluster-metadata';

export interface RecordWords {
  readonly key: string | undefined;
  readonly payload: string | undefined;
}

/** A record that is not what the decoder expects says so in the place of its key or payload, as in Kafka's tool. */
export function recordWords(record: LogRecord, decoder: RecordDecoder): RecordWords {
  switch (decoder) {
    case 'text':
      return { key: textOf(record.key), payload: textOf(record.value) };
    case 'cluster-metadata':
      return { key: undefined, payload: metadataWords(record) };
    case 'offsets':
    case 'transactions':
      return coordinatorWords(record, decoder);
    default:
      throw new RangeError(`there is no decoder ${String(decoder)}`);
  }
}

/**
 * Bytes as Java reads them as UTF-8: where they are none, with as many replacement characters. Java and Node differ in surrogates
 * (ED A0 and above), of which Java replaces all bytes together.
 */
function textOf(bytes: Buffer | null): string | undefined {
  if (bytes === null) return undefined;
  let text = '';
  let start = 0;
  for (let at = bytes.indexOf(surrogateLead); at >= 0; at = bytes.indexOf(surrogateLead, at + 1)) {
    if (!isContinuation(bytes[at + 1]) || bytes[at + 1]! < 0xa0) continue;
    text += `${bytes.toString('utf8', start, at)}\ufffd`;
    start = at + (isContinuation(bytes[at + 2]) ? 3 : 2);
  }
  return text + bytes.toString('utf8', start);
}

const surrogateLead = 0xed;

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function metadataWords(record: LogRecord): string {
  try {
    const { name, version, value } = decodeMetadataRecord(record.value ?? Buffer.alloc(0));
    return toJson({ type: upperSnake(name), version, data: value });
  } catch (error) {
    return `Error at ${record.offset}, skipping. ${messageOf(error)}`;
  }
}

function coordinatorWords(record: LogRecord, log: 'offsets' | 'transactions'): RecordWords {
  if (record.key === null)
    return { key: `Error at offset ${record.offset}, skipping. The record has no key`, payload: undefined };
  try {
    const type = coordinatorKeyType(record.key);
    const names = namesOf(log, type);
    if (names === undefined)
      return { key: `Unknown record type ${type} at offset ${record.offset}, skipping.`, payload: undefined };
    const key = toJson({ type: String(type), data: decodeCoordinatorKey(names.key, record.key) });
    if (record.value === null) return { key, payload: '<DELETE>' };
    const { version, value } = decodeCoordinatorValue(names.value, record.value);
    const data = names.value === 'GroupMetadataValue' ? withMembersDecoded(value) : value;
    return { key, payload: toJson({ version: String(version), data }) };
  } catch (error) {
    return {
      key: `Error at offset ${record.offset}, skipping. ${messageOf(error)}`,
      payload: undefined,
    };
  }
}

/** The messages of a key's type. Types are numbered in each log anew, and older offset keys have two numbers. */
function namesOf(
  log: 'offsets' | 'transactions',
  type: number,
): { readonly key: CoordinatorKeyName; readonly value: CoordinatorValueName } | undefined {
  const isOfLog = (name: string): boolean =>
    name.startsWith('Transaction') === (log === 'transactions') && !name.startsWith('Share');
  const key = messages.find(
    (message): message is typeof message & { readonly name: CoordinatorKeyName } =>
      message.type === 'coordinator-key' && message.apiKey === type && isOfLog(message.name),
  );
  const value = messages.find(
    (message): message is typeof message & { readonly name: CoordinatorValueName } =>
      message.type === 'coordinator-value' && message.name === key?.name.replace(/Key$/, 'Value'),
  );
  return key === undefined || value === undefined ? undefined : { key: key.name, value: value.name };
}

/** Subscriptions and assignments inside a classic group's members are bytes of another schema. */
function withMembersDecoded(value: object): object {
  if (!('protocolType' in value) || value.protocolType !== 'consumer' || !('members' in value)) return value;
  const members = Array.isArray(value.members) ? value.members : [];
  return { ...value, members: members.map(withMemberDecoded) };
}

function withMemberDecoded(member: unknown): unknown {
  if (typeof member !== 'object' || member === null) return member;
  const decoded: Record<string, unknown> = { ...member };
  try {
    if (Buffer.isBuffer(decoded['subscription']))
      decoded['subscription'] = decodeConsumerSubscription(decoded['subscription']).value;
    if (Buffer.isBuffer(decoded['assignment']))
      decoded['assignment'] = decodeConsumerAssignment(decoded['assignment']).value;
    return decoded;
  } catch (error) {
    return { ...member, undecodable: messageOf(error) };
  }
}

function toJson(value: unknown): string {
  return JSON.stringify(withBase64(value));
}

/** Bytes as base64, as Kafka's JSON has them. */
function withBase64(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (Array.isArray(value)) return value.map(withBase64);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withBase64(inner)]));
}

/** `PartitionChangeRecord` is PARTITION_CHANGE_RECORD in Kafka's output. */
function upperSnake(name: string): string {
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
