/** kcat of Debian (librdkafka 2.0): auto-creation, every codec, from the start, from a time, with a group, offset queries. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { type ChildProcesses, CommandError } from '../support/child-processes.ts';
import { SkipCheck } from './checks.ts';
import {
  type SeenRecord,
  type Suite,
  codecs,
  compareRecords,
  equal,
  expectedRecords,
  pause,
} from './suite.ts';

interface KcatMessage {
  readonly partition: number;
  readonly offset: number;
  readonly tstype: string;
  readonly ts: number;
  readonly headers?: string[];
  readonly key: string | null;
  readonly payload: string | null;
}

export async function kcatSuite(suite: Suite): Promise<void> {
  const { checks, children, broker } = suite;
  if (!checks.wants('kcat')) return;
  try {
    await installKcat(children);
  } catch (error) {
    if (!(error instanceof SkipCheck)) throw error;
    checks.skip('kcat', error.message);
    return;
  }
  const kcat = async (args: string[], input = ''): Promise<string> => {
    const finished = await children.run('kcat', ['-b', broker.address, ...args], {
      input,
      timeoutMs: 60_000,
    });
    // kcat reports some failures, an unreachable broker for one, only as text.
    if (finished.code !== 0 || /ERROR/.test(finished.stderr)) {
      throw new CommandError(`kcat ${args.join(' ')}`, finished);
    }
    return finished.stdout;
  };
  await kcatCodecs(suite, kcat);
  await kcatTime(suite, kcat);
  await kcatGroup(suite, kcat);
  await kcatRest(suite, kcat);
}

type Kcat = (args: string[], input?: string) => Promise<string>;

/** Throws SkipCheck where it cannot be had. */
export async function installKcat(children: ChildProcesses): Promise<void> {
  if (await present(children)) return;
  if (process.getuid?.() !== 0) throw new SkipCheck('kcat is not installed, and only root could install it');
  const options = { timeoutMs: 300_000, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  try {
    await children.mustRun('apt-get', ['update'], options);
    await children.mustRun('apt-get', ['install', '-y', '--no-install-recommends', 'kcat'], options);
  } catch (error) {
    throw new SkipCheck(
      `apt-get could not install kcat: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function present(children: ChildProcesses): Promise<boolean> {
  try {
    return (await children.run('kcat', ['-V'])).code === 0;
  } catch {
    return false; // Not on the path: the caller installs it.
  }
}

function parse(output: string): KcatMessage[] {
  const lines = output.split('\n').filter((line) => line !== '');
  return lines.map((line): KcatMessage => JSON.parse(line));
}

function seen(messages: readonly KcatMessage[]): SeenRecord[] {
  return messages.map(({ partition, offset, key, payload }) => ({
    partition,
    offset,
    key: key ?? '',
    value: payload ?? '',
  }));
}

function lines(records: readonly { key: string; value: string }[]): string {
  return records.map(({ key, value }) => `${key}:${value}\n`).join('');
}

async function kcatCodecs({ checks, short }: Suite, kcat: Kcat): Promise<void> {
  for (const codec of codecs) {
    await checks.check(`kcat: produce ${codec} into a topic it creates, consume from the start`, async () => {
      const topic = `kcat-${codec}`;
      const records = expectedRecords(topic, short ? 500 : 5000);
      await kcat(['-P', '-t', topic, '-K:', '-z', codec, '-X', 'linger.ms=20'], lines(records));
      compareRecords(
        records,
        seen(parse(await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J']))),
      );
    });
  }
}

async function kcatTime({ checks }: Suite, kcat: Kcat): Promise<void> {
  await checks.check('kcat: consume from a time, until a time, and query offsets by time', async () => {
    const topic = 'kcat-time';
    const early = expectedRecords('early', 50);
    const late = expectedRecords('late', 60);
    await kcat(['-P', '-t', topic, '-K:'], lines(early));
    await pause(50);
    const middle = Date.now();
    await pause(50);
    await kcat(['-P', '-t', topic, '-K:'], lines(late));
    const from = parse(await kcat(['-C', '-t', topic, '-o', `s@${middle}`, '-e', '-q', '-J']));
    compareRecords(late, seen(from), 50);
    const until = ['-o', 's@0', '-o', `e@${middle}`];
    compareRecords(early, seen(parse(await kcat(['-C', '-t', topic, ...until, '-e', '-q', '-J']))));
    const query = await kcat(['-Q', '-t', `${topic}:0:${middle}`, '-t', `${topic}:0:-1`]);
    equal(
      query.includes(`offset 110`) || query.includes(`offset 50`),
      true,
      `kcat -Q printed '${query}', an offset`,
    );
    equal(
      from.every((message) => message.tstype === 'create' && message.ts >= middle),
      true,
      'that every record is at or after the time',
    );
  });
}

async function kcatGroup({ checks }: Suite, kcat: Kcat): Promise<void> {
  await checks.check('kcat: a group reads all, and the next member goes on where it stopped', async () => {
    const topic = 'kcat-group';
    const first = expectedRecords('first', 300);
    const second = expectedRecords('second', 40);
    const member = ['-G', 'kcat-group', '-e', '-q', '-J', '-X', 'auto.offset.reset=earliest', topic];
    await kcat(['-P', '-t', topic, '-K:'], lines(first));
    compareRecords(first, seen(parse(await kcat(member))));
    await kcat(['-P', '-t', topic, '-K:'], lines(second));
    compareRecords(second, seen(parse(await kcat(member))), 300);
  });
}

async function kcatRest({ checks, broker, directory }: Suite, kcat: Kcat): Promise<void> {
  await checks.check('kcat: lists brokers and topics', async () => {
    const listing: {
      brokers: { name: string }[];
      topics: { topic: string; partitions: { leader: number }[] }[];
    } = JSON.parse(await kcat(['-L', '-J']));
    equal(
      listing.brokers.map(({ name }) => name),
      [broker.address],
      'the list of brokers',
    );
    const topic = listing.topics.find(({ topic }) => topic === 'kcat-none');
    equal(topic?.partitions.length, 1, 'the number of partitions of kcat-none');
  });
  await checks.check('kcat: idempotent producer, headers, null values and empty keys', async () => {
    const topic = 'kcat-shapes';
    const idempotent = ['-X', 'enable.idempotence=true'];
    await kcat(['-P', '-t', topic, '-K:', '-Z', '-H', 'a=1', '-H', 'a=2', ...idempotent], 'k1:v1\nk2:\n');
    const messages = parse(await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J']));
    equal(
      messages.map(({ key, payload, headers }) => [key, payload, headers]),
      [
        ['k1', 'v1', ['a', '1', 'a', '2']],
        ['k2', null, ['a', '1', 'a', '2']],
      ],
      'what came back',
    );
  });
  await checks.check('kcat: a value of 900,000 bytes, and acks 0, 1 and all', async () => {
    const big = join(directory, 'kcat-big');
    writeFileSync(big, 'x'.repeat(900_000));
    await kcat(['-P', '-t', 'kcat-big', big]);
    const [message] = parse(await kcat(['-C', '-t', 'kcat-big', '-o', 'beginning', '-e', '-q', '-J']));
    equal(message?.payload?.length, 900_000, 'the length of the value');
    for (const acks of ['0', '1', 'all']) {
      await kcat(['-P', '-t', `kcat-acks-${acks}`, '-X', `acks=${acks}`], 'one\ntwo\nthree\n');
    }
    for (const acks of ['0', '1', 'all']) {
      const read = await kcat(['-C', '-t', `kcat-acks-${acks}`, '-o', 'beginning', '-c', '3', '-q']);
      equal(read, 'one\ntwo\nthree\n', `what was sent with acks=${acks}`);
    }
  });
}
