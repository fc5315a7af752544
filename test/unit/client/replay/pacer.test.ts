import { describe, expect, it } from 'vitest';
import { Pacer } from '../../../../client/replay/pacer.ts';
import type { ReplayPace } from '../../../../client/replay/replay-options.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

interface Sent {
  readonly atMs: number;
}

/** Sends records as fast as the pacer lets them go, on a clock that jumps to the next timer. */
async function send(
  pace: ReplayPace,
  records: readonly { sizeBytes: number; timestamp: number }[],
): Promise<Sent[]> {
  const clock = new ManualClock();
  const start = clock.monotonicMs();
  const pacer = new Pacer(clock, pace);
  const sent: Sent[] = [];
  for (const { sizeBytes, timestamp } of records) {
    const wait = pacer.admit(sizeBytes, timestamp);
    if (wait !== undefined) {
      // Time moves in milliseconds, as slowly as the wait lets it.
      while (clock.pendingTimers > 0) clock.advance(1);
      await wait;
    }
    sent.push({ atMs: clock.monotonicMs() - start });
  }
  return sent;
}

const records = (count: number, sizeBytes = 100, gapMs = 0) =>
  Array.from({ length: count }, (_, index) => ({ sizeBytes, timestamp: 1_000_000 + index * gapMs }));

describe('Pacer', () => {
  it('keeps to records per second', async () => {
    const sent = await send({ recordsPerSecond: 100 }, records(51));
    expect(sent[0]!.atMs).toBe(0);
    expect(sent.at(-1)!.atMs).toBeGreaterThanOrEqual(499);
    expect(sent.at(-1)!.atMs).toBeLessThanOrEqual(510);
  });

  it('keeps to a rate far above one record per millisecond', async () => {
    const sent = await send({ recordsPerSecond: 20_000 }, records(10_001));
    expect(sent.at(-1)!.atMs).toBeGreaterThanOrEqual(498);
    expect(sent.at(-1)!.atMs).toBeLessThanOrEqual(510);
  });

  it('keeps to bytes per second', async () => {
    const sent = await send({ bytesPerSecond: 10_000 }, records(51, 100));
    expect(sent.at(-1)!.atMs).toBeGreaterThanOrEqual(499);
    expect(sent.at(-1)!.atMs).toBeLessThanOrEqual(510);
  });

  it('keeps to the stricter of two limits', async () => {
    const sent = await send({ recordsPerSecond: 1_000, bytesPerSecond: 10_000 }, records(51, 100));
    expect(sent.at(-1)!.atMs).toBeGreaterThanOrEqual(499);
  });

  it('keeps the distances between timestamps, times the speed', async () => {
    const sent = await send({ speed: 10 }, records(6, 1, 1_000));
    expect(sent.map(({ atMs }) => Math.round(atMs / 10) * 10)).toEqual([0, 100, 200, 300, 400, 500]);
  });

  it('does not wait for late records nor for those without a time', async () => {
    const sent = await send({ speed: 1 }, [
      { sizeBytes: 1, timestamp: 5_000 },
      { sizeBytes: 1, timestamp: 1_000 },
      { sizeBytes: 1, timestamp: -1 },
    ]);
    expect(sent.map(({ atMs }) => atMs)).toEqual([0, 0, 0]);
  });

  it('catches up no more than a tenth of a second after a stall', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, { recordsPerSecond: 100 });
    expect(pacer.admit(1, 0)).toBeUndefined();
    clock.advance(60_000);
    let free = 0;
    while (pacer.admit(1, 0) === undefined) free += 1;
    expect(free).toBe(11);
  });

  it('ends a wait when the signal fires', async () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, { recordsPerSecond: 1 });
    const stop = new AbortController();
    expect(pacer.admit(1, 0, stop.signal)).toBeUndefined();
    const wait = pacer.admit(1, 0, stop.signal);
    stop.abort();
    await expect(wait).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
