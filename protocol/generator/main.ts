/**
 * Makes protocol/generated from protocol/schemas and two tables of protocol/configs: one .cjs file of codecs for each
 * message (CommonJS, so that a codec can be loaded synchronously on first use under any runner), catalogue.json and
 * messages.d.ts. Run by `npm install`. Files that would not change are left alone, stale ones are removed.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generate } from './generate.ts';

const protocolDirectory = dirname(dirname(fileURLToPath(import.meta.url)));
const generatedDirectory = join(protocolDirectory, 'generated');

function writeChanged(files: ReadonlyMap<string, string>): void {
  mkdirSync(generatedDirectory, { recursive: true });
  const present = new Set(readdirSync(generatedDirectory));
  for (const [name, text] of files) {
    const path = join(generatedDirectory, name);
    if (present.has(name) && readFileSync(path, 'utf8') === text) continue;
    // Another process may be loading the file: it sees the old text or the new one, never half of it.
    const temporary = `${path}.${process.pid}.new`;
    writeFileSync(temporary, text);
    renameSync(temporary, path);
  }
  for (const name of present) {
    if (!files.has(name) && !name.endsWith('.new')) rmSync(join(generatedDirectory, name), { force: true });
  }
}

writeChanged(generate(protocolDirectory));
