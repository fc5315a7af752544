import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startBroker } from '../support/broker-process.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { brokerSettings } from './broker-settings.ts';
import { runFuzz } from './fuzz-run.ts';

test(
  '20,000 mutated requests leave the broker up, its memory flat and other connections unhurt',
  { timeout: 120_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kappalog-fuzz-'));
    const children = new ChildProcesses();
    const broker = await startBroker('kappalog', children, {
      port: await freePort(),
      httpPort: await freePort(),
      directory,
      settings: brokerSettings,
      arguments: ['--log-level', 'error'],
    });
    try {
      const options = { broker, requests: 20_000, rounds: 4, seed: 20_000, connections: 16, fillBytes: 0 };
      const result = await runFuzz({ ...options, log: () => undefined });
      expect(result.requests).toBeGreaterThanOrEqual(20_000);
      expect(result.answered).toBeGreaterThan(2000);
      expect(result.closed).toBeGreaterThan(2000);
      expect(result.canaries).toBeGreaterThan(10);
      expect(await broker.stop()).toBe(0);
    } finally {
      await broker.kill();
      rmSync(directory, { recursive: true });
    }
  },
);
