/**
 * What one node sends another in one piece: messages of any number of groups, and those of the nodes themselves. Versioned; the
 * bytes of entries and chunks stand behind all messages and are neither looked at nor copied on either side.
 *
 *   version int8, head size int32, CRC-32C uint32 of the head; the head; the bytes
 *   head: from int32, to int32, incarnation int64; strings; node messages; group messages
 *   group message: group and directories by their strings' numbers, the message, size of its bytes int32
 *
 * The transport says where a frame ends. Indexes of entries, terms and checksums of the entries are the receiver's to compare.
 */
import { assert } from '../../platform/assert.ts';
import { crc32c, ProtocolError, Reader, Writer } from '../../protocol/index.ts';
import { readNatural } from './configuration-codec.ts';
import { nodeOf } from './member.ts';
import { readMessage, readTerm, stringAt, writeMessage } from './message-codec.ts';
import type { StringNumbers } from './message-codec.ts';
import type { Message } from './messages.ts';
import type { GroupTerm } from './node-heartbeats.ts';
import type { WireNodeMessage } from './roll-parts.ts';

export interface GroupMessage {
  readonly group: string;
  readonly message: Message;
  /** Of the entries or the chunk that go with it, in order; empty for all others. */
  readonly bytes: readonly Buffer[];
}

export interface Frame {
  readonly from: number;
  readonly to: number;
  /** Of the sender: grows with each of its starts. */
  readonly incarnation: number;
  readonly nodeMessages: readonly WireNodeMessage[];
  readonly groupMessages: readonly GroupMessage[];
}

const formatVersion = 1;
const prefixBytes = 9;
const nodeKinds = ['heartbeat', 'heartbeat-answer', 'roll-call-part', 'roll-answer'] as const;

/** The frame in order; the last parts are the messages' own buffers. */
export function encodeFrame(frame: Frame): Buffer[] {
  const strings = new StringTable();
  const body = new Writer(1024);
  body.compactCount(frame.nodeMessages.length);
  for (const message of frame.nodeMessages) writeNodeMessage(body, message, strings);
  body.compactCount(frame.groupMessages.length);
  const payload: Buffer[] = [];
  for (const { group, message, bytes } of frame.groupMessages) {
    assert(nodeOf(message.from) === frame.from && nodeOf(message.to) === frame.to, 'a frame for its nodes');
    body.unsignedVarint(strings.numberOf(group));
    writeMessage(body, message, strings);
    let sizeBytes = 0;
    for (const part of bytes) sizeBytes += part.length;
    body.int32(sizeBytes);
    payload.push(...bytes);
  }
  const writer = new Writer(1024);
  writer.int32(frame.from);
  writer.int32(frame.to);
  writer.int64(frame.incarnation);
  writer.compactCount(strings.all.length);
  for (const text of strings.all) writer.compactString(text);
  writer.raw(body.finish());
  const head = writer.finish();
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeInt8(formatVersion, 0);
  prefix.writeInt32BE(head.length, 1);
  prefix.writeUInt32BE(crc32c(head), 5);
  return [prefix, head, ...payload];
}

/** Throws ProtocolError. The messages' bytes are parts of `bytes`. */
export function decodeFrame(bytes: Buffer): Frame {
  const prefix = new Reader(bytes);
  const version = prefix.int8();
  if (version !== formatVersion)
    throw new ProtocolError('unsupported-version', `a frame of version ${version}`);
  const headBytes = prefix.int32();
  const crc = prefix.uint32();
  if (headBytes < 0) throw new ProtocolError('negative-length', `a head of ${headBytes} bytes`);
  const headEnd = prefixBytes + headBytes;
  const reader = new Reader(bytes, prefixBytes, headEnd);
  if (crc32c(bytes.subarray(prefixBytes, headEnd)) !== crc)
    throw new ProtocolError('bad-crc', 'the head of a frame');
  const nodes = { from: reader.int32(), to: reader.int32(), incarnation: readNatural(reader) };
  if (nodes.from < 0 || nodes.to < 0) throw new ProtocolError('out-of-range', 'a node id below 0');
  const strings: string[] = [];
  for (let count = reader.compactCount(1); count > 0; count--) strings.push(reader.compactString());
  const nodeMessages: WireNodeMessage[] = [];
  for (let count = reader.compactCount(1); count > 0; count--) {
    nodeMessages.push(readNodeMessage(reader, nodes, strings));
  }
  const groupMessages: GroupMessage[] = [];
  const payload = new Reader(bytes, headEnd);
  for (let count = reader.compactCount(1); count > 0; count--) {
    const group = stringAt(strings, reader.unsignedVarint());
    const message = readMessage(reader, nodes, strings);
    const sizeBytes = reader.int32();
    if (sizeBytes < 0) throw new ProtocolError('negative-length', `a message with ${sizeBytes} bytes`);
    groupMessages.push({ group, message, bytes: sizeBytes === 0 ? [] : [payload.slice(sizeBytes)] });
  }
  reader.finish();
  payload.finish();
  return { ...nodes, nodeMessages, groupMessages };
}

class StringTable implements StringNumbers {
  readonly all: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.all.push(text) - 1;
    this.#numbers.set(text, number);
    return number;
  }
}

function writeNodeMessage(writer: Writer, message: WireNodeMessage, strings: StringTable): void {
  writer.int8(nodeKinds.indexOf(message.kind));
  switch (message.kind) {
    case 'heartbeat':
      writer.int64(message.sentAt);
      writer.int64(message.ledDigest);
      break;
    case 'heartbeat-answer':
      writer.int64(message.sentAt);
      writer.int64(message.askedBy);
      writer.bool(message.isConfirmed);
      break;
    case 'roll-call-part':
      writer.int64(message.roll);
      writer.int32(message.part);
      writer.int32(message.parts);
      writer.compactCount(message.led.length);
      for (const { group, term } of message.led) {
        writer.unsignedVarint(strings.numberOf(group));
        writer.int32(term);
      }
      break;
    case 'roll-answer':
      writer.int64(message.sentAt);
      writer.int64(message.askedBy);
      writer.bool(message.isWhole);
      writer.compactCount(message.strayed.length);
      for (const group of message.strayed) writer.unsignedVarint(strings.numberOf(group));
      break;
  }
}

function readNodeMessage(
  reader: Reader,
  nodes: { readonly from: number; readonly to: number; readonly incarnation: number },
  strings: readonly string[],
): WireNodeMessage {
  const kind = nodeKinds[reader.int8()];
  switch (kind) {
    case 'heartbeat':
      return { kind, ...nodes, sentAt: readNatural(reader), ledDigest: readNatural(reader) };
    case 'heartbeat-answer': {
      const sentAt = readNatural(reader);
      return { kind, ...nodes, sentAt, askedBy: readNatural(reader), isConfirmed: reader.bool() };
    }
    case 'roll-call-part':
      return { kind, ...nodes, roll: readNatural(reader), ...readPart(reader, strings) };
    case 'roll-answer': {
      const call = { sentAt: readNatural(reader), askedBy: readNatural(reader), isWhole: reader.bool() };
      const strayed: string[] = [];
      for (let count = reader.compactCount(1); count > 0; count--) {
        strayed.push(stringAt(strings, reader.unsignedVarint()));
      }
      return { kind, ...nodes, ...call, strayed };
    }
    default:
      throw new ProtocolError('unknown-message', `a node's message before byte ${reader.position}`);
  }
}

function readPart(
  reader: Reader,
  strings: readonly string[],
): { part: number; parts: number; led: readonly GroupTerm[] } {
  const part = reader.int32();
  const parts = reader.int32();
  if (part < 0 || part >= parts) throw new ProtocolError('out-of-range', `part ${part} of ${parts}`);
  const led: GroupTerm[] = [];
  for (let count = reader.compactCount(5); count > 0; count--) {
    led.push({ group: stringAt(strings, reader.unsignedVarint()), term: readTerm(reader) });
  }
  return { part, parts, led };
}
