import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createTopic, embed, produceOf, produceVersion } from './embedded.ts';

/** Runs a module in a process of its own; rejects where that does not end by itself within the time. */
function run(source: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = ['--input-type=module-typescript', '--eval', source];
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL' as const };
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`the process did not end well: ${stderr}`, { cause: error }));
    });
  });
}

describe('embedded brokers', () => {
  it('live side by side in one process, each with its own topics', async () => {
    const nodes = await Promise.all([embed(), embed(), embed()]);
    try {
      const ports = new Set(nodes.map(({ broker }) => broker.port));
      const clusters = new Set(nodes.map(({ broker }) => broker.clusterId));
      expect([ports.size, clusters.size]).toEqual([3, 3]);
      for (const [i, node] of nodes.entries()) {
        const connection = await node.connect();
        await createTopic(connection, `only-${i}`);
        await connection.call('Produce', produceVersion, produceOf(`only-${i}`, ['a']));
        const { topics } = await connection.call('Metadata', 5, { topics: null });
        expect(topics.map(({ name }) => name)).toEqual([`only-${i}`]);
      }
    } finally {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    }
  });

  it('are ready in tens of milliseconds, and leave nothing behind that keeps the process alive', async () => {
    const broker = fileURLToPath(new URL('../../broker/index.ts', import.meta.url));
    const output = await run(
      `import { connect } from 'node:net';
      import { startBroker } from ${JSON.stringify(broker)};
      const resources = () => process.getActiveResourcesInfo().filter((name) => !/Pipe|TTY|FSReqPromise/.test(name)).sort();
      const before = resources();
      const tookMs = [];
      for (let i = 0; i < 5; i++) {
        const startedMs = performance.now();
        await using one = await startBroker({ port: 0, storage: 'memory' });
        tookMs.push(performance.now() - startedMs);
        await using two = await startBroker({ port: 0, httpPort: 0, storage: 'memory' });
        const socket = connect(one.port, '127.0.0.1');
        await new Promise((resolve) => socket.once('connect', resolve));
        // Gone before its broker; another one stays until the broker ends it.
        socket.destroy();
        const other = connect(two.port, '127.0.0.1');
        other.on('error', () => {});
        await new Promise((resolve) => other.once('connect', resolve));
        other.resume();
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      const left = resources();
      for (const name of before) left.splice(left.indexOf(name), 1);
      console.log(JSON.stringify({ best: Math.min(...tookMs), left }));`,
      20_000,
    );
    const { best, left }: { best: number; left: string[] } = JSON.parse(output);
    expect(left).toEqual([]);
    expect(best).toBeLessThan(100);
  });
});
