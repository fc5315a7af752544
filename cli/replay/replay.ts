/** `kappalog replay`: prints the plan, runs it, shows how far it is, and says how to go on where it was interrupted. */
import type { Replay, ReplayOptions, ReplayPlan, ReplayResult } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { existingTopic, parsePartitions, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { formatPosition, parsePosition } from '../positions.ts';
import { recordToJson } from '../record-json.ts';
import { formatCount, renderTable } from '../table.ts';
import { formatDuration } from '../times.ts';
import { loadFunctions } from './filter.ts';
import { showProgress } from './progress-bar.ts';
import { resumeCommand } from './resume-command.ts';

export interface ReplayCommandOptions extends ClientOptions {
  readonly to?: string;
  readonly create?: boolean;
  readonly from?: string;
  readonly until?: string;
  readonly partitions?: string;
  readonly outOfOrder?: boolean;
  readonly filter?: string;
  readonly module?: string;
  readonly rate?: string;
  readonly bytesPerSecond?: string;
  readonly speed?: string;
  readonly onError: 'stop' | 'skip';
  readonly partitioning?: 'source' | 'key';
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly provenance: boolean;
  readonly id?: string;
  readonly restart?: boolean;
  readonly dryRun?: boolean;
}

/** Runs a replay to its end, or to Ctrl-C. */
export async function replay(
  topic: string,
  options: ReplayCommandOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const { output } = context;
  if (options.restart === true && options.id === undefined)
    throw usageError('--restart needs --id: it names what to begin anew.');
  const engineOptions = await toReplayOptions(topic, options, context);
  return withClient(options, async (client) => {
    await existingTopic(client.admin(), topic);
    if (options.to !== undefined && options.create !== true) await existingTopic(client.admin(), options.to);
    const replay = client.replay(engineOptions);
    if (options.restart === true) await replay.forget();
    const plan = await replay.plan();
    printPlan(plan, options, context);
    if (options.dryRun === true) return ExitCode.ok;
    const result = await run({ replay, plan, topic, options, engineOptions }, context);
    await output.flush();
    // A name that nobody chose is of use only as long as somebody may go on with it.
    const over = result.state === 'done' || context.interruption.reason === 'closed-output';
    if (over && options.id === undefined) await replay.forget();
    return report(result, { plan, topic, options, engineOptions }, context);
  });
}

interface Work {
  readonly plan: ReplayPlan;
  readonly topic: string;
  readonly options: ReplayCommandOptions;
  readonly engineOptions: ReplayOptions;
}

async function run(work: Work & { replay: Replay }, context: CommandContext): Promise<ReplayResult> {
  const { replay, plan, options } = work;
  const { output, interruption } = context;
  const sink =
    options.to === undefined
      ? {
          handle: (message: Parameters<typeof recordToJson>[0]) => output.write(`${recordToJson(message)}\n`),
          flush: () => output.flush(),
        }
      : undefined;
  const progress = output.showsProgress ? showProgress(replay, plan) : Promise.resolve();
  try {
    return await replay.run(sink, { signal: interruption.signal });
  } catch (error) {
    await progress;
    // Nothing was lost: what was done is remembered, and the record that failed can be met again or stepped over.
    output.note(`To go on from there: ${resumeCommand(work, plan.id)}`);
    throw withResumeCommand(error, resumeCommand(work, plan.id), output.json);
  } finally {
    await progress;
  }
}

/** What a machine needs to go on stands in the message too. */
function withResumeCommand(error: unknown, command: string, json: boolean): unknown {
  if (!json || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'REPLAY_FAILED';
  return new CliError(code, `${error.message} To go on: ${command}`, { cause: error });
}

async function toReplayOptions(
  topic: string,
  options: ReplayCommandOptions,
  { nowMs, output }: CommandContext,
): Promise<ReplayOptions> {
  const { to, id, from = 'start', until = 'end', partitions, partitioning } = options;
  const { filter, transform, definition } = await loadFunctions(options.filter, options.module);
  const pace = {
    ...(options.rate === undefined ? {} : { recordsPerSecond: parseRate(options.rate, '--rate') }),
    ...(options.bytesPerSecond === undefined
      ? {}
      : { bytesPerSecond: parseRate(options.bytesPerSecond, '--bytes-per-second') }),
    ...(options.speed === undefined ? {} : { speed: parseRate(options.speed, '--speed') }),
  };
  return {
    topic,
    from: parsePosition(from, '--from', nowMs),
    until: parsePosition(until, '--until', nowMs),
    definition,
    outOfOrder: options.outOfOrder === true,
    onError: options.onError,
    onSkip: (error) => output.warn(error.message),
    ...(id === undefined ? {} : { id }),
    ...(partitions === undefined ? {} : { partitions: parsePartitions(partitions) }),
    ...(filter === undefined ? {} : { filter }),
    ...(transform === undefined ? {} : { transform }),
    ...(Object.keys(pace).length === 0 ? {} : { pace }),
    ...(to === undefined
      ? {}
      : {
          destination: {
            topic: to,
            create: options.create === true,
            provenance: options.provenance,
            compression: options.compression,
            ...(partitioning === undefined ? {} : { partitioning }),
          },
        }),
  };
}

/** On stderr, as stdout may be the destination. */
function printPlan(plan: ReplayPlan, options: ReplayCommandOptions, { output }: CommandContext): void {
  if (output.json && options.dryRun === true) output.result(plan, () => '');
  const target = plan.destination === undefined ? 'stdout' : plan.destination.topic;
  const made = plan.destination?.toBeCreated === true ? ' (to be created)' : '';
  output.note(
    `Replay ${plan.id}: ${plan.topic} from ${formatPosition(plan.from)} until ${formatPosition(plan.until)} into ${target}${made}`,
  );
  output.note(
    renderTable(
      [
        { title: 'partition', cell: (row) => row.partition, align: 'right' },
        { title: 'start', cell: (row) => row.start, align: 'right' },
        { title: 'end', cell: (row) => row.end, align: 'right' },
        { title: 'position', cell: (row) => row.position, align: 'right' },
        { title: 'to read', cell: (row) => row.end - row.position, align: 'right' },
      ],
      plan.partitions,
    ),
  );
  const again = plan.resumed ? ` of ${formatCount(plan.records)}; an earlier run has done the rest` : '';
  output.note(
    `${formatCount(plan.recordsRemaining)} record${plan.recordsRemaining === 1 ? '' : 's'} to read${again}.`,
  );
  for (const warning of plan.warnings) output.warn(warning);
}

function report(result: ReplayResult, work: Work, { output, interruption }: CommandContext): ExitCode {
  const { counts, elapsedMs, recordsRemaining } = result;
  const interrupted = result.state === 'interrupted';
  const command = interrupted ? resumeCommand(work, result.id) : null;
  // JSON lines of records have stdout for themselves; the summary then goes to stderr.
  const summary = {
    replay: result.id,
    state: result.state,
    ...counts,
    remaining: recordsRemaining,
    elapsedMs: Math.round(elapsedMs),
    resume: command,
  };
  if (output.json && work.options.to !== undefined) output.result(summary, () => '');
  const skipped = counts.skipped === 0 ? '' : `, ${formatCount(counts.skipped)} left out as they failed`;
  const summaryText = `${formatCount(counts.read)} records read, ${formatCount(counts.written)} written, ${formatCount(counts.filtered)} filtered out${skipped}`;
  if (interrupted) {
    if (interruption.reason === 'closed-output') return ExitCode.ok;
    output.note(
      `Interrupted, ${formatCount(recordsRemaining)} records before the end: ${summaryText}. To go on: ${command}`,
    );
    return ExitCode.interrupted;
  }
  output.note(`Done in ${formatDuration(elapsedMs)}: ${summaryText}.`);
  return counts.skipped > 0 ? ExitCode.partial : ExitCode.ok;
}

/** A positive number, with k, M or G for thousands, millions and thousands of millions. */
function parseRate(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text.trim());
  const rate = Number(match?.[1]) * ({ k: 1e3, m: 1e6, g: 1e9 }[match?.[2]?.toLowerCase() ?? ''] ?? 1);
  if (match === null || !(rate > 0))
    throw usageError(`${option} must be a positive number such as 500, 20k or 1.5M, not "${text}".`);
  return rate;
}
