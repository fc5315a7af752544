/** The lists of planted bugs fit the sources; `npm run test:mutations` shows that each of them is found. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupMutations } from './group-mutations.ts';
import { logMutations } from './log-mutations.ts';
import { raftMutations } from './raft-mutations.ts';
import { scenarioMutations, scenariosFile } from './scenario-mutations.ts';
import { shellMutations } from './shell-mutations.ts';

const root = join(import.meta.dirname, '../..');
const all = [...logMutations, ...raftMutations, ...scenarioMutations, ...shellMutations, ...groupMutations];

describe('planted bugs', () => {
  it('have names of their own, and at least 25 are known bugs of Raft', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    expect(raftMutations.length).toBeGreaterThanOrEqual(25);
  });

  it('look for what finds them where there is something', () => {
    for (const { hunts } of all) {
      expect(hunts.length).toBeGreaterThan(0);
      for (const hunt of hunts) {
        if (hunt.kind === 'tests')
          for (const folder of hunt.folders)
            expect(existsSync(join(root, folder)) || existsSync(join(root, `${folder}.test.ts`))).toBe(true);
        if (hunt.kind !== 'test') continue;
        if (hunt.file === scenariosFile) {
          const scenario = `test/raft/scenarios/${hunt.name.replaceAll(' ', '-')}.txt`;
          expect(existsSync(join(root, scenario))).toBe(true);
          continue;
        }
        // Names of tests are written in the text as they are, but for those of tables.
        expect(readFileSync(join(root, hunt.file), 'utf8')).toContain(
          hunt.name.replaceAll("'", "\\'").split('%')[0],
        );
      }
    }
  });

  for (const { name, file, from, to } of all) {
    it(`can be planted: ${name}`, () => {
      expect(readFileSync(join(root, file), 'utf8').split(from)).toHaveLength(2);
      expect(to).not.toBe(from);
    });
  }
});
