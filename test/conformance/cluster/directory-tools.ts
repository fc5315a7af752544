/** kafka-log-dirs, and kafka-reassign-partitions with directories: in which of a node's data directories replicas lie. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kappalog } from '../../../client/index.ts';
import { equal } from '../suite.ts';
import { type Tools, inOrder, named, until } from './tools.ts';

const topic = 'tools-places';
const values = 400;
const valueBytes = 10_000;
const rateSetting = 'replica.alter.log.dirs.io.max.bytes.per.second';

export async function directories(tools: Tools): Promise<void> {
  await described(tools);
  await moved(tools);
  await calledOff(tools);
  await broughtTogether(tools);
}

interface Place {
  readonly path: string;
  readonly partition: string;
  readonly size: number;
  readonly offsetLag: number;
  readonly isFuture: boolean;
}

/** By node, the replicas of these topics with their directories. */
async function placesOf(
  { run }: Tools,
  ...topics: readonly string[]
): Promise<Map<number, readonly Place[]>> {
  const output = await run('logDirs', '--describe', '--topic-list', topics.join(','));
  const found: LogDirs = JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? '');
  return new Map(
    found.brokers.map(({ broker, logDirs }) => {
      equal(logDirs.length, 2, `the number of directories of node ${broker}`);
      equal(
        logDirs.map(({ error }) => error),
        [null, null],
        `the errors of node ${broker}`,
      );
      const places = logDirs.flatMap(({ logDir: path, partitions }) =>
        partitions.map((each) => ({ path, ...each })),
      );
      return [broker, places];
    }),
  );
}

async function described(tools: Tools): Promise<void> {
  const { checks, run, fail, cluster } = tools;
  await checks.check('cluster: kafka-log-dirs shows every replica on its node', async () => {
    const places = await placesOf(tools, 'tools-records');
    equal(inOrder([...places.keys()]), [...cluster.nodeIds], 'the nodes');
    for (const [node, replicas] of places) {
      equal(
        replicas.map(({ partition }) => partition).sort(),
        [0, 1, 2].map((partition) => `tools-records-${partition}`),
        `the replicas of node ${node}`,
      );
      equal(
        replicas.every(({ size, isFuture, offsetLag }) => size > 0 && !isFuture && offsetLag === 0),
        true,
        `that all are current and hold something: ${JSON.stringify(replicas)}`,
      );
    }
    const some = await run('logDirs', '--describe', '--broker-list', '2', '--topic-list', 'tools-records');
    equal(
      [...some.matchAll(/"broker":(\d+)/g)].map(([, node]) => node),
      ['2'],
      'the one node asked for',
    );
    const refused = await fail('logDirs', '--describe', '--broker-list', '1,9');
    equal(/do not exist from --broker-list: 9/.test(refused), true, `that node 9 is not known: ${refused}`);
  });
}

/** A plan for partition 0, with the directory of one of its replicas. */
function writePlan({ directory }: Tools, replicas: readonly number[], node: number, path: string): string {
  const file = join(directory, 'directories.json');
  const places = replicas.map((id) => (id === node ? path : 'any'));
  const partitions = [{ topic, partition: 0, replicas, log_dirs: places }];
  writeFileSync(file, JSON.stringify({ version: 1, partitions }));
  return file;
}

/** The path of the replica that counts, and that of the copy where there is one. */
async function pathsOf(
  tools: Tools,
  node: number,
): Promise<{ home: string; future: string | undefined; other: string }> {
  const places = (await placesOf(tools, topic)).get(node) ?? [];
  const home = places.find(({ isFuture }) => !isFuture)?.path ?? '';
  const future = places.find(({ isFuture }) => isFuture)?.path;
  const other = home.endsWith('-2') ? home.slice(0, -2) : `${home}-2`;
  return { home, future, other };
}

async function settingsOf({ run }: Tools, node: number): Promise<string> {
  return run('configs', '--describe', '--entity-type', 'brokers', '--entity-name', `${node}`);
}

async function moved(tools: Tools): Promise<void> {
  const { checks, run, cluster } = tools;
  await checks.check('cluster: kafka-reassign-partitions moves a replica to another directory', async () => {
    await run('topics', '--create', ...named(topic), '--replica-assignment', '1:2');
    await using kappalog = new Kappalog({ brokers: cluster.address });
    const value = 'x'.repeat(valueBytes);
    await using producer = kappalog.producer();
    await producer.sendMany(
      topic,
      Array.from({ length: values }, () => ({ value })),
    );
    const { home, other } = await pathsOf(tools, 2);
    const plan = writePlan(tools, [1, 2], 2, other);
    const rate = ['--replica-alter-log-dirs-throttle', '90000000'];
    const begun = await run('reassign', '--reassignment-json-file', plan, '--execute', ...rate);
    equal(
      new RegExp(`Successfully started moving log directory to ${other} for replica ${topic}-0`).test(begun),
      true,
      `that it is begun: ${begun}`,
    );
    equal(
      begun.includes(`"log_dirs":["${(await pathsOf(tools, 1)).home}","${home}"]`),
      true,
      `where it was: ${begun}`,
    );
    const throttled = await settingsOf(tools, 2);
    equal(throttled.includes(`${rateSetting}=90000000`), true, `that it is throttled: ${throttled}`);
    let verified = '';
    await until('the replica has moved', async () => {
      verified = await run('reassign', '--reassignment-json-file', plan, '--verify');
      return verified.includes(`Reassignment of replica ${topic}-0-2 completed successfully.`);
    });
    equal(/Clearing broker-level throttles/.test(verified), true, `that throttles go: ${verified}`);
    const free = await settingsOf(tools, 2);
    equal(free.includes(rateSetting), false, `that it is throttled still: ${free}`);
    const after = await placesOf(tools, topic);
    equal(
      after.get(2)?.map(({ path, isFuture }) => [path, isFuture]),
      [[other, false]],
      'where it is',
    );
    equal((after.get(2)?.[0]?.size ?? 0) > values * valueBytes, true, 'that it has what was written');
    const [end] = (await run('offsets', ...named(topic), '--time', 'latest')).trim().split(':').slice(2);
    equal(Number(end), values, 'the end of the partition');
  });
}

async function calledOff(tools: Tools): Promise<void> {
  const { checks, run, fail } = tools;
  await checks.check('cluster: kafka-reassign-partitions calls a move between directories off', async () => {
    const { home, other } = await pathsOf(tools, 1);
    const plan = writePlan(tools, [1, 2], 1, other);
    const rate = ['--replica-alter-log-dirs-throttle', '1000'];
    await run('reassign', '--reassignment-json-file', plan, '--execute', ...rate);
    const copy = (await placesOf(tools, topic)).get(1)?.find(({ isFuture }) => isFuture);
    equal([copy?.path, (copy?.offsetLag ?? 0) > 0], [other, true], 'the copy, which lacks records');
    const status = await run('reassign', '--reassignment-json-file', plan, '--verify');
    equal(
      status.includes(`Reassignment of replica ${topic}-0-1 is still in progress.`),
      true,
      `that it goes on: ${status}`,
    );
    await run('reassign', '--reassignment-json-file', plan, '--cancel');
    await until('there is no copy', async () => (await pathsOf(tools, 1)).future === undefined);
    equal((await pathsOf(tools, 1)).home, home, 'where the replica stays');
    const free = await settingsOf(tools, 1);
    equal(free.includes(rateSetting), false, `that it is throttled still: ${free}`);
    const unknown = writePlan(tools, [1, 2], 1, '/no/such/directory');
    const refused = await fail('reassign', '--reassignment-json-file', unknown, '--execute');
    equal(/LogDirNotFoundException/.test(refused), true, `that the directory is not known: ${refused}`);
  });
}

async function broughtTogether(tools: Tools): Promise<void> {
  const { checks, run } = tools;
  await checks.check('cluster: kafka-reassign-partitions puts a new replica where it says', async () => {
    for (const end of ['', '-2']) {
      const [first = ''] = (await pathsOf(tools, 1)).home.split(/-2$/);
      const path = `${first.replace('node-1', 'node-3')}${end}`;
      const plan = writePlan(tools, [1, 3], 3, path);
      await run('reassign', '--reassignment-json-file', plan, '--execute');
      await until(`the replica is in ${path}`, async () => {
        const verified = await run('reassign', '--reassignment-json-file', plan, '--verify');
        return (
          /partition \S+ is completed/.test(verified) && verified.includes('-0-3 completed successfully.')
        );
      });
      equal(
        (await placesOf(tools, topic)).get(3)?.map((each) => each.path),
        [path],
        'where it is',
      );
      equal((await placesOf(tools, topic)).get(2), [], 'what the node has that had it');
      const back = writePlan(tools, [1, 2], 9, '');
      await run('reassign', '--reassignment-json-file', back, '--execute');
      await until('it is back', async () =>
        /is completed/.test(await run('reassign', '--reassignment-json-file', back, '--verify')),
      );
    }
  });
}

interface LogDirs {
  readonly brokers: readonly {
    readonly broker: number;
    readonly logDirs: readonly {
      readonly error: string | null;
      readonly logDir: string;
      readonly partitions: readonly Omit<Place, 'path'>[];
    }[];
  }[];
}
