import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectTls } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, StartError } from '../../broker/index.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { createTopic, embed, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import { freePort } from '../support/free-port.ts';
import { WireConnection } from './wire-connection.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kappalog-bad-input-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('bytes on the Kafka port that are not Kafka', () => {
  it('HTTP: the connection is closed, and the log says what it was', async () => {
    await using node = await embed();
    const [stranger, client] = [await node.connect(), await node.connect()];
    stranger.send(Buffer.from('GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    await stranger.ended;
    expect(node.log.lines).toContain(
      'warn: connection closed: the peer speaks HTTP on the Kafka port; the HTTP interface has a port of its own (--http-port)',
    );
    expect((await client.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
  });

  it('TLS: the connection is closed, and the log says what it was', async () => {
    await using node = await embed();
    const client = await node.connect();
    await new Promise<void>((resolve) => {
      const socket = connectTls({ port: node.broker.port, host: '127.0.0.1', rejectUnauthorized: false });
      // The handshake fails, as it must.
      socket.on('error', () => resolve());
      socket.on('close', () => resolve());
    });
    expect(node.log.lines).toContain(
      'warn: connection closed: the peer speaks TLS on a plaintext listener; set security.protocol=PLAINTEXT in the client',
    );
    expect((await client.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
  });

  it.each([
    [Buffer.from([0xff, 0xff, 0xff, 0xff]), 'a request of -1 bytes'],
    [Buffer.from([0, 0, 0, 7]), 'a request of 7 bytes'],
    [Buffer.from([0x7f, 0xff, 0xff, 0xff]), 'a request of 2147483647 bytes'],
  ])('a size that no request has: %j', async (bytes, told) => {
    await using node = await embed();
    const [stranger, client] = [await node.connect(), await node.connect()];
    stranger.send(bytes);
    await stranger.ended;
    expect(node.log.lines.filter((line) => line.includes(told))).toHaveLength(1);
    expect((await client.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
  });
});

describe('idle connections', () => {
  it('are closed after connections.max.idle.ms; one that is used, or waits for its answer, is not', async () => {
    await using node = await embed({ settings: { 'connections.max.idle.ms': '300' } });
    const [idle, used, waiting] = [await node.connect(), await node.connect(), await node.connect()];
    await createTopic(used, 't');
    const fetched = waiting.call(
      'Fetch',
      fetchVersion,
      fetchOf('t', [{ fetchOffset: 0 }], { maxWaitMs: 1500 }),
    );
    const ended = idle.ended.then(() => 'ended');
    const pause = (): Promise<string> => new Promise((resolve) => setTimeout(resolve, 20, 'pause'));
    do await used.call('ApiVersions', 0, {});
    while ((await Promise.race([ended, pause()])) === 'pause');
    expect(node.log.debugLines).toContain(
      'connection closed: idle for longer than connections.max.idle.ms (300)',
    );
    expect((await fetched).responses[0]!.partitions[0]!.errorCode).toBe(ErrorCode.NONE);
  });

  it('are those too that send requests and never take the answers', async () => {
    await using node = await embed({ settings: { 'connections.max.idle.ms': '300' }, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't');
    await connection.call('Produce', produceVersion, produceOf('t', ['x'.repeat(900_000)]));
    connection.pause();
    const request = connection.frame('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }]));
    connection.send(Buffer.concat(Array.from({ length: 60 }, () => request)));
    let connections: number;
    do {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const metrics = await (await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`)).text();
      connections = Number(/^kappalog_connections (\d+)$/m.exec(metrics)![1]);
    } while (connections > 0);
    expect(node.log.debugLines).toContain(
      'connection closed: idle for longer than connections.max.idle.ms (300)',
    );
  });
});

describe('too many connections', () => {
  it.each([
    ['max.connections', 'max.connections is 2'],
    ['max.connections.per.ip', 'max.connections.per.ip is 2'],
  ])('%s: those beyond it are closed, and the log says why', async (setting, told) => {
    await using node = await embed({ settings: { [setting]: '2' } });
    const first = await node.connect();
    const second = await node.connect();
    await first.call('ApiVersions', 0, {});
    await second.call('ApiVersions', 0, {});
    const third = await node.connect();
    await third.ended;
    expect(node.log.lines).toContain(`warn: connection refused: ${told}`);
    await second[Symbol.asyncDispose]();
    await first.call('ApiVersions', 0, {});
    const fourth = await node.connect();
    expect((await fourth.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
  });
});

describe('a full disk', () => {
  it('is told to the client and in the log; the broker stays up, and what was acknowledged is there after it', async () => {
    let capacityBytes = 3_000_000;
    const disk = new MemoryDisk({
      get capacityBytes() {
        return capacityBytes;
      },
    });
    const value = 'x'.repeat(400_000);
    let acknowledged = 0;
    {
      await using node = await embed({ disk });
      const connection = await node.connect();
      await createTopic(connection, 't');
      let errorCode: number = ErrorCode.NONE;
      for (let i = 0; i < 20 && errorCode === ErrorCode.NONE; i++) {
        const answer = await connection.call('Produce', produceVersion, produceOf('t', [value]));
        ({ errorCode } = answer.responses[0]!.partitionResponses[0]!);
        if (errorCode === ErrorCode.NONE) acknowledged++;
      }
      expect(errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
      expect(acknowledged).toBe(7);
      const again = await connection.call('Produce', produceVersion, produceOf('t', [value]));
      expect(again.responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
      const told = node.log.lines.filter((line) => line.includes('t-0'));
      expect(told).toHaveLength(1);
      expect(told[0]).toMatch(
        /^error: the log of t-0 has failed: it takes no more writes until this node is started again \(.*the disk is full\.\)$/,
      );
      expect((await connection.call('Metadata', 5, { topics: null })).topics[0]!.name).toBe('t');
    }
    capacityBytes = 30_000_000;
    await using node = await embed({ disk });
    const connection = await node.connect();
    const { topics } = await connection.call('ListOffsets', 5, {
      replicaId: -1,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    });
    expect(topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, offset: acknowledged });
  });

  it('does not keep the broker from ending', async () => {
    let isFull = false;
    const disk = new MemoryDisk({
      faults: (operation) =>
        isFull && (operation === 'write' || operation === 'sync') ? 'no-space' : undefined,
    });
    const node = await embed({ disk });
    const connection = await node.connect();
    await createTopic(connection, 't', 3);
    isFull = true;
    await node[Symbol.asyncDispose]();
    expect(node.log.lines.filter((line) => line.startsWith('error')).length).toBeGreaterThan(0);
    isFull = false;
    await using next = await embed({ disk });
    expect(
      (await (await next.connect()).call('Metadata', 5, { topics: null })).topics[0]!.partitions,
    ).toHaveLength(3);
  });
});

const startError = async (options: Parameters<typeof startBroker>[0]): Promise<StartError> => {
  const error: unknown = await startBroker(options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartError))
    throw new Error('the broker started, or failed otherwise', { cause: error });
  return error;
};

describe('an embedded broker refuses to start, and says in a sentence why,', () => {
  it('on a directory that is written in a newer format', async () => {
    const dataDir = join(directory, 'newer');
    await mkdir(dataDir);
    await writeFile(
      join(dataDir, 'meta.properties'),
      'version=1\nkappalog.format=2\ncluster.id=a\nnode.id=1\n',
    );
    const error = await startError({ port: 0, dataDir });
    expect(error.code).toBe('newer-format');
    expect(error.message).toContain(`${dataDir} is written in format 2`);
  });

  it("on Apache Kafka's directory, on another program's, and on another node's", async () => {
    const kafka = join(directory, 'kafka');
    await mkdir(kafka);
    await writeFile(join(kafka, 'meta.properties'), 'version=1\ncluster.id=a\nnode.id=1\n');
    expect((await startError({ port: 0, dataDir: kafka })).message).toContain('probably Apache Kafka');
    const photos = join(directory, 'photos');
    await mkdir(photos);
    await writeFile(join(photos, 'beach.jpg'), '');
    expect((await startError({ port: 0, dataDir: photos })).message).toContain('it holds beach.jpg');
    expect(await readFile(join(photos, 'beach.jpg'), 'utf8')).toBe('');
    const dataDir = join(directory, 'node-1');
    await (await startBroker({ port: 0, dataDir })).close();
    const error = await startError({ port: 0, dataDir, nodeId: 2 });
    expect([error.code, error.message]).toEqual([
      'foreign-directory',
      `${dataDir} belongs to node 1, and this is node 2`,
    ]);
  });

  it('on a directory that another broker of the same process has, and on a port in use', async () => {
    const dataDir = join(directory, 'locked');
    await using broker = await startBroker({ port: 0, dataDir });
    expect((await startError({ port: 0, dataDir })).code).toBe('directory-locked');
    const error = await startError({ port: broker.port, storage: 'memory' });
    expect(error.code).toBe('address-in-use');
    expect(error.message).toContain(`127.0.0.1:${broker.port} is in use`);
  });
});

describe('a low limit of open files', () => {
  const launcher = fileURLToPath(new URL('../../bin/kappalog.js', import.meta.url));

  it(
    'bounds what logs hold open, not how many there are; more connections than it allows are told in the log',
    { timeout: 60_000 },
    async () => {
      const dataDir = join(directory, 'few-files');
      const port = await freePort();
      const command = `ulimit -n 80 && exec "$0" "$@"`;
      const args = ['start', '--port', String(port), '--http-port', 'off', '--data-dir', dataDir];
      args.push('--internal-port', 'off');
      const child = spawn('bash', ['-c', command, process.execPath, launcher, ...args], { stdio: 'pipe' });
      const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (text: Buffer) => (output += text));
      await new Promise<void>((resolve) => {
        child.stdout.on('data', () => {
          if (output.includes('ready')) resolve();
        });
        void exited.then(() => resolve());
      });
      try {
        const connection = await WireConnection.open(port);
        const { topics } = await connection.call('CreateTopics', 5, {
          topics: [{ name: 'wide', numPartitions: 200, replicationFactor: 1, assignments: [], configs: [] }],
          timeoutMs: 30_000,
        });
        expect(topics[0]!).toMatchObject({ errorCode: ErrorCode.NONE, errorMessage: null });
        await createTopic(connection, 'narrow', 2);
        const others: WireConnection[] = [];
        for (let i = 0; i < 100; i++) others.push(await WireConnection.open(port));
        await Promise.race(others.map((other) => other.ended));
        for (const other of others) await other[Symbol.asyncDispose]();
        const answer = await connection.call('Produce', produceVersion, produceOf('narrow', ['a']));
        expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NONE);
        expect(output).toMatch(/connections cannot be taken: the limit of open files is reached/);
        await connection[Symbol.asyncDispose]();
      } finally {
        child.kill('SIGTERM');
        expect(await exited).toBe(0);
      }
    },
  );
});

describe('requests that never end', () => {
  /** The size of 1,000,000 bytes, an API key, and no more. */
  const begun = Buffer.from([0x00, 0x0f, 0x42, 0x40, 0x00, 0x01]);

  it('are counted while they arrive: connections beyond twice the bound are refused, with a reason', async () => {
    await using node = await embed({ httpPort: 0, settings: { 'queued.max.request.bytes': '1000000' } });
    const heldBytes = async (): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`);
      return Number(/^kappalog_request_held_bytes (\d+)$/m.exec(await answer.text())?.[1]);
    };
    const strangers = [await node.connect(), await node.connect(), await node.connect()];
    // One after the other, so that it is known which of them is one too many.
    for (const [place, stranger] of strangers.entries()) {
      stranger.send(begun);
      if (place < 2) await expect.poll(heldBytes).toBe((place + 1) * 1_000_000);
    }
    await strangers[2]!.ended;
    expect(node.log.lines.filter((line) => line.includes('queued.max.request.bytes'))).toHaveLength(1);
    for (const stranger of strangers) await stranger[Symbol.asyncDispose]();
    await expect.poll(heldBytes).toBe(0);
    const client = await node.connect();
    expect((await client.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
  });
});
