/** When a node looks after its logs, on a clock that the test moves. */
import { expect, it } from 'vitest';
import { ManualClock } from '../../platform/manual-clock.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { createTopic, embed, produceOf, produceVersion } from './embedded.ts';
import type { Embedded } from './embedded.ts';

const initialDelayMs = 30_000;
const checkIntervalMs = 300_000;

async function figure(node: Embedded, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1]);
}

async function reach(node: Embedded, name: string, value: number): Promise<void> {
  while ((await figure(node, name)) < value);
  expect(await figure(node, name)).toBe(value);
}

it('begins after log.initial.task.delay.ms and then keeps its interval', async () => {
  const clock = new ManualClock();
  const platform = { ...realPlatform(), disk: new MemoryDisk(), clock };
  await using node = await embed({ platform, httpPort: 0 });
  clock.advance(initialDelayMs - 1);
  expect(await figure(node, 'kappalog_retention_rounds_total')).toBe(0);
  clock.advance(1);
  await reach(node, 'kappalog_retention_rounds_total', 1);
  for (let round = 2; round < 5; round++) {
    clock.advance(checkIntervalMs - 1);
    expect(await figure(node, 'kappalog_retention_rounds_total')).toBe(round - 1);
    clock.advance(1);
    await reach(node, 'kappalog_retention_rounds_total', round);
  }
});

it('checks every segment once a day', async () => {
  const clock = new ManualClock();
  const platform = { ...realPlatform(), disk: new MemoryDisk(), clock };
  const settings = {
    'kappalog.scrub.bytes.per.second': '1000000000',
    'log.segment.bytes': '1048576',
    'log.retention.ms': '-1',
  };
  await using node = await embed({ platform, httpPort: 0, settings });
  const connection = await node.connect();
  await createTopic(connection, 't');
  for (let at = 0; at < 4; at++) {
    const produced = await connection.call('Produce', produceVersion, produceOf('t', ['x'.repeat(700_000)]));
    expect(produced.responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  }
  expect(await figure(node, 'kappalog_log_segments')).toBe(4);
  clock.advance(initialDelayMs);
  // Three full ones, and the first again, which is how the end is noticed.
  await reach(node, 'kappalog_scrubbed_segments_total', 4);
  const dayMs = 24 * 3600 * 1000;
  clock.advance(dayMs / 2);
  expect(await figure(node, 'kappalog_scrubbed_segments_total')).toBe(4);
  clock.advance(dayMs / 2);
  await reach(node, 'kappalog_scrubbed_segments_total', 7);
  expect(await figure(node, 'kappalog_scrubbed_bytes_total')).toBeGreaterThan(7 * 700_000);
});
