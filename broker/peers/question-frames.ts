/**
 * Questions and answers as they stand in frames, on the connections of the lanes 'control' and 'bulk': pure.
 * docs/internal-protocol.md has the bytes. What is asked and answered is opaque here.
 */
import { Reader, Writer } from '../../protocol/index.ts';
import { MalformedFrame } from './peer-stream.ts';

export interface Question {
  /** Of the connection that it came on; at least 1. */
  readonly id: number;
  readonly kind: string;
  readonly payload: Buffer;
}

export type AnswerOutcome = 'answered' | 'unsupported' | 'failed';

export interface Answer {
  readonly id: number;
  readonly outcome: AnswerOutcome;
  /** What the service answered, or why it did not, as UTF-8. */
  readonly payload: Buffer;
}

export const questionIdMax = 0x7fffffff;
export const kindBytesMax = 256;
const questionType = 0;
const answerType = 1;
const outcomes: readonly AnswerOutcome[] = ['answered', 'unsupported', 'failed'];

/** What stands before the payload. */
export function questionHead(id: number, kind: string): Buffer {
  const writer = new Writer(32);
  writer.int8(questionType);
  writer.int32(id);
  writer.string(kind);
  return writer.finish();
}

/** What stands before the payload. */
export function answerHead(id: number, outcome: AnswerOutcome): Buffer {
  const head = Buffer.allocUnsafe(6);
  head.writeInt8(answerType, 0);
  head.writeInt32BE(id, 1);
  head.writeInt8(outcomes.indexOf(outcome), 5);
  return head;
}

/** Throws MalformedFrame or ProtocolError. The payload is a part of the frame. */
export function decodeQuestion(frame: Buffer): Question {
  const reader = new Reader(frame);
  if (reader.int8() !== questionType) throw new MalformedFrame('a frame that is no question');
  const id = reader.int32();
  const kind = reader.string();
  if (id < 1 || Buffer.byteLength(kind) > kindBytesMax) throw new MalformedFrame('a question that cannot be');
  return { id, kind, payload: reader.rest() };
}

/** Throws MalformedFrame or ProtocolError. The payload is a part of the frame. */
export function decodeAnswer(frame: Buffer): Answer {
  const reader = new Reader(frame);
  if (reader.int8() !== answerType) throw new MalformedFrame('a frame that is no answer');
  const id = reader.int32();
  const outcome = outcomes[reader.int8()];
  if (outcome === undefined) throw new MalformedFrame('an answer of an outcome that is not known');
  return { id, outcome, payload: reader.rest() };
}
