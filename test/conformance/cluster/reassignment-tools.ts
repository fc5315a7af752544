/** kafka-reassign-partitions and kafka-leader-election: where replicas are, and which of them lead. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { equal } from '../suite.ts';
import { type DescribedPartition, type Tools, inOrder, named, parsePartitions, until } from './tools.ts';

export async function reassignments(tools: Tools): Promise<void> {
  const { checks, run, verifiable, directory } = tools;
  const topic = 'tools-moved';
  const plan = join(directory, 'plan.json');
  const describe = async (): Promise<DescribedPartition[]> =>
    parsePartitions(await run('topics', '--describe', ...named(topic)));
  await checks.check('cluster: kafka-reassign-partitions generates a plan', async () => {
    await run('topics', '--create', ...named(topic), '--replica-assignment', '1:2,2:3,3:1');
    const file = join(directory, 'topics.json');
    writeFileSync(file, JSON.stringify({ version: 1, topics: [{ topic }] }));
    const output = await run(
      'reassign',
      '--topics-to-move-json-file',
      file,
      '--broker-list',
      '1,2,3',
      '--generate',
    );
    const [current, proposed] = output.split('\n').filter((line) => line.startsWith('{'));
    const now: Plan = JSON.parse(current ?? '');
    equal(
      now.partitions.map(({ replicas }) => replicas),
      [
        [1, 2],
        [2, 3],
        [3, 1],
      ],
      'where the replicas are',
    );
    const then: Plan = JSON.parse(proposed ?? '');
    equal(
      then.partitions.map(({ replicas }) => replicas.length),
      [2, 2, 2],
      'the numbers of replicas proposed',
    );
  });
  await checks.check('cluster: kafka-reassign-partitions moves, adds and takes away, throttled', async () => {
    writePlan(plan, topic, [[3, 2, 1], [1, 3], [2]]);
    const begun = await run(
      'reassign',
      '--reassignment-json-file',
      plan,
      '--execute',
      '--throttle',
      '50000000',
    );
    equal(/Successfully started partition reassignments/.test(begun), true, `that it is begun: ${begun}`);
    const throttled = await run('configs', '--describe', '--entity-type', 'brokers', '--entity-name', '1');
    equal(
      /leader\.replication\.throttled\.rate=50000000/.test(throttled),
      true,
      `that it is throttled: ${throttled}`,
    );
    const verify = ['--reassignment-json-file', plan, '--verify'];
    await until('the reassignment is over', async () => {
      const status = await run('reassign', ...verify, '--preserve-throttles');
      return (status.match(/is completed/g) ?? []).length === 3;
    });
    const verified = await run('reassign', ...verify);
    equal(
      /Clearing broker-level throttles on brokers 1,2,3/.test(verified),
      true,
      `that throttles go: ${verified}`,
    );
    const free = await run('configs', '--describe', '--entity-type', 'brokers', '--entity-name', '1');
    equal(/throttled/.test(free), false, `that it is throttled still: ${free}`);
    equal(
      (await describe()).map(({ replicas }) => replicas),
      [[3, 2, 1], [1, 3], [2]],
      'the replicas',
    );
    equal(await run('reassign', '--list'), 'No partition reassignments found.\n', 'what is under way');
  });
  await checks.check('cluster: kafka-leader-election brings preferred leaders back', async () => {
    const led = (await describe())[0]?.leader;
    const places = join(directory, 'elections.json');
    writeFileSync(places, JSON.stringify({ partitions: [{ topic, partition: 0 }] }));
    const output = await run('elections', '--election-type', 'preferred', '--path-to-json-file', places);
    const expected = led === 3 ? /Valid replica already elected/ : /Successfully completed leader election/;
    equal(expected.test(output), true, `that node 3 is elected: ${output}`);
    await run('elections', '--election-type', 'preferred', '--all-topic-partitions');
    await until('all have their preferred leaders', async () =>
      (await describe()).every(({ leader, replicas }) => leader === replicas[0]),
    );
  });
  await checks.check('cluster: kafka-reassign-partitions gives a move up', async () => {
    await run('topics', '--create', ...named('tools-held'), '--replica-assignment', '1:2');
    const load = [
      '--max-messages',
      '50000',
      '--throughput',
      '-1',
      '--acks',
      '-1',
      '--value-prefix',
      '1234567',
    ];
    await verifiable('VerifiableProducer', ...named('tools-held'), ...load);
    writePlan(plan, 'tools-held', [[3, 2]]);
    await run('reassign', '--reassignment-json-file', plan, '--execute', '--throttle', '1024');
    const listed = await run('reassign', '--list');
    equal(
      /tools-held-0: replicas: 3,2,1\. adding: 3\. removing: 1\./.test(listed),
      true,
      `that it moves: ${listed}`,
    );
    const cancelled = await run('reassign', '--reassignment-json-file', plan, '--cancel');
    equal(/Successfully cancelled partition reassignment for: tools-held-0/.test(cancelled), true, cancelled);
    equal(await run('reassign', '--list'), 'No partition reassignments found.\n', 'what is under way');
    const [kept] = parsePartitions(await run('topics', '--describe', ...named('tools-held')));
    equal(inOrder(kept?.replicas ?? []), [1, 2], 'the replicas');
  });
}

interface Plan {
  readonly partitions: readonly { readonly replicas: readonly number[] }[];
}

function writePlan(file: string, topic: string, replicas: readonly (readonly number[])[]): void {
  const partitions = replicas.map((ids, partition) => ({ topic, partition, replicas: ids }));
  writeFileSync(file, JSON.stringify({ version: 1, partitions }));
}
