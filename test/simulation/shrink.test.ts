/** What is left of a failing history when all that it can do without has been left out. */
import { describe, expect, it } from 'vitest';
import { describeSteps, parseSteps, shrinkRun } from './shrink.ts';
import type { SimulationRun, Simulator } from './simulator.ts';
import { SimulationFailure } from './simulation-failure.ts';

/** Has 50 steps and two kinds of faults, and fails where `fails` says so. */
function simulatorThat(
  fails: (steps: ReadonlySet<number>, without: readonly string[]) => string | undefined,
): Simulator {
  const all = new Set(Array.from({ length: 50 }, (_, step) => step));
  return (run: SimulationRun) => {
    const steps = run.steps ?? all;
    const message = fails(steps, run.without ?? []);
    return Promise.resolve({
      traceHash: '',
      counts: {},
      history: [...steps].map(String),
      traceLines: [],
      failure: message === undefined ? undefined : new SimulationFailure(message),
      plan: { kinds: ['rot', 'drift'], steps: all.size },
    });
  };
}

describe('a failing history', () => {
  it('keeps the steps and the faults that it cannot do without', async () => {
    const simulator = simulatorThat((steps, without) =>
      steps.has(7) && steps.has(31) && !without.includes('rot') ? `index ${steps.size} is lost` : undefined,
    );
    const shrunk = await shrinkRun(simulator, { seed: 1 }, 400);
    expect(shrunk?.run).toEqual({ seed: 1, without: ['drift'], steps: new Set([7, 31]) });
    expect(shrunk?.result.history).toEqual(['7', '31']);
  });

  it('is not taken for another one that fails otherwise', async () => {
    const simulator = simulatorThat((steps) =>
      steps.has(20) ? 'a term has two leaders' : 'nothing happens',
    );
    const shrunk = await shrinkRun(simulator, { seed: 1 }, 400);
    expect([...shrunk!.run.steps!]).toEqual([20]);
  });

  it('takes no more runs than it may', async () => {
    let runs = 0;
    const simulator = simulatorThat(() => {
      runs++;
      return 'always';
    });
    await shrinkRun(simulator, { seed: 1 }, 5);
    expect(runs).toBeLessThanOrEqual(6);
  });

  it('is none where it does not fail', async () => {
    expect(
      await shrinkRun(
        simulatorThat(() => undefined),
        { seed: 1 },
        9,
      ),
    ).toBeUndefined();
  });
});

describe('the steps that are left', () => {
  it.each([
    [[], 'none'],
    [[4], '4'],
    [[9, 3, 4, 5], '3-5,9'],
  ])('%j are written as %s', (steps, text) => {
    expect(describeSteps(new Set(steps))).toBe(text);
    expect(parseSteps(text)).toEqual(new Set(steps.toSorted((a, b) => a - b)));
  });

  it('are refused where the text is something else', () => {
    expect(() => parseSteps('3-')).toThrow('3- is no step');
  });
});
