import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import {
  createTopic,
  DiskGate,
  embed,
  fetchOf,
  fetchVersion,
  produceOf,
  produceVersion,
} from './embedded.ts';

const syncsOf = (topic: string) => (operation: string, path: string) =>
  operation === 'sync' && path.includes(`/${topic}-`);

describe('a batch that is sent again before its first append is committed', () => {
  it.each([-1, 1])('is answered with it, behind later batches that wait too, acks=%i', async (acks) => {
    const gate = new DiskGate();
    await using node = await embed({ gate });
    const first = await node.connect();
    await createTopic(first, 't');
    const held = gate.hold((operation, path) =>
      acks === -1
        ? syncsOf('t')(operation, path)
        : operation === 'write' && path.includes('/t-0/') && path.endsWith('.log'),
    );
    const sequence = { producerId: 7, producerEpoch: 0 };
    const one = produceOf('t', ['a'], { acks, sequence: { ...sequence, baseSequence: 0 } });
    const two = produceOf('t', ['b', 'c'], { acks, sequence: { ...sequence, baseSequence: 1 } });
    const sent = [first.call('Produce', produceVersion, one), first.call('Produce', produceVersion, two)];
    await held;
    const second = await node.connect();
    const again = [second.call('Produce', produceVersion, one), second.call('Produce', produceVersion, two)];
    // An answer on a third connection shows that the second one's requests have been taken.
    const third = await node.connect();
    expect((await third.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
    gate.open();
    const answers = await Promise.all([...sent, ...again]);
    expect(
      answers.map(({ responses }) => {
        const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
        return [errorCode, baseOffset];
      }),
    ).toEqual([
      [ErrorCode.NONE, 0],
      [ErrorCode.NONE, 1],
      [ErrorCode.NONE, 0],
      [ErrorCode.NONE, 1],
    ]);
    expect(node.log.lines.filter((line) => !line.startsWith('info'))).toEqual([]);
  });
});

describe('acks=0 on a disk that stands still', () => {
  it('is held back: what waits to be written stays bounded', async () => {
    const gate = new DiskGate();
    await using node = await embed({ gate, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't');
    const held = gate.hold(
      (operation, path) => operation === 'write' && path.includes('/t-0/') && path.endsWith('.log'),
    );
    const value = 'x'.repeat(500_000);
    const count = 200;
    for (let i = 0; i < count; i++) {
      connection.send(connection.frame('Produce', produceVersion, produceOf('t', [value], { acks: 0 })));
    }
    await held;
    const queuedBytes = async (): Promise<number> => {
      const metrics = await (await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`)).text();
      return Number(/^kappalog_log_queued_bytes (\d+)$/m.exec(metrics)![1]);
    };
    let before = -1;
    let now = await queuedBytes();
    for (let still = 0; still < 20; still = now === before ? still + 1 : 0) {
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 10));
      now = await queuedBytes();
    }
    expect(now).toBeLessThan(40_000_000);
    gate.open();
    const answer = await connection.call('Produce', produceVersion, produceOf('t', ['last']));
    expect(answer.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: count });
  });
});

describe('requests of one connection', () => {
  it('are answered in order, and a fetch behind a produce sees it', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    const produced = Array.from({ length: 20 }, (_, i) =>
      connection.call('Produce', produceVersion, produceOf('t', [`value ${i}`])),
    );
    const versions = connection.call('ApiVersions', 0, {});
    const fetched = connection.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }]));
    const offsets = (await Promise.all(produced)).map(
      (p) => p.responses[0]!.partitionResponses[0]!.baseOffset,
    );
    expect(offsets).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect((await versions).errorCode).toBe(0);
    expect((await fetched).responses[0]!.partitions[0]!.highWatermark).toBe(20);
  });

  it('behind one that cannot be read are not carried out', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    const unreadable = Buffer.from([0, 0, 0, 10, 0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    connection.send(
      Buffer.concat([
        unreadable,
        unreadable,
        connection.frame('Produce', produceVersion, produceOf('t', ['never'])),
      ]),
    );
    await connection.ended;
    const other = await node.connect();
    const { topics } = await other.call('ListOffsets', 5, {
      replicaId: -1,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    });
    expect(topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, offset: 0 });
    expect(node.log.lines.filter((line) => !line.startsWith('info'))).toEqual([
      'warn: connection closed: API key 32639 is not served',
    ]);
  });
});

it('min.insync.replicas asks for no more copies than the partition has replicas', async () => {
  await using node = await embed({ settings: {} });
  const connection = await node.connect();
  const { topics } = await connection.call('CreateTopics', 5, {
    topics: [
      {
        name: 't',
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: 'min.insync.replicas', value: '2' }],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(topics[0]!.errorMessage).toBeNull();
  const answer = await connection.call('Produce', produceVersion, produceOf('t', ['v'], { acks: -1 }));
  expect(answer.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: 0 });
});
