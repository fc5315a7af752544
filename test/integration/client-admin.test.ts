import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog, type Admin } from '../../client/index.ts';

let broker: Broker;
let client: Kappalog;
let admin: Admin;

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
  admin = client.admin();
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

describe('topics', () => {
  it('are created, listed, described, enlarged and deleted', async () => {
    const created = await admin.createTopics([
      { name: 'orders', partitions: 2, configs: { 'retention.ms': '1000' } },
    ]);
    expect(created).toMatchObject([{ name: 'orders', partitions: 2, replicationFactor: 1 }]);
    expect(await admin.listTopics()).toMatchObject([
      { name: 'orders', partitions: 2, internal: false, topicId: created[0]!.topicId },
    ]);
    await admin.createPartitions({ topic: 'orders', count: 3 });
    const [topic] = await admin.describeTopics(['orders']);
    expect(topic!.partitions.map(({ partition, leader }) => [partition, leader])).toEqual(
      [0, 1, 2].map((index) => [index, broker.nodeId]),
    );
    await admin.deleteTopics(['orders']);
    await expect(admin.describeTopics(['orders'])).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
    await expect(admin.deleteTopics(['orders'])).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
  });

  it('are not created where that is only tried, or cannot be', async () => {
    await admin.createTopics([{ name: 'tried', partitions: 1 }], { validateOnly: true });
    expect((await admin.listTopics()).map((topic) => topic.name)).not.toContain('tried');
    const create = (topic: { name: string; replicationFactor?: number }): Promise<unknown> =>
      admin.createTopics([{ partitions: 1, ...topic }]);
    await expect(create({ name: '..' })).rejects.toMatchObject({ code: 'INVALID_TOPIC_EXCEPTION' });
    await expect(create({ name: 'r', replicationFactor: 9 })).rejects.toMatchObject({
      code: 'INVALID_REPLICATION_FACTOR',
    });
    await create({ name: 'once' });
    await expect(create({ name: 'once' })).rejects.toMatchObject({
      code: 'TOPIC_ALREADY_EXISTS',
      retriable: false,
    });
  });

  it('have settings, changed one by one', async () => {
    await admin.createTopics([{ name: 'settings', partitions: 1 }]);
    const read = async (name: string): Promise<unknown> => {
      const [resource] = await admin.describeConfigs([{ type: 'topic', name: 'settings' }]);
      return resource!.entries.find((entry) => entry.name === name);
    };
    await admin.alterConfigs([{ type: 'topic', name: 'settings', set: { 'retention.ms': '5000' } }]);
    expect(await read('retention.ms')).toMatchObject({ value: '5000', source: 'topic' });
    await admin.alterConfigs([{ type: 'topic', name: 'settings', remove: ['retention.ms'] }]);
    expect(await read('retention.ms')).toMatchObject({ value: '604800000', source: 'default' });
    const wrong = admin.alterConfigs([{ type: 'topic', name: 'settings', set: { 'no.such': '1' } }]);
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});

describe('offsets', () => {
  it('are found at the ends and at times, also several of one partition', async () => {
    await admin.createTopics([{ name: 'times', partitions: 2 }]);
    await using producer = client.producer();
    await producer.sendMany(
      'times',
      [10, 30, 20].map((timestamp) => ({ value: '', partition: 0, timestamp })),
    );
    const at = (['earliest', 'latest', 'max-timestamp', { timestamp: 11 }, { timestamp: 31 }] as const).map(
      (place) => place,
    );
    const found = await admin.listOffsets(at.map((place) => ({ topic: 'times', partition: 0, at: place })));
    expect(found.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [0, -1],
      [3, -1],
      [1, 30],
      [1, 30],
      [-1, -1],
    ]);
    const missing = admin.listOffsets([{ topic: 'times', partition: 7, at: 'latest' }]);
    await expect(missing).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });
});

describe('groups', () => {
  it('are listed and described with their members, and their commits are set and deleted from outside', async () => {
    await admin.createTopics([{ name: 'work', partitions: 2 }]);
    const consumer = client.consumer({ groupId: 'workers', topics: ['work'] });
    await consumer.ready();
    expect(await admin.listGroups()).toMatchObject([
      { groupId: 'workers', protocolType: 'consumer', state: 'Stable' },
    ]);
    const [group] = await admin.describeGroups(['workers']);
    expect(group).toMatchObject({ state: 'Stable', protocol: 'range', coordinator: broker.nodeId });
    expect(group!.members.map((member) => [member.clientId, member.assignment])).toEqual([
      ['kappalog', [0, 1].map((partition) => ({ topic: 'work', partition }))],
    ]);
    const offsets = [{ topic: 'work', partition: 1, offset: 42, metadata: 'by hand' }];
    await expect(admin.commitGroupOffsets('workers', offsets)).rejects.toMatchObject({
      code: 'UNKNOWN_MEMBER_ID',
    });
    await expect(admin.deleteGroups(['workers'])).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP' });
    await consumer.close();
    await admin.commitGroupOffsets('workers', offsets);
    expect(await admin.fetchGroupOffsets('workers')).toMatchObject([
      { partition: 0, offset: 0 },
      { partition: 1, offset: 42, metadata: 'by hand' },
    ]);
    expect(await admin.fetchGroupOffsets('workers', ['other'])).toEqual([]);
    await admin.deleteGroups(['workers']);
    expect(await admin.describeGroups(['workers'])).toMatchObject([{ state: 'Dead', members: [] }]);
  });
});

describe('a process that uses the client', () => {
  it('ends by itself after close', async () => {
    const script = `
      import { Kappalog } from '${new URL('../../client/index.ts', import.meta.url).href}';
      const client = new Kappalog({ brokers: '127.0.0.1:${broker.port}' });
      const producer = client.producer();
      await producer.send({ topic: 'exit', value: 'x' });
      const consumer = client.consumer({ groupId: 'exit', topics: ['exit'] });
      for await (const message of consumer) { console.log(String(message.value)); break; }
      await client.admin().listTopics();
      await client.close();
    `;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      timeout: 20_000,
    });
    expect((await run).stdout).toBe('x\n');
  });

  it('gets CLOSED from whatever it uses after that', async () => {
    const closed = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
    const late = closed.admin();
    await closed.close();
    await expect(late.listTopics()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => closed.producer()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});
