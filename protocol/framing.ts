/** Requests and responses with their size and headers, as they travel on a connection. */
import { apiByKey, apiByName } from './catalogue.ts';
import type { ApiDescription } from './catalogue.ts';
import { codec, codecByName } from './codec.ts';
import type { Codec } from './codec.ts';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export interface RequestHead {
  /** A key, or a name such as 'Produce'. */
  readonly api: number | string;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
}

export interface ResponseHead {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
}

export interface DecodedRequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** Where the body begins in the frame. Only the first ten bytes count as the header of an unknown API or version. */
  readonly bodyPosition: number;
}

export interface DecodedResponse<T> {
  readonly correlationId: number;
  readonly body: T;
}

/** A request as parts to be sent one after another, the size first; bytes of 1 KiB and more are not copied. */
export function encodeRequest(head: RequestHead, body: unknown): Buffer[] {
  const api = requireApi(head.api);
  const writer = new Writer();
  writer.int32(0);
  codec('RequestHeader', api.requestHeaderVersion(head.apiVersion)).write(writer, {
    requestApiKey: api.key,
    requestApiVersion: head.apiVersion,
    correlationId: head.correlationId,
    clientId: head.clientId,
  });
  messageCodec(api, 'Request', head.apiVersion).write(writer, body);
  return finishFrame(writer);
}

/** A response as parts to be sent one after another, the size first; bytes of 1 KiB and more are not copied. */
export function encodeResponse(head: ResponseHead, body: unknown): Buffer[] {
  const api = requireApi(head.apiKey);
  const writer = new Writer();
  writer.int32(0);
  writer.int32(head.correlationId);
  if (api.responseHeaderVersion(head.apiVersion) === 1) writer.unsignedVarint(0);
  messageCodec(api, 'Response', head.apiVersion).write(writer, body);
  return finishFrame(writer);
}

/**
 * The header of a request frame (without its size). Reads key, version and correlation id of any API; of one that is not
 * known, or of a version outside its range, that is all: what follows cannot be trusted to have a known form.
 */
export function decodeRequestHeader(frame: Buffer): DecodedRequestHeader {
  const reader = new Reader(frame);
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const api = apiByKey(apiKey);
  if (api === undefined || apiVersion < 0 || apiVersion > api.max) {
    return { apiKey, apiVersion, correlationId, clientId: null, bodyPosition: reader.position };
  }
  const clientId = reader.nullableString();
  if (api.requestHeaderVersion(apiVersion) === 2) reader.unknownTags();
  return { apiKey, apiVersion, correlationId, clientId, bodyPosition: reader.position };
}

/** The response in a frame (without its size) to a request of this API and version. */
export function decodeResponse<T>(
  api: number | string,
  apiVersion: number,
  frame: Buffer,
): DecodedResponse<T> {
  const description = requireApi(api);
  const reader = new Reader(frame);
  const correlationId = reader.int32();
  if (description.responseHeaderVersion(apiVersion) === 1) reader.unknownTags();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the caller names the type along with the API
  const body = messageCodec(description, 'Response', apiVersion).read(reader) as T;
  reader.finish();
  return { correlationId, body };
}

function requireApi(api: number | string): ApiDescription {
  const found = typeof api === 'number' ? apiByKey(api) : apiByName(api);
  if (found === undefined) throw new ProtocolError('unknown-message', `there is no API ${api}`);
  return found;
}

function messageCodec(api: ApiDescription, kind: 'Request' | 'Response', version: number): Codec<unknown> {
  return codecByName(`${api.name}${kind}`, version);
}

/** Sets the size in the frame's first four bytes, which always lie in the first part. */
function finishFrame(writer: Writer): Buffer[] {
  const parts = writer.finishParts();
  parts[0]!.writeInt32BE(writer.sizeBytes - 4, 0);
  return parts;
}
