/** Writes the logs of all scenarios anew: `npx node test/raft/rewrite.ts [name]`. Review what changes. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { play } from './scenario.ts';

const folder = join(import.meta.dirname, 'scenarios');
const [, , wanted] = process.argv;
for (const name of readdirSync(folder)) {
  if (wanted !== undefined && !name.startsWith(wanted)) continue;
  const path = join(folder, name);
  writeFileSync(path, play(readFileSync(path, 'utf8')));
}
