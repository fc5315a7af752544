/**
 * What the answer to one Produce request waits for: appends that have to become as safe as the client asked, and refusals that
 * only a leader may pronounce.
 *
 * A leader that was cut off and deposed, and does not know it yet, lacks what the next one has taken of a producer. It would refuse
 * the producer's next batch for a gap that is not there, and that ends a producer for good. So such a refusal leaves only when a
 * quorum has confirmed the leadership (a linearizable read of the producer's state); otherwise the client is sent to the leader.
 */
import type { Clock } from '../../platform/clock.ts';
import { ErrorCode } from '../../protocol/index.ts';
import type { AppendRefusal, Awaited } from '../partition/replica-types.ts';
import type { Replica } from '../partition/replica.ts';

/** Of one partition, as far as it changes while it waits. */
export interface PendingAnswer {
  errorCode: ErrorCode;
  baseOffset: number;
  logAppendTimeMs: number;
  logStartOffset: number;
}

/** `acks` of a request that waits for the commit. */
export const acksAll = -1;

/** Whether clients give a producer up for this refusal. */
export function endsProducer(refusal: AppendRefusal): boolean {
  return refusal === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || refusal === 'INVALID_PRODUCER_EPOCH';
}

export class AckRound<Answer extends PendingAnswer> {
  readonly acks: number;
  readonly #clock: Clock;
  readonly #undecided = new Set<Answer>();
  #done: (() => void) | undefined;

  constructor(acks: number, clock: Clock) {
    this.acks = acks;
    this.#clock = clock;
  }

  get pending(): number {
    return this.#undecided.size;
  }

  /** The answer is good when the append is as safe as was asked. */
  wait(replica: Replica, appended: Awaited, answer: Answer): void {
    this.#undecided.add(answer);
    const outcome = (reached: boolean): void =>
      this.#decided(answer, reached ? undefined : whyUnsafe(replica, appended));
    if (this.acks === acksAll) replica.acknowledgements.whenCommitted(appended, outcome);
    else replica.acknowledgements.whenWritten(appended, outcome);
  }

  /** The answer is a refusal, and good if this node leads. With acks=0 there is no answer, and either way the connection ends. */
  confirm(replica: Replica, answer: Answer): void {
    if (this.acks === 0) return;
    this.#undecided.add(answer);
    void replica.confirmRead().then((endIndex) => {
      const why = replica.failed ? 'KAFKA_STORAGE_ERROR' : 'NOT_LEADER_OR_FOLLOWER';
      this.#decided(answer, endIndex === undefined ? why : undefined);
    });
  }

  /** Resolves when each is safe or has failed, however long that takes. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  /** Resolves when all are decided, or when the time is over: those that are not then answer REQUEST_TIMED_OUT. */
  finish(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(Math.max(timeoutMs, 0), () => {
        for (const answer of this.#undecided) fail(answer, 'REQUEST_TIMED_OUT');
        this.#undecided.clear();
        resolve();
      });
      this.#done = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #decided(answer: Answer, failure: keyof typeof ErrorCode | undefined): void {
    if (!this.#undecided.delete(answer)) return;
    if (failure !== undefined) fail(answer, failure);
    if (this.#undecided.size === 0) this.#done?.();
  }
}

function whyUnsafe(replica: Replica, appended: Awaited): keyof typeof ErrorCode {
  if (replica.failed) return 'KAFKA_STORAGE_ERROR';
  const leads = replica.isLeader && replica.term === appended.term;
  return leads ? 'NOT_ENOUGH_REPLICAS_AFTER_APPEND' : 'NOT_LEADER_OR_FOLLOWER';
}

function fail(answer: PendingAnswer, error: keyof typeof ErrorCode): void {
  answer.errorCode = ErrorCode[error];
  answer.baseOffset = -1;
  answer.logAppendTimeMs = -1;
  answer.logStartOffset = -1;
}
