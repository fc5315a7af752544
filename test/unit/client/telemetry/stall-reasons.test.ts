/** What a stall is told to be, and what is none; and that a process that stood still is told of. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { Liveness } from '../../../../client/consumer/liveness.ts';
import { PartitionState } from '../../../../client/consumer/partition-state.ts';
import { KafkaError, type Stall } from '../../../../client/index.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { RecordingLogger } from './recording-logger.ts';

const stalledAfterMs = 10_000;

/** Watches one partition, which stands at offset 5. */
function watching(isReadCommitted = true) {
  const clock = new ManualClock();
  const late = { ms: 0 };
  const state = new PartitionState({ topic: 't', partition: 0 }, 5);
  const stalls: Stall[] = [];
  const recoveries: Stall[] = [];
  const logger = new RecordingLogger();
  const leader = { isKnown: true };
  const liveness = new Liveness(
    {
      clock: {
        monotonicMs: () => clock.monotonicMs() + late.ms,
        wallMs: () => clock.wallMs(),
        after: (delayMs, action) => clock.after(delayMs, action),
      },
      logger,
      name: { clientId: 'c', groupId: 'g' },
      partitions: () => [state],
      hasLeader: () => leader.isKnown,
      onFailed: () => {},
    },
    {
      stalledAfterMs,
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 60_000,
      isReadCommitted,
      onStalled: (stall) => stalls.push(stall),
      onRecovered: (stall) => recoveries.push(stall),
    },
  );
  liveness.start();
  /** Lets time go by in which the broker answers all the while. */
  const answering = (ms: number): void => {
    for (let at = 0; at < ms; at += 500) {
      state.answeredAtMs = clock.monotonicMs();
      clock.advance(500);
    }
  };
  return { clock, late, state, stalls, recoveries, logger, leader, liveness, answering };
}

describe('a partition', () => {
  it('from which nothing comes, though there is more', () => {
    const { state, stalls, recoveries, answering } = watching();
    Object.assign(state, { highWatermark: 9, lastStableOffset: 9 });
    answering(9_000);
    expect(stalls).toEqual([]);
    answering(4_000);
    expect(stalls).toMatchObject([{ reason: 'no-records', partitions: [{ topic: 't', partition: 0 }] }]);
    state.moveTo(9);
    answering(2_000);
    expect(recoveries).toEqual(stalls);
  });

  it('that is read to the end of what is committed', () => {
    const { state, stalls, answering } = watching();
    Object.assign(state, { highWatermark: 9, lastStableOffset: 5 });
    answering(60_000);
    expect(stalls).toEqual([]);
    const uncommitted = watching(false);
    Object.assign(uncommitted.state, { highWatermark: 9, lastStableOffset: 5 });
    uncommitted.answering(60_000);
    expect(uncommitted.stalls).toHaveLength(1);
  });

  it('that is paused', () => {
    const { clock, state, stalls } = watching();
    state.isPaused = true;
    clock.advance(60_000);
    expect(stalls).toEqual([]);
  });

  it('that is not answered for, has no leader, no position, or fails', () => {
    const reasonWhen = (change: (parts: ReturnType<typeof watching>) => void): string => {
      const parts = watching();
      change(parts);
      parts.clock.advance(15_000);
      return parts.stalls.map(({ reason, error }) => `${reason} ${error?.code}`).join();
    };
    expect(reasonWhen(() => {})).toBe('no-answer undefined');
    expect(reasonWhen(({ leader }) => (leader.isKnown = false))).toBe('no-leader undefined');
    expect(reasonWhen(({ state }) => (state.target = 'committed'))).toBe('no-position undefined');
    const trouble = new KafkaError('CONNECTION_FAILED', 'gone');
    expect(reasonWhen(({ state }) => (state.trouble = trouble))).toBe('fetch-failing CONNECTION_FAILED');
  });
});

it('a group that cannot be reached is a stall, until it can', () => {
  const { clock, state, stalls, recoveries, liveness } = watching();
  state.isPaused = true;
  liveness.heartbeat(new KafkaError('TIMED_OUT', 'late'));
  clock.advance(12_000);
  expect(stalls).toMatchObject([
    { reason: 'heartbeat-failing', partitions: [], error: { code: 'TIMED_OUT' } },
  ]);
  liveness.heartbeat(undefined);
  clock.advance(2_000);
  expect(recoveries).toEqual(stalls);
});

it('a stall does not end because the process stood still', () => {
  const { clock, late, stalls, recoveries } = watching();
  clock.advance(15_000);
  expect(stalls).toHaveLength(1);
  late.ms = 20_000;
  clock.advance(1_000);
  expect(recoveries).toEqual([]);
});

it('a process that stood still for a third of the session is told of, and is no stall', () => {
  const events: unknown[] = [];
  const note = (event: unknown): void => void events.push(event);
  subscribe('kappalog:consumer:event-loop-stalled', note);
  const { clock, late, state, stalls, logger } = watching();
  Object.assign(state, { highWatermark: 5, lastStableOffset: 5, answeredAtMs: 0 });
  clock.advance(2_000);
  late.ms = 14_000;
  clock.advance(1_000);
  expect(events).toEqual([]);
  late.ms += 20_000;
  clock.advance(1_000);
  unsubscribe('kappalog:consumer:event-loop-stalled', note);
  expect(events).toEqual([
    { clientId: 'c', groupId: 'g', blockedMs: 20_000, sessionTimeoutMs: 45_000, rebalanceTimeoutMs: 60_000 },
  ]);
  expect(logger.lines).toContain('warn the event loop was blocked');
  expect(stalls).toEqual([]);
});
