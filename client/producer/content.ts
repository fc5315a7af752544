/** Turns what applications hand over into the bytes of a record; refuses what is not bytes, text or null. */
import type { NewRecord, RecordHeader } from '../../protocol/index.ts';
import { invalidArgument } from '../errors.ts';
import type { Content, HeadersInput, MessageInput } from '../messages.ts';

const noHeaders: readonly RecordHeader[] = [];

/** `what` names the field in the error. */
export function toBytes(content: Content | undefined, what: string): Buffer | null {
  if (typeof content === 'string') return Buffer.from(content);
  if (Buffer.isBuffer(content)) return content;
  if (content === null || content === undefined) return null;
  if (content instanceof Uint8Array)
    return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  throw invalidArgument(
    `A record's ${what} must be a string, a Buffer, a Uint8Array or null, not ${typeof content}.`,
  );
}

export function toHeaders(headers: HeadersInput | undefined): readonly RecordHeader[] {
  if (headers === undefined) return noHeaders;
  const pairs: readonly (readonly [string, Content])[] = isPairs(headers) ? headers : Object.entries(headers);
  return pairs.map(([key, value]) => ({ key, value: toBytes(value, `header '${key}'`) }));
}

/** `nowMs` stands in for a timestamp that is not given. */
export function toNewRecord(message: MessageInput, nowMs: number): NewRecord {
  const timestamp = message.timestamp ?? nowMs;
  if (!Number.isSafeInteger(timestamp)) {
    throw invalidArgument(
      `A record's timestamp must be whole milliseconds since the Unix epoch, not ${timestamp}.`,
    );
  }
  return {
    timestamp,
    key: toBytes(message.key, 'key'),
    value: toBytes(message.value, 'value'),
    headers: toHeaders(message.headers),
  };
}

/** Room that a record may take, from above: its contents, and the most that its varints can need. */
export function recordBytesBound(record: NewRecord): number {
  let bytes = 31 + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  const headers = record.headers;
  if (headers !== undefined) {
    for (const header of headers) bytes += 10 + header.key.length * 3 + (header.value?.length ?? 0);
  }
  return bytes;
}

function isPairs(headers: HeadersInput): headers is readonly (readonly [string, Content])[] {
  return Array.isArray(headers);
}
