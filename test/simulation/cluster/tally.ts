/** How often things happened in a history, by group and name, in the order in which they first did. */
import type { Counts } from '../simulator.ts';

export class Tally {
  readonly counts: Counts = {};

  count(group: string, name: string, times = 1): void {
    if (times === 0) return;
    const names = (this.counts[group] ??= {});
    names[name] = (names[name] ?? 0) + times;
  }

  addAll(group: string, counts: Iterable<readonly [string, number]>): void {
    for (const [name, times] of counts) this.count(group, name, times);
  }
}
