/**
 * Kafka's dump tool over the broker's files: an independent witness of the storage format. Several restarts come first,
 * so that partitions hold several of the entries that are Raft's alone.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, Partitioners, logLevel } from 'kafkajs';
import type { BrokerProcess } from '../support/broker-process.ts';
import { dumpsAgree, indexesAreSound, kafkaDump } from './dump-tool.ts';
import { type Suite, equal } from './suite.ts';

const topic = 'dump-log';
const rounds = 4;
const perRound = 160;

export async function dumpLogSuite(
  suite: Suite,
  jarsMissing: string | undefined,
  restart: () => Promise<BrokerProcess>,
): Promise<void> {
  const { checks } = suite;
  if (!checks.wants('dump-log')) return;
  let broker = suite.broker;
  await checks.check('dump-log: the broker stops and starts again between loads', async () => {
    for (let round = 0; round < rounds; round += 1) {
      if (round > 0) broker = await restart();
      await load(broker, round);
    }
    // Two restarts without a record between them.
    broker = await restart();
    broker = await restart();
    equal(await broker.stop(), broker.kind === 'kafka' ? 143 : 0, 'the exit code after SIGTERM');
  });
  if (jarsMissing !== undefined) {
    checks.skip('dump-log', `Kafka's tools cannot be had: ${jarsMissing}`);
    return;
  }
  const files = filesBelow(broker.dataDirectory).filter((file) => !file.includes('__cluster_metadata'));
  const logs = files.filter((file) => file.endsWith('.log'));
  await checks.check(
    'dump-log: kafka-dump-log reads every segment to its end, every batch valid',
    async () => {
      equal(
        logs.some((file) => file.includes(`${topic}-0`)),
        true,
        `that ${broker.dataDirectory} holds ${topic}-0`,
      );
      const output = await kafkaDump(suite.children, ['--deep-iteration', '--print-data-log'], logs);
      const invalid = output
        .split('\n')
        .find((line) => /isvalid: false|invalid|mismatch|corrupt/i.test(line));
      equal(invalid, undefined, 'the first complaint');
      const dumped = output.split('\n').filter((line) => /payload: dumped /.test(line));
      equal(dumped.length, rounds * perRound, 'the number of dumped records');
      dumpedInOrder(dumped);
      for (const file of logs) accountsForEveryByte(file, output);
    },
  );
  await checks.check('dump-log: the indexes agree with the log', async () => {
    const indexes = files.filter((file) => /\.(time)?index$/.test(file));
    equal(indexes.length > 0, true, 'that there are indexes');
    await indexesAreSound(suite.children, indexes);
    const sizes = indexes.filter((file) => file.endsWith('.index') && file.includes(`${topic}-`));
    equal(
      sizes.some((file) => statSync(file).size > 0),
      true,
      `that an offset index of ${topic} holds entries`,
    );
  });
  await checks.check('dump-log: kappalog log dump prints the same', async () => {
    const others = filesBelow(broker.dataDirectory).filter((file) => file.includes(`${topic}-`));
    await dumpsAgree(suite.children, ['--print-data-log'], logs);
    await dumpsAgree(
      suite.children,
      [],
      others.filter((file) => !file.endsWith('.log')),
    );
  });
}

async function load(broker: BrokerProcess, round: number): Promise<void> {
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const configEntries = [
    { name: 'segment.bytes', value: '1048576' },
    { name: 'index.interval.bytes', value: '256' },
  ];
  if (round === 0) await admin.createTopics({ topics: [{ topic, numPartitions: 2, configEntries }] });
  await admin.disconnect();
  const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  for (let i = 0; i < perRound; i += 10) {
    const messages = Array.from({ length: 10 }, (_, j) => ({
      partition: (i / 10) % 2,
      value: `dumped ${round * perRound + i + j} ${'x'.repeat(4000)}`,
    }));
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

function filesBelow(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => /(^|\/)\d{20}\.(log|index|timeindex|snapshot)$/.test(name))
    .map((name) => join(directory, name))
    .sort();
}

/** Within a partition (one file after the other) the numbers rise. */
function dumpedInOrder(lines: readonly string[]): void {
  const numbers = lines.map((line) => Number(/payload: dumped (\d+) /.exec(line)?.[1]));
  const byPartition = [0, 1].map((partition) =>
    numbers.filter((n) => Math.floor((n % perRound) / 10) % 2 === partition),
  );
  for (const [partition, got] of byPartition.entries()) {
    const sorted = got.toSorted((a, b) => a - b);
    equal(got, sorted, `the order in partition ${partition}`);
    equal(
      new Set(got).size,
      (rounds * perRound) / 2,
      `the number of different records in partition ${partition}`,
    );
  }
}

/** The batches that the tool saw in a file add up to all of its bytes: it did not stop before the end. */
function accountsForEveryByte(file: string, output: string): void {
  const size = statSync(file).size;
  if (size === 0) return;
  const begin = output.indexOf(`Dumping ${file}\n`);
  if (begin < 0) throw new Error(`The tool did not dump ${file}.`);
  const end = output.indexOf('\nDumping ', begin + 1);
  const section = output.slice(begin, end < 0 ? undefined : end);
  let last = 0;
  for (const match of section.matchAll(/ position: (\d+) .* size: (\d+) /g))
    last = Number(match[1]) + Number(match[2]);
  if (last === size) return;
  const rest = readFileSync(file).subarray(last);
  // A preallocated tail holds zeros after an unclean stop; after a clean one it must be gone.
  throw new Error(
    `${file} has ${size} bytes, the tool read ${last}; the rest begins with ${rest.subarray(0, 16).toString('hex')}.`,
  );
}
