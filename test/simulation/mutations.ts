/**
 * Whether the simulation would see it: plants known bugs, one at a time, in copies of the sources, and looks for the seed that
 * finds each.
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
import type { Mutation } from './mutation-list.ts';

const root = join(import.meta.dirname, '../..');
const copied = ['broker', 'platform', 'protocol', 'test/simulation', 'test/support', 'package.json'];

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

interface Outcome extends Found {
  readonly mutation: Mutation;
  readonly seconds: number;
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
const survivors = outcomes.filter(({ failed }) => failed === undefined);
console.log(`\n${outcomes.length - survivors.length} of ${outcomes.length} were found.`);
for (const { mutation, tried } of survivors) console.log(`SURVIVED ${tried} seeds: ${mutation.name}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

async function work(): Promise<void> {
  const copy = makeCopy();
  try {
    if (outcomes.length === 0) await checkBaseline(copy);
    for (const mutation of queue) {
      const begin = performance.now();
      const path = join(copy, mutation.file);
      const original = readFileSync(path, 'utf8');
      writeFileSync(path, mutated(copy, mutation));
      const found = await findFailure(copy, Number(values.seeds), mutation.focus);
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

function print({ mutation, tried, failed, seconds }: Outcome): void {
  const focus = mutation.focus === undefined ? '' : ` --focus ${mutation.focus}`;
  const killer = failed === undefined ? 'SURVIVED' : `seed ${failed.seed}${focus}`;
  console.log(
    `${mutation.name.padEnd(66)} ${killer.padEnd(34)} after ${tried} seeds, ${seconds.toFixed(0)} s`,
  );
  if (failed !== undefined) console.log(`    ${failed.message}`);
}
