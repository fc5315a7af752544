/**
 * A log directory that Apache Kafka wrote: stopped, copied, and opened with this broker's log. What comes out is what lies in
 * Kafka's files, byte for byte, and what Kafka's own consumer read from it, record by record.
 */
import { cpSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, Partitioners, logLevel } from 'kafkajs';
import { ManualClock } from '../../platform/manual-clock.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { decodeBatch, encodeBatch, iterateBatches } from '../../protocol/index.ts';
import { javaCommand, kafkaClassPath } from '../support/apache-kafka-jars.ts';
import { formatKafkaStorage, startBroker } from '../support/broker-process.ts';
import type { BrokerProcess } from '../support/broker-process.ts';
import { flushed, openLog, startTerm } from '../unit/log/log-harness.ts';
import { dumpsAgree, runKappalog } from './dump-tool.ts';
import { javaOptions } from './java-tools.ts';
import { type Suite, equal, pause } from './suite.ts';

const topics = {
  'kd-gzip': {},
  'kd-snappy': {},
  'kd-lz4': {},
  'kd-zstd': {},
  'kd-idempotent': { 'segment.bytes': '1048576' },
  'kd-transactional': { 'segment.bytes': '1048576' },
  'kd-compacted': {
    'cleanup.policy': 'compact',
    'segment.bytes': '1048576',
    'min.cleanable.dirty.ratio': '0.01',
    'delete.retention.ms': '0',
  },
} as const;
type Topic = keyof typeof topics;
const names = Object.keys(topics).filter((name): name is Topic => name in topics);

/** Offset, key and value, as Kafka's console consumer prints them. */
type Served = ReadonlyMap<Topic, readonly string[]>;

export async function kafkaDirectorySuite(suite: Suite, jarsMissing: string | undefined): Promise<void> {
  const { checks, children } = suite;
  if (!checks.wants('kafka-directory') || suite.short) return;
  if (jarsMissing !== undefined) {
    checks.skip('kafka-directory', `Kafka cannot be had: ${jarsMissing}`);
    return;
  }
  const directory = join(suite.directory, 'kafka-directory');
  const spec = {
    port: suite.broker.port + 10,
    directory,
    heap: '512m',
    settings: { 'log.cleaner.backoff.ms': '300', 'log.segment.delete.delay.ms': '500' },
  };
  let served: Served = new Map();
  await checks.check('kafka-directory: Kafka writes topics of every kind and serves them', async () => {
    await formatKafkaStorage(children, spec);
    const kafka = await startBroker('kafka', children, spec);
    try {
      await fill(suite, kafka);
      await compaction(kafka);
      served = await serve(suite, kafka);
    } finally {
      await kafka.stop();
    }
  });
  const copy = join(directory, 'copy');
  cpSync(join(directory, 'data'), copy, { recursive: true });
  const verifyAll = async (): Promise<void> => {
    const partitions = names.map((name) => join(copy, `${name}-0`));
    const { stdout } = await runKappalog(children, ['log', 'verify', ...partitions]);
    equal(/: 0 damaged, 0 to be repaired/.test(stdout), true, `that verify finds nothing: ${stdout}`);
  };
  await checks.check('kafka-directory: kappalog log verify finds nothing wrong', verifyAll);
  await checks.check('kafka-directory: our dump and Kafka’s agree on Kafka’s files', async () => {
    for (const name of names) {
      const inside = readdirSync(join(copy, `${name}-0`)).map((file) => join(copy, `${name}-0`, file));
      await dumpsAgree(
        children,
        ['--print-data-log'],
        inside.filter((file) => /\d{20}\.log$/.test(file)),
      );
      const others = inside.filter((file) => /\d{20}\.(index|timeindex|txnindex|snapshot)$/.test(file));
      await dumpsAgree(children, [], others);
    }
  });
  for (const name of names) {
    await checks.check(`kafka-directory: ${name} opens and reads back the same`, () =>
      opensTheSame(join(copy, `${name}-0`), served.get(name) ?? []),
    );
  }
  await checks.check('kafka-directory: verify finds nothing wrong in what has gone on here', verifyAll);
}

async function fill({ children }: Suite, { address }: BrokerProcess): Promise<void> {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: names.map((topic) => ({
      topic,
      numPartitions: 1,
      configEntries: Object.entries(topics[topic]).map(([name, value]) => ({ name, value })),
    })),
  });
  await admin.disconnect();
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
    await perf(children, address, [`kd-${codec}`, '3000', '120'], `compression.type=${codec}`);
  }
  await perf(children, address, ['kd-idempotent', '6000', '700'], 'enable.idempotence=true');
  const producer = kafka.producer({
    transactionalId: 'kd',
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  for (let round = 0; round < 40; round++) {
    const transaction = await producer.transaction();
    const messages = Array.from({ length: 20 }, (_, place) => ({
      key: `k${place}`,
      value: `round ${round} place ${place} ${'y'.repeat(3000)}`,
    }));
    await transaction.send({ topic: 'kd-transactional', messages });
    if (round % 3 === 1) await transaction.abort();
    else await transaction.commit();
  }
  await producer.disconnect();
  const plain = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await plain.connect();
  for (let round = 0; round < 60; round++) {
    const messages = Array.from({ length: 50 }, (_, place) => ({
      key: `key-${(round * 3 + place) % 70}`,
      value: place % 11 === 0 ? null : `round ${round} place ${place} ${'z'.repeat(1000)}`,
    }));
    await plain.send({ topic: 'kd-compacted', messages });
  }
  await plain.disconnect();
}

async function perf(
  children: Suite['children'],
  address: string,
  [topic, records, size]: readonly [string, string, string],
  setting: string,
): Promise<void> {
  const args = ['--topic', topic, '--num-records', records, '--record-size', size, '--throughput', '-1'];
  const properties = ['--producer-props', `bootstrap.servers=${address}`, setting];
  const tool = [...javaOptions, '-cp', kafkaClassPath(), 'org.apache.kafka.tools.ProducerPerformance'];
  await children.mustRun(javaCommand, [...tool, ...args, ...properties], { timeoutMs: 60_000 });
}

/** Until Kafka's cleaner has left gaps. */
async function compaction({ dataDirectory }: BrokerProcess): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const checkpoint = join(dataDirectory, 'cleaner-offset-checkpoint');
    try {
      if (/^kd-compacted 0 [1-9]\d*$/m.test(readFileSync(checkpoint, 'utf8'))) return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
    await pause(200);
  }
  throw new Error('Kafka has not compacted kd-compacted within 20 s.');
}

async function serve({ children }: Suite, { address }: BrokerProcess): Promise<Served> {
  const served = new Map<Topic, readonly string[]>();
  for (const topic of names) {
    const shown = ['print.offset', 'print.key', 'print.value'].flatMap((name) => [
      '--formatter-property',
      `${name}=true`,
    ]);
    const tool = [...javaOptions, '-cp', kafkaClassPath(), 'org.apache.kafka.tools.consumer.ConsoleConsumer'];
    // Without a group, which would take its time to form.
    const place = ['--topic', topic, '--partition', '0', '--offset', 'earliest'];
    const args = ['--bootstrap-server', address, '--timeout-ms', '3000', ...place];
    const { stdout } = await children.run(javaCommand, [...tool, ...args, ...shown]);
    served.set(
      topic,
      stdout.split('\n').filter((line) => line !== ''),
    );
  }
  return served;
}

async function opensTheSame(directory: string, served: readonly string[]): Promise<void> {
  equal(served.length > 0, true, 'that Kafka served records');
  const files = readdirSync(directory)
    .filter((name) => /^\d{20}\.log$/.test(name))
    .sort()
    .map((name) => readFileSync(join(directory, name)));
  const written = Buffer.concat(files);
  const disk = new RealDisk();
  const opened = await openLog({ disk, directory, clock: new ManualClock(), blockBytes: 65_536 });
  const { log, recovery } = opened;
  equal(recovery.damage, undefined, 'the damage that opening finds');
  const read = await readBytes(log);
  equal(read.length, written.length, 'the number of bytes read');
  equal(read.equals(written), true, 'that the bytes read are those of Kafka’s files');
  equal(recordsIn(read), served, 'the records');
  // It goes on from there as a log of this broker's, and is so after another opening.
  const end = log.logEndOffset;
  startTerm(log, log.lastTerm + 1);
  log.append(encodeBatch([{ timestamp: 1, value: Buffer.from('one more') }]), log.lastTerm);
  await flushed(log);
  await log.flushAndClose();
  const again = await openLog({ disk, directory, clock: new ManualClock(), blockBytes: 65_536 });
  equal(again.recovery.kind, 'clean', 'how it opens after a clean stop');
  equal(again.log.logEndOffset, end + 1, 'the end after one more record');
  equal(
    (await readBytes(again.log)).subarray(0, written.length).equals(written),
    true,
    'that the bytes are the same',
  );
  await again.log.flushAndClose();
}

async function readBytes(log: Awaited<ReturnType<typeof openLog>>['log']): Promise<Buffer> {
  const parts: Buffer[] = [];
  let offset = log.logStartOffset;
  while (offset < log.logEndOffset) {
    const request = { offset, endOffset: log.logEndOffset, maxBytes: 300_000, minOneBatch: true };
    const read = await log.read(request);
    const bytes = Buffer.concat(read.parts.map((part) => Buffer.from(part)));
    read.release();
    if (bytes.length === 0) break;
    for (const { header } of iterateBatches(bytes)) offset = header.lastOffset + 1;
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** As the console consumer prints them, which reads uncommitted ones too. */
function recordsIn(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (const { header, bytes: batch } of iterateBatches(bytes)) {
    if (header.isControl) continue;
    for (const { offset, key, value } of decodeBatch(batch))
      lines.push(`Offset:${offset}\t${key?.toString() ?? 'null'}\t${value?.toString() ?? 'null'}`);
  }
  return lines;
}
