/** Looks for what finds a planted bug, in a copy of the sources that has it: tests, or seeds of a simulator. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Hunt, NamedTest } from './mutation.ts';

export interface HuntOptions {
  readonly seeds: number;
  readonly from: number;
}

/** What has found a bug, and what it says. */
export interface Catch {
  readonly by: string;
  readonly message: string;
  /** Where it is a seed. */
  readonly seed?: number;
}

/** What a simulator's runner for us prints. */
interface Found {
  readonly tried: number;
  readonly failed?: { readonly seed: number; readonly message: string };
}

/** Of vitest's own report. */
interface TestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** A bug can make a test wait for ever. */
const timeoutMs = 240_000;

export async function hunt(copy: string, where: Hunt, options: HuntOptions): Promise<Catch | undefined> {
  if (where.kind === 'seeds') return huntBySeeds(copy, where, options);
  const report = await runTests(copy, where.kind === 'test' ? [where.file] : where.folders, where);
  if (report === undefined) return { by: 'a test', message: 'no test can be run, or they do not end' };
  if (report.numFailedTests === 0) return undefined;
  for (const { name, assertionResults } of report.testResults) {
    const failed = assertionResults.find(({ status }) => status === 'failed');
    if (failed !== undefined)
      return { by: 'a test', message: `${name.slice(copy.length + 1)}: ${failed.fullName}` };
  }
  return { by: 'a test', message: 'one that has no name' };
}

/** Throws where tests are not there, or fail though nothing is planted. Seeds are looked at one by one, when they have found something. */
export async function checkHunt(copy: string, where: Hunt): Promise<void> {
  if (where.kind === 'seeds') return;
  const report = await runTests(copy, where.kind === 'test' ? [where.file] : where.folders, where);
  if (report === undefined || report.numPassedTests === 0)
    throw new Error(`No test is ${JSON.stringify(where)}.`);
  if (report.numFailedTests > 0) throw new Error(`Fails without a planted bug: ${JSON.stringify(where)}.`);
}

async function huntBySeeds(
  copy: string,
  { simulator, focus }: Extract<Hunt, { kind: 'seeds' }>,
  { from, seeds }: HuntOptions,
): Promise<Catch | undefined> {
  const isCore = simulator === 'core';
  const script = join(copy, isCore ? 'test/raft/find-failure.ts' : 'test/simulation/find-failure.ts');
  const range = [String(from), String(seeds), ...(focus === undefined ? [] : [focus])];
  const { output, errors } = await run(copy, [script, ...(isCore ? [] : [simulator]), ...range]);
  const line = output.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{'))
    return { by: `seeds of ${simulator}`, message: `cannot be run: ${errors.slice(0, 300)}` };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the script prints nothing else
  const { tried, failed } = JSON.parse(line) as Found;
  if (failed === undefined) return undefined;
  const focused = focus === undefined ? '' : ` --focus ${focus}`;
  return {
    by: `${simulator} seed ${failed.seed}${focused}, the ${tried}th`,
    message: failed.message,
    seed: failed.seed,
  };
}

/** Undefined where nothing could be run to its end. */
async function runTests(
  copy: string,
  files: readonly string[],
  where: Exclude<Hunt, { kind: 'seeds' }>,
): Promise<TestReport | undefined> {
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs');
  const named = where.kind === 'test' ? ['-t', patternOf(where)] : ['--bail=1'];
  const { output } = await run(copy, [vitest, 'run', ...files, '--root', copy, '--reporter=json', ...named]);
  const start = output.indexOf('{');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the reporter's own format
  return start < 0 ? undefined : (JSON.parse(output.slice(start)) as TestReport);
}

function patternOf({ name }: NamedTest): string {
  return name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Exit codes say no more than what is printed does. */
function run(copy: string, args: readonly string[]): Promise<{ output: string; errors: string }> {
  return new Promise((resolve) => {
    const limits = { cwd: copy, timeout: timeoutMs, maxBuffer: 2 ** 28 };
    execFile(process.execPath, args, limits, (_error, output, errors) => resolve({ output, errors }));
  });
}
