/** Scenarios as text, with the full log of what every member does. See scenario.ts for the commands and rewrite.ts for the logs. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { play } from './scenario.ts';

const folder = join(import.meta.dirname, 'scenarios');

describe('scenarios', () => {
  for (const name of readdirSync(folder)) {
    const text = readFileSync(join(folder, name), 'utf8');
    it(name.replace('.txt', '').replaceAll('-', ' '), () => {
      expect(play(text)).toBe(text);
    });
  }
});
