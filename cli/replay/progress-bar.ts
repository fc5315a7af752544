import { SingleBar } from 'cli-progress';
import type { Replay, ReplayPlan } from '../../client/index.ts';
import { formatCount } from '../table.ts';
import { formatDuration, formatTime } from '../times.ts';

/** Often enough to look alive, seldom enough to cost nothing. */
const intervalMs = 200;

/** Draws a bar on stderr until the run has ended; resolves then. */
export async function showProgress(replay: Replay, plan: ReplayPlan): Promise<void> {
  const bar = new SingleBar({
    format: '{bar} {percentage}%  {done} of {all}  {rate}/s  {at}  {left}',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    gracefulExit: false,
    stream: process.stderr,
  });
  bar.start(plan.records, plan.records - plan.recordsRemaining, {
    done: '0',
    all: formatCount(plan.records),
    rate: '0',
    at: '',
    left: '',
  });
  try {
    for await (const progress of replay.updates({ intervalMs })) {
      if (progress.state === 'planning') continue;
      const done = progress.records - progress.recordsRemaining;
      bar.update(done, {
        done: formatCount(done),
        rate: formatCount(Math.round(progress.recordsPerSecond)),
        at: progress.timestamp < 0 ? '' : `at ${formatTime(progress.timestamp).slice(0, 16)}`,
        left: progress.remainingMs === undefined ? '' : `${formatDuration(progress.remainingMs)} left`,
      });
    }
  } finally {
    bar.stop();
  }
}
