/**
 * Plants each known bug of mutations.ts in a copy of the sources, and shows what finds it: the scenarios and unit tests, then
 * the seeds. `node test/raft/mutate.ts [--seeds 600] [--only text]`. The working tree is not touched.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mutations } from './mutations.ts';
import type { Mutation } from './mutations.ts';

const { values } = parseArgs({ options: { seeds: { type: 'string' }, only: { type: 'string' } } });
const seeds = values.seeds ?? '600';
const root = join(import.meta.dirname, '../..');
const copy = mkdtempSync(join(tmpdir(), 'kappalog-mutations-'));
const vitest = join(root, 'node_modules/vitest/vitest.mjs');

for (const part of ['broker/raft', 'platform', 'protocol', 'test/raft', 'test/unit/raft', 'package.json']) {
  cpSync(join(root, part), join(copy, part), { recursive: true });
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

let survivors = 0;
try {
  const sound = testThatFails() ?? seedThatFails();
  if (sound !== undefined) throw new Error(`something fails without any planted bug: ${sound}`);
  for (const mutation of mutations) {
    if (values.only !== undefined && !mutation.name.includes(values.only)) continue;
    const killer = findKiller(mutation);
    if (killer === undefined) survivors++;
    console.log(
      `${killer === undefined ? 'SURVIVES' : 'killed  '} ${mutation.name}: ${killer ?? 'nothing found it'}`,
    );
  }
} finally {
  rmSync(copy, { recursive: true });
}
console.log(survivors === 0 ? 'all found' : `${survivors} not found`);
process.exitCode = survivors === 0 ? 0 : 1;

function findKiller({ file, find, replace }: Mutation): string | undefined {
  const path = join(copy, 'broker/raft', file);
  const original = readFileSync(path, 'utf8');
  if (original.split(find).length !== 2) throw new Error(`${file} does not have exactly once: ${find}`);
  writeFileSync(
    path,
    original.replace(find, () => replace),
  );
  try {
    return testThatFails() ?? seedThatFails();
  } finally {
    writeFileSync(path, original);
  }
}

function seedThatFails(): string | undefined {
  const { status, stdout } = run(['test/raft/main.ts', '--seeds', seeds, '--first']);
  return status === 0 ? undefined : (/^seed .*$/m.exec(stdout)?.[0] ?? 'the seeds do not run');
}

function testThatFails(): string | undefined {
  const { status, stdout } = run([vitest, 'run', '--reporter=json', 'test/raft/scenarios', 'test/unit/raft']);
  if (status === 0) return undefined;
  return /"fullName":"([^"]*)","status":"failed"/.exec(stdout)?.[1] ?? 'the tests do not run';
}

function run(args: readonly string[]): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 2 ** 28,
  });
}
