/**
 * The timers of one coordinator shard: a binary heap, so that a shard needs one timer of the clock however many members
 * it has. Timers fire in order of deadline, then of arming.
 *
 * A session timer is moved forward by every heartbeat and fires almost never, so arming for a later time only notes the
 * new deadline; the heap learns of it when the old one comes up.
 */
export class ShardTimer<Event> {
  readonly event: Event;
  /** When it fires (steady ms), undefined while it is not armed. Owned by the queue. */
  deadlineMs: number | undefined = undefined;
  /** Order of the last arming, which decides between equal deadlines. Owned by the queue. */
  armedAs = 0;
  /** The entry that stands for it in the heap, if any: its deadline is at or before `deadlineMs`. Owned by the queue. */
  entry: HeapEntry<Event> | undefined = undefined;

  constructor(event: Event) {
    this.event = event;
  }
}

interface HeapEntry<Event> {
  readonly timer: ShardTimer<Event>;
  readonly deadlineMs: number;
  readonly armedAs: number;
}

export class ShardTimers<Event> {
  readonly #heap: HeapEntry<Event>[] = [];
  #armings = 0;

  arm(timer: ShardTimer<Event>, deadlineMs: number): void {
    this.#armings += 1;
    timer.deadlineMs = deadlineMs;
    timer.armedAs = this.#armings;
    if (timer.entry === undefined || deadlineMs < timer.entry.deadlineMs) this.#push(timer);
  }

  disarm(timer: ShardTimer<Event>): void {
    timer.deadlineMs = undefined;
  }

  /** When the next timer is due (steady ms), at the latest; undefined when none is armed. */
  get nextDeadlineMs(): number | undefined {
    this.#settleFirst();
    return this.#heap[0]?.deadlineMs;
  }

  /** Takes out the first timer due at `nowMs` and gives its event; undefined when none is due. */
  popDue(nowMs: number): Event | undefined {
    this.#settleFirst();
    const first = this.#heap[0];
    if (first === undefined || first.deadlineMs > nowMs) return undefined;
    this.#pop();
    first.timer.entry = undefined;
    first.timer.deadlineMs = undefined;
    return first.timer.event;
  }

  /** Brings the heap to a state where its first entry is what its timer says. */
  #settleFirst(): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return;
      const { timer } = first;
      if (timer.entry === first && timer.armedAs === first.armedAs && timer.deadlineMs !== undefined) return;
      this.#pop();
      if (timer.entry !== first) continue;
      timer.entry = undefined;
      if (timer.deadlineMs !== undefined) this.#push(timer);
    }
  }

  #push(timer: ShardTimer<Event>): void {
    const entry: HeapEntry<Event> = { timer, deadlineMs: timer.deadlineMs!, armedAs: timer.armedAs };
    timer.entry = entry;
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore<Event>(left: HeapEntry<Event>, right: HeapEntry<Event>): boolean {
  return (
    left.deadlineMs < right.deadlineMs ||
    (left.deadlineMs === right.deadlineMs && left.armedAs < right.armedAs)
  );
}
