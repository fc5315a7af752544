/** `kappalog produce`: a record for each line of stdin or of a file, acknowledged before the command ends. */
import { createReadStream } from 'node:fs';
import type { MessageInput, Producer } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { existingTopic, parseCount, parsePairs, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { formatCount } from '../table.ts';
import { parseDuration, parseTime } from '../times.ts';
import { lineReader } from './line-reader.ts';
import { readLines, type Line } from './lines.ts';
import { Tally } from './tally.ts';

export interface ProduceOptions extends ClientOptions {
  readonly file?: string;
  readonly format: 'lines' | 'json';
  readonly keySeparator?: string;
  readonly key?: string;
  readonly header?: readonly string[];
  readonly partition?: string;
  readonly timestamp?: string;
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly acks: 'all' | '1' | '0';
  readonly onError: 'stop' | 'skip';
}

/** Produces until the input ends. Lines that cannot be read stop it, or are told and counted with --on-error skip. */
export async function produce(
  topic: string,
  options: ProduceOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const read = recordReader(options, context.nowMs);
  return withClient(options, async (client) => {
    const description = await existingTopic(client.admin(), topic);
    refusePartition(options, description.partitions.length, topic);
    const acks = options.acks === 'all' ? 'all' : options.acks === '1' ? 1 : 0;
    const producer = client.producer({
      acks,
      compression: options.compression,
      autoCreateTopics: false,
      deliveryTimeoutMs: Math.max(parseDuration(options.timeout), 1_000),
    });
    const tally = new Tally();
    if (options.file === undefined && context.stdin.isTTY) {
      context.output.note('Every line is a record; Ctrl-D ends.');
    }
    try {
      await sendAll({ topic, producer, tally, read, options, context });
    } finally {
      await producer.close();
    }
    return report(topic, tally, context);
  });
}

interface Sending {
  readonly topic: string;
  readonly producer: Producer;
  readonly tally: Tally;
  readonly read: (line: Line) => MessageInput;
  readonly options: ProduceOptions;
  readonly context: CommandContext;
}

async function sendAll(sending: Sending): Promise<void> {
  const { producer, tally, options, context } = sending;
  const { signal } = context.interruption;
  const input =
    options.file === undefined
      ? context.stdin
      : createReadStream(options.file, { highWaterMark: 256 * 1024 });
  const close = (): void => void input.destroy();
  signal.addEventListener('abort', close, { once: true });
  try {
    for await (const lines of readLines(input)) {
      for (const line of lines) {
        await producer.ready({ signal });
        sendOne(line, sending);
      }
      if (tally.failure !== undefined || tally.stoppedAt !== undefined) break;
    }
  } catch (error) {
    if (!signal.aborted) throw inputError(error, options);
  } finally {
    signal.removeEventListener('abort', close);
  }
  await producer.flush();
  await tally.settled();
}

function sendOne(line: Line, { topic, producer, tally, read, options, context }: Sending): void {
  // A line that cannot be read stops what comes after it, in its chunk too.
  if (tally.stoppedAt !== undefined || tally.failure !== undefined) return;
  let record: MessageInput;
  try {
    record = read(line);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    tally.invalid.push({ line: line.number, reason });
    if (options.onError === 'stop') tally.stoppedAt = line.number;
    else context.output.warn(`Line ${line.number} was left out: ${reason}`);
    return;
  }
  tally.sent(producer.add({ topic, ...record }));
}

/** Tells what was written; throws where something was not. */
function report(topic: string, tally: Tally, { output, interruption }: CommandContext): ExitCode {
  const written = `${formatCount(tally.acknowledged)} record${tally.acknowledged === 1 ? '' : 's'}`;
  output.result(
    { topic, records: tally.acknowledged, partitions: tally.partitions(), invalid: tally.invalid },
    () => '',
  );
  if (tally.failure !== undefined) {
    const { error } = tally.failure;
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'PRODUCE_FAILED';
    throw new CliError(
      code,
      `${message} ${written} had been acknowledged by then, ${formatCount(tally.failed)} were not.`,
      {
        cause: error,
        exitCode: tally.acknowledged > 0 ? ExitCode.partial : ExitCode.error,
      },
    );
  }
  if (tally.stoppedAt !== undefined) {
    const { reason } = tally.invalid.at(-1)!;
    throw new CliError(
      'INVALID_LINE',
      `Line ${tally.stoppedAt} could not be read: ${reason}. The lines before it were written (${written} to ${topic}); this one and all after it were not.`,
      { exitCode: tally.acknowledged > 0 ? ExitCode.partial : ExitCode.error },
    );
  }
  output.note(`Wrote ${written} to ${topic}.`);
  if (tally.invalid.length > 0) {
    output.note(`${formatCount(tally.invalid.length)} lines could not be read and were left out.`);
    return ExitCode.partial;
  }
  return interruption.reason === undefined ? ExitCode.ok : ExitCode.interrupted;
}

/** Makes records of lines, with what the command line says of all of them. */
function recordReader(options: ProduceOptions, nowMs: number): (line: Line) => MessageInput {
  const { key, keySeparator, format } = options;
  if (key !== undefined && keySeparator !== undefined)
    throw usageError('Give --key or --key-separator, not both.');
  if (format === 'json' && keySeparator !== undefined)
    throw usageError('--key-separator is for plain lines; JSON lines have a "key".');
  const headers = parsePairs(options.header ?? [], '--header');
  const common = {
    ...(key === undefined ? {} : { key }),
    ...(options.partition === undefined
      ? {}
      : { partition: parseCount(options.partition, '--partition', 0) }),
    ...(options.timestamp === undefined ? {} : { timestamp: parseTime(options.timestamp, nowMs) }),
  };
  const separator = keySeparator?.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  const read = lineReader({ format, keySeparator: separator });
  if (headers.length === 0) return (line) => ({ ...read(line), ...common });
  return (line) => {
    const record = read(line);
    const own = Array.isArray(record.headers) ? record.headers : [];
    return { ...record, ...common, headers: [...own, ...headers] };
  };
}

function refusePartition({ partition }: ProduceOptions, count: number, topic: string): void {
  if (partition === undefined || Number(partition) < count) return;
  throw new CliError(
    'UNKNOWN_PARTITION',
    `Topic ${topic} has ${count} partitions and no partition ${partition}; nothing was written.`,
    {
      exitCode: ExitCode.notFound,
    },
  );
}

function inputError(error: unknown, { file }: ProduceOptions): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (file === undefined || typeof code !== 'string' || !['ENOENT', 'EACCES', 'EISDIR'].includes(code))
    return error;
  return new CliError('INPUT_FILE', `The file ${file} cannot be read (${code}); nothing was written.`, {
    cause: error,
  });
}
