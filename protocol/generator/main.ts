/**
 * Makes protocol/generated from protocol/schemas and two tables of protocol/configs: one .cjs file of codecs for each
 * message (CommonJS, so that a codec can be loaded synchronously on first use under any runner), catalogue.json and
 * messages.d.ts. Run by `npm install`. Files that would not change are left alone, stale ones are removed.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emitCatalogue } from './catalogue.ts';
import type { RawApi, RawError } from './catalogue.ts';
import { emitMessage } from './emit-code.ts';
import { emitTypes } from './emit-types.ts';
import { parseSchema } from './schema.ts';
import type { Message, RawSchema } from './schema.ts';

const protocolDirectory = dirname(dirname(fileURLToPath(import.meta.url)));
const generatedDirectory = join(protocolDirectory, 'generated');

function generate(): Map<string, string> {
  const messages: Message[] = [];
  for (const file of readdirSync(join(protocolDirectory, 'schemas')).sort()) {
    const schema: RawSchema = JSON.parse(read('schemas', file));
    const message = parseSchema(schema);
    if (message !== undefined) messages.push(message);
  }
  const { apis }: { apis: RawApi[] } = JSON.parse(read('configs', 'api-keys.json'));
  const { errors }: { errors: RawError[] } = JSON.parse(read('configs', 'error-codes.json'));
  const files = new Map<string, string>();
  for (const message of messages) files.set(`${message.name}.cjs`, emitMessage(message));
  files.set('catalogue.json', emitCatalogue(messages, apis, errors));
  files.set('messages.d.ts', emitTypes(messages, errors));
  return files;
}

function read(directory: string, file: string): string {
  return readFileSync(join(protocolDirectory, directory, file), 'utf8');
}

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
  for (const name of present)
    if (!files.has(name)) rmSync(join(generatedDirectory, name), { recursive: true });
}

writeChanged(generate());
