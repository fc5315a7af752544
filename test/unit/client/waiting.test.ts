import { describe, expect, it } from 'vitest';
import { abortable, backoffMs, Bell, sleep } from '../../../client/waiting.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

describe('waiting', () => {
  it('sleeps for the time asked, and leaves no timer when aborted', async () => {
    const clock = new ManualClock();
    let isAwake = false;
    const sleeping = sleep(clock, 100).then(() => (isAwake = true));
    await clock.advanceAsync(99);
    expect(isAwake).toBe(false);
    await clock.advanceAsync(1);
    expect(await sleeping).toBe(true);
    const controller = new AbortController();
    const aborted = sleep(clock, 100, controller.signal);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives a promise up when the signal fires, also when it had fired before', async () => {
    const never = new Promise<void>(() => {});
    const controller = new AbortController();
    const first = abortable(never, controller.signal, 'wait');
    controller.abort(new Error('why'));
    await expect(first).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'why' } });
    const failing = Promise.reject(new Error('must not go unhandled'));
    await expect(abortable(failing, controller.signal, 'wait')).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('pauses longer with each failure, within a fifth either way, up to the longest', () => {
    const random = new SeededRandom(1);
    const pauses = Array.from({ length: 12 }, (_, index) => backoffMs(random, index + 1, 100, 1_000));
    pauses.forEach((pause, index) => {
      const plain = Math.min(1_000, 100 * 2 ** index);
      expect(pause).toBeGreaterThanOrEqual(plain * 0.8);
      expect(pause).toBeLessThanOrEqual(plain * 1.2);
    });
    expect(new Set(pauses).size).toBeGreaterThan(10);
  });

  it('a bell wakes all that wait, once', async () => {
    const clock = new ManualClock();
    const bell = new Bell();
    let wakes = 0;
    const both = [bell.next(), bell.nextWithin(clock, 1_000)].map((waiting) => waiting.then(() => wakes++));
    bell.ring();
    bell.ring();
    await Promise.all(both);
    expect([wakes, clock.pendingTimers]).toEqual([2, 0]);
  });

  it('a bell keeps nothing of those whose time was over before it rang', async () => {
    const clock = new ManualClock();
    const bell = new Bell();
    for (let round = 0; round < 3; round++) {
      const waiting = bell.nextWithin(clock, 1_000);
      clock.advance(1_000);
      await waiting;
    }
    expect([bell.waiting, clock.pendingTimers]).toEqual([0, 0]);
  });
});
