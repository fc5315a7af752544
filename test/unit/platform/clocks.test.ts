import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { RealClock } from '../../../platform/real/real-clock.ts';
import { TimerQueue } from '../../../platform/timer-queue.ts';

describe('TimerQueue', () => {
  it('gives timers out by deadline, then by creation, whatever has been cancelled', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ deadlineMs: fc.nat(20), isCancelled: fc.boolean() })), (timers) => {
        const queue = new TimerQueue();
        const added = timers.map(({ deadlineMs }) => queue.add(deadlineMs, () => undefined));
        timers.forEach(({ isCancelled }, place) => {
          if (isCancelled) queue.remove(added[place]!);
        });
        const expected = added
          .filter((_, place) => !timers[place]!.isCancelled)
          .sort((a, b) => a.deadlineMs - b.deadlineMs || a.sequence - b.sequence);
        expect(queue.countDue(10, 5)).toBe(
          Math.min(5, expected.filter(({ deadlineMs }) => deadlineMs <= 10).length),
        );
        const taken = [];
        for (let next = queue.takeDue(20); next !== undefined; next = queue.takeDue(20)) taken.push(next);
        expect(taken).toEqual(expected);
        expect(queue.size).toBe(0);
      }),
    );
  });
});

describe('ManualClock', () => {
  it('stands still until told, and shows each timer its own deadline', () => {
    const clock = new ManualClock(1000);
    const seen: [string, number, number][] = [];
    const note = (name: string) => () => seen.push([name, clock.monotonicMs(), clock.wallMs()]);
    clock.after(20, note('b'));
    clock.after(10, () => {
      note('a')();
      clock.after(5, note('a2'));
    });
    clock.after(10, note('aa'));
    clock.after(15, note('never')).cancel();
    clock.after(31, note('late'));
    clock.advance(30);
    expect(seen).toEqual([
      ['a', 10, 1010],
      ['aa', 10, 1010],
      ['a2', 15, 1015],
      ['b', 20, 1020],
    ]);
    expect([clock.monotonicMs(), clock.pendingTimers, clock.nextDeadlineMs]).toEqual([30, 1, 31]);
    clock.jumpWall(-500);
    expect([clock.monotonicMs(), clock.wallMs()]).toEqual([30, 530]);
  });

  it('lets promises go on between timers', async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    const wait = (ms: number) =>
      new Promise<void>((resolve) => {
        clock.after(ms, resolve);
      });
    void (async () => {
      await wait(1);
      seen.push('one');
      await wait(1);
      seen.push('two');
    })();
    clock.after(2, () => seen.push('timer'));
    await clock.advanceAsync(10);
    expect(seen).toEqual(['one', 'timer', 'two']);
    expect(await clock.runUntil(() => false, 10)).toBe(false);
    expect(await clock.runUntil(() => true, 10)).toBe(true);
  });
});

describe('RealClock', () => {
  it('fires in order of deadline, then of creation, each timer in a macrotask of its own', async () => {
    const clock = new RealClock();
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      // Far enough from each other that a busy machine does not change their order between two calls.
      for (const [name, delayMs] of [
        ['c', 240],
        ['a', 60],
        ['b', 140],
        ['a2', 60],
        ['now', 0],
      ] as const) {
        clock.after(delayMs, () => {
          seen.push(name);
          queueMicrotask(() => seen.push(`${name}'`));
          if (name === 'c') setImmediate(resolve);
        });
      }
      const cancelled = clock.after(100, () => seen.push('cancelled'));
      clock.after(20, () => cancelled.cancel());
      const endMs = clock.monotonicMs() + 400;
      // The loop stays busy until all are due: late timers keep their order too.
      while (clock.monotonicMs() < endMs) continue;
    });
    expect(seen).toEqual(['now', "now'", 'a', "a'", 'a2', "a2'", 'b', "b'", 'c', "c'"]);
  });

  it('never fires early, and tells the time of the wall', async () => {
    const clock = new RealClock();
    const startMs = clock.monotonicMs();
    const firedMs = await new Promise<number>((resolve) => {
      clock.after(5.5, () => resolve(clock.monotonicMs()));
    });
    expect(firedMs - startMs).toBeGreaterThanOrEqual(5.5);
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1000);
  });
});
