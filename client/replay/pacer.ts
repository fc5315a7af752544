import type { Clock } from '../../platform/clock.ts';
import { sleep } from '../waiting.ts';
import type { ReplayPace } from './replay-options.ts';

/** A timer is not worth starting for less. */
const shortestWaitMs = 1;
/** After a stall (a slow handler, a broker that was away) at most this much is caught up at full speed. */
const catchUpMs = 100;

/** Says when the next record may go, so that none of the given limits is exceeded. One replay run owns it. */
export class Pacer {
  readonly #clock: Clock;
  readonly #pace: ReplayPace;
  /** When the next record may go, by each of the two rates. */
  #nextByRecords: number;
  #nextByBytes: number;
  /** The first record's timestamp and when it went; original timing counts from there. */
  #origin: { timestamp: number; sentAt: number } | undefined;

  constructor(clock: Clock, pace: ReplayPace) {
    this.#clock = clock;
    this.#pace = pace;
    this.#nextByRecords = clock.monotonicMs();
    this.#nextByBytes = this.#nextByRecords;
  }

  /** Undefined when the record may go now; otherwise a promise to wait for, rejected with 'ABORTED' by the signal. */
  admit(sizeBytes: number, timestamp: number, signal?: AbortSignal): Promise<void> | undefined {
    const { recordsPerSecond, bytesPerSecond, speed } = this.#pace;
    const now = this.#clock.monotonicMs();
    let due = now;
    if (recordsPerSecond !== undefined) {
      const slot = Math.max(this.#nextByRecords, now - catchUpMs);
      this.#nextByRecords = slot + 1000 / recordsPerSecond;
      due = Math.max(due, slot);
    }
    if (bytesPerSecond !== undefined) {
      const slot = Math.max(this.#nextByBytes, now - catchUpMs);
      this.#nextByBytes = slot + (1000 * sizeBytes) / bytesPerSecond;
      due = Math.max(due, slot);
    }
    if (speed !== undefined && timestamp >= 0) {
      this.#origin ??= { timestamp, sentAt: now };
      due = Math.max(due, this.#origin.sentAt + (timestamp - this.#origin.timestamp) / speed);
    }
    const waitMs = due - now;
    return waitMs < shortestWaitMs ? undefined : sleep(this.#clock, waitMs, signal);
  }
}
