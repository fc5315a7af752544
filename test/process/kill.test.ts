import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProcesses } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { runKillTest } from './kill-test.ts';

test(
  'after five kills under load all that was acknowledged is there, once, in order',
  { timeout: 120_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kappalog-kill-'));
    const children = new ChildProcesses();
    try {
      const result = await runKillTest({
        kind: 'kappalog',
        kills: 5,
        seed: 5,
        directory,
        port: await freePort(),
        httpPort: await freePort(),
        children,
        log: () => undefined,
      });
      expect(result.differences).toEqual([]);
      expect(result.acknowledged).toBeGreaterThan(500);
      expect(result.recordsRead).toBe(result.acknowledged);
      expect(result.commits).toBeGreaterThan(10);
      expect(result.changes).toBeGreaterThan(5);
    } finally {
      children.killAll();
      rmSync(directory, { recursive: true });
    }
  },
);
