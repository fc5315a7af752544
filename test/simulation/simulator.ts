/**
 * What every simulator of this folder offers: a run from a seed, and an account of it. Each has a folder of its own beside the
 * disk and the clock that they share.
 */
import { simulateCluster } from './cluster/cluster-simulation.ts';
import { simulateGroups } from './groups/groups-simulation.ts';
import { simulateLog } from './log/log-simulation.ts';
import { simulateNodes } from './nodes/nodes-simulation.ts';
import { SimulationFailure } from './simulation-failure.ts';

export interface SimulationRun {
  readonly seed: number;
  /** Whether every event is to be kept, and not only its hash. */
  readonly keepsTrace?: boolean;
  /** What is to happen more often than the seed would have it, in the simulator's own words. */
  readonly focus?: string | undefined;
  /** Kinds of faults that are left out; all else stays as the seed has it. */
  readonly without?: readonly string[] | undefined;
  /** Only these steps are taken; undefined: all. */
  readonly steps?: ReadonlySet<number> | undefined;
}

/** What of a history can be left out. */
export interface SimulationPlan {
  readonly kinds: readonly string[];
  readonly steps: number;
}

/** How often things happened, by group and name. */
export type Counts = Record<string, Record<string, number>>;

export interface SimulationResult {
  /** Two runs of one seed give the same. */
  readonly traceHash: string;
  readonly counts: Counts;
  /** What happened, in words. */
  readonly history: readonly string[];
  /** Every event, where they were asked for. */
  readonly traceLines: readonly string[];
  readonly failure: SimulationFailure | undefined;
  /** Undefined where histories are all or nothing. */
  readonly plan?: SimulationPlan | undefined;
}

export type Simulator = (run: SimulationRun) => Promise<SimulationResult>;

export const simulators: Readonly<Record<string, Simulator>> = {
  log: simulateLog,
  cluster: simulateCluster,
  nodes: simulateNodes,
  groups: simulateGroups,
};

/** Runs one seed; an error that nobody has waited for counts against it, too. */
export async function runSeed(simulator: Simulator, run: SimulationRun): Promise<SimulationResult> {
  const strays: unknown[] = [];
  const onStray = (error: unknown): void => {
    strays.push(error);
  };
  process.on('unhandledRejection', onStray);
  try {
    const result = await simulator(run);
    // Node tells of such errors when it is back in its event loop.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    if (strays.length === 0 || result.failure !== undefined) return result;
    const text = strays[0] instanceof Error ? strays[0].stack : String(strays[0]);
    return { ...result, failure: new SimulationFailure(`an error that nobody waits for: ${text}`) };
  } finally {
    process.off('unhandledRejection', onStray);
  }
}

export function addCounts(target: Counts, more: Counts): void {
  for (const [group, names] of Object.entries(more)) {
    const into = (target[group] ??= {});
    for (const [name, count] of Object.entries(names)) into[name] = (into[name] ?? 0) + count;
  }
}
