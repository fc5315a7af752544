/** How commands reach the cluster: one client for each command, closed when it ends, and the questions all of them ask. */
import { connect } from 'node:net';
import type { BrokerAddress } from '../client/components.ts';
import type { Admin, Kappalog, TopicDescription } from '../client/index.ts';
import { CliError, usageError } from './cli-error.ts';
import type { ClientOptions, CommandContext } from './command-context.ts';
import { ExitCode } from './exit-codes.ts';
import { nearestName } from './suggest.ts';
import { parseDuration } from './times.ts';

/** A refusal comes at once; a host that swallows packets is left to the client, with its own limit and its own words. */
const probeLimitMs = 1_000;

/** A broker that does not even take a connection in this time is passed over for others. */
const connectLimitMs = 3_000;

/** Runs `work` with a client that is closed afterwards, however that went. The client is loaded here, at first use. */
export async function withClient<T>(
  options: ClientOptions,
  work: (client: Kappalog) => Promise<T>,
): Promise<T> {
  const timeoutMs = parseDuration(options.timeout);
  const { Kappalog } = await import('../client/index.ts');
  const client = new Kappalog({
    brokers: options.brokers,
    clientId: 'kappalog-cli',
    connectTimeoutMs: Math.min(timeoutMs, connectLimitMs),
    requestTimeoutMs: Math.max(timeoutMs, 1_000),
    retry: { timeoutMs },
    ...(options.rack === undefined ? {} : { rack: options.rack }),
  });
  try {
    await refuseUnreachable(options.brokers);
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Nobody listens at any of the addresses: that is told at once, where the client would go on trying. */
async function refuseUnreachable(brokers: string): Promise<void> {
  const { parseBrokers } = await import('../client/settings.ts');
  const failures = await Promise.all(parseBrokers(brokers).map(probe));
  if (failures.includes(undefined)) return;
  throw new CliError(
    'CONNECTION_FAILED',
    `No broker listens at ${brokers} (${failures.join(', ')}). Start one with "kappalog start", or say where it is with --brokers or KAPPALOG_BROKERS.`,
  );
}

/** Why nobody can be there; undefined where somebody is, or may be. */
function probe({ host, port }: BrokerAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (failure: string | undefined): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(probeLimitMs, () => end(undefined));
    socket.once('connect', () => end(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => end(reasons[error.code ?? '']));
  });
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'the name does not exist',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
};

/** The topic, which must exist: a name with a typo is answered with the nearest one and creates nothing. */
export async function existingTopic(admin: Admin, name: string): Promise<TopicDescription> {
  const [description] = await existingTopics(admin, [name]);
  return description!;
}

/** The topics in the order of their names; the first that does not exist is an error. */
export async function existingTopics(
  admin: Admin,
  names: readonly string[],
): Promise<readonly TopicDescription[]> {
  const listed = await admin.listTopics({ internal: true });
  const known = new Set(listed.map((topic) => topic.name));
  for (const name of names) {
    if (!known.has(name)) throw missing('topic', name, known);
  }
  return admin.describeTopics(names);
}

/** What did you mean? Nothing was done. */
export function missing(kind: 'topic' | 'group', name: string, known: Iterable<string>): CliError {
  const nearest = nearestName(name, known);
  const hint =
    nearest === undefined ? `"kappalog ${kind} list" shows those there are.` : `Did you mean "${nearest}"?`;
  const code = kind === 'topic' ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'GROUP_ID_NOT_FOUND';
  const done = kind === 'topic' ? ', and nothing was created' : '';
  return new CliError(code, `There is no ${kind} "${name}"${done}. ${hint}`, {
    exitCode: ExitCode.notFound,
  });
}

/** Nothing was done; the cluster has the others. */
export function unknownNode(id: number, known: readonly number[]): CliError {
  const message = `There is no node ${id}. The cluster has: ${known.join(', ')}.`;
  return new CliError('UNKNOWN_NODE', message, { exitCode: ExitCode.notFound });
}

/** A whole number from a command line; throws a usage error that names the option. */
export function parseCount(text: string, option: string, min: number): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count >= min) return count;
  throw usageError(`${option} must be a whole number from ${min}, not "${text}".`);
}

/** Such as `0,2` or `0-3,7`; throws a usage error. */
export function parsePartitions(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^\s*(\d{1,7})(?:-(\d{1,7}))?\s*$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last - first > 100_000) {
      throw usageError(`--partitions takes numbers such as 0,2 or 0-3, not "${text}".`);
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** `key=value` texts by key; throws a usage error that names the option. */
export function parsePairs(texts: readonly string[], option: string): [string, string][] {
  return texts.map((text) => {
    const equals = text.indexOf('=');
    if (equals <= 0) throw usageError(`${option} takes KEY=VALUE, not "${text}".`);
    return [text.slice(0, equals).trim(), text.slice(equals + 1)];
  });
}

/**
 * Lets through what cannot be undone: with --yes, or by an answer on a terminal. Without either it is a usage error, so
 * that a script never waits for an answer.
 */
export async function confirm(
  question: string,
  options: { readonly yes: boolean },
  { stdin, interruption }: CommandContext,
): Promise<void> {
  if (options.yes) return;
  if (!stdin.isTTY || !process.stderr.isTTY)
    throw usageError(`${question} Add --yes to do it; nothing was done.`);
  const { createInterface } = await import('node:readline');
  // Not in raw mode: Ctrl-C stays the signal that it is everywhere else. Ctrl-D is a no.
  const lines = createInterface({ input: stdin, output: process.stderr, terminal: false });
  const answer = await new Promise<string>((resolve, reject) => {
    const { signal } = interruption;
    signal.addEventListener('abort', () => reject(new CliError('DECLINED', 'Nothing was done.')), {
      once: true,
    });
    lines.once('close', () => resolve(''));
    lines.question(`${question} Type yes to go on: `, resolve);
  });
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('DECLINED', 'Nothing was done.');
}
