/** A question that was asked and is not settled yet; it is settled once, by whichever comes first. */
import type { Clock, Timer } from '../../platform/clock.ts';
import { PeerError } from './peer-requests.ts';
import type { PeerErrorCode } from './peer-requests.ts';

export interface AskedQuestion {
  readonly kind: string;
  readonly payload: readonly Buffer[];
  readonly timeoutMs: number;
  /** For messages: who is asked. */
  readonly who: string;
}

export class PendingQuestion {
  readonly asked: AskedQuestion;
  readonly answer: Promise<Buffer>;
  readonly sizeBytes: number;
  readonly #resolve: (answer: Buffer) => void;
  readonly #reject: (error: PeerError) => void;
  readonly #timer: Timer;
  #isSettled = false;
  /** Bytes of it may have left this node, or it is being served here. */
  wasSent = false;
  /** Runs when it is settled, whichever way. */
  onSettled: ((question: PendingQuestion) => void) | undefined;
  /** Runs when nothing came in time, before it is settled. */
  onTimeout: (() => void) | undefined;

  constructor(asked: AskedQuestion, clock: Clock) {
    this.asked = asked;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    let sizeBytes = 0;
    for (const part of asked.payload) sizeBytes += part.length;
    this.sizeBytes = sizeBytes;
    this.#timer = clock.after(asked.timeoutMs, () => {
      this.onTimeout?.();
      this.fail('timed-out', `${asked.who} did not answer '${asked.kind}' within ${asked.timeoutMs} ms.`);
    });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  succeed(answer: Buffer): void {
    if (this.#settle()) this.#resolve(answer);
  }

  fail(code: PeerErrorCode, message: string, cause?: unknown): void {
    if (!this.#settle()) return;
    const wasSent = this.wasSent && code !== 'unsupported';
    this.#reject(new PeerError(code, message, cause === undefined ? { wasSent } : { cause, wasSent }));
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#timer.cancel();
    this.onSettled?.(this);
    return true;
  }
}
