/** Time, as everything below the composition root sees it. The simulator replaces it. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back; may hold fractions. For durations and deadlines. */
  monotonicMs(): number;
  /** Whole milliseconds since the Unix epoch; may jump. For timestamps that are stored or shown. */
  wallMs(): number;
  /**
   * Runs `action` once, `delayMs` (>= 0) from now. Timers fire in order of deadline, then of creation.
   * An action that throws is a bug and ends the process.
   */
  after(delayMs: number, action: () => void): Timer;
}

export interface Timer {
  /** Cancelling a timer that has fired or was cancelled does nothing. */
  cancel(): void;
}
