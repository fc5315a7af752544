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
