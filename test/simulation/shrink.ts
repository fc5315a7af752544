/**
 * Cuts a failing history down: leaves out kinds of faults, then steps, as long as it fails in the same way. Each step draws from a
 * source of chance of its own, so that what is left stays what it was.
 */
import { runSeed } from './simulator.ts';
import type { SimulationResult, SimulationRun, Simulator } from './simulator.ts';

export interface Shrunk {
  readonly run: SimulationRun;
  readonly result: SimulationResult;
  /** Histories that it took. */
  readonly tried: number;
}

/** Undefined where the run does not fail, or its simulator cannot leave anything out. */
export async function shrinkRun(
  simulator: Simulator,
  run: SimulationRun,
  runsMax: number,
): Promise<Shrunk | undefined> {
  const first = await runSeed(simulator, run);
  if (first.failure === undefined || first.plan === undefined) return undefined;
  const failureKind = kindOf(first.failure.message);
  let best: SimulationRun = run;
  let tried = 1;
  const fails = async (candidate: SimulationRun): Promise<boolean> => {
    if (tried >= runsMax) return false;
    tried++;
    const { failure } = await runSeed(simulator, candidate);
    if (failure === undefined || kindOf(failure.message) !== failureKind) return false;
    best = candidate;
    return true;
  };
  const { kinds, steps } = first.plan;
  for (const kind of kinds) await fails({ ...best, without: [...(best.without ?? []), kind] });
  let kept = [...(run.steps ?? Array.from({ length: steps }, (_, step) => step))];
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = Math.max(0, kept.length - size); from >= 0; from -= size) {
      const rest = kept.toSpliced(from, size);
      if (await fails({ ...best, steps: new Set(rest) })) kept = rest;
      if (from === 0) break;
      if (from < size) from = size;
    }
  }
  return { run: best, result: await runSeed(simulator, best), tried };
}

/** Messages that differ in numbers alone tell of one failure. */
function kindOf(message: string): string {
  return message
    .split('\n')[0]!
    .replaceAll(/[0-9]+(\.[0-9]+)?/g, '#')
    .replaceAll(/#\/[\w-]+/g, '#');
}

/** "3-5,9" for 3, 4, 5 and 9; "none". */
export function describeSteps(steps: ReadonlySet<number>): string {
  if (steps.size === 0) return 'none';
  const runs: { first: number; last: number }[] = [];
  for (const step of [...steps].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && step === run.last + 1) run.last = step;
    else runs.push({ first: step, last: step });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** Throws where the text is none of `describeSteps`. */
export function parseSteps(text: string): ReadonlySet<number> {
  const steps = new Set<number>();
  if (text === 'none') return steps;
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) throw new Error(`${part} is no step, and no range of steps.`);
    const last = Number(match[2] ?? match[1]);
    for (let step = Number(match[1]); step <= last; step++) steps.add(step);
  }
  return steps;
}
