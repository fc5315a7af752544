/** `kappalog log verify | dump | repair`: logs on the disk, without a broker. */
import type { DumpOptions, RecordDecoder } from '../../broker/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { parseCount } from '../client.ts';
import type { CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';

export interface LogOptions {
  readonly json?: boolean;
}

export interface DumpFlags extends LogOptions {
  readonly printDataLog?: boolean;
  readonly deepIteration?: boolean;
  readonly offsetsDecoder?: boolean;
  readonly transactionLogDecoder?: boolean;
  readonly clusterMetadataDecoder?: boolean;
  readonly skipRecordMetadata?: boolean;
  readonly maxBytes?: string;
}

/** Prints what the files hold; exit code 1 where something in them is wrong. */
export async function dumpLog(
  paths: readonly string[],
  flags: DumpFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const { dumpLogs } = await import('../../broker/index.ts');
  const options = dumpOptionsOf(flags);
  await warnOfBrokers(paths, context);
  const { output, interruption } = context;
  const faults = await inspecting(() =>
    dumpLogs(paths, options, async ({ text, json }) => {
      interruption.signal.throwIfAborted();
      output.write(`${output.json ? JSON.stringify(json) : text}\n`);
      await output.flush();
    }),
  );
  return faults === 0 ? ExitCode.ok : ExitCode.error;
}

/** Checks everything; exit code 1 where something is damaged or has to be repaired. */
export async function verifyLog(
  paths: readonly string[],
  _flags: LogOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const { sentenceOf, verifyLogs } = await import('../../broker/index.ts');
  await warnOfBrokers(paths, context);
  const { output } = context;
  const { counts, found } = await inspecting(() =>
    verifyLogs(paths, (finding) => {
      output.write(
        `${output.json ? JSON.stringify({ type: 'finding', ...finding }) : sentenceOf(finding)}\n`,
      );
    }),
  );
  const { partitions, segments, batches, records, bytes } = counts;
  output.write(
    output.json
      ? `${JSON.stringify({ type: 'summary', ...counts, ...found })}\n`
      : `${partitions} partitions, ${segments} segments, ${batches} batches, ${records} records, ${bytes} bytes: ` +
          `${found.damage} damaged, ${found.repairable} to be repaired, ${found.note} notes.\n`,
  );
  return found.damage + found.repairable === 0 ? ExitCode.ok : ExitCode.error;
}

export interface RepairFlags extends LogOptions {
  readonly acceptDataLoss?: boolean;
  readonly dryRun?: boolean;
  readonly indexIntervalBytes?: string;
}

/** Makes good what can be made good; exit code 5 where something is left as it is. */
export async function repairLog(
  paths: readonly string[],
  flags: RepairFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const { repairLogs } = await import('../../broker/index.ts');
  const { output } = context;
  const dryRun = flags.dryRun === true;
  const indexIntervalBytes = parseCount(flags.indexIntervalBytes ?? '4096', '--index-interval-bytes', 1);
  const options = { acceptDataLoss: flags.acceptDataLoss === true, dryRun, indexIntervalBytes };
  const counts = { steps: 0, refusals: 0 };
  await inspecting(() =>
    repairLogs(paths, options, {
      stepped: (what) => {
        counts.steps++;
        const text = dryRun ? `Would do: ${what}.` : `Done: ${what}.`;
        output.write(`${output.json ? JSON.stringify({ type: 'step', done: !dryRun, what }) : text}\n`);
      },
      refused: (why) => {
        counts.refusals++;
        output.write(
          `${output.json ? JSON.stringify({ type: 'refusal', why }) : `Left as it is: ${why}.`}\n`,
        );
      },
    }),
  );
  const isNothing = counts.steps + counts.refusals === 0;
  if (output.json) output.write(`${JSON.stringify({ type: 'summary', dryRun, ...counts })}\n`);
  else if (isNothing) output.write('There is nothing to repair.\n');
  return counts.refusals === 0 ? ExitCode.ok : ExitCode.partial;
}

function dumpOptionsOf(flags: DumpFlags): DumpOptions {
  const decoders: readonly (readonly [boolean | undefined, RecordDecoder])[] = [
    [flags.offsetsDecoder, 'offsets'],
    [flags.transactionLogDecoder, 'transactions'],
    [flags.clusterMetadataDecoder, 'cluster-metadata'],
  ];
  const chosen = decoders.filter(([isChosen]) => isChosen === true).map(([, decoder]) => decoder);
  if (chosen.length > 1) throw usageError('Only one decoder can be chosen.');
  const [decoder] = chosen;
  const isContent = flags.printDataLog === true || decoder !== undefined;
  return {
    records: isContent ? 'contents' : flags.deepIteration === true ? 'metadata' : 'none',
    decoder: decoder ?? 'text',
    skipRecordMetadata: flags.skipRecordMetadata === true,
    maxBytes: flags.maxBytes === undefined ? undefined : parseCount(flags.maxBytes, '--max-bytes', 1),
  };
}

/** Reading beside a broker is allowed: what it is writing just then may look torn. */
async function warnOfBrokers(paths: readonly string[], { output }: CommandContext): Promise<void> {
  const { brokersOn } = await import('../../broker/index.ts');
  for (const { directory, pid } of brokersOn(paths)) {
    output.warn(
      `A broker (process ${pid}) runs on ${directory}: what it is writing just now may look torn, and what it has not ` +
        'written yet is not seen.',
    );
  }
}

/** Puts what cannot be inspected into a sentence. */
async function inspecting<T>(action: () => Promise<T>): Promise<T> {
  const { DirectoryLocked, NothingToInspect, RepairRefused } = await import('../../broker/index.ts');
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof NothingToInspect)
      throw new CliError('NOT_A_LOG', `${cause.message}.`, { exitCode: ExitCode.usage, cause });
    if (cause instanceof RepairRefused) throw new CliError('REPAIR_REFUSED', `${cause.message}.`, { cause });
    if (cause instanceof DirectoryLocked)
      throw new CliError(
        'DIRECTORY_LOCKED',
        `A broker (process ${cause.pid}) runs on the data directory; stop it before its logs are repaired.`,
        { cause },
      );
    throw cause;
  }
}
