import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog } from '../../client/index.ts';
import { CommandLine } from './support.ts';

let broker: Broker;
let cli: CommandLine;
let client: Kappalog;

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  cli = new CommandLine(`127.0.0.1:${broker.port}`);
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}`, clientId: 'tester' });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

const day = 86_400_000;
const firstMs = Date.UTC(2026, 9, 1);

/** Ten records, one a day from 1 October on, in each of two partitions: 0-0 to 0-9 and 1-0 to 1-9. */
async function makeTopic(topic: string): Promise<void> {
  await client.admin().createTopics([{ name: topic, partitions: 2 }]);
  await using producer = client.producer();
  for (const partition of [0, 1]) {
    for (let each = 0; each < 10; each++) {
      await producer.send({
        topic,
        partition,
        value: `${partition}-${each}`,
        timestamp: firstMs + each * day,
      });
    }
  }
}

async function commit(groupId: string, topic: string, offsets: readonly number[]): Promise<void> {
  await client.admin().commitGroupOffsets(
    groupId,
    offsets.map((offset, partition) => ({ topic, partition, offset })),
  );
}

async function committed(groupId: string): Promise<(readonly [number, number])[]> {
  const offsets = await client.admin().fetchGroupOffsets(groupId);
  return offsets.map(({ partition, offset }) => [partition, offset] as const);
}

describe('group reset', () => {
  it('shows what it would do, does it when told to, and the group reads on from there', async () => {
    await makeTopic('again');
    await commit('g', 'again', [10, 4]);
    const shown = await cli.run(['group', 'reset', 'g', '--to', '2026-10-08']);
    expect(shown.code).toBe(0);
    expect(shown.stderr).toBe('Nothing was changed. Add --execute to reset 2 partitions of g.\n');
    expect(shown.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['TOPIC', 'PARTITION', 'COMMITTED', 'TO', 'READ AGAIN', 'LEFT OUT', 'NOTE'],
      ['again', '0', '10', '7', '3', '-', '-'],
      ['again', '1', '4', '7', '-', '3', '-'],
      [''],
    ]);
    expect(await committed('g')).toEqual([
      [0, 10],
      [1, 4],
    ]);
    expect(await cli.json(['group', 'reset', 'g', '--to', '2026-10-08', '--execute'])).toEqual({
      group: 'g',
      executed: true,
      partitions: [
        { topic: 'again', partition: 0, from: 10, to: 7, again: 3, isClamped: false },
        { topic: 'again', partition: 1, from: 4, to: 7, again: -3, isClamped: false },
      ],
    });
    const read = await cli.text(['consume', 'again', '-g', 'g', '-n', '6']);
    expect(read.trim().split('\n').sort()).toEqual(['0-7', '0-8', '0-9', '1-7', '1-8', '1-9']);
  });

  it.each<[string, readonly string[], readonly number[]]>([
    ['the start', ['--to', 'start'], [0, 0]],
    ['the end', ['--to', 'end'], [10, 10]],
    ['an offset', ['--to', '3'], [3, 3]],
    ['an offset that is not there', ['--to', '30'], [10, 10]],
    ['the last two', ['--to', '-2'], [8, 8]],
    ['a later time than any', ['--to', '2026-11-01'], [10, 10]],
    ['back by three', ['--shift', '-3'], [2, 3]],
    ['on by five', ['--shift', '5'], [10, 10]],
    ['one partition', ['--to', 'start', '--topic', 'places:1'], [5, 0]],
  ])('goes to %s', async (_, args, offsets) => {
    const topics = await client.admin().listTopics();
    if (!topics.some(({ name }) => name === 'places')) await makeTopic('places');
    await commit('placed', 'places', [5, 6]);
    await cli.text(['group', 'reset', 'placed', '--execute', ...args]);
    expect(await committed('placed')).toEqual(offsets.map((offset, partition) => [partition, offset]));
  });

  it('goes back to what was exported', async () => {
    await makeTopic('kept');
    await commit('k', 'kept', [7, 2]);
    const exported = await cli.text(['group', 'reset', 'k', '--export']);
    expect(exported).toBe('kept,0,7\nkept,1,2\n');
    await cli.text(['group', 'reset', 'k', '--to', 'start', '--execute']);
    const file = join(tmpdir(), `kappalog-offsets-${process.pid}.csv`);
    await writeFile(file, exported);
    await cli.text(['group', 'reset', 'k', '--file', file, '--execute']);
    expect(await committed('k')).toEqual([
      [0, 7],
      [1, 2],
    ]);
    await writeFile(file, 'kept,0,7\nkept;1;2\n');
    const refused = await cli.run(['group', 'reset', 'k', '--file', file]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('Line 2') });
  });

  it('gives a group that is not there a place to begin, where topics are named', async () => {
    await makeTopic('fresh');
    expect((await cli.run(['group', 'reset', 'fresh-group', '--to', 'end'])).code).toBe(3);
    await cli.text(['group', 'reset', 'fresh-group', '--to', 'end', '--topic', 'fresh', '--execute']);
    expect(await committed('fresh-group')).toEqual([
      [0, 10],
      [1, 10],
    ]);
    const wrong = await cli.run(['group', 'reset', 'fresh-group', '--to', 'end', '--topic', 'fresh:2']);
    expect(wrong).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('no partition 2 of fresh, which has 2 partitions'),
    });
  });

  it.each([
    [['--to', 'end', '--shift', '1'], 'one of --to'],
    [[], 'one of --to'],
    [['--shift', 'x'], '--shift takes a number'],
    [['--to', 'nowhere'], '--to "nowhere" is neither'],
    [['--file', '/no/such/file'], 'cannot be read'],
  ])('refuses %j', async (args, message) => {
    await makeTopic(`refused-${args.length}-${args[0] ?? ''}`.replace(/[^\w-]/g, ''));
    await commit('r', `refused-${args.length}-${args[0] ?? ''}`.replace(/[^\w-]/g, ''), [1, 1]);
    expect(await cli.run(['group', 'reset', 'r', ...args])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message),
    });
  });

  it('is refused while the group has members, which it names', async () => {
    await makeTopic('live');
    const consumer = client.consumer({ groupId: 'live-group', topics: ['live'] });
    await consumer.ready();
    await consumer.close();
    const again = client.consumer({ groupId: 'live-group', topics: ['live'] });
    await again.ready();
    const refused = await cli.run([
      'group',
      'reset',
      'live-group',
      '--to',
      'end',
      '--topic',
      'live',
      '--execute',
    ]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      'Group live-group has members (tester at 127.0.0.1), which would go on where they are: stop them first.',
    );
    await again.close();
  });
});

describe('group describe, list and lag', () => {
  it('show the members of both protocols, and how far they are behind in time', async () => {
    await makeTopic('seen');
    await commit('old', 'seen', [10, 8]);
    await using consumer = client.consumer({ groupId: 'new', topics: ['seen'], groupProtocol: 'consumer' });
    await consumer.ready();
    expect(await cli.json(['group', 'describe', 'new'])).toMatchObject({
      groups: [
        {
          type: 'consumer',
          state: 'Stable',
          protocol: 'uniform',
          epoch: 1,
          assignmentEpoch: 1,
          members: [
            {
              clientId: 'tester',
              assignment: [
                { topic: 'seen', partition: 0 },
                { topic: 'seen', partition: 1 },
              ],
              consumer: { epoch: 1, topics: ['seen'], topicPattern: null, protocol: 'consumer' },
            },
          ],
        },
      ],
    });
    const text = await cli.text(['group', 'describe', 'new', '--members']);
    expect(text).toMatch(/^Group new: consumer, Stable, 1 member \(uniform\), epoch 1, lag unknown$/m);
    expect(text).toMatch(/^\S+ +- +tester +\/127\.0\.0\.1 +1 +seen: 0-1 +-$/m);
    const old = await cli.text(['group', 'describe', 'old']);
    expect(old).toMatch(/^Group old: classic, Empty, 0 members, lag 2$/m);
    const days = Math.floor((Date.now() - (firstMs + 8 * day)) / day);
    expect(old).toMatch(new RegExp(`^seen +1 +8 +10 +2 +${days} d \\d+ h +-$`, 'm'));
    expect(old).toMatch(/^seen +0 +10 +10 +0 +0 ms +-$/m);
    const listed = await cli.text(['group', 'list', '--type', 'consumer', '--state', 'stable']);
    expect(listed).toMatch(/^new +Stable +consumer +consumer$/m);
    expect(listed).not.toContain('old');
    const lines = (await cli.text(['group', 'lag', 'old', '--every', '50ms', '--count', '2']))
      .trim()
      .split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/ {2}lag 2, behind \d+ d \d+ h$/);
    expect(lines[1]).toMatch(
      /lag 2, behind .*, steady: 0 written and 0 read a second, never caught up at this rate$/,
    );
    const looks = await cli.text(['group', 'lag', 'old', '--every', '1ms', '--count', '2', '-o', 'json']);
    expect(
      looks
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([
      { lag: 2, rates: null },
      { lag: 2, rates: { produced: 0, consumed: 0 }, trend: 'steady', catchUpSeconds: null },
    ]);
  });
});

describe('group delete-offsets and remove-member', () => {
  it('take away what was said, and nothing else', async () => {
    await makeTopic('gone');
    await commit('d', 'gone', [1, 2]);
    expect(await cli.run(['group', 'delete-offsets', 'd', '--topic', 'gone:0'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('This deletes what d has committed for gone: 0. Add --yes'),
    });
    expect(await cli.json(['group', 'delete-offsets', 'd', '--topic', 'gone:0', '-y'])).toEqual({
      group: 'd',
      deleted: [{ topic: 'gone', partition: 0 }],
    });
    expect(await committed('d')).toEqual([[1, 2]]);
    expect((await cli.run(['group', 'delete-offsets', 'd', '--topic', 'gone:0', '-y'])).code).toBe(3);
  });

  it('are refused for what a live member reads', async () => {
    await makeTopic('read');
    await commit('reading', 'read', [1, 2]);
    await using consumer = client.consumer({ groupId: 'reading', topics: ['read'] });
    await consumer.ready();
    expect(await cli.run(['group', 'delete-offsets', 'reading', '--topic', 'read', '-y'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('GROUP_SUBSCRIBED_TO_TOPIC'),
    });
  });

  it('take out a static member that does not come back', async () => {
    await makeTopic('static');
    const consumer = client.consumer({ groupId: 's', topics: ['static'], groupInstanceId: 'one' });
    await consumer.ready();
    // A static member that closes keeps its place until its session ends.
    await consumer.close();
    expect(await cli.run(['group', 'remove-member', 's', '-y'])).toMatchObject({ code: 2 });
    expect(await cli.json(['group', 'remove-member', 's', '--instance', 'one', '-y'])).toEqual({
      group: 's',
      removed: [{ groupInstanceId: 'one' }],
    });
    const [group] = await client.admin().describeGroups(['s']);
    expect(group?.members).toEqual([]);
    expect(await cli.run(['group', 'remove-member', 's', '--instance', 'one', '-y'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('UNKNOWN_MEMBER_ID'),
    });
  });
});
