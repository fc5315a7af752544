/**
 * Whether the simulation would see it: plants known bugs, one at a time, in copies of the sources, and looks for the seed that
 * finds each. A bug that no history can show names the unit test that has to fail.
 *
 *   npm run test:mutations -- [--seeds 1500] [--from 2000000] [--only WORDS]
 *
 * A text that is not found exactly once ends the run: then the list needs care, not the log. Ends with code 1 when a bug
 * survives.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mutations } from './mutation-list.ts';
import type { Mutation, NamedTest } from './mutation-list.ts';

const root = join(import.meta.dirname, '../..');
const copied = [
  'broker',
  'platform',
  'protocol',
  'test/simulation',
  'test/support',
  'test/unit/log',
  'package.json',
  'vitest.config.ts',
];

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1500' },
    from: { type: 'string', default: '2000000' },
    only: { type: 'string', default: '' },
  },
});

interface Found {
  readonly tried: number;
  readonly failed?: { readonly seed: number; readonly message: string };
}

/** What a run of named unit tests says. */
interface TestCounts {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

interface Outcome {
  readonly mutation: Mutation;
  readonly seconds: number;
  /** What found it; undefined where nothing did. */
  readonly killer: string | undefined;
  readonly message: string;
}

const chosen = mutations.filter(({ name }) => name.includes(values.only));
const misfits = chosen.flatMap((mutation) => {
  const count = readFileSync(join(root, mutation.file), 'utf8').split(mutation.from).length - 1;
  return count === 1 ? [] : [`"${mutation.name}": its text stands ${count} times in ${mutation.file}.`];
});
if (misfits.length > 0) throw new Error(misfits.join('\n'));
const queue = chosen.values();
const outcomes: Outcome[] = [];
console.log(`${chosen.length} mutations, up to ${values.seeds} seeds each from ${values.from} on`);
await Promise.all(Array.from({ length: availableParallelism() }, () => work()));
const survivors = outcomes.filter(({ killer }) => killer === undefined);
console.log(`\n${outcomes.length - survivors.length} of ${outcomes.length} were found.`);
for (const { mutation, message } of survivors) console.log(`SURVIVED ${message}: ${mutation.name}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

async function work(): Promise<void> {
  const copy = makeCopy();
  try {
    if (outcomes.length === 0) await checkBaseline(copy);
    for (const mutation of queue) {
      const begin = performance.now();
      if (mutation.test !== undefined) await checkTest(copy, mutation.test);
      const path = join(copy, mutation.file);
      const original = readFileSync(path, 'utf8');
      writeFileSync(path, mutated(copy, mutation));
      const found = await (mutation.test === undefined
        ? findBySeeds(copy, mutation)
        : findByTest(copy, mutation.test));
      writeFileSync(path, original);
      const outcome = { mutation, ...found, seconds: (performance.now() - begin) / 1000 };
      outcomes.push(outcome);
      print(outcome);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** What fails without any bug says nothing about one. */
async function checkBaseline(copy: string): Promise<void> {
  const { failed } = await findFailure(copy, 100);
  if (failed !== undefined)
    throw new Error(`Seed ${failed.seed} fails without a mutation: ${failed.message}`);
}

/** A test that does not pass, or is not there, says nothing either. */
async function checkTest(copy: string, test: NamedTest): Promise<void> {
  const { numPassedTests, numFailedTests } = await runTest(copy, test);
  if (numPassedTests === 0 || numFailedTests > 0)
    throw new Error(
      `Without a mutation, "${test.name}" passes ${numPassedTests} times, fails ${numFailedTests}.`,
    );
}

type Verdict = Pick<Outcome, 'killer' | 'message'>;

async function findBySeeds(copy: string, { focus }: Mutation): Promise<Verdict> {
  const { tried, failed } = await findFailure(copy, Number(values.seeds), focus);
  if (failed === undefined) return { killer: undefined, message: `${tried} seeds` };
  const focused = focus === undefined ? '' : ` --focus ${focus}`;
  return { killer: `seed ${failed.seed}${focused}, the ${tried}th`, message: failed.message };
}

async function findByTest(copy: string, test: NamedTest): Promise<Verdict> {
  const { numFailedTests } = await runTest(copy, test);
  if (numFailedTests === 0) return { killer: undefined, message: `"${test.name}"` };
  return { killer: 'a unit test', message: `${test.file}: ${test.name}` };
}

function runTest(copy: string, { file, name }: NamedTest): Promise<TestCounts> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const pattern = name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const options = ['run', file, '--root', copy, '--reporter=json', '-t', pattern];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [vitest, ...options], { cwd: copy }, (_error, output, errors) => {
      // Its exit code says no more than the counts do.
      const start = output.indexOf('{');
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the reporter's own format
      if (start >= 0) resolve(JSON.parse(output.slice(start)) as TestCounts);
      else reject(new Error(`${file} could not be run: ${errors}`));
    });
  });
}

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'kappalog-mutations-'));
  for (const name of copied) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

function mutated(directory: string, { file, from, to }: Mutation): string {
  return readFileSync(join(directory, file), 'utf8').replace(from, () => to);
}

function findFailure(copy: string, seeds: number, focus?: string): Promise<Found> {
  const script = join(copy, 'test/simulation/find-failure.ts');
  return new Promise((resolve, reject) => {
    const focused = focus === undefined ? [] : [focus];
    execFile(
      process.execPath,
      [script, 'log', values.from, String(seeds), ...focused],
      (error, output, errors) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the script prints nothing else
        if (error === null) resolve(JSON.parse(output.trim().split('\n').at(-1)!) as Found);
        else reject(new Error(`A copy could not be run: ${errors}`, { cause: error }));
      },
    );
  });
}

function print({ mutation, killer, message, seconds }: Outcome): void {
  console.log(`${mutation.name.padEnd(66)} ${(killer ?? 'SURVIVED').padEnd(44)} ${seconds.toFixed(0)} s`);
  if (killer !== undefined) console.log(`    ${message}`);
}
