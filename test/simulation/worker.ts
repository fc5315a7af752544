/** A process that runs the seeds it is given, a few at a time, and answers with their account. */
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts } from './simulator.ts';

export interface Task {
  readonly simulator: string;
  readonly from: number;
  readonly seeds: number;
  /** Kinds of faults that are left out. */
  readonly without: readonly string[] | undefined;
  readonly focus: string | undefined;
}

export interface FailedSeed {
  readonly seed: number;
  readonly message: string;
  readonly history: readonly string[];
}

export interface TaskResult {
  readonly seeds: number;
  readonly counts: Counts;
  readonly failed: readonly FailedSeed[];
}

// Errors are all in a day's work here, and where they were made is of interest only when one seed is looked at.
Error.stackTraceLimit = 0;

process.on('message', (task: Task) => {
  void work(task).then((result) => process.send!(result));
});

async function work(task: Task): Promise<TaskResult> {
  const counts: Counts = {};
  const failed: FailedSeed[] = [];
  for (let seed = task.from; seed < task.from + task.seeds; seed++) {
    const result = await runSeed(simulators[task.simulator]!, {
      seed,
      without: task.without,
      focus: task.focus,
    });
    addCounts(counts, result.counts);
    if (result.failure !== undefined)
      failed.push({ seed, message: result.failure.message, history: result.history });
  }
  return { seeds: task.seeds, counts, failed };
}
