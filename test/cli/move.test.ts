import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Kappalog, type Admin } from '../../client/index.ts';
import { EmbeddedCluster } from '../integration/embedded-cluster.ts';
import { CommandLine } from './support.ts';

const rateSetting = 'replica.alter.log.dirs.io.max.bytes.per.second';
const within = { timeout: 20_000, interval: 50 };

let cluster: EmbeddedCluster;
let client: Kappalog;
let admin: Admin;
let cli: CommandLine;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ dataDir: ['/a', '/b'] });
  client = new Kappalog({ brokers: cluster.addresses });
  admin = client.admin();
  cli = new CommandLine(cluster.addresses);
  await admin.createTopics([
    { name: 'orders', assignments: Array.from({ length: 3 }, () => [1, 2, 3]) },
    { name: 'other', assignments: [[1, 3]] },
  ]);
  await using producer = client.producer();
  const values = Array.from({ length: 300 }, (_, number) => ({
    value: `${number} `.padEnd(2000, 'x'),
    partition: number % 3,
  }));
  await producer.sendMany('orders', values);
  await admin.commitGroupOffsets('readers', [
    { topic: 'other', partition: 0, offset: 5 },
    { topic: 'orders', partition: 1, offset: 40 },
  ]);
});
afterAll(async () => {
  await client.close();
  await cluster[Symbol.asyncDispose]();
});

/** Where the replicas of `orders` lie on a node, by partition. */
async function placesOf(node: number): Promise<string[]> {
  const described = await admin.describeLogDirs({ topics: ['orders'], brokers: [node] });
  const places = described.flatMap(({ path, partitions }) =>
    partitions.filter(({ isFuture }) => !isFuture).map(({ partition }) => [partition, path] as const),
  );
  return places.toSorted(([a], [b]) => a - b).map(([, path]) => path);
}

async function setRate(rate: string | null): Promise<void> {
  const change = rate === null ? { remove: [rateSetting] } : { set: { [rateSetting]: rate } };
  await admin.alterConfigs([{ type: 'broker', name: '', ...change }]);
}

/** Everything of `orders` on this node in one directory. */
async function gather(node: string, path: string): Promise<void> {
  await cli.text(['cluster', 'move', 'orders', '--node', node, '--to', path, '-y']);
}

describe('replicas', () => {
  it('go to another data directory of their node alone, by plan first, and keep what they have', async () => {
    await gather('2', '/a');
    const others = [await placesOf(1), await placesOf(3)];
    const plan = await cli.json(['cluster', 'move', 'orders:0-1', '--node', '2', '--to', '/b', '--dry-run']);
    expect(plan).toMatchObject({
      dryRun: true,
      moves: [
        { node: 2, topic: 'orders', partition: 0, from: '/a', to: '/b', sizeBytes: expect.any(Number) },
        { node: 2, topic: 'orders', partition: 1, from: '/a', to: '/b' },
      ],
      bytes: expect.any(Number),
    });
    expect(await placesOf(2)).toEqual(['/a', '/a', '/a']);
    const refused = await cli.run(['cluster', 'move', 'orders:0-1', '--node', '2', '--to', '/b']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /2 replicas go to another data directory; about 39\d\.\d KiB are copied\. Add --yes/,
    );
    expect(await cli.text(['cluster', 'move', 'orders:0-1', '--node', '2', '--to', '/b', '-y'])).toBe(
      '2 replicas lie in another data directory now.\n',
    );
    expect(await placesOf(2)).toEqual(['/b', '/b', '/a']);
    expect([await placesOf(1), await placesOf(3)]).toEqual(others);
    expect(await cli.text(['cluster', 'move', 'orders:0', '--node', '2', '--to', '/b'])).toBe(
      'Nothing is to be moved.\n',
    );
    const ends = await admin.listOffsets(
      [0, 1, 2].map((partition) => ({ topic: 'orders', partition, at: 'latest' })),
    );
    expect(ends.map(({ offset }) => offset)).toEqual([100, 100, 100]);
  });

  it('leave a directory that is to be empty', async () => {
    await gather('3', '/a');
    const done = await cli.json(['cluster', 'move', '--node', '3', '--from', '/a', '--to', '/b', '-y']);
    expect(done).toMatchObject({ dryRun: false });
    const [first, second] = await admin.describeLogDirs({ brokers: [3] });
    expect([first!.path, first!.partitions]).toEqual(['/a', []]);
    const held = second!.partitions.filter(({ topic }) => topic !== '__consumer_offsets');
    expect(held.map(({ topic, partition }) => `${topic}-${partition}`)).toEqual([
      'orders-0',
      'orders-1',
      'orders-2',
      'other-0',
    ]);
  });

  it('are listed on their way, watched, and stay when that is taken back', async () => {
    await gather('1', '/a');
    await setRate('1000');
    try {
      expect(
        await cli.text(['cluster', 'move', 'orders', '--node', '1', '--to', '/b', '-y', '--no-wait']),
      ).toBe('3 replicas are on their way; "kappalog cluster move --list" shows what is left.\n');
      const listed = await cli.text(['cluster', 'move', '--list', 'orders:0,2']);
      expect(listed).toMatch(/^NODE +TOPIC +PARTITION +FROM +TO +SIZE +COPIED +RECORDS LEFT$/m);
      expect(listed.match(/^ +1 +orders +[02] +\/a +\/b +19\d\.\d KiB +[\d.]+ K?i?B +\d+$/gm)).toHaveLength(
        2,
      );
      expect(await cli.json(['cluster', 'move', '--list', '--node', '2'])).toEqual({
        moves: [],
        silentNodes: [],
      });
      const back = await cli.run(['cluster', 'move', 'orders:1', '--node', '1', '--to', '/a']);
      expect(back.code).toBe(1);
      expect(back.stderr).toMatch(/orders-1 lies in \/a already and is on its way to \/b/);
      const watching = cli.start(['cluster', 'move', 'orders:0', '--node', '1', '--to', '/b', '-y']);
      await watching.stderrMatching(/^1 of 1 replica left, .* of 19\d\.\d KiB copied$/m);
      expect(await cli.json(['cluster', 'move', '--cancel'])).toEqual({
        cancelled: [0, 1, 2].map((partition) => ({ node: 1, topic: 'orders', partition })),
        failed: [],
        silentNodes: [],
      });
      await vi.waitFor(
        async () => expect(await cli.text(['cluster', 'move', '--list'])).toBe('Nothing is under way.\n'),
        within,
      );
      expect(await placesOf(1)).toEqual(['/a', '/a', '/a']);
      const watched = await watching.ended;
      expect(watched.code).toBe(1);
      expect(watched.stdout).toMatch(
        /^1 was not moved:\norders-0: It stayed in \/a: somebody called the move off/,
      );
      expect(await cli.text(['cluster', 'move', '--cancel'])).toBe('Nothing is under way.\n');
    } finally {
      await setRate(null);
    }
  });

  it.each([
    [['orders'], 2, /Say one of --to DIRECTORY, --list or --cancel/],
    [['--to', '/b', '--node', '1'], 2, /Name topics/],
    [['orders', '--list', '--from', '/a'], 2, /--from goes with --to/],
    [['orders', '--to', '/b'], 2, /Say with --node whose replicas move\. The cluster has: 1, 2, 3\./],
    [['orders', '--to', '/b', '--node', '8'], 3, /There is no node 8\. The cluster has: 1, 2, 3\./],
    [['ordres', '--to', '/b', '--node', '1'], 3, /Did you mean "orders"/],
    [['orders:7', '--to', '/b', '--node', '1'], 3, /Node 1 has no replica of orders-7/],
    [['other', '--to', '/b', '--node', '2'], 3, /Node 2 has no replica of topic other/],
    [['orders', '--to', '/c', '--node', '1'], 3, /Node 1 has no data directory "\/c".* It has: \/a, \/b\./],
  ] as const)('%j ends with %i', async (args, code, message) => {
    const outcome = await cli.run(['cluster', 'move', ...args]);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).toMatch(message);
  });

  it('of a node that is away are not moved, and what it does is not known', async () => {
    await cluster.stopNode(3);
    cli = new CommandLine(cluster.addresses);
    const refused = await cli.run(['cluster', 'move', 'orders', '--node', '3', '--to', '/a', '-y']);
    expect(refused).toMatchObject({ code: 4, stdout: '' });
    expect(refused.stderr).toMatch(/Node 3 does not answer, and only it can move its replicas/);
    const listed = await cli.run(['cluster', 'move', '--list']);
    expect(listed).toMatchObject({ code: 0, stdout: 'Nothing is under way.\n' });
    expect(listed.stderr).toMatch(/Node 3 does not answer; what is moved there is not known\./);
    const described = await cli.run(['log-dirs', 'orders', '-o', 'json']);
    expect(JSON.parse(described.stdout)).toMatchObject({
      directories: [
        { broker: 1, path: '/a' },
        { broker: 1, path: '/b' },
        { broker: 2, path: '/a' },
        { broker: 2, path: '/b' },
      ],
      silentNodes: [3],
    });
    expect(described.stderr).toContain('Node 3 does not answer; what lies there is not known.');
  });
});

describe('a partition without a leader', () => {
  it('is shown with what is known of it, and hides no others', async () => {
    await vi.waitFor(async () => {
      expect(await cli.json(['topic', 'describe', 'other', 'orders'])).toMatchObject({
        topics: [
          {
            partitions: [{ partition: 0, leader: -1, replicas: [1, 3], startOffset: null, endOffset: null }],
          },
          { partitions: [0, 1, 2].map((partition) => ({ partition, startOffset: 0, endOffset: 100 })) },
        ],
      });
    }, within);
    expect(await cli.text(['topic', 'describe', 'other'])).toMatch(/^ +0 +- +1,3 +(1|-) +- +- +-$/m);
    expect(await cli.json(['group', 'describe', 'readers'])).toMatchObject({
      groups: [
        {
          lag: null,
          partitions: [
            { topic: 'orders', partition: 1, committed: 40, end: 100, lag: 60 },
            { topic: 'other', partition: 0, committed: 5, end: null, lag: null },
          ],
        },
      ],
    });
    const asked = await cli.run(['topic', 'delete', 'other']);
    expect(asked.stderr).toMatch(/This deletes other \(at least 0 records\) for good\./);
  });
});
