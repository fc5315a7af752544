/** `kappalog group lag`: how a group gets on, look by look: how far it is behind, whether that grows, and when it will have caught up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { catchUpSeconds, PartitionProgress, trendOf } from '../../broker/groups/lag/partition-progress.ts';
import type { Rates, Trend } from '../../broker/groups/lag/partition-progress.ts';
import { parseCount, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { formatCount } from '../table.ts';
import { formatDuration, formatTime, parseDuration } from '../times.ts';
import { showSeconds } from './describe.ts';
import { keyOf, partitionsOf, refuseMissing } from './groups.ts';
import type { GroupPartition } from './groups.ts';

export interface LagOptions extends ClientOptions {
  readonly every: string;
  readonly count?: string;
}

/** One look at all partitions of a group together. */
interface Look {
  readonly at: string;
  /** Null where it is not known of every partition. */
  readonly lag: number | null;
  /** In the partition that is furthest behind in time. */
  readonly lagSeconds: number | null;
  /** Records a second since the first look, in the last five minutes at most. */
  readonly rates: Rates | null;
  readonly trend: Trend | null;
  /** Null also where it is never, at these rates. */
  readonly catchUpSeconds: number | null;
}

/** Looks until it is told to stop, or `count` times. */
export async function showLag(name: string, options: LagOptions, context: CommandContext): Promise<void> {
  const everyMs = parseDuration(options.every);
  const count = options.count === undefined ? Infinity : parseCount(options.count, '--count', 1);
  const { signal } = context.interruption;
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, [name]);
    const watched = new WatchedGroup();
    for (let looks = 1; ; looks++) {
      const [group] = await admin.describeGroups([name]);
      const partitions = await partitionsOf(admin, group!, Date.now());
      const look = watched.look(partitions, Date.now());
      context.output.write(context.output.json ? `${JSON.stringify(look)}\n` : `${lineOf(look)}\n`);
      await context.output.flush();
      if (looks >= count) return;
      try {
        await sleep(everyMs, undefined, { signal });
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
    }
  });
}

/** What is seen of a group, look after look. */
export class WatchedGroup {
  readonly #progress = new Map<string, PartitionProgress>();

  look(partitions: readonly GroupPartition[], nowMs: number): Look {
    let [before, now, compared] = [0, 0, 0];
    let catchUp: number | null = 0;
    const rates = { produced: 0, consumed: 0 };
    for (const partition of partitions) {
      const { committed, end, lag } = partition;
      if (committed === null || end === null || lag === null) continue;
      const progress = this.#progressOf(partition);
      progress.note({ atMs: nowMs, committed, end });
      if (progress.rates === undefined || progress.lags === undefined) continue;
      compared += 1;
      before += progress.lags[0];
      now += progress.lags[1];
      rates.produced += progress.rates.produced;
      rates.consumed += progress.rates.consumed;
      const seconds = catchUpSeconds(lag, progress.rates);
      catchUp = catchUp === null || seconds === null ? null : Math.max(catchUp, seconds);
    }
    const lags = partitions.map(({ lag }) => lag);
    const ages = partitions.flatMap(({ lagSeconds }) => (lagSeconds === null ? [] : [lagSeconds]));
    return {
      at: formatTime(nowMs),
      lag: lags.includes(null) ? null : lags.reduce<number>((sum, lag) => sum + lag!, 0),
      lagSeconds: ages.length === 0 ? null : Math.max(...ages),
      rates: compared === 0 ? null : rates,
      trend: compared === 0 ? null : trendOf([before, now]),
      catchUpSeconds: compared === 0 ? null : catchUp,
    };
  }

  #progressOf(partition: GroupPartition): PartitionProgress {
    const key = keyOf(partition);
    let progress = this.#progress.get(key);
    if (progress === undefined) this.#progress.set(key, (progress = new PartitionProgress()));
    return progress;
  }
}

function lineOf({ at, lag, lagSeconds, rates, trend, catchUpSeconds: seconds }: Look): string {
  const known = [
    `${at}  lag ${lag === null ? 'unknown' : formatCount(lag)}`,
    `behind ${showSeconds(lagSeconds) ?? 'unknown'}`,
  ];
  if (rates === null || trend === null) return known.join(', ');
  const pace = `${trend}: ${perSecond(rates.produced)} written and ${perSecond(rates.consumed)} read a second`;
  if (lag === 0) return [...known, pace].join(', ');
  const until =
    seconds === null ? 'never caught up at this rate' : `caught up in ${formatDuration(seconds * 1_000)}`;
  return [...known, pace, until].join(', ');
}

function perSecond(rate: number): string {
  return formatCount(Math.round(rate * 10) / 10);
}
