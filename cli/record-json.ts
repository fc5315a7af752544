/**
 * A record as one line of JSON: what `consume -o json` and `replay` print and `produce --format json` takes. Text stands as
 * a string; bytes that are no UTF-8 stand as `{"base64": "..."}`, so that nothing is lost on the way through.
 */
import { isUtf8 } from 'node:buffer';
import type { Content, Message, MessageInput } from '../client/index.ts';

/** Fields are stable: new ones may join, none changes its meaning. `timestamp` is in milliseconds since the epoch. */
export function recordToJson({ topic, partition, offset, timestamp, key, value, headers }: Message): string {
  return JSON.stringify({
    topic,
    partition,
    offset,
    timestamp,
    key: contentToJson(key),
    value: contentToJson(value),
    headers: headers.map(([name, content]) => [name, contentToJson(content)]),
  });
}

/**
 * Reads a line: an object with `value` and optionally `key`, `headers` (pairs or an object) and `timestamp`.
 * A value that is an object, a list, a number or a boolean is written as its JSON text. Other fields, such as `partition` and
 * `offset` of what `consume` printed, are passed over.
 * Throws an Error that says what is wrong with the line.
 */
export function recordFromJson(line: string): MessageInput {
  const record: unknown = JSON.parse(line);
  if (!isRecord(record))
    throw new Error('a record is a JSON object with a "value", such as {"key": "a", "value": "b"}');
  if (!('value' in record)) throw new Error('the record has no "value" (write null for a tombstone)');
  const { key, value, headers, timestamp } = record;
  if (timestamp !== undefined && !(typeof timestamp === 'number' && Number.isSafeInteger(timestamp))) {
    throw new Error('"timestamp" must be a whole number of milliseconds since 1970');
  }
  return {
    key: key === undefined ? null : contentFromJson(key),
    value: contentFromJson(value),
    headers: headersFromJson(headers),
    ...(timestamp === undefined || timestamp < 0 ? {} : { timestamp }),
  };
}

function contentToJson(content: Buffer | null): string | { base64: string } | null {
  if (content === null) return null;
  return isUtf8(content) ? content.toString('utf8') : { base64: content.toString('base64') };
}

function contentFromJson(value: unknown): Content {
  if (value === null || typeof value === 'string') return value;
  if (isRecord(value) && typeof value['base64'] === 'string' && Object.keys(value).length === 1) {
    return Buffer.from(value['base64'], 'base64');
  }
  return JSON.stringify(value);
}

function headersFromJson(headers: unknown): [string, Content][] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) {
    return headers.map((pair: unknown): [string, Content] => {
      if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
        throw new Error('"headers" must be an object, or pairs such as [["name", "value"]]');
      }
      return [pair[0], contentFromJson(pair[1])];
    });
  }
  if (isRecord(headers))
    return Object.entries(headers).map(([name, value]) => [name, contentFromJson(value)]);
  throw new Error('"headers" must be an object, or pairs such as [["name", "value"]]');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
