/** Channels and reasons are documented, and what is documented exists. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const namesIn = (text: string): string[] => [...new Set(text.match(/kappalog:[a-z]+:[a-z-]+/g))].toSorted();

it('the names of channels', () => {
  const names = namesIn(read('client/telemetry/channels.ts'));
  expect(names).toHaveLength(14);
  expect(namesIn(read('docs/observability.md'))).toEqual(names);
});
