/** The text of every generated file, from protocol/schemas and two tables of protocol/configs. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { emitCatalogue } from './catalogue.ts';
import type { RawApi, RawError } from './catalogue.ts';
import { emitMessage } from './emit-code.ts';
import { emitTypes } from './emit-types.ts';
import { parseSchema } from './schema.ts';
import type { Message, RawSchema } from './schema.ts';

/** Texts by file name. */
export function generate(protocolDirectory: string): Map<string, string> {
  const messages: Message[] = [];
  for (const file of readdirSync(join(protocolDirectory, 'schemas')).sort()) {
    const schema: RawSchema = JSON.parse(readFileSync(join(protocolDirectory, 'schemas', file), 'utf8'));
    const message = parseSchema(schema);
    if (message !== undefined) messages.push(message);
  }
  const { apis }: { apis: RawApi[] } = JSON.parse(
    readFileSync(join(protocolDirectory, 'configs', 'api-keys.json'), 'utf8'),
  );
  const { errors }: { errors: RawError[] } = JSON.parse(
    readFileSync(join(protocolDirectory, 'configs', 'error-codes.json'), 'utf8'),
  );
  const files = new Map<string, string>();
  for (const message of messages) files.set(`${message.name}.cjs`, emitMessage(message));
  files.set('catalogue.json', emitCatalogue(messages, apis, errors));
  files.set('messages.d.ts', emitTypes(messages, errors));
  return files;
}
