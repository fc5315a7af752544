/** kafka-verifiable-producer and -consumer, kafka-get-offsets, kafka-consumer-groups and kafka-delete-records against three nodes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { equal } from '../suite.ts';
import { type Tools, named, sized } from './tools.ts';

export async function records(tools: Tools): Promise<void> {
  await produced(tools);
  await offsets(tools);
  await groups(tools);
  await deletions(tools);
}

const count = 500;

async function produced({ checks, run, verifiable }: Tools): Promise<void> {
  await checks.check('cluster: kafka-verifiable-producer, kafka-get-offsets, -consumer', async () => {
    await run('topics', '--create', ...named('tools-records'), ...sized(3, 3));
    const options = ['--max-messages', `${count}`, '--throughput', '-1', '--acks', '-1'];
    const produced = parseLines(
      await verifiable('VerifiableProducer', ...named('tools-records'), ...options, '--repeating-keys', '7'),
    );
    const sent = produced.filter(({ name }) => name === 'producer_send_success');
    equal(
      sent.map(({ value }) => Number(value)).sort((a, b) => a - b),
      Array.from({ length: count }, (_, number) => number),
      'the values that were acknowledged',
    );
    const ends = (await run('offsets', ...named('tools-records'), '--time', 'latest')).trim().split('\n');
    equal(
      ends.sort(),
      [0, 1, 2].map(
        (partition) =>
          `tools-records:${partition}:${sent.filter((one) => one.partition === partition).length}`,
      ),
      'the ends of the partitions',
    );
    const group = ['--group-id', 'tools-records', '--max-messages', `${count}`];
    const consumed = parseLines(
      await verifiable('VerifiableConsumer', ...named('tools-records'), ...group, '--verbose'),
    );
    const place = ({ partition, offset, key, value }: Line): string =>
      JSON.stringify([partition, offset, key, value]);
    equal(
      consumed
        .filter(({ name }) => name === 'record_data')
        .map(place)
        .sort(),
      sent.map(place).sort(),
      'what the group has read',
    );
    const committed = consumed.filter(({ name }) => name === 'offsets_committed').at(-1);
    equal(committed?.success, true, 'that its commit succeeded');
  });
}

/** What kafka-get-offsets prints of three partitions, in their order. */
async function offsetsOf({ run }: Tools, time: string): Promise<number[]> {
  const printed = await run('offsets', ...named('tools-records'), '--time', time);
  return printed
    .trim()
    .split('\n')
    .sort()
    .map((line) => Number(line.split(':')[2]));
}

async function offsets(tools: Tools): Promise<void> {
  const { checks, run } = tools;
  await checks.check('cluster: kafka-get-offsets asks every leader', async () => {
    equal(await offsetsOf(tools, 'earliest'), [0, 0, 0], 'the beginnings');
    const ends = await offsetsOf(tools, 'latest');
    const largest = await offsetsOf(tools, 'max-timestamp');
    equal(
      largest.every((offset, partition) => offset >= 0 && offset < ends[partition]!),
      true,
      `that the latest times are at ${largest.join()} before ${ends.join()}`,
    );
    equal(await offsetsOf(tools, '0'), [0, 0, 0], 'the first from 1970 on');
    const some = await run('offsets', '--topic-partitions', 'tools-records:1-2', '--time', 'latest');
    equal(some.trim(), `tools-records:1:${ends[1]}`, 'the end of one');
  });
}

async function groups(tools: Tools): Promise<void> {
  const { checks, run } = tools;
  const group = ['--group', 'tools-records'];
  /** Offsets by partition, of the column of this number. */
  const columnOf = (printed: string, column: number): number[] =>
    printed
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([name, topic]) => name === 'tools-records' && topic === 'tools-records')
      .toSorted((a, b) => Number(a[2]) - Number(b[2]))
      .map((cells) => Number(cells[column]));
  await checks.check('cluster: kafka-consumer-groups describes, resets and deletes', async () => {
    const ends = await offsetsOf(tools, 'latest');
    const described = await run('groups', '--describe', ...group);
    equal(columnOf(described, 3), ends, 'what the group has committed');
    equal(columnOf(described, 5), [0, 0, 0], 'what the group has yet to read');
    const states = await run('groups', '--list', '--state');
    equal(/^tools-records\s+Empty\s*$/m.test(states), true, `that it has no members: ${states}`);
    const state = await run('groups', '--describe', ...group, '--state');
    equal(
      /^tools-records\s+\S+\s+\([123]\)\s.*Empty\s+0\s*$/m.test(state),
      true,
      `its coordinator: ${state}`,
    );
    const reset = ['--reset-offsets', ...group, ...named('tools-records')];
    const back = await run('groups', ...reset, '--shift-by', '-3', '--execute');
    const moved = ends.map((end) => Math.max(0, end - 3));
    equal(columnOf(back, 3), moved, 'where it goes on');
    equal(columnOf(await run('groups', '--describe', ...group), 3), moved, 'where it is then');
    const some = await run('groups', '--delete-offsets', ...group, '--topic', 'tools-records:0');
    equal(/tools-records\s+0\s+Successful/.test(some), true, `that an offset is deleted: ${some}`);
    equal(columnOf(await run('groups', '--describe', ...group), 2), [1, 2], 'the partitions that are left');
    await run('groups', '--delete', ...group);
    equal(
      (await run('groups', '--list')).split('\n').includes('tools-records'),
      false,
      'that it is there still',
    );
  });
}

async function deletions(tools: Tools): Promise<void> {
  const { checks, run, directory } = tools;
  await checks.check('cluster: kafka-delete-records asks every leader', async () => {
    const ends = await offsetsOf(tools, 'latest');
    const file = join(directory, 'deletions.json');
    const upTo = [5, ends[1]! + 1, -1];
    const partitions = upTo.map((offset, partition) => ({ topic: 'tools-records', partition, offset }));
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    const answer = await run('deleteRecords', '--offset-json-file', file);
    equal(/partition: tools-records-0\s+low_watermark: 5$/m.test(answer), true, `of partition 0: ${answer}`);
    equal(
      /partition: tools-records-1\s+error: .*OffsetOutOfRange/.test(answer),
      true,
      `of partition 1: ${answer}`,
    );
    const low = new RegExp(`partition: tools-records-2\\s+low_watermark: ${ends[2]}$`, 'm');
    equal(low.test(answer), true, `of partition 2: ${answer}`);
    equal(await offsetsOf(tools, 'earliest'), [5, 0, ends[2]!], 'the beginnings then');
    equal(await offsetsOf(tools, 'latest'), ends, 'the ends then');
  });
}

/** A line that the verifiable tools print. */
interface Line {
  readonly name: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly key?: string | null;
  readonly value?: string;
  readonly success?: boolean;
}

function parseLines(output: string): Line[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line): Line => JSON.parse(line));
}
