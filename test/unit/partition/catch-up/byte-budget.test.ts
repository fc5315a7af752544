import { expect, it } from 'vitest';
import { ByteBudget } from '../../../../broker/partition/consensus/catch-up/byte-budget.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

it('lets the first go at once, and each of the next when those before are paid for', () => {
  const clock = new ManualClock();
  const budget = new ByteBudget(clock, () => 1_000);
  const turns = [500, 300, 200].map((bytes) => budget.take(bytes));
  expect(turns.map((turn) => budget.waitMs(turn))).toEqual([0, 500, 800]);
  clock.advance(500);
  expect(turns.map((turn) => budget.waitMs(turn))).toEqual([0, 0, 300]);
});

it('saves nothing up while nobody asks', () => {
  const clock = new ManualClock();
  const budget = new ByteBudget(clock, () => 1_000);
  clock.advance(60_000);
  budget.take(400);
  expect(budget.waitMs(budget.take(400))).toBe(400);
});

it('goes by the rate of the moment, also for those who wait already', () => {
  const clock = new ManualClock();
  let rate = 10;
  const budget = new ByteBudget(clock, () => rate);
  budget.take(1_000);
  const turn = budget.take(1_000);
  expect(budget.waitMs(turn)).toBe(100_000);
  rate = 10_000;
  expect(budget.waitMs(turn)).toBe(100);
  rate = 0;
  expect(budget.waitMs(turn)).toBe(Infinity);
  rate = Infinity;
  expect(budget.waitMs(turn)).toBe(0);
});

it('takes what was not used off what others wait for, and adds what was too little', () => {
  const clock = new ManualClock();
  const budget = new ByteBudget(clock, () => 1_000);
  budget.take(1_000);
  const turn = budget.take(100);
  budget.giveBack(900);
  expect(budget.waitMs(turn)).toBe(100);
  clock.advance(100);
  budget.giveBack(-400);
  expect(budget.waitMs(budget.take(1))).toBe(500);
});
