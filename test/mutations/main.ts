/**
 * Whether the tests would see it: plants known bugs, one at a time, in copies of the sources, and prints for each the seed or the test
 * that finds it. Of the commit log, of the consensus core (broker/raft), and of the shell around it that does its input and output.
 *
 *   npm run test:mutations -- [--area log|raft|scenarios|shell|groups] [--seeds 1500] [--from 2000000] [--only WORDS] [--workers N]
 *
 * A text that is not found exactly once ends the run: then the list needs care, not the sources. Ends with code 1 when a bug
 * survives. The working tree is not touched.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkHunt, hunt } from './hunt.ts';
import type { Catch, HuntOptions } from './hunt.ts';
import { groupMutations } from './group-mutations.ts';
import { logMutations } from './log-mutations.ts';
import type { Hunt, Mutation } from './mutation.ts';
import { raftMutations } from './raft-mutations.ts';
import { scenarioMutations } from './scenario-mutations.ts';
import { shellMutations } from './shell-mutations.ts';

const areas: Readonly<Record<string, readonly Mutation[]>> = {
  raft: raftMutations,
  scenarios: scenarioMutations,
  shell: shellMutations,
  log: logMutations,
  groups: groupMutations,
};

const root = join(import.meta.dirname, '../..');
const copied = [
  'broker',
  'platform',
  'protocol',
  'test/raft',
  'test/simulation',
  'test/support',
  'test/unit',
  'package.json',
  'vitest.config.ts',
];

const { values } = parseArgs({
  options: {
    area: { type: 'string' },
    seeds: { type: 'string', default: '1500' },
    from: { type: 'string', default: '2000000' },
    only: { type: 'string', default: '' },
    workers: { type: 'string', default: String(availableParallelism()) },
  },
});

interface Outcome {
  readonly mutation: Mutation;
  readonly seconds: number;
  /** Undefined where nothing found it. */
  readonly killer: Catch | undefined;
}

const options: HuntOptions = { seeds: Number(values.seeds), from: Number(values.from) };
const chosen = chooseMutations();
const queue = chosen.values();
const outcomes: Outcome[] = [];
/** What is known to find nothing without a bug. */
const sound = new Map<string, Promise<void>>();
console.log(`${chosen.length} planted bugs, up to ${values.seeds} seeds each from ${values.from} on`);
await Promise.all(Array.from({ length: Number(values.workers) }, () => work()));
const survivors = outcomes.filter(({ killer }) => killer === undefined);
console.log(`\n${outcomes.length - survivors.length} of ${outcomes.length} were found.`);
for (const { mutation } of survivors) console.log(`SURVIVED: ${mutation.name}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

function chooseMutations(): Mutation[] {
  const area = values.area === undefined ? Object.values(areas).flat() : areas[values.area];
  if (area === undefined)
    throw new Error(`There is no area ${values.area}: ${Object.keys(areas).join(', ')}.`);
  const some = area.filter(({ name }) => name.includes(values.only));
  const misfits = some.flatMap(({ name, file, from }) => {
    const count = readFileSync(join(root, file), 'utf8').split(from).length - 1;
    return count === 1 ? [] : [`"${name}": its text stands ${count} times in ${file}.`];
  });
  if (misfits.length > 0) throw new Error(misfits.join('\n'));
  return some;
}

async function work(): Promise<void> {
  const copy = makeCopy();
  try {
    for (const mutation of queue) {
      const begin = performance.now();
      const killer = await findKiller(copy, mutation);
      const outcome = { mutation, killer, seconds: (performance.now() - begin) / 1000 };
      outcomes.push(outcome);
      print(outcome);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function findKiller(copy: string, mutation: Mutation): Promise<Catch | undefined> {
  for (const each of mutation.hunts) {
    await soundness(copy, each);
    for (let { from, seeds } = options; seeds > 0;) {
      const caught = await huntPlanted(copy, mutation, each, { from, seeds });
      if (caught?.seed === undefined) {
        if (caught !== undefined) return caught;
        break;
      }
      // A seed counts that fails for this bug alone.
      const unplanted = await hunt(copy, each, { from: caught.seed, seeds: 1 });
      if (unplanted === undefined) return caught;
      console.log(`    Without a planted bug, too: ${unplanted.by}, ${unplanted.message}`);
      seeds -= caught.seed + 1 - from;
      from = caught.seed + 1;
    }
  }
  return undefined;
}

async function huntPlanted(
  copy: string,
  { file, from, to }: Mutation,
  where: Hunt,
  within: HuntOptions,
): Promise<Catch | undefined> {
  const path = join(copy, file);
  const original = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    original.replace(from, () => to),
  );
  try {
    return await hunt(copy, where, within);
  } finally {
    writeFileSync(path, original);
  }
}

/** What fails without any bug says nothing about one. */
function soundness(copy: string, each: Hunt): Promise<void> {
  const key = JSON.stringify(each);
  const known = sound.get(key) ?? checkHunt(copy, each);
  sound.set(key, known);
  return known;
}

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'kappalog-mutations-'));
  for (const name of copied) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

function print({ mutation, killer, seconds }: Outcome): void {
  console.log(`${mutation.name.padEnd(74)} ${(killer?.by ?? 'SURVIVED').padEnd(40)} ${seconds.toFixed(0)} s`);
  if (killer !== undefined) console.log(`    ${killer.message}`);
}
