/** kill -9 while replicas are moved between the data directories of a node that is written to. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { Kappalog } from '../../client/index.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { startBroker } from '../support/broker-process.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';

const topic = 'moved';
const kills = 4;

test(
  'after kills in the middle of moves all that was acknowledged is there, once, in order',
  { timeout: 120_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kappalog-move-'));
    const paths = [join(directory, 'a'), join(directory, 'b')];
    const children = new ChildProcesses();
    const random = new SeededRandom(7);
    const port = await freePort();
    const spec = {
      port,
      httpPort: await freePort(),
      directory,
      arguments: ['--data-dir', paths.join()],
    };
    const within = { timeout: 30_000, interval: 50 };
    try {
      let broker = await startBroker('kappalog', children, spec);
      const retry = { timeoutMs: 60_000, backoffMs: 10, backoffMaxMs: 100 };
      await using client = new Kappalog({ brokers: `127.0.0.1:${port}`, retry });
      await using admin = client.admin();
      await admin.createTopics([{ name: topic, partitions: 1, configs: { 'segment.bytes': '1048576' } }]);
      const ending = new AbortController();
      let count = 0;
      const writing = (async () => {
        await using producer = client.producer();
        while (!ending.signal.aborted) {
          const values = Array.from({ length: 100 }, () => `${count++} `.padEnd(500, 'x'));
          await producer.sendMany(
            topic,
            values.map((value) => ({ value, partition: 0 })),
          );
        }
      })();
      const homeOf = async (): Promise<string> => {
        const described = await admin.describeLogDirs({ topics: [topic] });
        const home = described.find(({ partitions }) => partitions.some(({ isFuture }) => !isFuture));
        return home!.path;
      };
      const other = (path: string): string => paths.find((each) => each !== path)!;
      for (let kill = 0; kill < kills; kill++) {
        // Each kill meets a writer that has got on since the one before.
        const written = count;
        await vi.waitFor(() => expect(count).toBeGreaterThan(written), within);
        const target = other(await homeOf());
        const [result] = await admin.alterReplicaLogDirs([{ broker: 1, topic, partition: 0, path: target }]);
        expect(result!.error).toBeNull();
        await delay(random.below(60));
        await broker.kill();
        broker = await startBroker('kappalog', children, spec);
        // What was asked for, or begun, comes about; a word that was lost with the process does not.
        await vi.waitFor(async () => {
          const described = await admin.describeLogDirs({ topics: [topic] });
          expect(described.flatMap(({ partitions }) => partitions).map(({ isFuture }) => isFuture)).toEqual([
            false,
          ]);
        }, within);
      }
      ending.abort();
      await writing;
      const [end] = await admin.listOffsets([{ topic, partition: 0, at: 'latest' }]);
      await using consumer = client.consumer({
        assign: [{ topic, partition: 0, offset: 'earliest', endOffset: end!.offset }],
      });
      const values = (await Array.fromAsync(consumer)).map(({ value }) =>
        Number.parseInt(value!.toString(), 10),
      );
      expect(values.length).toBeGreaterThan(100);
      expect(values).toEqual(Array.from({ length: count }, (_, value) => value));
      expect(await broker.stop()).toBe(0);
      const places = paths.flatMap((path) =>
        readdirSync(path).filter((name) => /^moved-|-future$/.test(name)),
      );
      expect(places).toEqual([`${topic}-0`]);
    } finally {
      children.killAll();
      rmSync(directory, { recursive: true });
    }
  },
);
