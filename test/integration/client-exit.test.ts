/** After `close` a process ends by itself, whatever it was closed in the middle of, and says nothing on standard error. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog } from '../../client/index.ts';

const program = join(import.meta.dirname, 'exit-scenarios.ts');
let broker: Broker;

beforeEach(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  await using client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
  await client.admin().createTopics([{ name: 'exits', partitions: 2 }]);
});
afterEach(() => broker.close());

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
  /** From when it was told to go on. */
  readonly tookMs: number;
}

/** `meanwhile` runs when the program has come to its point; then it is told to go on. */
function run(scenario: string, meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let toldAtMs = NaN;
    const child = execFile(
      process.execPath,
      ['--unhandled-rejections=strict', program, scenario, `127.0.0.1:${broker.port}`],
      { timeout: 25_000 },
      (_, _stdout, stderr) => resolve({ code: child.exitCode, stderr, tookMs: performance.now() - toldAtMs }),
    );
    child.stdout!.once('data', () => {
      const goOn = (): void => {
        toldAtMs = performance.now();
        child.stdin!.write('go\n');
      };
      meanwhile().then(goOn, reject);
    });
  });
}

const close = (): Promise<void> => broker.close();

/** Leaving a group that cannot be reached may take five seconds for each of its parts. */
const cases: readonly (readonly [
  scenario: string,
  meanwhile: (() => Promise<void>) | undefined,
  withinMs: number,
])[] = [
  ['connected', undefined, 3_000],
  ['rebalancing', undefined, 8_000],
  ['rebalancing', close, 12_000],
  ['deserted', close, 12_000],
  ['lonely', close, 12_000],
  ['sending', close, 3_000],
];

describe('a process that closes its client ends by itself', () => {
  for (const [scenario, meanwhile, withinMs] of cases) {
    it(`${scenario}${meanwhile === undefined ? '' : ', the broker gone'}`, async () => {
      const { code, stderr, tookMs } = await run(scenario, meanwhile);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(tookMs).toBeLessThan(withinMs);
    });
  }
});
