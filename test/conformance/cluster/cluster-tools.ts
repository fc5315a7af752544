/** Apache Kafka's own tools against three nodes: what they are told, and what becomes of what they ask for. */
import { equal } from '../suite.ts';
import { ToolRunner, runVerifiable } from '../tool-runner.ts';
import type { ToolName } from '../tool-runner.ts';
import type { ClusterSuite } from './cluster-suite.ts';
import { reassignments } from './reassignment-tools.ts';
import { type Tools, inOrder, named, parsePartitions, sized, until } from './tools.ts';

export async function clusterTools(suite: ClusterSuite): Promise<void> {
  if (!suite.checks.wants('cluster')) return;
  const runner = new ToolRunner(suite.children);
  // ClusterTool takes it after its command, the others anywhere.
  const address = ['--bootstrap-server', suite.cluster.address];
  const withAddress = (tool: ToolName, args: readonly string[]): readonly string[] =>
    tool === 'cluster' ? [...args, ...address] : [...address, ...args];
  const tools: Tools = {
    ...suite,
    verifiable: (tool, ...args) => runVerifiable(suite.children, tool, [...address, ...args]),
    run: (tool, ...args) => runner.run(tool, withAddress(tool, args)),
    fail: async (tool, ...args) => {
      const { code, stdout, stderr } = await runner.tryToRun(tool, withAddress(tool, args));
      equal(code, 1, `the exit code of ${tool} ${args.join(' ')}`);
      return stdout + stderr;
    },
  };
  await topics(tools);
  await records(tools);
  await quorum(tools);
  await settings(tools);
  await places(tools);
  await reassignments(tools);
  await aNodeAway(tools);
  runner.close();
}

async function topics({ checks, run }: Tools): Promise<void> {
  await checks.check(
    'cluster: kafka-topics creates with three replicas, describes, widens, deletes',
    async () => {
      const config = ['--config', 'min.insync.replicas=2'];
      await run('topics', '--create', ...named('tools-topics'), ...sized(6, 3), ...config);
      const described = await run('topics', '--describe', ...named('tools-topics'));
      equal(
        /PartitionCount: 6\s+ReplicationFactor: 3\s+Configs: .*min\.insync\.replicas=2/.test(described),
        true,
        `that the description has counts and config: ${described}`,
      );
      const partitions = parsePartitions(described);
      equal(
        partitions.map(({ partition }) => partition),
        [0, 1, 2, 3, 4, 5],
        'the partitions',
      );
      for (const { replicas, inSync, leader } of partitions) {
        equal(
          [inOrder(replicas), inOrder(inSync)],
          [
            [1, 2, 3],
            [1, 2, 3],
          ],
          'replicas and those in sync',
        );
        equal(leader, replicas[0], 'the leader');
      }
      equal(
        inOrder(partitions.map(({ leader }) => leader)),
        [1, 1, 2, 2, 3, 3],
        'the leaders, which are spread',
      );
      equal(await run('topics', '--describe', '--under-replicated-partitions'), '', 'the under-replicated');
      await run('topics', '--alter', ...named('tools-topics'), '--partitions', '8');
      const widened = parsePartitions(await run('topics', '--describe', ...named('tools-topics')));
      equal(
        widened.map(({ partition }) => partition),
        [0, 1, 2, 3, 4, 5, 6, 7],
        'the partitions after --alter',
      );
      await run('topics', '--delete', ...named('tools-topics'));
      const names = (await run('topics', '--list')).split('\n');
      equal(names.includes('tools-topics'), false, 'that the deleted topic is listed');
    },
  );
}

const count = 500;

async function records({ checks, run, verifiable }: Tools): Promise<void> {
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

async function quorum({ checks, run, fail, cluster }: Tools): Promise<void> {
  await checks.check('cluster: kafka-metadata-quorum describes voters and how far they are', async () => {
    const status = await run('quorum', 'describe', '--status');
    const leader = Number(/^LeaderId:\s+(\d+)$/m.exec(status)?.[1]);
    equal(cluster.nodeIds.includes(leader), true, `that a node leads: ${status}`);
    equal(/^LeaderEpoch:\s+[1-9]\d*$/m.test(status), true, `that there is an epoch: ${status}`);
    equal(/^HighWatermark:\s+[1-9]\d*$/m.test(status), true, `that there is a high watermark: ${status}`);
    const voters = /^CurrentVoters:\s+(.*)$/m.exec(status)?.[1] ?? '';
    // Of voters that its settings name Kafka shows the numbers alone.
    const ids = voters.startsWith('[{') ? voters.match(/(?<="id": )\d+/g) : voters.match(/\d+/g);
    equal(inOrder((ids ?? []).map(Number)), [1, 2, 3], `the voters in: ${voters}`);
    const replication = await run('quorum', 'describe', '--replication');
    const lines = replication.trim().split('\n').slice(1);
    const rows = lines.map((line) => line.split('\t').map((cell) => cell.trim()));
    equal(inOrder(rows.map(([nodeId]) => Number(nodeId))), [1, 2, 3], 'the nodes of --replication');
    equal(
      rows.map((row) => row[6] ?? '').sort(),
      ['Follower', 'Follower', 'Leader'],
      'what the nodes are of --replication',
    );
    for (const [nodeId, , end, lag] of rows) {
      equal(Number(end) > 0 && Number(lag) < 10, true, `node ${nodeId} is at ${end}, ${lag} behind`);
    }
  });
  await checks.check('cluster: kafka-features describes what is supported and what counts', async () => {
    const features = await run('features', 'describe');
    const line = features.split('\n').find((one) => one.startsWith('Feature: metadata.version'));
    equal(
      /FinalizedVersionLevel: \d\.\d+-IV\d+\s/.test(line ?? ''),
      true,
      `that Kafka knows the level: ${line}`,
    );
  });
  await checks.check(
    'cluster: kafka-cluster says who is there, and lets go of nobody who is needed',
    async () => {
      const status = await run('quorum', 'describe', '--status');
      const id = await run('cluster', 'cluster-id');
      equal(
        /Cluster ID: (\S+)/.exec(id)?.[1],
        /^ClusterId:\s+(\S+)$/m.exec(status)?.[1],
        'the id of the cluster',
      );
      const endpoints = (await run('cluster', 'list-endpoints')).trim().split('\n').slice(1);
      equal(
        endpoints.map((line) => line.trim().split(/\s+/).slice(0, 3).join(' ')).sort(),
        cluster.nodes.map(({ host, port }, place) => `${place + 1} ${host} ${port}`),
        'the nodes',
      );
      const refused = await fail('cluster', 'unregister', '--id', '9');
      equal(/BrokerIdNotRegisteredException/.test(refused), true, `that node 9 is not known: ${refused}`);
    },
  );
}

async function settings({ checks, run }: Tools): Promise<void> {
  await checks.check(
    'cluster: kafka-configs alters settings of one node and of all, while they run',
    async () => {
      const one = ['--entity-type', 'brokers', '--entity-name', '2'];
      const all = ['--entity-type', 'brokers', '--entity-default'];
      await run('configs', '--alter', ...one, '--add-config', 'log.retention.ms=3600000');
      await run('configs', '--alter', ...all, '--add-config', 'log.segment.bytes=2097152');
      const ofOne = await run('configs', '--describe', ...one);
      equal(
        /log\.retention\.ms=3600000 .*DYNAMIC_BROKER_CONFIG/.test(ofOne),
        true,
        `that it is set: ${ofOne}`,
      );
      const ofAll = await run('configs', '--describe', ...all);
      equal(
        /log\.segment\.bytes=2097152 .*DYNAMIC_DEFAULT_BROKER_CONFIG/.test(ofAll),
        true,
        `that it is set: ${ofAll}`,
      );
      const ofAnother = await run(
        'configs',
        '--describe',
        '--all',
        '--entity-type',
        'brokers',
        '--entity-name',
        '3',
      );
      equal(/log\.segment\.bytes=2097152 /.test(ofAnother), true, 'that it counts for another node');
      equal(
        /log\.retention\.ms=3600000/.test(ofAnother),
        false,
        'that the other node keeps what is not its own',
      );
      await run('configs', '--alter', ...one, '--delete-config', 'log.retention.ms');
      await run('configs', '--alter', ...all, '--delete-config', 'log.segment.bytes');
      equal(/=/.test(await run('configs', '--describe', ...one)), false, 'that something is left of it');
    },
  );
}

async function places({ checks, run, cluster }: Tools): Promise<void> {
  await checks.check('cluster: kafka-log-dirs shows every replica on its node', async () => {
    const output = await run('logDirs', '--describe', '--topic-list', 'tools-records');
    const found: LogDirs = JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? '');
    equal(inOrder(found.brokers.map(({ broker }) => broker)), [...cluster.nodeIds], 'the nodes');
    for (const { broker, logDirs } of found.brokers) {
      equal(
        logDirs.map(({ error }) => error),
        [null],
        `the errors of node ${broker}`,
      );
      const partitions = logDirs.flatMap((each) => each.partitions);
      equal(
        partitions.map(({ partition }) => partition).sort(),
        [0, 1, 2].map((partition) => `tools-records-${partition}`),
        `the replicas of node ${broker}`,
      );
      equal(
        partitions.every(({ isFuture, offsetLag }) => !isFuture && offsetLag === 0),
        true,
        'that all are current',
      );
    }
  });
}

async function aNodeAway({ checks, run, cluster }: Tools): Promise<void> {
  await checks.check('cluster: kafka-topics shows what lacks a node, and that it is back', async () => {
    const of = named('tools-records');
    const lacking = ['--describe', ...of, '--under-replicated-partitions'];
    await cluster.stopNode(3);
    await until('three partitions are under-replicated', async () => {
      const partitions = parsePartitions(await run('topics', ...lacking));
      return partitions.length === 3 && partitions.every(({ inSync }) => !inSync.includes(3));
    });
    const partitions = parsePartitions(await run('topics', '--describe', ...of));
    equal(
      partitions.every(({ leader }) => leader === 1 || leader === 2),
      true,
      'that the others lead',
    );
    equal(
      await run('topics', '--describe', ...of, '--unavailable-partitions'),
      '',
      'the unavailable partitions',
    );
    const fenced = await run('cluster', 'list-endpoints', '--include-fenced-brokers');
    equal(/^3 .* fenced /m.test(fenced), true, `that node 3 is fenced: ${fenced}`);
    await cluster.startNode(3);
    await until('nothing is under-replicated', async () => (await run('topics', ...lacking)) === '');
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

interface LogDirs {
  readonly brokers: readonly {
    readonly broker: number;
    readonly logDirs: readonly {
      readonly error: string | null;
      readonly partitions: readonly {
        readonly partition: string;
        readonly offsetLag: number;
        readonly isFuture: boolean;
      }[];
    }[];
  }[];
}
