/**
 * Compiles what is published into dist/: the sources by TypeScript, and beside them the generated codecs, which are
 * JavaScript already. The layout of dist/ is that of the repository, so relative paths to data hold in both.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const project = resolve(import.meta.dirname, '..');
const dist = join(project, 'dist');
const generated = 'protocol/generated';

if (!existsSync(join(project, generated, 'catalogue.json'))) {
  throw new Error('The codecs have not been generated: run `npm install` or `npm run prepare` first.');
}
rmSync(dist, { recursive: true, force: true });
const compiler = join(project, 'node_modules/.bin/tsc');
execFileSync(compiler, ['--project', 'tsconfig.build.json'], { cwd: project, stdio: 'inherit' });
cpSync(join(project, generated), join(dist, generated), { recursive: true });
for (const entry of [
  'cli/main.js',
  'client/index.js',
  'client/opentelemetry/opentelemetry.js',
  'broker/index.js',
]) {
  if (!existsSync(join(dist, entry))) throw new Error(`The build has made no dist/${entry}.`);
}
