/**
 * How one message of a group is written inside a frame (frame-codec.ts): everything but the bytes of entries and chunks, which
 * travel behind all messages of the frame. Members are told by their directories alone, as a frame goes from one node to another.
 */
import { ProtocolError } from '../../protocol/index.ts';
import type { Reader, Writer } from '../../protocol/index.ts';
import type { PlacedConfiguration } from './configuration.ts';
import { memberOf, readConfiguration, readNatural, writeConfiguration } from './configuration-codec.ts';
import { directoryOf } from './member.ts';
import type { MemberId } from './member.ts';
import type { Append, AppendAnswer, Message, Snapshot } from './messages.ts';
import type { TermStart } from './term-log.ts';

/** In the order of their numbers. */
const kinds = [
  'pre-vote',
  'vote',
  'pre-vote-answer',
  'vote-answer',
  'append',
  'append-answer',
  'snapshot-chunk',
  'snapshot-answer',
  'copy-request',
  'timeout-now',
  'resignation',
  'term-notice',
] as const satisfies readonly Message['kind'][];

/** index int64, term int32; index int64 and a configuration with one voter */
const termStartBytes = 12;
const placedBytesMin = 25;

/** Strings of a frame that stand there once each; here is their number. */
export interface StringNumbers {
  numberOf(text: string): number;
}

export function writeMessage(writer: Writer, message: Message, strings: StringNumbers): void {
  writer.int8(kinds.indexOf(message.kind));
  writer.unsignedVarint(strings.numberOf(directoryOf(message.from)));
  writer.unsignedVarint(strings.numberOf(directoryOf(message.to)));
  writer.int32(message.term);
  switch (message.kind) {
    case 'pre-vote':
    case 'vote':
      writer.int64(message.lastIndex);
      writer.int32(message.lastTerm);
      writer.bool(message.isTransfer);
      break;
    case 'pre-vote-answer':
    case 'vote-answer':
      writer.bool(message.isGranted);
      break;
    case 'append':
      writeAppend(writer, message);
      break;
    case 'append-answer':
      writeAppendAnswer(writer, message);
      break;
    case 'snapshot-chunk':
      writeSnapshot(writer, message.snapshot);
      writer.int64(message.position);
      writer.int32(message.sizeBytes);
      break;
    case 'snapshot-answer':
      writer.compactString(message.snapshotId);
      writer.int64(message.position);
      break;
    case 'copy-request':
      writer.int64(message.endIndex);
      writer.int32(message.lastTerm);
      break;
    case 'timeout-now':
    case 'resignation':
    case 'term-notice':
      break;
  }
}

/** Between these two nodes. Throws ProtocolError; what comes back can be given to Raft. */
export function readMessage(
  reader: Reader,
  nodes: { readonly from: number; readonly to: number },
  strings: readonly string[],
): Message {
  const kind = kinds[reader.int8()];
  const from = memberOf(nodes.from, stringAt(strings, reader.unsignedVarint()));
  const to = memberOf(nodes.to, stringAt(strings, reader.unsignedVarint()));
  const term = readTerm(reader);
  switch (kind) {
    case 'pre-vote':
    case 'vote':
      return {
        kind,
        from,
        to,
        term,
        lastIndex: readNatural(reader),
        lastTerm: readTerm(reader),
        isTransfer: reader.bool(),
      };
    case 'pre-vote-answer':
    case 'vote-answer':
      return { kind, from, to, term, isGranted: reader.bool() };
    case 'append':
      return readAppend(reader, from, to, term);
    case 'append-answer':
      return readAppendAnswer(reader, from, to, term);
    case 'snapshot-chunk': {
      const snapshot = readSnapshot(reader);
      const position = readNatural(reader);
      const sizeBytes = reader.int32();
      if (sizeBytes < 1 || position + sizeBytes > snapshot.sizeBytes) {
        throw new ProtocolError('out-of-range', `a chunk of ${sizeBytes} bytes at ${position}`);
      }
      return { kind, from, to, term, snapshot, position, sizeBytes };
    }
    case 'snapshot-answer':
      return { kind, from, to, term, snapshotId: reader.compactString(), position: readNatural(reader) };
    case 'copy-request':
      return { kind, from, to, term, endIndex: readNatural(reader), lastTerm: readTerm(reader) };
    case 'timeout-now':
    case 'resignation':
    case 'term-notice':
      return { kind, from, to, term };
    default:
      throw new ProtocolError('unknown-message', `a kind of message before byte ${reader.position}`);
  }
}

export function stringAt(strings: readonly string[], number: number): string {
  const text = strings[number];
  if (text === undefined) throw new ProtocolError('out-of-range', `string ${number} of ${strings.length}`);
  return text;
}

/** Kafka's leader epoch. */
export function readTerm(reader: Reader): number {
  const term = reader.int32();
  if (term < 0) throw new ProtocolError('out-of-range', `the term ${term}`);
  return term;
}

function writeAppend(writer: Writer, message: Append): void {
  writer.int64(message.fromIndex);
  writer.int64(message.endIndex);
  writer.int32(message.previousTerm);
  writer.int64(message.committedEndIndex);
  writeTick(writer, message.sentAt);
  writer.int64(message.readSequence);
  writer.compactCount(message.terms.length);
  for (const { index, term } of message.terms) {
    writer.int64(index);
    writer.int32(term);
  }
  writer.compactCount(message.configurations.length);
  for (const { index, configuration } of message.configurations) {
    writer.int64(index);
    writeConfiguration(writer, configuration);
  }
}

function readAppend(reader: Reader, from: MemberId, to: MemberId, term: number): Append {
  const fromIndex = readNatural(reader);
  const endIndex = readNatural(reader);
  const previousTerm = readTerm(reader);
  const committedEndIndex = readNatural(reader);
  const sentAt = readTick(reader);
  const readSequence = readNatural(reader);
  const terms: TermStart[] = [];
  for (let count = reader.compactCount(termStartBytes); count > 0; count--) {
    terms.push({ index: readNatural(reader), term: readTerm(reader) });
  }
  const configurations: PlacedConfiguration[] = [];
  for (let count = reader.compactCount(placedBytesMin); count > 0; count--) {
    configurations.push({ index: readNatural(reader), configuration: readConfiguration(reader) });
  }
  const message: Append = {
    kind: 'append',
    from,
    to,
    term,
    fromIndex,
    endIndex,
    previousTerm,
    terms,
    configurations,
    committedEndIndex,
    sentAt,
    readSequence,
  };
  if (!isInOrder(message)) throw new ProtocolError('bad-value', 'an append that contradicts itself');
  return message;
}

/** What begins in the range begins there in order, and no term is beyond the leader's. */
function isInOrder({ fromIndex, endIndex, previousTerm, term, terms, configurations }: Append): boolean {
  if (fromIndex < 1 || endIndex < fromIndex || previousTerm > term) return false;
  let last = { index: fromIndex - 1, term: previousTerm };
  for (const start of terms) {
    if (start.index <= last.index || start.index >= endIndex || start.term <= last.term) return false;
    last = start;
  }
  if (last.term > term) return false;
  let lastIndex = fromIndex - 1;
  for (const { index } of configurations) {
    if (index <= lastIndex || index >= endIndex) return false;
    lastIndex = index;
  }
  return true;
}

function writeAppendAnswer(writer: Writer, message: AppendAnswer): void {
  writer.int64(message.matchedEndIndex);
  writer.int64(message.writtenEndIndex);
  writer.int64(message.flushedEndIndex);
  writer.int64(message.committedEndIndex);
  writeTick(writer, message.sentAt);
  writer.int64(message.readSequence);
  const { rejected } = message;
  writer.bool(rejected !== undefined);
  if (rejected === undefined) return;
  writer.int64(rejected.fromIndex);
  writer.int32(rejected.hint.term);
  writer.int64(rejected.hint.endIndex);
}

function readAppendAnswer(reader: Reader, from: MemberId, to: MemberId, term: number): AppendAnswer {
  return {
    kind: 'append-answer',
    from,
    to,
    term,
    matchedEndIndex: readNatural(reader),
    writtenEndIndex: readNatural(reader),
    flushedEndIndex: readNatural(reader),
    committedEndIndex: readNatural(reader),
    sentAt: readTick(reader),
    readSequence: readNatural(reader),
    rejected: reader.bool()
      ? {
          fromIndex: readNatural(reader),
          hint: { term: readTerm(reader), endIndex: readNatural(reader) },
        }
      : undefined,
  };
}

function writeSnapshot(writer: Writer, snapshot: Snapshot): void {
  writer.compactString(snapshot.id);
  writer.int64(snapshot.lastIndex);
  writer.int32(snapshot.lastTerm);
  writer.int64(snapshot.configuration.index);
  writeConfiguration(writer, snapshot.configuration.configuration);
  writer.int64(snapshot.sizeBytes);
  writer.uint32(snapshot.checksum);
}

function readSnapshot(reader: Reader): Snapshot {
  return {
    id: reader.compactString(),
    lastIndex: readNatural(reader),
    lastTerm: readTerm(reader),
    configuration: { index: readNatural(reader), configuration: readConfiguration(reader) },
    sizeBytes: readNatural(reader),
    checksum: reader.uint32(),
  };
}

/** A tick of the sender's own; before the first is -Infinity, which is written as -1. */
function writeTick(writer: Writer, tick: number): void {
  writer.int64(tick === Number.NEGATIVE_INFINITY ? -1 : tick);
}

function readTick(reader: Reader): number {
  const tick = reader.int64();
  if (tick === -1) return Number.NEGATIVE_INFINITY;
  if (!Number.isSafeInteger(tick) || tick < 0) throw new ProtocolError('out-of-range', `the tick ${tick}`);
  return tick;
}
