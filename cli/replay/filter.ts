/** The predicates and transforms of a replay: an expression of the command line, or functions of a module. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileFunction } from 'node:vm';
import type { Message, ReplayOptions } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';

/** What an expression and the functions of a module are given: a record with its content as text and as JSON. */
export class MessageView {
  readonly #message: Message;

  constructor(message: Message) {
    this.#message = message;
  }

  get topic(): string {
    return this.#message.topic;
  }

  get partition(): number {
    return this.#message.partition;
  }

  get offset(): number {
    return this.#message.offset;
  }

  /** Milliseconds since the Unix epoch. */
  get timestamp(): number {
    return this.#message.timestamp;
  }

  /** As text; `null` where there is none. */
  get key(): string | null {
    return this.#message.key?.toString('utf8') ?? null;
  }

  /** As text; `null` for a tombstone. */
  get value(): string | null {
    return this.#message.value?.toString('utf8') ?? null;
  }

  /** The value, parsed; throws where it is not JSON. */
  get json(): unknown {
    return this.value === null ? null : JSON.parse(this.value);
  }

  /** The last value of each header, as text. */
  get headers(): Readonly<Record<string, string | null>> {
    return Object.fromEntries(
      this.#message.headers.map(([name, value]) => [name, value?.toString('utf8') ?? null]),
    );
  }

  /** The record itself, with its bytes. */
  get raw(): Message {
    return this.#message;
  }
}

export interface Functions {
  readonly filter?: NonNullable<ReplayOptions['filter']>;
  readonly transform?: NonNullable<ReplayOptions['transform']>;
  /** Identifies the code, so that a replay is only taken up again with the same. */
  readonly definition: string;
}

/** The functions that --filter and --module ask for; both filters must hold where both are given. */
export async function loadFunctions(
  expression: string | undefined,
  file: string | undefined,
): Promise<Functions> {
  const ofExpression = expression === undefined ? undefined : compileFilter(expression);
  const ofModule = file === undefined ? undefined : await loadModule(file);
  const filters = [ofExpression, ofModule?.filter].filter((filter) => filter !== undefined);
  const [first, second] = filters;
  const both = first === undefined || second === undefined ? first : and(first, second);
  return {
    ...(both === undefined ? {} : { filter: both }),
    ...(ofModule?.transform === undefined ? {} : { transform: ofModule.transform }),
    definition: JSON.stringify([expression ?? null, ofModule?.digest ?? null]),
  };
}

/** JavaScript over `message`; throws a usage error where it is not an expression. It runs with the rights of this process. */
export function compileFilter(expression: string): (message: Message) => boolean {
  let evaluate: Function;
  try {
    evaluate = compileFunction(`return (${expression}\n);`, ['message']);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw usageError(
      `--filter is not a JavaScript expression: ${reason}. Write one over message, such as 'message.json.delay > 60' or 'message.key === "JFK"'.`,
      cause,
    );
  }
  return (message) => Boolean(evaluate(new MessageView(message)));
}

interface LoadedModule extends Omit<Functions, 'definition'> {
  readonly digest: string;
}

async function loadModule(file: string): Promise<LoadedModule> {
  const path = resolve(file);
  let loaded: Record<string, unknown>;
  let digest: string;
  try {
    digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    loaded = await import(pathToFileURL(path).href);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('REPLAY_MODULE', `The module ${file} could not be loaded: ${reason}`, { cause });
  }
  const { filter, transform } = loaded;
  if (filter === undefined && transform === undefined) {
    throw usageError(`The module ${file} exports neither a function filter nor a function transform.`);
  }
  for (const [name, value] of Object.entries({ filter, transform })) {
    if (value !== undefined && typeof value !== 'function')
      throw usageError(`${name} of ${file} is no function.`);
  }
  return {
    digest,
    ...(typeof filter === 'function'
      ? { filter: (message: Message) => then(filter(new MessageView(message)), Boolean) }
      : {}),
    ...(typeof transform === 'function'
      ? { transform: (message: Message) => transform(new MessageView(message)) }
      : {}),
  };
}

function and(
  first: NonNullable<ReplayOptions['filter']>,
  second: NonNullable<ReplayOptions['filter']>,
): NonNullable<ReplayOptions['filter']> {
  return (message) => {
    const kept = first(message);
    if (typeof kept === 'boolean') return kept && second(message);
    return kept.then((value) => value && second(message));
  };
}

/** Applies `next` now, or when the promise is there. */
function then(value: unknown, next: (value: unknown) => boolean): boolean | Promise<boolean> {
  return value instanceof Promise ? value.then(next) : next(value);
}
