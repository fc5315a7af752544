/** `kappalog log verify | dump | repair`: logs on the disk, without a broker. */
import type { DumpOptions, RecordDecoder } from '../../broker/index.ts';
import { CliError, usageError } from '../cli-error.ts';
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
    maxBytes: flags.maxBytes === undefined ? undefined : parseBytes(flags.maxBytes),
  };
}

function parseBytes(text: string): number {
  const bytes = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(bytes) || bytes < 1)
    throw usageError(`--max-bytes takes a whole number of bytes, at least 1, not '${text}'.`);
  return bytes;
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
  const { NothingToInspect } = await import('../../broker/index.ts');
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof NothingToInspect)
      throw new CliError('NOT_A_LOG', `${cause.message}.`, { exitCode: ExitCode.usage, cause });
    throw cause;
  }
}
