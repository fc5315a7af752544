/** `write.caching`: what an acknowledgement waits for. */
import { expect, it } from 'vitest';
import { DiskGate, embed, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

async function create(connection: WireConnection, name: string, writeCaching: boolean): Promise<void> {
  const configs = [{ name: 'write.caching', value: String(writeCaching) }];
  const { topics } = await connection.call('CreateTopics', 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs }],
    timeoutMs: 10_000,
  });
  expect(topics[0]!.errorMessage).toBeNull();
}

async function setWriteCaching(connection: WireConnection, topic: string, value: string): Promise<void> {
  const { responses } = await connection.call('IncrementalAlterConfigs', 0, {
    resources: [
      {
        resourceType: 2,
        resourceName: topic,
        configs: [{ name: 'write.caching', configOperation: 0, value }],
      },
    ],
    validateOnly: false,
  });
  expect(responses[0]!.errorMessage ?? '').toBe('');
}

it('lets acks=all be answered, and records be read, before they are synced', async () => {
  const gate = new DiskGate();
  await using node = await embed({ gate });
  const connection = await node.connect();
  const other = await node.connect();
  await create(connection, 'cached', true);
  await create(connection, 'synced', false);
  const held = gate.hold((operation) => operation === 'sync');
  const synced = other.call('Produce', produceVersion, produceOf('synced', ['a']));
  let isSynced = false;
  void synced.then(() => (isSynced = true));
  await held;
  for (const value of ['a', 'b', 'c']) {
    const { responses } = await connection.call('Produce', produceVersion, produceOf('cached', [value]));
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  }
  const answer = await connection.call('Fetch', fetchVersion, fetchOf('cached', [{ fetchOffset: 0 }]));
  expect(answer.responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 3 });
  expect(isSynced).toBe(false);
  gate.open();
  expect((await synced).responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
});

it('can be turned on and off while the topic is written to', async () => {
  await using node = await embed();
  const connection = await node.connect();
  await create(connection, 't', false);
  for (const [at, value] of ['true', 'false', 'true'].entries()) {
    await setWriteCaching(connection, 't', value);
    const { responses } = await connection.call('Produce', produceVersion, produceOf('t', ['a', 'b']));
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: at * 2 });
  }
  const answer = await connection.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }]));
  expect(answer.responses[0]!.partitions[0]!.highWatermark).toBe(6);
});
