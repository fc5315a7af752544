/** kafkajs 2.2: administration, every codec (the ones it lacks are registered), from the start, from a time, with groups. */
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type * as KafkaJs from 'kafkajs';
import { type Admin, Kafka, type KafkaMessage, Partitioners, logLevel } from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress as snappyCompress, uncompress as snappyUncompress } from 'snappy';
import { type CodecName, type SeenRecord, type Suite } from './suite.ts';
import { codecs, compareRecords, equal, expectedRecords, pause } from './suite.ts';

// kafkajs is CommonJS, and Node sees only some of its exports by name.
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes }: typeof KafkaJs = createRequire(
  import.meta.url,
)('kafkajs');

const compressionTypes = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} satisfies Record<CodecName, number>;

interface Context {
  readonly suite: Suite;
  readonly kafka: Kafka;
  readonly admin: Admin;
}

export async function kafkajsSuite(suite: Suite): Promise<void> {
  if (!suite.checks.wants('kafkajs')) return;
  registerCodecs();
  const kafka = new Kafka({
    clientId: 'conformance',
    brokers: [suite.broker.address],
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    const context = { suite, kafka, admin };
    await administration(context);
    await everyCodec(context);
    await byTime(context);
    await groups(context);
    await producers(context);
  } finally {
    await admin.disconnect();
  }
}

function registerCodecs(): void {
  const codec =
    (compress: (data: Buffer) => Promise<Buffer>, decompress: (data: Buffer) => Promise<Buffer>) => () => ({
      compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
      decompress,
    });
  CompressionCodecs[CompressionTypes.Snappy] = codec(
    (data) => snappyCompress(data),
    async (data) => Buffer.from(await snappyUncompress(data)),
  );
  CompressionCodecs[CompressionTypes.LZ4] = codec(compressFrame, decompressFrame);
  CompressionCodecs[CompressionTypes.ZSTD] = codec(promisify(zstdCompress), promisify(zstdDecompress));
}

async function administration({ suite: { checks }, admin }: Context): Promise<void> {
  await checks.check('kafkajs: create, list, describe, widen and delete topics', async () => {
    const created = await admin.createTopics({
      topics: [
        {
          topic: 'kafkajs-admin',
          numPartitions: 2,
          configEntries: [{ name: 'retention.ms', value: '123456' }],
        },
        { topic: 'kafkajs-gone', numPartitions: 1 },
      ],
    });
    equal(created, true, 'createTopics');
    equal(
      await admin.createTopics({ topics: [{ topic: 'kafkajs-admin' }] }),
      false,
      'createTopics once more',
    );
    await admin.createPartitions({ topicPartitions: [{ topic: 'kafkajs-admin', count: 5 }] });
    await admin.deleteTopics({ topics: ['kafkajs-gone'] });
    const topics = await admin.listTopics();
    equal(
      [topics.includes('kafkajs-admin'), topics.includes('kafkajs-gone')],
      [true, false],
      'the list of topics',
    );
    const { topics: described } = await admin.fetchTopicMetadata({ topics: ['kafkajs-admin'] });
    equal(
      described[0]?.partitions.map((partition) => partition.partitionId).sort((a, b) => a - b),
      [0, 1, 2, 3, 4],
      'the partitions',
    );
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: 'kafkajs-admin', configNames: ['retention.ms'] }],
    });
    equal(resources[0]?.configEntries[0]?.configValue, '123456', 'retention.ms');
  });
  await checks.check('kafkajs: describes the cluster', async () => {
    const cluster = await admin.describeCluster();
    equal(cluster.brokers.length, 1, 'the number of brokers');
    equal(cluster.controller, cluster.brokers[0]?.nodeId, 'the controller');
  });
}

async function everyCodec({ suite: { checks, short }, kafka, admin }: Context): Promise<void> {
  for (const codec of codecs) {
    await checks.check(
      `kafkajs: produce ${codec} into three partitions, consume from the start`,
      async () => {
        const topic = `kafkajs-${codec}`;
        await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
        const records = expectedRecords(topic, short ? 600 : 6000);
        const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
        await producer.connect();
        for (let i = 0; i < records.length; i += 200) {
          const messages = records.slice(i, i + 200).map((record) => ({ ...record, headers: { codec } }));
          await producer.send({ topic, compression: compressionTypes[codec], messages });
        }
        await producer.disconnect();
        const read = await consume(kafka, { topic, groupId: `${topic}-group`, count: records.length });
        compareRecords(records, read.map(seenRecord));
        equal(
          read.every(({ message }) => message.headers?.['codec']?.toString() === codec),
          true,
          'that every record has its header',
        );
      },
    );
  }
}

interface Read {
  readonly partition: number;
  readonly message: KafkaMessage;
}

function seenRecord({ partition, message }: Read): SeenRecord {
  const key = message.key?.toString() ?? '';
  return { partition, offset: Number(message.offset), key, value: message.value?.toString() ?? '' };
}

/** Reads with a group until `count` records have come, commits, and leaves. */
async function consume(
  kafka: Kafka,
  options: { topic: string; groupId: string; count: number; from?: { partition: number; offset: string }[] },
): Promise<Read[]> {
  const consumer = kafka.consumer({ groupId: options.groupId, maxWaitTimeInMs: 200 });
  const read: Read[] = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topic: options.topic, fromBeginning: true });
    await within(60_000, async (done) => {
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          read.push({ partition, message });
          if (read.length === options.count) done();
        },
      });
      for (const position of options.from ?? []) consumer.seek({ topic: options.topic, ...position });
    });
    // The records that would come too many are looked for as well.
    await pause(300);
  } finally {
    await consumer.disconnect();
  }
  return read;
}

/** Resolves when `body` has called its argument; rejects after `timeoutMs`, or when the body rejects. */
function within(timeoutMs: number, body: (done: () => void) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`Not all records had come after ${timeoutMs} ms.`)),
      timeoutMs,
    );
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    body(done).catch((error: unknown) => {
      clearTimeout(timer);
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

async function byTime({ suite: { checks }, kafka, admin }: Context): Promise<void> {
  await checks.check('kafkajs: offsets by time, and consume from there', async () => {
    const topic = 'kafkajs-time';
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
    const base = 1_500_000_000_000;
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const messages = Array.from({ length: 200 }, (_, i) => ({
      partition: i % 2,
      value: `time ${i}`,
      timestamp: String(base + i * 1000),
    }));
    await producer.send({ topic, messages });
    await producer.disconnect();
    const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, base + 101_000);
    const from = offsets
      .map(({ partition, offset }) => ({ partition, offset }))
      .sort((a, b) => a.partition - b.partition);
    equal(
      from,
      [
        { partition: 0, offset: '51' },
        { partition: 1, offset: '50' },
      ],
      'the offsets at the time',
    );
    const read = await consume(kafka, { topic, groupId: 'kafkajs-time-group', count: 99, from });
    const values = read.map(({ message }) => message.value?.toString() ?? '');
    const wanted = messages.slice(101).map(({ value }) => value);
    equal(values.sort(), wanted.sort(), 'the values from the time on');
    equal(
      read.every(({ message }) => Number(message.timestamp) >= base + 101_000),
      true,
      'that all timestamps are kept',
    );
  });
}

async function groups({ suite: { checks }, kafka, admin }: Context): Promise<void> {
  await checks.check('kafkajs: two members share a topic, a third takes over from the commits', async () => {
    const topic = 'kafkajs-group';
    const groupId = 'kafkajs-shared';
    await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] });
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const send = (label: string, count: number): Promise<unknown> =>
      producer.send({
        topic,
        messages: Array.from({ length: count }, (_, i) => ({ partition: i % 4, value: `${label} ${i}` })),
      });
    const read: string[][] = [[], []];
    const members = read.map(() =>
      kafka.consumer({ groupId, maxWaitTimeInMs: 200, rebalanceTimeout: 10_000 }),
    );
    const joined = members.map(() => Promise.withResolvers<void>());
    for (const [i, member] of members.entries()) {
      member.on(member.events.GROUP_JOIN, ({ payload }) => {
        if (Object.values(payload.memberAssignment).flat().length === 2) joined[i]?.resolve();
      });
      await member.connect();
      await member.subscribe({ topic, fromBeginning: true });
      await member.run({
        eachMessage: async ({ message }) => {
          read[i]?.push(message.value?.toString() ?? '');
        },
      });
    }
    await within(60_000, async (done) => {
      await Promise.all(joined.map(({ promise }) => promise));
      done();
    });
    equal(await describedMembers(admin, groupId), ['Stable', 2], "the group's state");
    await send('shared', 400);
    await within(30_000, async (done) => {
      while (read.flat().length < 400) await pause(20);
      done();
    });
    equal(
      read.map((values) => values.length),
      [200, 200],
      'how many records each member read',
    );
    for (const member of members) await member.disconnect();
    await send('after', 40);
    await producer.disconnect();
    const rest = await consume(kafka, { topic, groupId, count: 40 });
    equal(
      rest.every(({ message }) => message.value?.toString().startsWith('after') === true),
      true,
      'that the third member reads the new records alone',
    );
    const committed = await admin.fetchOffsets({ groupId, topics: [topic] });
    equal(
      committed[0]?.partitions.map(({ offset }) => offset),
      ['110', '110', '110', '110'],
      'the committed offsets',
    );
    equal(
      (await admin.listGroups()).groups.some((group) => group.groupId === groupId),
      true,
      'that it is listed',
    );
  });
}

async function describedMembers(
  admin: Admin,
  groupId: string,
): Promise<[string | undefined, number | undefined]> {
  const { groups } = await admin.describeGroups([groupId]);
  return [groups[0]?.state, groups[0]?.members.length];
}

async function producers({ suite: { checks }, kafka, admin }: Context): Promise<void> {
  await checks.check('kafkajs: idempotent producer, null values, many headers', async () => {
    const topic = 'kafkajs-idempotent';
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    for (let i = 0; i < 20; i += 1) {
      const headers = { list: ['one', 'two'], number: String(i) };
      await producer.send({
        topic,
        messages: [{ key: `k${i}`, value: i % 2 === 0 ? `v${i}` : null, headers }],
      });
    }
    await producer.disconnect();
    const read = await consume(kafka, { topic, groupId: 'kafkajs-idempotent-group', count: 20 });
    equal(
      read.map(({ message }) => message.value?.toString() ?? null),
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? `v${i}` : null)),
      'the values',
    );
    const list = read[19]?.message.headers?.['list'];
    equal(Array.isArray(list) ? list.map(String) : list, ['one', 'two'], 'the repeated header');
  });
}
