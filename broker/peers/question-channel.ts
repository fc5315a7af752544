/** The asking side of one connection: several questions at a time, each answer matched with its question. */
import type { PendingQuestion } from './pending-question.ts';
import { decodeAnswer, questionHead, questionIdMax } from './question-frames.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';

export class QuestionChannel {
  readonly peer: PeerStream;
  readonly #services: PeerServices;
  readonly #pending = new Map<number, PendingQuestion>();
  #lastId = 0;
  #isRetired = false;

  /** In the turn in which the connection was welcomed. */
  constructor(peer: PeerStream, services: PeerServices) {
    this.peer = peer;
    this.#services = services;
    peer.expectFrames(services.limits.questionFrameBytesMax, (frame) => this.#received(frame));
  }

  /** Questions that wait for their answer. */
  get pending(): number {
    return this.#pending.size;
  }

  ask(question: PendingQuestion): void {
    const { unsentBytesMax, questionFrameBytesMax } = this.#services.limits;
    const id = this.#nextId();
    const head = questionHead(id, question.asked.kind);
    const sizeBytes = head.length + question.sizeBytes;
    const { unsentBytes } = this.peer.stream;
    if (sizeBytes > questionFrameBytesMax) {
      question.fail('failed', `The question has ${sizeBytes} bytes; ${questionFrameBytesMax} are the most.`);
    } else if (unsentBytes > 0 && unsentBytes + sizeBytes > unsentBytesMax) {
      const message = `${question.asked.who} has not taken ${unsentBytes} bytes that were sent before.`;
      question.fail('unreachable', message);
    } else {
      question.wasSent = true;
      this.#pending.set(id, question);
      question.onSettled = () => this.#settled(id);
      this.peer.writeFrame([head, ...question.asked.payload], sizeBytes);
    }
  }

  /** Nothing more is asked: the connection ends with the last answer. */
  retire(): void {
    this.#isRetired = true;
    if (this.#pending.size === 0) this.peer.destroy();
  }

  /** The connection has ended. */
  fail(code: 'unreachable' | 'closed', message: string): void {
    for (const question of this.#pending.values()) question.fail(code, message);
  }

  #received(frame: Buffer): void {
    const answer = decodeAnswer(frame);
    const question = this.#pending.get(answer.id);
    // It may have come too late.
    if (question === undefined) return;
    switch (answer.outcome) {
      case 'answered':
        question.succeed(answer.payload);
        break;
      case 'unsupported':
        question.fail('unsupported', `${question.asked.who} does not answer '${question.asked.kind}'.`);
        break;
      case 'failed':
        question.fail('failed', answer.payload.toString());
        break;
    }
  }

  #settled(id: number): void {
    this.#pending.delete(id);
    if (this.#isRetired && this.#pending.size === 0) this.peer.destroy();
  }

  /** Ids come around; one whose question still waits is passed over. */
  #nextId(): number {
    do this.#lastId = this.#lastId === questionIdMax ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}
