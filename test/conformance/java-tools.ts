/** Apache Kafka's own console tools: topics, configs, producer with every codec, consumer, groups, offsets. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { javaCommand, kafkaClassPath } from '../support/apache-kafka-jars.ts';
import { CommandError } from '../support/child-processes.ts';
import {
  type SeenRecord,
  type Suite,
  codecs,
  compareRecords,
  equal,
  expectedRecords,
  pause,
} from './suite.ts';

/** A fresh JVM for every command: the settings are for a short life. */
export const javaOptions = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx256m'];

const mainClasses = {
  topics: 'org.apache.kafka.tools.TopicCommand',
  producer: 'org.apache.kafka.tools.ConsoleProducer',
  consumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  groups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  offsets: 'org.apache.kafka.tools.GetOffsetShell',
  configs: 'kafka.admin.ConfigCommand',
  apiVersions: 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  logDirs: 'org.apache.kafka.tools.LogDirsCommand',
  deleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
} as const;

type Tool = (name: keyof typeof mainClasses, args: readonly string[], input?: string) => Promise<string>;

export async function javaToolsSuite(suite: Suite, jarsMissing: string | undefined): Promise<void> {
  const { checks, children, broker } = suite;
  if (!checks.wants('java')) return;
  if (jarsMissing !== undefined) {
    checks.skip('java', `the console tools cannot be had: ${jarsMissing}`);
    return;
  }
  const tool: Tool = async (name, args, input) => {
    const command = [...javaOptions, '-cp', kafkaClassPath(), mainClasses[name]];
    const all = [...command, '--bootstrap-server', broker.address, ...args];
    const finished = await children.run(javaCommand, all, { input: input ?? '' });
    // The tools end with 0 after some failures; those they print.
    if (finished.code !== 0 || /\b(ERROR|Exception)\b/.test(finished.stderr)) {
      throw new CommandError(`${name} ${args.join(' ')}`, finished);
    }
    return finished.stdout;
  };
  await topics(suite, tool);
  await configs(suite, tool);
  await everyCodec(suite, tool);
  await groupsAndTimes(suite, tool);
  await storage(suite, tool);
}

async function topics({ checks }: Suite, tool: Tool): Promise<void> {
  await checks.check('java: kafka-topics creates, lists, describes, widens and deletes', async () => {
    const name = 'java-topics';
    const config = ['--config', 'segment.bytes=2097152'];
    await tool('topics', [
      '--create',
      '--topic',
      name,
      '--partitions',
      '2',
      '--replication-factor',
      '1',
      ...config,
    ]);
    await tool('topics', ['--alter', '--topic', name, '--partitions', '4']);
    const described = await tool('topics', ['--describe', '--topic', name]);
    equal(
      /PartitionCount: 4\s/.test(described),
      true,
      `that the description has four partitions: ${described}`,
    );
    equal(
      described.includes('segment.bytes=2097152'),
      true,
      `that the description has the config: ${described}`,
    );
    equal(
      (described.match(/Leader: \d+\s/g) ?? []).length,
      4,
      `the number of led partitions in: ${described}`,
    );
    await tool('topics', ['--delete', '--topic', name]);
    const names = (await tool('topics', ['--list'])).split('\n');
    equal(names.includes(name), false, 'that the deleted topic is listed');
  });
  await checks.check('java: kafka-broker-api-versions', async () => {
    const versions = await tool('apiVersions', []);
    equal(
      /Produce\(0\):.*usable: \d+/.test(versions),
      true,
      `that Produce is usable: ${versions.slice(0, 300)}`,
    );
    equal(/Fetch\(1\):.*usable: \d+/.test(versions), true, 'that Fetch is usable');
  });
}

async function configs({ checks }: Suite, tool: Tool): Promise<void> {
  await checks.check('java: kafka-configs sets, shows and removes', async () => {
    const name = 'java-configs';
    await tool('topics', ['--create', '--topic', name, '--partitions', '1']);
    const entity = ['--entity-type', 'topics', '--entity-name', name];
    const added = 'retention.ms=7200000,cleanup.policy=[compact,delete]';
    await tool('configs', ['--alter', ...entity, '--add-config', added]);
    const set = await tool('configs', ['--describe', ...entity]);
    equal(/retention\.ms=7200000 /.test(set), true, `that retention.ms is set: ${set}`);
    equal(/cleanup\.policy=compact,delete /.test(set), true, `that cleanup.policy is set: ${set}`);
    await tool('configs', ['--alter', ...entity, '--delete-config', 'retention.ms,cleanup.policy']);
    const removed = await tool('configs', ['--describe', ...entity]);
    equal(/retention\.ms=/.test(removed), false, `that retention.ms is still set: ${removed}`);
    const broker = await tool('configs', [
      '--describe',
      '--all',
      '--entity-type',
      'brokers',
      '--entity-name',
      '1',
    ]);
    equal(
      /num\.partitions=1 /.test(broker),
      true,
      `that the broker's settings show num.partitions: ${broker.slice(0, 300)}`,
    );
  });
}

async function storage({ checks }: Suite, tool: Tool): Promise<void> {
  await checks.check('java: kafka-delete-records raises the start of a partition', async () => {
    const topic = 'java-deleted';
    await tool('topics', ['--create', '--topic', topic, '--partitions', '1']);
    await tool('producer', ['--topic', topic], 'a\nb\nc\n');
    const deletions = { version: 1, partitions: [{ topic, partition: 0, offset: 2 }] };
    const directory = await mkdtemp(join(tmpdir(), 'kappalog-delete-records-'));
    const file = join(directory, 'offsets.json');
    await writeFile(file, JSON.stringify(deletions));
    let answer: string;
    try {
      answer = await tool('deleteRecords', ['--offset-json-file', file]);
    } finally {
      await rm(directory, { recursive: true });
    }
    equal(/low_watermark: 2/.test(answer), true, `that records below 2 are deleted: ${answer}`);
    const earliest = await tool('offsets', ['--topic', topic, '--time', 'earliest']);
    equal(earliest.trim(), `${topic}:0:2`, 'the first offset');
  });
  await checks.check('java: kafka-log-dirs shows where partitions lie', async () => {
    const output = await tool('logDirs', ['--describe', '--topic-list', 'java-deleted']);
    const json: unknown = JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? 'null');
    const shown = JSON.stringify(json);
    equal(/"error":null/.test(shown), true, `that the directory is online: ${shown}`);
    equal(
      /"partition":"java-deleted-0","size":[1-9]\d*,"offsetLag":0,"isFuture":false/.test(shown),
      true,
      `that the partition has a size: ${shown}`,
    );
  });
  await checks.check('java: kafka-configs sets write.caching, and is told what cannot be set', async () => {
    const entity = ['--entity-type', 'topics', '--entity-name', 'java-deleted'];
    await tool('configs', ['--alter', ...entity, '--add-config', 'write.caching=true']);
    const set = await tool('configs', ['--describe', ...entity]);
    equal(/write\.caching=true /.test(set), true, `that write.caching is set: ${set}`);
    const refused = await tool('configs', [
      '--alter',
      ...entity,
      '--add-config',
      'local.retention.ms=5',
    ]).catch((error: unknown) => String(error));
    equal(/Kappalog has no tiered storage/.test(refused), true, `that the reason is told: ${refused}`);
  });
}

/** Lines as `Partition:0\tOffset:5\tkey\tvalue`, which is what the console consumer prints with these properties. */
const printAll = ['print.partition', 'print.offset', 'print.key'].flatMap((property) => [
  '--formatter-property',
  `${property}=true`,
]);

function parse(output: string): SeenRecord[] {
  const lines = output.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [partition, offset, key, value] = line.split('\t');
    return {
      partition: Number(partition?.replace('Partition:', '')),
      offset: Number(offset?.replace('Offset:', '')),
      key: key ?? '',
      value: value ?? '',
    };
  });
}

const keyed = ['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=:'];

function lines(records: readonly { key: string; value: string }[]): string {
  return records.map(({ key, value }) => `${key}:${value}\n`).join('');
}

async function everyCodec({ checks, short }: Suite, tool: Tool): Promise<void> {
  for (const codec of codecs) {
    await checks.check(
      `java: kafka-console-producer ${codec}, kafka-console-consumer from the start`,
      async () => {
        const topic = `java-${codec}`;
        await tool('topics', ['--create', '--topic', topic, '--partitions', '2']);
        const records = expectedRecords(topic, short ? 1000 : 10_000);
        await tool('producer', ['--topic', topic, '--compression-codec', codec, ...keyed], lines(records));
        const read = await readAll(tool, topic, records.length);
        compareRecords(records, read);
      },
    );
  }
  await checks.check('java: kafka-console-producer with headers into a topic it creates', async () => {
    const reader = ['--reader-property', 'parse.headers=true', ...keyed];
    await tool('producer', ['--topic', 'java-headers', ...reader], 'a:1,b:2\tkey:value\n');
    const print = ['--formatter-property', 'print.headers=true', ...printAll];
    const read = await tool('consumer', [
      '--topic',
      'java-headers',
      '--from-beginning',
      '--max-messages',
      '1',
      ...print,
    ]);
    equal(read.trim(), 'Partition:0\tOffset:0\ta:1,b:2\tkey\tvalue', 'the record');
  });
  await checks.check('java: kafka-get-offsets: earliest, latest, largest timestamp', async () => {
    await tool('topics', ['--create', '--topic', 'java-offsets', '--partitions', '1']);
    await tool('producer', ['--topic', 'java-offsets'], 'a\nb\nc\n');
    const offsets: string[] = [];
    for (const time of ['earliest', 'latest', 'max-timestamp']) {
      offsets.push((await tool('offsets', ['--topic', 'java-offsets', '--time', time])).trim());
    }
    equal(offsets.slice(0, 2), ['java-offsets:0:0', 'java-offsets:0:3'], 'earliest and latest');
    equal(
      /^java-offsets:0:[012]$/.test(offsets[2] ?? ''),
      true,
      `that max-timestamp is a record's offset: ${offsets[2]}`,
    );
  });
}

/** One more than the count is asked for with a time-out, so that a record too many shows. */
async function readAll(
  tool: Tool,
  topic: string,
  count: number,
  more: readonly string[] = [],
): Promise<SeenRecord[]> {
  const from = more.length === 0 ? ['--from-beginning'] : more;
  const limit = ['--max-messages', String(count + 1), '--timeout-ms', '4000'];
  return parse(await tool('consumer', ['--topic', topic, ...from, ...limit, ...printAll]));
}

async function groupsAndTimes({ checks }: Suite, tool: Tool): Promise<void> {
  const topic = 'java-group';
  const group = ['--group', 'java-group'];
  const early = expectedRecords('early', 120);
  const late = expectedRecords('late', 80);
  let middle = '';
  await checks.check('java: a group reads all and its commits show in kafka-consumer-groups', async () => {
    await tool('topics', ['--create', '--topic', topic, '--partitions', '1']);
    await tool('producer', ['--topic', topic, ...keyed], lines(early));
    await pause(1100);
    // The tool takes times without a zone as local ones; the offset is written out.
    middle = new Date().toISOString().replace('Z', '+00:00');
    await pause(100);
    await tool('producer', ['--topic', topic, ...keyed], lines(late));
    compareRecords([...early, ...late], await readAll(tool, topic, 200, [...group, '--from-beginning']));
    const described = await tool('groups', ['--describe', ...group]);
    equal(
      /java-group\s+java-group\s+0\s+200\s+200\s+0\s/.test(described),
      true,
      `the commit at 200, lag 0: ${described}`,
    );
    equal(
      (await tool('groups', ['--list'])).split('\n').includes('java-group'),
      true,
      'that the group is listed',
    );
  });
  await checks.check(
    'java: kafka-consumer-groups resets a group to a time, and it reads on from there',
    async () => {
      const reset = ['--reset-offsets', ...group, '--topic', topic, '--to-datetime', middle, '--execute'];
      const done = await tool('groups', reset);
      equal(/java-group\s+java-group\s+0\s+120/.test(done), true, `that the new offset is 120: ${done}`);
      compareRecords(late, await readAll(tool, topic, 80, group), 120);
    },
  );
}
