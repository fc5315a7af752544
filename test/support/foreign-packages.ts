/** Foreign programs and packages that harnesses use: they come into the user's cache, never into the tree. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './apache-kafka-jars.ts';
import type { ChildProcesses } from './child-processes.ts';

const installMs = 300_000;
const platformaticVersion = '2.12.1';

/** A directory in the cache that `fill` has filled once. */
export async function cached(name: string, fill: (directory: string) => Promise<void>): Promise<string> {
  const directory = join(cacheDirectory(), name);
  const complete = join(directory, '.complete');
  if (existsSync(complete)) return directory;
  mkdirSync(directory, { recursive: true });
  await fill(directory);
  writeFileSync(complete, '');
  return directory;
}

/** A package of npm, whose scripts are not run unless it is to be built; returns the directory that it is installed in. */
export function installPackage(
  children: ChildProcesses,
  spec: { readonly name: string; readonly version: string; readonly build?: boolean },
): Promise<string> {
  const { name, version, build = false } = spec;
  return cached(`${name.replace('@', '').replace('/', '-')}-${version}`, async (target) => {
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error', ...(build ? [] : ['--ignore-scripts'])];
    const args = ['install', ...quiet, '--prefix', target, `${name}@${version}`];
    await children.mustRun('npm', args, { timeoutMs: build ? 4 * installMs : installMs });
  });
}

export function installPlatformaticKafka(children: ChildProcesses): Promise<string> {
  return installPackage(children, { name: '@platformatic/kafka', version: platformaticVersion });
}
