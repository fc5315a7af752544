import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { produceOf, produceVersion } from './embedded.ts';
import { WireConnection } from './wire-connection.ts';

const launcher = fileURLToPath(new URL('../../bin/kappalog.js', import.meta.url));

interface Running {
  readonly port: number;
  kill(): Promise<void>;
}

async function start(dataDir: string): Promise<Running> {
  const args = ['start', '--port', '0', '--http-port', 'off', '--data-dir', dataDir, '-o', 'json'];
  args.push('--internal-port', 'off');
  const child = spawn(process.execPath, [launcher, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (text: Buffer) => {
      output += String(text);
      if (!output.includes('\n')) return;
      const ready: { port: number } = JSON.parse(output.slice(0, output.indexOf('\n')));
      resolve(ready.port);
    });
    void exited.then(() => reject(new Error('the broker ended before it was ready')));
  });
  return {
    port,
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
}

describe('a broker that is killed with -9', () => {
  it("keeps topics with their ids, settings, committed offsets, and producers' sequences", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'kappalog-restart-'));
    const sequence = { producerId: 0, producerEpoch: 0, baseSequence: 0 };
    let broker = await start(dataDir);
    try {
      let connection = await WireConnection.open(broker.port);
      const { topics } = await connection.call('CreateTopics', 7, {
        topics: [
          {
            name: 't',
            numPartitions: 3,
            replicationFactor: 1,
            assignments: [],
            configs: [{ name: 'retention.ms', value: '-1' }],
          },
        ],
        timeoutMs: 10_000,
      });
      const { topicId } = topics[0]!;
      const producer = await connection.call('InitProducerId', 4, {
        transactionalId: null,
        transactionTimeoutMs: 0,
        producerId: -1,
        producerEpoch: -1,
      });
      const batchOf = (baseSequence: number) =>
        produceOf('t', ['a', 'b'], {
          sequence: { ...sequence, producerId: producer.producerId, baseSequence },
        });
      const send = async (baseSequence: number) => {
        const answer = await connection.call('Produce', produceVersion, batchOf(baseSequence));
        const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
        return [errorCode, baseOffset];
      };
      expect(await send(0)).toEqual([ErrorCode.NONE, 0]);
      expect(await send(2)).toEqual([ErrorCode.NONE, 2]);
      await whenServed(() => commit(connection, 3));

      for (let restarts = 0; restarts < 2; restarts++) {
        await broker.kill();
        broker = await start(dataDir);
        connection = await WireConnection.open(broker.port);
        // What was sent without having seen the answer is not there twice, and what follows goes on.
        expect(await send(0)).toEqual([ErrorCode.NONE, 0]);
        expect(await send(2)).toEqual([ErrorCode.NONE, 2]);
        expect(await send(6 + 2 * restarts)).toEqual([ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1]);
        expect(await send(4 + 2 * restarts)).toEqual([ErrorCode.NONE, 4 + 2 * restarts]);
        const metadata = await connection.call('Metadata', 12, { topics: null });
        const topic = metadata.topics.find(({ name }) => name === 't')!;
        expect([topic.topicId, topic.partitions.length]).toEqual([topicId, 3]);
        const { results } = await connection.call('DescribeConfigs', 4, {
          resources: [{ resourceType: 2, resourceName: 't', configurationKeys: ['retention.ms'] }],
        });
        expect(results[0]!.configs.map(({ name, value }) => [name, value])).toEqual([['retention.ms', '-1']]);
        expect(await whenServed(() => committed(connection))).toBe(3);
        const next = await connection.call('InitProducerId', 4, {
          transactionalId: null,
          transactionTimeoutMs: 0,
          producerId: -1,
          producerEpoch: -1,
        });
        expect(next.producerId).toBeGreaterThan(producer.producerId);
      }
    } finally {
      await broker.kill();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

/** While the groups' topic is made or loaded, a client is told to ask again. */
async function whenServed<T>(ask: () => Promise<T | 'again'>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== 'again') return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const again = new Set<number>([
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_COORDINATOR,
]);

async function commit(connection: WireConnection, offset: number): Promise<'done' | 'again'> {
  await connection.call('FindCoordinator', 2, { key: 'g', keyType: 0 });
  const { topics } = await connection.call('OffsetCommit', 5, {
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, committedOffset: offset }] }],
  });
  const { errorCode } = topics[0]!.partitions[0]!;
  if (again.has(errorCode)) return 'again';
  expect(errorCode).toBe(ErrorCode.NONE);
  return 'done';
}

async function committed(connection: WireConnection): Promise<number | 'again'> {
  const answer = await connection.call('OffsetFetch', 5, {
    groupId: 'g',
    topics: [{ name: 't', partitionIndexes: [0] }],
  });
  if (again.has(answer.errorCode)) return 'again';
  return answer.topics[0]!.partitions[0]!.committedOffset;
}
