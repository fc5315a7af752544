/**
 * The answering side of one connection. Questions are answered in any order; what is being answered and what waits to be sent is
 * bounded, by not reading on.
 */
import { toError } from '../../platform/to-error.ts';
import { PeerError } from './peer-requests.ts';
import type { PeerService } from './peer-requests.ts';
import { answerHead, decodeQuestion } from './question-frames.ts';
import type { AnswerOutcome, Question } from './question-frames.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';

export interface QuestionServerOptions {
  readonly peer: PeerStream;
  /** Who asks; -1 where it has no id. */
  readonly from: number;
  readonly serviceOf: (kind: string) => PeerService | undefined;
}

const failureCharactersMax = 4000;

export class QuestionServer {
  readonly #options: QuestionServerOptions;
  readonly #peer: PeerStream;
  readonly #services: PeerServices;
  /** Questions that have arrived with the last of those that are being answered; no more than one read brings. */
  readonly #waiting: Question[] = [];
  #inService = 0;
  /** Payloads of those that wait or are being answered. */
  #heldBytes = 0;
  #isPaused = false;
  #isPumping = false;
  /** The answers sent pile up. */
  #isCongested = false;

  constructor(options: QuestionServerOptions, services: PeerServices) {
    this.#options = options;
    this.#peer = options.peer;
    this.#services = services;
  }

  /** In the turn in which the connection was welcomed. */
  start(): void {
    const peer = this.#peer;
    const { questionFrameBytesMax } = this.#services.limits;
    peer.expectFrames(questionFrameBytesMax, (frame) => this.#received(decodeQuestion(frame)));
    peer.onDrain(() => {
      this.#isCongested = false;
      this.#pump();
    });
  }

  #received(question: Question): void {
    this.#heldBytes += question.payload.length;
    this.#waiting.push(question);
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    const { questionsInServiceMax, questionBytesInServiceMax } = this.#services.limits;
    while (this.#waiting.length > 0 && !this.#isCongested && this.#inService < questionsInServiceMax) {
      this.#serve(this.#waiting.shift()!);
    }
    this.#isPumping = false;
    const isFull =
      this.#waiting.length > 0 || this.#isCongested || this.#heldBytes > questionBytesInServiceMax;
    if (isFull === this.#isPaused || this.#peer.hasEnded) return;
    this.#isPaused = isFull;
    if (isFull) this.#peer.stream.pause();
    else this.#peer.stream.resume();
  }

  #serve(question: Question): void {
    const service = this.#options.serviceOf(question.kind);
    this.#inService++;
    if (service === undefined) {
      this.#answer(question, 'unsupported', []);
      return;
    }
    callService(service, this.#options.from, question.payload).then(
      (answer) => this.#answer(question, 'answered', answer),
      (error: unknown) => this.#answer(question, 'failed', [failureText(error)]),
    );
  }

  #answer(question: Question, outcome: AnswerOutcome, parts: readonly Buffer[]): void {
    this.#inService--;
    this.#heldBytes -= question.payload.length;
    if (this.#peer.hasEnded) {
      this.#waiting.length = 0;
      return;
    }
    const head = answerHead(question.id, outcome);
    let sizeBytes = head.length;
    for (const part of parts) sizeBytes += part.length;
    const { questionFrameBytesMax } = this.#services.limits;
    let isFree: boolean;
    if (sizeBytes <= questionFrameBytesMax) {
      isFree = this.#peer.writeFrame([head, ...parts], sizeBytes);
    } else {
      const text = Buffer.from(`The answer has ${sizeBytes} bytes; ${questionFrameBytesMax} are the most.`);
      isFree = this.#peer.writeFrame([answerHead(question.id, 'failed'), text], head.length + text.length);
    }
    if (!isFree) this.#isCongested = true;
    this.#pump();
  }
}

/** Rejects with what the service throws, however it does. */
export async function callService(
  service: PeerService,
  from: number,
  payload: Buffer,
): Promise<readonly Buffer[]> {
  return service({ from, payload });
}

/** What a service threw, as the other node's caller gets it. */
export function failureOf(error: unknown): PeerError {
  return new PeerError('failed', toError(error).message.slice(0, failureCharactersMax), { cause: error });
}

function failureText(error: unknown): Buffer {
  return Buffer.from(failureOf(error).message);
}
