/**
 * Timers in order of deadline, then of creation: a binary heap whose entries know their place, so that cancelling one
 * takes it out at once. Owned by one clock; it neither reads the time nor runs anything.
 */
export class TimerQueue {
  readonly #heap: QueuedTimer[] = [];
  #created = 0;

  get size(): number {
    return this.#heap.length;
  }

  get earliest(): QueuedTimer | undefined {
    return this.#heap[0];
  }

  /** `deadlineMs` is on whatever scale the clock uses. */
  add(deadlineMs: number, action: () => void): QueuedTimer {
    const timer: QueuedTimer = { deadlineMs, sequence: this.#created++, action, slot: this.#heap.length };
    this.#heap.push(timer);
    this.#rise(timer);
    return timer;
  }

  /** Takes out a timer; does nothing where it has left already. */
  remove(timer: QueuedTimer): void {
    const slot = timer.slot;
    if (slot < 0) return;
    timer.slot = -1;
    const last = this.#heap.pop()!;
    if (last === timer) return;
    this.#put(last, slot);
    this.#rise(last);
    this.#sink(last);
  }

  /** Takes out and returns the first timer due at `nowMs`, or undefined. */
  takeDue(nowMs: number): QueuedTimer | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.deadlineMs > nowMs) return undefined;
    this.remove(first);
    return first;
  }

  /** How many timers are due at `nowMs`, counting no further than `countMax`. */
  countDue(nowMs: number, countMax: number): number {
    let count = 0;
    const open = [0];
    for (let slot = open.pop(); slot !== undefined && count < countMax; slot = open.pop()) {
      const timer = this.#heap[slot];
      if (timer === undefined || timer.deadlineMs > nowMs) continue;
      count++;
      open.push(2 * slot + 1, 2 * slot + 2);
    }
    return count;
  }

  #put(timer: QueuedTimer, slot: number): void {
    this.#heap[slot] = timer;
    timer.slot = slot;
  }

  #rise(timer: QueuedTimer): void {
    let slot = timer.slot;
    while (slot > 0) {
      const parentSlot = (slot - 1) >> 1;
      const parent = this.#heap[parentSlot]!;
      if (!isBefore(timer, parent)) break;
      this.#put(parent, slot);
      slot = parentSlot;
    }
    this.#put(timer, slot);
  }

  #sink(timer: QueuedTimer): void {
    let slot = timer.slot;
    for (;;) {
      let childSlot = 2 * slot + 1;
      let child = this.#heap[childSlot];
      if (child === undefined) break;
      const right = this.#heap[childSlot + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childSlot++;
      }
      if (!isBefore(child, timer)) break;
      this.#put(child, slot);
      slot = childSlot;
    }
    this.#put(timer, slot);
  }
}

export interface QueuedTimer {
  readonly deadlineMs: number;
  /** Order of creation. */
  readonly sequence: number;
  readonly action: () => void;
  /** Place in the heap; -1 once fired or cancelled. */
  slot: number;
}

function isBefore(a: QueuedTimer, b: QueuedTimer): boolean {
  return a.deadlineMs < b.deadlineMs || (a.deadlineMs === b.deadlineMs && a.sequence < b.sequence);
}
