import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectoryLocked, lockDirectory } from '../../../../platform/real/directory-lock.ts';

describe('lockDirectory', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kappalog-lock-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it('lets one holder in at a time and names it to the other', () => {
    const release = lockDirectory(directory);
    expect(() => lockDirectory(directory)).toThrow(DirectoryLocked);
    expect(() => lockDirectory(directory)).toThrow(`process ${process.pid}`);
    release();
    expect(existsSync(join(directory, '.lock'))).toBe(false);
    lockDirectory(directory)();
  });

  it('is given back where the directory has gone, or its disk has failed, without a word', () => {
    const inner = join(directory, 'inner');
    mkdirSync(inner);
    const release = lockDirectory(inner);
    rmSync(inner, { recursive: true });
    expect(release).not.toThrow();
    const other = join(directory, 'other');
    mkdirSync(other);
    const releaseOther = lockDirectory(other);
    rmSync(other, { recursive: true });
    writeFileSync(other, 'ENOTDIR');
    expect(releaseOther).not.toThrow();
  });

  it('takes over from a process that is gone, from another boot, and from an id that passed to another process', () => {
    const self = (() => {
      const release = lockDirectory(directory);
      const text = readFileSync(join(directory, '.lock'), 'utf8');
      release();
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the code under test a line before.
      return JSON.parse(text) as { pid: number; started: string; boot: string };
    })();
    const stale = [
      { ...self, pid: 2 ** 22 + 1 },
      { ...self, boot: '00000000-0000-0000-0000-000000000000' },
      { ...self, started: '1' },
    ];
    for (const holder of stale) {
      writeFileSync(join(directory, '.lock'), JSON.stringify(holder));
      lockDirectory(directory)();
    }
    writeFileSync(join(directory, '.lock'), 'garbage');
    lockDirectory(directory)();
    expect(readdirSync(directory)).toEqual([]);
  });
});
