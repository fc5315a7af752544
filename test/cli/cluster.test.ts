import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Kappalog, type Admin } from '../../client/index.ts';
import { EmbeddedCluster } from '../integration/embedded-cluster.ts';
import { CommandLine } from './support.ts';

interface NodeRow {
  readonly id: number;
  readonly leaders: number;
  readonly replicas: number;
  readonly drained: boolean;
  readonly metadataRole: string;
}

let cluster: EmbeddedCluster;
let client: Kappalog;
let admin: Admin;
let cli: CommandLine;
let directory: string;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ settings: { 'auto.leader.rebalance.enable': 'false' } });
  client = new Kappalog({ brokers: cluster.addresses });
  admin = client.admin();
  cli = new CommandLine(cluster.addresses);
  directory = await mkdtemp(join(tmpdir(), 'kappalog-cluster-'));
});
afterAll(async () => {
  await client.close();
  await cluster[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function replicasOf(topic: string): Promise<readonly (readonly number[])[]> {
  const [described] = await admin.describeTopics([topic]);
  return described!.partitions.map(({ replicas }) => replicas);
}

/** Stopped, and the cluster knows it. */
async function stopNode(id: number): Promise<void> {
  await cluster.stopNode(id);
  await vi.waitFor(
    async () => {
      const { brokers } = await admin.describeCluster();
      expect(brokers.find((broker) => broker.id === id)?.fenced).toBe(true);
    },
    { timeout: 20_000, interval: 50 },
  );
}

async function nodes(): Promise<NodeRow[]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test asserts on what it reads
  return ((await cli.json(['cluster', 'nodes'])) as { nodes: NodeRow[] }).nodes;
}

describe('the status of a cluster', () => {
  it('is told with nodes, metadata and partitions', async () => {
    await admin.createTopics([
      {
        name: 'wide',
        assignments: [
          [1, 2, 3],
          [2, 3, 1],
        ],
      },
    ]);
    expect(await cli.json(['cluster', 'status'])).toMatchObject({
      status: 'healthy',
      clusterId: (await admin.describeCluster()).clusterId,
      features: await admin.describeFeatures(),
      nodes: [
        { id: 1, fenced: false, drained: false, leaders: 1, replicas: 2 },
        { id: 2, leaders: 1, replicas: 2 },
        { id: 3, leaders: 0, replicas: 2, sizeBytes: expect.any(Number) },
      ],
      metadata: { voters: [1, 2, 3], observers: [], silentVoters: [], error: null },
      topics: 1,
      partitions: 2,
      offline: [],
      underMinInSync: [],
      underReplicated: [],
      reassignments: [],
    });
    const text = await cli.text(['cluster', 'status']);
    expect(text).toMatch(/^Cluster [\w-]{22} is healthy\.$/m);
    expect(text).toMatch(/^ +1 +127\.0\.0\.1:\d+ +- +up +1 +2 +[\d.]+ K?i?B +(leader|voter) +\d+$/m);
    expect(text).toMatch(
      /^Metadata: node [123] leads in term \d+; voters 1, 2, 3; \d+ (entry|entries) behind at most$/m,
    );
    expect(text).toMatch(/^Partitions: 2 in 1 topic, all in sync$/m);
    expect((await nodes()).map(({ metadataRole }) => metadataRole).sort()).toEqual([
      'leader',
      'voter',
      'voter',
    ]);
  });

  it('is another exit code where less may fail, and where something does not work', async () => {
    await admin.createTopics([
      { name: 'strict', assignments: [[1, 2, 3]], configs: { 'min.insync.replicas': '3' } },
      { name: 'single', assignments: [[3]] },
    ]);
    await stopNode(3);
    const unavailable = await cli.run(['cluster', 'status']);
    expect(unavailable.code).toBe(7);
    expect(unavailable.stdout).toMatch(/is unavailable\.$/m);
    expect(unavailable.stdout).toMatch(/^ {2}1 without a leader: single-0$/m);
    expect(unavailable.stdout).toMatch(/^ {2}1 with too few replicas in sync for acks=all: strict-0$/m);
    expect(unavailable.stdout).toMatch(/^ {2}3 under-replicated: strict-0, wide-0, wide-1$/m);
    expect(unavailable.stdout).toMatch(/^Nodes that are not heard of: 3$/m);
    await admin.deleteTopics(['strict', 'single']);
    const degraded = await cli.run(['cluster', 'status', '-o', 'json']);
    expect(degraded.code).toBe(6);
    expect(JSON.parse(degraded.stdout)).toMatchObject({
      status: 'degraded',
      fencedNodes: [3],
      offline: [],
      underReplicated: [
        { topic: 'wide', partition: 0 },
        { topic: 'wide', partition: 1 },
      ],
    });
    await cluster.startNode(3);
    await vi.waitFor(async () => expect((await cli.run(['cluster', 'status'])).code).toBe(0), {
      timeout: 20_000,
      interval: 100,
    });
  });
});

describe('warnings', () => {
  const two = /^warning: (\w+) has two replicas of each partition: while either is away/;
  const machine = 'replicas of each partition and one machine for them: the loss of one machine can take';

  it('are given about replicas that bear no failure, and stand in the log of the controller', async () => {
    const made = await cli.run(['topic', 'create', 'pair', '-r', '2', '-p', '3']);
    expect(made.code).toBe(0);
    expect(made.stdout).toMatch(/^Created topic pair/);
    const [first, second, ...rest] = made.stderr.trimEnd().split('\n');
    expect(two.exec(first!)?.[1]).toBe('pair');
    expect(second).toContain(`pair has 2 ${machine}`);
    expect(rest).toEqual([]);
    const logged = cluster.running.flatMap((id) => cluster.node(id).log.lines);
    // These nodes name machines of their own.
    expect(logged.filter((line) => line.includes('pair has'))).toEqual([
      expect.stringMatching(/^warn: pair has two replicas of each partition/),
    ]);
    await admin.deleteTopics(['pair']);
  });

  it('are in the JSON, of what only could be as well', async () => {
    const create = ['topic', 'create', 'trio', '-r', '3', '--dry-run', '-o', 'json'];
    const made = await cli.run(create);
    expect(JSON.parse(made.stdout)).toMatchObject({
      dryRun: true,
      warnings: [expect.stringContaining(`trio has 3 ${machine}`)],
    });
    expect(JSON.parse(made.stderr)).toEqual({ warning: expect.stringContaining('trio has 3') });
    expect(await cli.json(['topic', 'create', 'solo', '-r', '1', '--dry-run'])).toMatchObject({
      warnings: [],
    });
  });

  it('are given about a reassignment', async () => {
    await admin.createTopics([{ name: 'narrow', assignments: [[1], [2]] }]);
    const plan = await cli.run([
      'cluster',
      'reassign',
      'narrow',
      '--to',
      '1,2',
      '-r',
      '2',
      '--dry-run',
      '-o',
      'json',
    ]);
    expect(JSON.parse(plan.stdout)).toMatchObject({
      warnings: [
        expect.stringMatching(/^narrow has two replicas of each partition/),
        expect.stringContaining(`narrow has 2 ${machine}`),
      ],
    });
    await admin.deleteTopics(['narrow']);
  });
});

describe('reassignments', () => {
  it('go where --to says, by plan first', async () => {
    await admin.createTopics([
      {
        name: 'moved',
        assignments: [
          [1, 2],
          [2, 1],
          [1, 2],
        ],
      },
    ]);
    const plan = await cli.json(['cluster', 'reassign', 'moved:0-1', '--to', '2,3', '--dry-run']);
    expect(plan).toMatchObject({
      dryRun: true,
      moves: [
        { topic: 'moved', partition: 0, before: [1, 2], after: [3, 2] },
        { topic: 'moved', partition: 1, before: [2, 1], after: [2, 3] },
      ],
    });
    expect(await replicasOf('moved')).toEqual([
      [1, 2],
      [2, 1],
      [1, 2],
    ]);
    const refused = await cli.run(['cluster', 'reassign', 'moved', '--to', '2,3']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/3 partitions get other replicas; about .* are copied\. Add --yes/);
    await cli.text(['cluster', 'reassign', 'moved:0-1', '--to', '2,3', '--yes']);
    const [first, second, third] = await replicasOf('moved');
    expect([first!.toSorted((a, b) => a - b), second!.toSorted((a, b) => a - b), third]).toEqual([
      [2, 3],
      [2, 3],
      [1, 2],
    ]);
    await cli.text(['cluster', 'reassign', 'moved:2', '--to', '1,2,3', '-r', '3', '-y']);
    expect((await replicasOf('moved'))[2]).toEqual([1, 2, 3]);
  });

  it('are what a file for kafka-reassign-partitions says', async () => {
    await admin.createTopics([
      {
        name: 'filed',
        assignments: [
          [1, 2],
          [2, 3],
        ],
      },
    ]);
    const file = join(directory, 'plan.json');
    const partitions = [
      { topic: 'filed', partition: 0, replicas: [3, 1], log_dirs: ['any', 'any'] },
      { topic: 'filed', partition: 1, replicas: [2, 9] },
    ];
    await writeFile(file, JSON.stringify({ version: 1, partitions }));
    const { code, stdout } = await cli.run(['cluster', 'reassign', '--file', file, '-y', '-o', 'json']);
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      moves: [
        { partition: 0, outcome: 'done', error: null },
        { partition: 1, outcome: 'failed', error: { code: 'INVALID_REPLICA_ASSIGNMENT' } },
      ],
    });
    expect(await replicasOf('filed')).toEqual([
      [3, 1],
      [2, 3],
    ]);
  });

  it('are listed and taken back', async () => {
    await admin.createTopics([{ name: 'stuck', assignments: [[1, 3]] }]);
    await stopNode(3);
    expect(await cli.text(['cluster', 'reassign', 'stuck', '--to', '1,2', '--no-wait', '-y'])).toBe(
      '1 partition is on its way; "kappalog cluster reassign --list" shows what is left.\n',
    );
    expect(await cli.text(['cluster', 'reassign', '--list'])).toMatch(/^stuck +0 +1,2 +2 +- +3$/m);
    expect(await cli.json(['cluster', 'reassign', 'wide', '--list'])).toEqual({ reassignments: [] });
    expect(await cli.json(['cluster', 'reassign', '--cancel', 'stuck'])).toEqual({
      cancelled: [{ topic: 'stuck', partition: 0 }],
      failed: [],
    });
    await cluster.startNode(3);
    await vi.waitFor(
      async () => expect(await cli.text(['cluster', 'reassign', '--list'])).toBe('Nothing is under way.\n'),
      { timeout: 20_000, interval: 100 },
    );
    expect(await replicasOf('stuck')).toEqual([[1, 3]]);
  });

  it.each([
    [['wide'], 2, /Say one of --to NODES/],
    [['wide', '--to', '1', '--list'], 2, /Say one of/],
    [['--to', '1'], 2, /Name topics/],
    [['wide', '--to', '1,2'], 2, /3 replicas need 3 nodes, and --to names 2/],
    [['wide', '--to', '1,2,8'], 3, /There is no node 8\. The cluster has: 1, 2, 3\./],
    [['wode', '--to', '1,2,3'], 3, /Did you mean "wide"/],
    [['wide:7', '--to', '1,2,3'], 3, /no partition 7/],
    [['--file', '/no/such/file'], 2, /cannot be read/],
  ] as const)('%j ends with %i', async (args, code, message) => {
    const outcome = await cli.run(['cluster', 'reassign', ...args]);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).toMatch(message);
  });
});

describe('a node', () => {
  it('is not drained where the others are too few', async () => {
    const refused = await cli.run(['cluster', 'drain', '1']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /Node 1 cannot be drained\..*too few nodes are left for the replicas of .*wide.* \(nodes that take replicas now: 2, 3\)/,
    );
    // The broker's own sentence, without how it came here.
    expect(refused.stderr).not.toContain('the broker answered');
    const alike = await cli.run(['cluster', 'decommission', '1', '-y']);
    expect(alike.code).toBe(1);
    expect((await cli.run(['cluster', 'drain', '8'])).code).toBe(3);
    expect((await cli.run(['cluster', 'drain', 'one'])).code).toBe(2);
    expect((await nodes()).map(({ drained }) => drained)).toEqual([false, false, false]);
  });

  it('that was added gets its share, some partitions at a time', async () => {
    await cluster.joinNode(4);
    cli = new CommandLine(cluster.addresses);
    await admin.createTopics([{ name: 'spread', assignments: Array.from({ length: 12 }, () => [1, 2, 3]) }]);
    const plan = await cli.text(['cluster', 'rebalance', '--replicas', '--dry-run']);
    expect(plan).toMatch(/^\d+ partitions get other replicas; about .* are copied\.$/m);
    expect((await cli.run(['cluster', 'rebalance', '--replicas'])).code).toBe(2);
    const done = await cli.json(['cluster', 'rebalance', '--replicas', '--at-once', '3', '--yes']);
    expect(done).toMatchObject({ dryRun: false, notElected: [] });
    const counts = (await nodes()).map(({ replicas }) => replicas);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    const leads = (await nodes()).map(({ leaders }) => leaders);
    expect(Math.max(...leads) - Math.min(...leads)).toBeLessThanOrEqual(1);
    expect(await cli.text(['cluster', 'rebalance', '--replicas'])).toBe(
      'Replicas and preferred leaderships are spread evenly already.\n',
    );
  });

  it('is drained while it is away, as far as that can be, and keeps what has not moved when that is undone', async () => {
    await admin.createTopics([{ name: 'pair', assignments: [[1, 3]] }]);
    await stopNode(3);
    const begun = await cli.json(['cluster', 'drain', '3', '--no-wait']);
    expect(begun).toMatchObject({ node: 3, drained: false, votes: null });
    // Of other topics, too, those with two replicas.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test asserts on what it reads
    const { blocked } = begun as { readonly blocked: number };
    expect(blocked).toBeGreaterThan(0);
    const moving = await cli.json(['cluster', 'reassign', '--list', 'pair']);
    expect(moving).toMatchObject({ reassignments: [{ topic: 'pair', partition: 0, removing: [3] }] });
    await vi.waitFor(
      async () => expect((await nodes()).find(({ id }) => id === 3)).toMatchObject({ replicas: blocked }),
      { timeout: 20_000, interval: 100 },
    );
    const refused = await cli.run(['cluster', 'reassign', 'pair', '--cancel']);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('Node 3 is drained and takes no replicas.');
    expect(await cli.json(['cluster', 'drain', '3', '--undo'])).toEqual({
      node: 3,
      drained: false,
      changed: true,
      takenBack: blocked,
      failed: [],
    });
    await cluster.startNode(3);
    cli = new CommandLine(cluster.addresses);
    await vi.waitFor(
      async () => expect(await cli.json(['cluster', 'status'])).toMatchObject({ reassignments: [] }),
      { timeout: 20_000, interval: 100 },
    );
    expect(await replicasOf('pair')).toEqual([[1, 3]]);
    expect((await nodes()).find(({ id }) => id === 3)).toMatchObject({ drained: false, replicas: blocked });
  });

  it('is drained, votes no more, gets nothing, and has it back when that is undone', async () => {
    const before = (await nodes()).find(({ id }) => id === 2)!;
    expect(before.replicas).toBeGreaterThan(0);
    expect(await cli.json(['cluster', 'drain', '2', '--dry-run'])).toMatchObject({
      node: 2,
      dryRun: true,
      replicas: before.replicas,
      leaders: before.leaders,
    });
    expect(await cli.json(['cluster', 'drain', '2'])).toEqual({
      node: 2,
      drained: true,
      replicas: 0,
      leaders: 0,
      blocked: 0,
      votes: false,
    });
    expect((await nodes()).find(({ id }) => id === 2)).toMatchObject({
      drained: true,
      replicas: 0,
      leaders: 0,
      metadataRole: 'observer',
    });
    await admin.createTopics([{ name: 'later', partitions: 6, replicationFactor: 3 }]);
    expect((await replicasOf('later')).flat()).not.toContain(2);
    expect(await cli.text(['cluster', 'status'])).toMatch(/^ +2 .* up, drained +0 +0 /m);
    const refused = await cli.run(['cluster', 'reassign', 'later:0', '--to', '1,2,3', '-y']);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('Node 2 is drained and takes no replicas.');
    expect(await cli.text(['cluster', 'drain', '2', '--undo'])).toMatch(
      /^Node 2 takes replicas again; 0 replicas that were on their way stay there\.$/m,
    );
    expect(await cli.text(['cluster', 'drain', '2', '--undo'])).toBe('Node 2 was not drained.\n');
    await cli.text(['cluster', 'rebalance', '--replicas', '-y']);
    expect((await nodes()).find(({ id }) => id === 2)!.replicas).toBeGreaterThan(0);
  });

  it('is taken out for good, once somebody has said yes, and then nobody knows it', async () => {
    const held = (await nodes()).find(({ id }) => id === 4)!.replicas;
    const asked = await cli.run(['cluster', 'decommission', '4']);
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain(`${held} replicas of node 4`);
    expect(asked.stderr).toContain('Then the node is taken out of the cluster for good.');
    expect(await cli.json(['cluster', 'decommission', '4', '--yes'])).toEqual({
      node: 4,
      removed: true,
      replicasMoved: held,
    });
    // Not the one that is gone, which goes on for a moment.
    cli = new CommandLine(`127.0.0.1:${cluster.node(1).broker.port}`);
    expect((await nodes()).map(({ id }) => id)).toEqual([1, 2, 3]);
    expect((await cli.run(['cluster', 'status'])).code).toBe(0);
    expect(await cli.text(['cluster', 'rebalance'])).toMatch(/preferred leaders\.$/m);
    expect(await cli.text(['cluster', 'rebalance', '--dry-run'])).toBe(
      'All partitions are led by their preferred leaders.\n',
    );
  });
});
