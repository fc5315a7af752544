import { expect, it } from 'vitest';
import { CopyPace } from '../../../../broker/partition/consensus/catch-up/copy-pace.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

/** Milliseconds until a piece that took so long is paid for. */
async function waitOf(sizeBytes: number, tookMs: number, heldBack?: boolean): Promise<number> {
  const clock = new ManualClock();
  const pace = new CopyPace({ clock, bytesPerSecondMax: () => 1_000_000 });
  clock.advance(tookMs);
  let isOver = false;
  const charged = pace.charge(sizeBytes, tookMs, heldBack).then(() => {
    isOver = true;
  });
  const beganMs = clock.monotonicMs();
  await Promise.resolve();
  while (clock.pendingTimers > 0) clock.advance(1);
  await charged;
  expect([isOver, pace.chargedBytes]).toEqual([true, sizeBytes]);
  return clock.monotonicMs() - beganMs;
}

it('rests as long as a piece took that somebody was busy with, and until it is paid for', async () => {
  expect(await waitOf(100_000, 10)).toBe(90);
  expect(await waitOf(1_000, 400)).toBe(400);
  expect(await waitOf(1_000, 5_000)).toBe(2_000);
});

it('does not take it for busy who only holds pieces back', async () => {
  expect(await waitOf(1_000, 400, true)).toBe(0);
  expect(await waitOf(500_000, 400, true)).toBe(100);
});
