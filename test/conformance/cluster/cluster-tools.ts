/** Apache Kafka's own tools against three nodes: what they are told, and what becomes of what they ask for. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { equal } from '../suite.ts';
import { ToolRunner, runVerifiable } from '../tool-runner.ts';
import type { ToolName } from '../tool-runner.ts';
import type { ClusterSuite } from './cluster-suite.ts';
import { directories } from './directory-tools.ts';
import { reassignments } from './reassignment-tools.ts';
import { records } from './record-tools.ts';
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
  await reassignments(tools);
  await directories(tools);
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
  await checks.check('cluster: kafka-metadata-quorum is told that nodes choose the voters', async () => {
    const member = ['--controller-id', '3', '--controller-directory-id', 'AAAAAAAAAAAAAAAAAAAAAQ'];
    const refused = await fail('quorum', 'remove-controller', ...member);
    equal(/UnsupportedVersionException/.test(refused), true, `that it is refused: ${refused}`);
  });
  await checks.check('cluster: kafka-broker-api-versions asks every node', async () => {
    const versions = await run('apiVersions');
    for (const { host, port } of cluster.nodes) {
      const begin = versions.indexOf(`${host}:${port} (id: `);
      const ofNode = versions.slice(begin, versions.indexOf('\n)', begin));
      equal(
        begin >= 0 && /Produce\(0\): .*usable: \d+/.test(ofNode),
        true,
        `that ${port} answers: ${versions}`,
      );
      equal(/UNKNOWN/.test(ofNode), false, `that ${port} has what Kafka does not know: ${ofNode}`);
    }
  });
  await checks.check('cluster: kafka-features describes what is supported and what counts', async () => {
    const refused = await fail('features', 'upgrade', '--feature', 'metadata.version=99');
    equal(/Could not upgrade metadata\.version to 99/.test(refused), true, `that 99 is refused: ${refused}`);
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
      // Kafka lets a node go that is alive and holds replicas.
      if (cluster.kind === 'kafka') return;
      const needed = await fail('cluster', 'unregister', '--id', '3');
      equal(/Node 3 is alive and holds \d+ replica/.test(needed), true, `that node 3 stays: ${needed}`);
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

async function aNodeAway({ checks, run, fail, cluster, directory }: Tools): Promise<void> {
  const of = named('tools-records');
  const lacking = ['--describe', ...of, '--under-replicated-partitions'];
  /** The partitions of these topics that a filter of kafka-topics lets through. */
  const filtered = async (filter: string): Promise<string[]> => {
    const described = await run('topics', '--describe', filter);
    return [...described.matchAll(/Topic: (tools-(?:solo|strict|pair))\s+.*Partition: (\d+)/g)]
      .map(([, topic, partition]) => `${topic}-${partition}`)
      .sort();
  };
  await checks.check('cluster: kafka-topics shows what has no more in sync than it needs', async () => {
    const needs = (inSync: number): string[] => ['--config', `min.insync.replicas=${inSync}`];
    await run('topics', '--create', ...named('tools-solo'), '--replica-assignment', '3', ...needs(1));
    await run('topics', '--create', ...named('tools-pair'), '--replica-assignment', '1:2:3', ...needs(2));
    await run('topics', '--create', ...named('tools-strict'), '--replica-assignment', '1:2:3', ...needs(3));
    equal(
      await filtered('--at-min-isr-partitions'),
      ['tools-solo-0', 'tools-strict-0'],
      'those at the least',
    );
    equal(await filtered('--under-min-isr-partitions'), [], 'those under the least');
    equal(await filtered('--unavailable-partitions'), [], 'the unavailable ones');
  });
  await checks.check('cluster: kafka-topics shows what lacks a node, and kafka-cluster which', async () => {
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
    await until('tools-solo has no leader', async () => {
      const [solo] = parsePartitions(await run('topics', '--describe', ...named('tools-solo')));
      return solo !== undefined && !(solo.leader >= 0);
    });
    equal(await filtered('--unavailable-partitions'), ['tools-solo-0'], 'the unavailable ones');
    equal(
      (await filtered('--under-min-isr-partitions')).includes('tools-strict-0'),
      true,
      'that one is under it',
    );
    equal(
      await filtered('--at-min-isr-partitions').then((all) => all.includes('tools-pair-0')),
      true,
      'that one is at it',
    );
    const fenced = await run('cluster', 'list-endpoints', '--include-fenced-brokers');
    equal(/^3 .* fenced /m.test(fenced), true, `that node 3 is fenced: ${fenced}`);
  });
  await checks.check('cluster: kafka-leader-election elects nobody who may lack something', async () => {
    const places = join(directory, 'solo.json');
    writeFileSync(places, JSON.stringify({ partitions: [{ topic: 'tools-solo', partition: 0 }] }));
    const elect = (type: string) => fail('elections', '--election-type', type, '--path-to-json-file', places);
    const unclean = await elect('unclean');
    equal(/EligibleLeadersNotAvailableException/.test(unclean), true, `that nobody is there: ${unclean}`);
    const preferred = await elect('preferred');
    equal(/PreferredLeaderNotAvailableException/.test(preferred), true, `that it is not there: ${preferred}`);
  });
  await checks.check('cluster: kafka-topics shows that a node is back', async () => {
    await cluster.startNode(3);
    await until('nothing is under-replicated', async () => (await run('topics', ...lacking)) === '');
    await until('nothing is unavailable', async () => {
      return (await run('topics', '--describe', '--unavailable-partitions')) === '';
    });
    const every = await run('elections', '--election-type', 'preferred', '--all-topic-partitions');
    equal(/Error/.test(every), false, `that preferred leaders are elected: ${every}`);
    const again = await run(
      'elections',
      '--election-type',
      'unclean',
      ...named('tools-solo'),
      '--partition',
      '0',
    );
    equal(
      /Valid replica already elected for partitions tools-solo-0/.test(again),
      true,
      `that it is led: ${again}`,
    );
  });
}
