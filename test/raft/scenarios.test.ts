/**
 * Scenarios as text, with the full log of what every member does. See scenario.ts for the commands, rewrite.ts for the logs, and README.md
 * for what others call them.
 */
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

  it('are each under a name that others know in the README, which names no other', () => {
    const index = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
    const named = new Set(
      Array.from(index.matchAll(/`([a-z0-9]+(?:-[a-z0-9]+)+)`/g), ([, name]) => `${name}.txt`),
    );
    expect([...named].sort()).toEqual(readdirSync(folder).sort());
  });
});
