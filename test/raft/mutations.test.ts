/** The list of planted bugs fits the sources; `node test/raft/mutate.ts` shows that each of them is found. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutations } from './mutations.ts';

const folder = join(import.meta.dirname, '../../broker/raft');

describe('mutations', () => {
  it('are at least 25, each with a name of its own', () => {
    expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
    expect(mutations.length).toBeGreaterThanOrEqual(25);
  });

  for (const { name, file, find, replace } of mutations) {
    it(`can plant: ${name}`, () => {
      expect(readFileSync(join(folder, file), 'utf8').split(find)).toHaveLength(2);
      expect(replace).not.toBe(find);
    });
  }
});
