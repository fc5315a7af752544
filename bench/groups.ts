/**
 * The coordinator of groups against Apache Kafka's, one node each, in turn in one run.
 *
 *   npm run bench groups -- [--pairs 5] [--rows TEXT] [--quick] [--port 23500]
 *
 * Rows: `PROTOCOL N start | join | leave`, the time that N members need over 100 partitions until all is shared out again; `commits`;
 * `heartbeats`; `idle PROTOCOL`, 2,000 members that do nothing else; `load`, a start with a million committed offsets. `--quick` is a check of the bench, not a measurement. Needs
 * java and mvn. Prints Markdown tables and writes them to bench/results/.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kappalog } from '../client/index.ts';
import { realPlatform } from '../platform/real/real-platform.ts';
import { installKafkaJars } from '../test/support/apache-kafka-jars.ts';
import { formatKafkaStorage, projectDirectory, startBroker } from '../test/support/broker-process.ts';
import type { BrokerKind, BrokerProcess } from '../test/support/broker-process.ts';
import { ChildProcesses } from '../test/support/child-processes.ts';
import { scriptOptions } from '../test/support/script-options.ts';
import { BenchGroup } from './groups/bench-group.ts';
import type { GroupProtocol, Surroundings } from './groups/bench-group.ts';
import { sharedPartitions, sharedTopic } from './groups/bench-member.ts';
import { commitsPerSecond, heartbeatsPerSecond, idleMembers } from './groups/coordinator-load.ts';
import { commitForGroups, startLoading } from './groups/loading.ts';
import type { LoadingSample } from './groups/loading.ts';
import { groupsMarkdown } from './groups/report.ts';
import type { GroupRow } from './groups/report.ts';

type Contender = Surroundings & { readonly broker: BrokerProcess; readonly pid: number };

interface Pair {
  readonly subject: Contender;
  readonly peer: Contender;
}

interface Plan {
  readonly pairs: number;
  readonly rows: string;
  readonly quick: boolean;
}

const usage = 'npm run bench groups -- [--pairs 5] [--rows TEXT] [--quick] [--port 23500]';
const protocols: readonly GroupProtocol[] = ['classic', 'consumer'];
const idleCount = 2_000;
/** Each commits for 100 partitions. */
const loadedGroups = 10_000;

export async function benchGroups(args: readonly string[]): Promise<void> {
  const { values } = scriptOptions(usage, {
    args: [...args],
    options: {
      pairs: { type: 'string' },
      rows: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      port: { type: 'string', default: '23500' },
    },
  });
  const { quick, rows } = values;
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-bench-groups-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const children = new ChildProcesses();
  await installKafkaJars(children);
  const port = Number(values.port);
  const pair = {
    subject: await contend('kappalog', children, { port, directory: join(directory, 'subject') }),
    peer: await contend('kafka', children, { port: port + 10, directory: join(directory, 'peer') }),
  };
  const plan = { pairs: Number(values.pairs ?? (quick ? 1 : 5)), rows, quick };
  await warmUp(pair, quick);
  const report = {
    command: ['npm run bench groups --', ...args].join(' '),
    date: new Date().toISOString().slice(0, 10),
    times: await measureTimes(pair, plan),
    rates: await measureRates(pair, plan),
    idle: await measureIdle(pair, plan),
    loading: [] as GroupRow<LoadingSample>[],
  };
  await pair.subject.broker.stop();
  await pair.peer.broker.stop();
  if ('load'.includes(rows)) report.loading = [await measureLoading(children, { port, directory }, plan)];
  const text = groupsMarkdown(report);
  console.log(text);
  const results = join(projectDirectory, 'bench/results');
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${report.date}-groups${quick ? '-quick' : ''}.md`), text);
}

async function contend(
  kind: BrokerKind,
  children: ChildProcesses,
  base: { readonly port: number; readonly directory: string },
): Promise<Contender> {
  const settings = { 'group.initial.rebalance.delay.ms': '0' };
  const spec = { ...base, settings, heap: '1g' };
  if (kind === 'kafka') await formatKafkaStorage(children, spec);
  const broker = await startBroker(kind, children, spec);
  await using client = new Kappalog({ brokers: broker.address });
  await client
    .admin()
    .createTopics([{ name: sharedTopic, partitions: sharedPartitions, replicationFactor: 1 }]);
  // The coordinator's own topic is made when a group is looked for.
  await client.admin().describeGroups(['none']);
  const { clock, network } = realPlatform();
  return { clock, network, address: { host: broker.host, port: broker.port }, broker, pid: broker.pid };
}

/** A JVM is slow until its code is compiled; both get the same loads before anything counts. */
async function warmUp({ subject, peer }: Pair, quick: boolean): Promise<void> {
  for (let round = 0; round < (quick ? 1 : 5); round += 1) {
    for (const contender of [subject, peer]) {
      await commitsPerSecond(contender, quick ? 300 : 3_000, `warm-commits-${round}`);
      await heartbeatsPerSecond(contender, quick ? 300 : 3_000, `warm-heartbeats-${round}`);
      for (const protocol of protocols) {
        const group = new BenchGroup(contender, `warm-${protocol}-${round}`, protocol);
        await group.join(await group.connect(50));
        await group.end();
      }
    }
  }
}

async function measureTimes(pair: Pair, { pairs, rows, quick }: Plan): Promise<GroupRow<number>[]> {
  const measured: GroupRow<number>[] = [];
  for (const protocol of protocols) {
    for (const size of [3, 50, 500]) {
      const names = ['start', 'join', 'leave'].map((event) => `${protocol} ${size} ${event}`);
      if (!names.some((name) => name.includes(rows))) continue;
      const found = [];
      for (let run = 0; run < pairs; run += 1) {
        const label = `${protocol}-${size}-${run}`;
        found.push({
          subject: await rebalances(pair.subject, protocol, size, label),
          peer: await rebalances(pair.peer, protocol, size, label),
        });
      }
      for (const [place, name] of names.entries()) {
        const samples = found.map(({ subject, peer }) => ({ subject: subject[place]!, peer: peer[place]! }));
        measured.push({ name, pairs: samples });
      }
      console.error(`measured ${protocol} ${size}${quick ? ' (quick)' : ''}`);
    }
  }
  return measured;
}

/** How long it takes that all of them begin, that one more joins, and that one leaves. */
async function rebalances(
  contender: Contender,
  protocol: GroupProtocol,
  size: number,
  label: string,
): Promise<readonly number[]> {
  const group = new BenchGroup(contender, label, protocol);
  const started = await group.join(await group.connect(size));
  const joined = await group.join(await group.connect(1));
  const left = await group.leaveOne();
  await group.end();
  return [started, joined, left];
}

async function measureRates(pair: Pair, { pairs, rows, quick }: Plan): Promise<GroupRow<number>[]> {
  const loads = [
    ['commits', commitsPerSecond],
    ['heartbeats', heartbeatsPerSecond],
  ] as const;
  const measured: GroupRow<number>[] = [];
  for (const [name, load] of loads) {
    if (!name.includes(rows)) continue;
    const found = [];
    for (let run = 0; run < pairs; run += 1) {
      const [forMs, label] = [quick ? 500 : 5_000, `${name}-${run}`];
      found.push({
        subject: await load(pair.subject, forMs, label),
        peer: await load(pair.peer, forMs, label),
      });
    }
    measured.push({ name, pairs: found });
    console.error(`measured ${name}`);
  }
  return measured;
}

async function measureIdle(pair: Pair, { pairs, rows, quick }: Plan) {
  const measured = [];
  for (const protocol of protocols) {
    const name = `idle ${protocol}`;
    if (!name.includes(rows)) continue;
    const found = [];
    for (let run = 0; run < Math.min(pairs, 3); run += 1) {
      const options = {
        members: quick ? 200 : idleCount,
        forMs: quick ? 3_000 : 20_000,
        label: `${name}-${run}`,
      };
      found.push({
        subject: await idleMembers(pair.subject, protocol, options),
        peer: await idleMembers(pair.peer, protocol, options),
      });
    }
    measured.push({ name: `${quick ? 200 : idleCount} ${protocol}`, pairs: found });
    console.error(`measured ${name}`);
  }
  return measured;
}

/** On brokers of their own, whose groups are all in one partition of `__consumer_offsets`; one runs at a time. */
async function measureLoading(
  children: ChildProcesses,
  base: { readonly port: number; readonly directory: string },
  { pairs, quick }: Plan,
): Promise<GroupRow<LoadingSample>> {
  const groups = quick ? loadedGroups / 20 : loadedGroups;
  const { clock, network } = realPlatform();
  const settings = { 'offsets.topic.num.partitions': '1' };
  const prepare = async (kind: BrokerKind, port: number) => {
    const spec = { port, directory: join(base.directory, `load-${kind}`), settings, heap: '1g' };
    if (kind === 'kafka') await formatKafkaStorage(children, spec);
    const broker = await startBroker(kind, children, spec);
    await using client = new Kappalog({ brokers: broker.address });
    const topic = { name: sharedTopic, partitions: sharedPartitions, replicationFactor: 1 };
    await client.admin().createTopics([topic]);
    await client.admin().describeGroups(['none']);
    const address = { host: broker.host, port: broker.port };
    await commitForGroups({ clock, network, address }, groups);
    await broker.stop();
    return { kind, children, spec };
  };
  const subject = await prepare('kappalog', base.port + 20);
  const peer = await prepare('kafka', base.port + 30);
  const found = [];
  const measure = async (which: typeof subject): Promise<LoadingSample> => {
    const { broker, ...sample } = await startLoading(which, { clock, network }, groups);
    await broker.stop();
    return sample;
  };
  for (let run = 0; run < pairs; run += 1) {
    found.push({ subject: await measure(subject), peer: await measure(peer) });
  }
  console.error('measured load');
  return { name: `${groups * sharedPartitions} offsets`, pairs: found };
}
