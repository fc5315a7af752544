import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ShardTimer, ShardTimers } from '../../../broker/coordinator/shard-timers.ts';

function popAll(timers: ShardTimers<string>, nowMs: number): string[] {
  const events: string[] = [];
  for (let event = timers.popDue(nowMs); event !== undefined; event = timers.popDue(nowMs))
    events.push(event);
  return events;
}

function timerOf(name: string): ShardTimer<string> {
  return new ShardTimer(name);
}

test('timers fire in order of deadline, then of arming', () => {
  const timers = new ShardTimers<string>();
  const [a, b, c, d] = [timerOf('a'), timerOf('b'), timerOf('c'), timerOf('d')];
  timers.arm(a, 20);
  timers.arm(b, 10);
  timers.arm(c, 20);
  timers.arm(d, 5);
  timers.arm(a, 20);
  expect(timers.nextDeadlineMs).toBe(5);
  expect(popAll(timers, 4)).toEqual([]);
  expect(popAll(timers, 10)).toEqual(['d', 'b']);
  expect(popAll(timers, 20)).toEqual(['c', 'a']);
  expect(timers.nextDeadlineMs).toBeUndefined();
});

test('a timer that was moved or disarmed does not fire at its old time', () => {
  const timers = new ShardTimers<string>();
  const [a, b] = [new ShardTimer('a'), new ShardTimer('b')];
  timers.arm(a, 10);
  timers.arm(b, 10);
  timers.arm(a, 30);
  timers.disarm(b);
  expect(timers.nextDeadlineMs).toBe(30);
  expect(popAll(timers, 29)).toEqual([]);
  timers.arm(a, 15);
  expect(timers.nextDeadlineMs).toBe(15);
  expect(popAll(timers, 15)).toEqual(['a']);
  expect(popAll(timers, 100)).toEqual([]);
  timers.arm(b, 120);
  expect(popAll(timers, 120)).toEqual(['b']);
});

test('any arming behaves as a plain list of deadlines', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('arm' as const), timer: fc.nat(5), inMs: fc.nat(50) }),
    fc.record({ kind: fc.constant('disarm' as const), timer: fc.nat(5) }),
    fc.record({ kind: fc.constant('advance' as const), byMs: fc.nat(40) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
      const timers = new ShardTimers<string>();
      const all = Array.from({ length: 6 }, (_, index) => new ShardTimer(String(index)));
      const model = new Map<string, { deadlineMs: number; order: number }>();
      let nowMs = 0;
      for (const [order, each] of steps.entries()) {
        if (each.kind === 'arm') {
          timers.arm(all[each.timer]!, nowMs + each.inMs);
          model.set(String(each.timer), { deadlineMs: nowMs + each.inMs, order });
        } else if (each.kind === 'disarm') {
          timers.disarm(all[each.timer]!);
          model.delete(String(each.timer));
        } else {
          nowMs += each.byMs;
          const due = [...model]
            .filter(([, { deadlineMs }]) => deadlineMs <= nowMs)
            .sort(([, a], [, b]) => a.deadlineMs - b.deadlineMs || a.order - b.order)
            .map(([name]) => name);
          expect(popAll(timers, nowMs)).toEqual(due);
          for (const name of due) model.delete(name);
        }
        const next = Math.min(...[...model.values()].map(({ deadlineMs }) => deadlineMs));
        expect(timers.nextDeadlineMs).toBe(next === Infinity ? undefined : next);
      }
    }),
  );
});
