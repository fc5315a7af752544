import { expect, it } from 'vitest';
import { MovePace } from '../../../../broker/partition/moves/move-pace.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

const wanted = (): boolean => true;

async function tookMs(clock: ManualClock, charged: Promise<void>): Promise<number> {
  const beganMs = clock.monotonicMs();
  let isDone = false;
  void charged.then(() => {
    isDone = true;
  });
  await clock.runUntil(() => isDone, 60_000);
  return clock.monotonicMs() - beganMs;
}

it('moves so many bytes a second in all, whoever moves them, and takes up another rate at once', async () => {
  const clock = new ManualClock();
  let rate = 1_000_000;
  const pace = new MovePace({ clock, bytesPerSecondMax: () => rate });
  expect(await tookMs(clock, pace.charge(500_000, 0, wanted))).toBe(500);
  const two = Promise.all([pace.charge(500_000, 0, wanted), pace.charge(500_000, 0, wanted)]);
  expect(
    await tookMs(
      clock,
      two.then(() => undefined),
    ),
  ).toBe(1000);
  rate = 0;
  const stopped = pace.charge(500_000, 0, wanted);
  await clock.advanceAsync(10_000);
  rate = Infinity;
  expect(await tookMs(clock, stopped)).toBeLessThanOrEqual(100);
  expect(await tookMs(clock, pace.charge(500_000, 0, wanted))).toBe(0);
});

it('rests where the disks are busy, and waits for no move that is not wanted', async () => {
  const clock = new ManualClock();
  let rate = Infinity;
  const pace = new MovePace({ clock, bytesPerSecondMax: () => rate });
  expect(await tookMs(clock, pace.charge(1, 300, wanted))).toBe(300);
  expect(await tookMs(clock, pace.charge(1, 9_000, wanted))).toBe(2_000);
  rate = 1;
  let isWanted = true;
  const charged = pace.charge(1_000_000, 0, () => isWanted);
  await clock.advanceAsync(1_000);
  isWanted = false;
  expect(await tookMs(clock, charged)).toBeLessThanOrEqual(100);
});
