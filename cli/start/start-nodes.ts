/**
 * `kappalog start --nodes N`: a cluster on this machine, each node a process of its own with its ports and data directory. Lines
 * that a node writes are passed on with its number in front. A node that dies is said so, and the others go on.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { usageError } from '../cli-error.ts';
import type { CommandContext } from '../command-context.ts';
import type { StartFlags } from './start.ts';
import { readConfiguration } from './start.ts';
import { startOptions } from './start-options.ts';

const nodesMax = 7;
/** Of the first node, unless another port is given; the next ones follow. */
const firstInternalPort = 19_092;
/** Options that each node gets of its own, or that make no sense for several. */
const ownOptions = new Set([
  'nodes',
  'nodeId',
  'port',
  'httpPort',
  'internalPort',
  'internalHost',
  'dataDir',
  'voters',
  'join',
  'advertisedHost',
]);

/** A node's place comes from its command line alone. */
const ownVariables = new Set<string>(
  startOptions.filter(({ name }) => ownOptions.has(propertyName(name))).map(({ environment }) => environment),
);

interface Node {
  readonly id: number;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** Resolves when all nodes have ended after a signal. Throws a usage error for options that do not go with several nodes. */
export async function startNodes(text: string, flags: StartFlags, context: CommandContext): Promise<void> {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > nodesMax) {
    throw usageError(`nodes must be a number from 1 to ${nodesMax}, not "${text}".`);
  }
  for (const name of ['nodeId', 'voters', 'join', 'advertisedHost']) {
    if (flags[name] !== undefined) {
      throw usageError(`nodes starts whole clusters and does not go with ${optionName(name)}.`);
    }
  }
  const nodes = (await argumentsOf(count, flags, context)).map((args, place) =>
    startOne(place + 1, args, context),
  );
  const { signal } = context.interruption;
  await Promise.race([aborted(signal), Promise.all(nodes.map(({ ended }) => ended))]);
  if (signal.aborted) {
    context.output.note(`Stopping ${count} nodes on ${context.interruption.reason ?? 'request'}.`);
    for (const { child } of nodes) child.kill('SIGTERM');
  }
  await Promise.all(nodes.map(({ ended }) => ended));
}

/** The command line of each node. */
async function argumentsOf(count: number, flags: StartFlags, context: CommandContext): Promise<string[][]> {
  const { port, httpPort, dataDirs, host } = await readConfiguration({ ...flags, nodes: undefined }, context);
  const given = flags['internalPort'];
  const internalPort = typeof given === 'string' ? Number(given) : firstInternalPort;
  const voterCount = count >= 5 ? 5 : count >= 3 ? 3 : 1;
  const address = (id: number): string => `${host}:${internalPort + id - 1}`;
  const voters = Array.from({ length: voterCount }, (_, place) => `${place + 1}@${address(place + 1)}`);
  const shared = Object.entries(flags).flatMap(([name, value]): string[] => {
    if (value === undefined || ownOptions.has(name)) return [];
    const values = typeof value === 'string' ? [value] : [...value];
    return values.flatMap((each) => [`--${optionName(name)}`, each]);
  });
  return Array.from({ length: count }, (_, place) => {
    const id = place + 1;
    const member = id <= voterCount ? ['--voters', voters.join(',')] : ['--join', address(1)];
    return [
      ...shared,
      '--node-id',
      String(id),
      '--port',
      String(port + place),
      '--http-port',
      httpPort === false ? 'off' : String(httpPort + place),
      '--internal-port',
      String(internalPort + place),
      '--data-dir',
      dataDirs.map((directory) => join(directory, `node-${id}`)).join(','),
      ...member,
    ];
  });
}

function startOne(id: number, args: readonly string[], { output, interruption }: CommandContext): Node {
  const program = process.argv[1]!;
  // In a group of its own: Ctrl-C would reach it beside our SIGTERM, and who is told twice ends at once.
  const child = spawn(process.execPath, [program, 'start', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !ownVariables.has(name))),
  });
  // Where this process is told twice, so are they.
  process.once('exit', () => child.kill('SIGTERM'));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => output.note(`[node ${id}] ${line}`));
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output.note(`Node ${id} could not be started: ${error.message}`);
      resolve();
    });
    child.once('exit', (code, signal) => {
      const others = interruption.signal.aborted ? '' : '; the others go on';
      if (code !== 0) output.note(`Node ${id} has ended with ${signal ?? code}${others}.`);
      resolve();
    });
  });
  return { id, child, ended };
}

function optionName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function propertyName(name: string): string {
  return name.replace(/-[a-z]/g, (text) => text.charAt(1).toUpperCase());
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
