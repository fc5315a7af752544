/** kafka-consumer-groups in all its modes, kafka-groups, kafka-configs of groups and the Java Admin client, on groups of Java members. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type BrokerKind, formatKafkaStorage, startBroker } from '../../../support/broker-process.ts';
import type { Suite } from '../../suite.ts';
import { until } from '../../cluster/tools.ts';
import { ToolRunner } from '../../tool-runner.ts';
import { installJava, installJavaPrograms } from '../java-clients.ts';
import { Journal } from '../journal.ts';
import type { MemberConfig } from '../line-protocol.ts';
import { MemberProcess } from '../member-process.ts';
import { emptyGroups } from './empty-groups.ts';
import { ends, fillTopics, makeAdmin, makeRun, numbersByPlace, tablesOf, topics } from './group-tools.ts';
import { type LiveGroup, liveGroups } from './live-groups.ts';

const settleMs = 60_000;

const settings = {
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.min.session.timeout.ms': '6000',
  'group.consumer.heartbeat.interval.ms': '300',
  'group.consumer.min.heartbeat.interval.ms': '300',
  'auto.create.topics.enable': 'false',
};

interface Planned {
  readonly type: LiveGroup['type'];
  readonly assignor: string;
  readonly pattern: string | null;
  /** By client id: the names of instances. */
  readonly members: Readonly<Record<string, string>>;
}

const planned: Readonly<Record<string, Planned>> = {
  'tools-classic': {
    type: 'Classic',
    assignor: 'range',
    pattern: null,
    members: { 'classic-1': '', 'classic-2': 'classic-instance' },
  },
  'tools-consumer': {
    type: 'Consumer',
    assignor: 'uniform',
    pattern: null,
    members: { 'consumer-1': '', 'consumer-2': 'consumer-instance' },
  },
  'tools-pattern': {
    type: 'Consumer',
    assignor: 'range',
    pattern: '^tools-[ab]$',
    members: { 'pattern-1': '' },
  },
};

/** Ports from `port` on: three. */
export async function groupToolsSuite(
  suite: Omit<Suite, 'broker'>,
  options: { readonly kind: BrokerKind; readonly port: number; readonly jarsMissing: string | undefined },
): Promise<void> {
  const { checks, children } = suite;
  const names = ['groups: kafka-', 'groups: Java Admin', 'groups: what '];
  if (!checks.wants('groups') && !names.some((name) => checks.mayRun(name))) return;
  if (options.jarsMissing !== undefined) {
    checks.skip('groups: Kafka’s tools', `they cannot be had: ${options.jarsMissing}`);
    return;
  }
  const directory = join(suite.directory, 'group-tools');
  mkdirSync(directory);
  const spec = { port: options.port, directory, settings };
  if (options.kind === 'kafka') await formatKafkaStorage(children, spec);
  const broker = await startBroker(options.kind, children, spec);
  await fillTopics(broker.address);
  const runner = new ToolRunner(children, await installJavaPrograms(children));
  const run = makeRun(runner, broker.address);
  const tools = { checks, broker, directory, run, admin: makeAdmin(runner, broker.address) };
  const members = await startMembers(suite, broker.address);
  const groups = await settled(members);
  for (const { name } of groups)
    await until(`${name} has committed all`, async () => {
      const described = tablesOf(await run('groups', '--describe', '--group', name));
      return JSON.stringify(numbersByPlace(described, 'CURRENT-OFFSET')) === JSON.stringify(ends);
    });
  await liveGroups(tools, groups);
  await Promise.all(members.all.map((member) => member.leave(settleMs)));
  await emptyGroups(tools, Object.keys(planned));
  runner.close();
  await broker.kill();
}

interface Members {
  readonly journal: Journal;
  readonly all: readonly MemberProcess[];
}

async function startMembers({ children }: Omit<Suite, 'broker'>, brokers: string): Promise<Members> {
  const client = await installJava(children);
  const journal = new Journal();
  const all = Object.entries(planned).flatMap(([groupId, { type, assignor, pattern, members }]) =>
    Object.entries(members).map(([clientId, instanceId]) => {
      const config: MemberConfig = {
        brokers,
        clientId,
        groupId,
        topics: Object.keys(topics),
        pattern,
        protocol: type === 'Classic' ? 'classic' : 'consumer',
        assignor,
        instanceId: instanceId === '' ? null : instanceId,
        sessionTimeoutMs: 30_000,
        heartbeatIntervalMs: 300,
        rebalanceTimeoutMs: 30_000,
      };
      return new MemberProcess(children, journal, { client, name: clientId, config });
    }),
  );
  return { journal, all };
}

/** Who owns what, once each group has shared everything out. */
async function settled({ journal, all }: Members): Promise<LiveGroup[]> {
  const inGroup = (groupId: string): MemberProcess[] =>
    all.filter(({ config }) => config.groupId === groupId);
  const places = Object.keys(ends).length;
  await journal.until('the members share all partitions', settleMs, () => {
    for (const member of all) member.check();
    const isShared = (groupId: string): boolean => {
      const owned = inGroup(groupId).map((member) => member.owned);
      const even = Math.floor(places / owned.length);
      const total = owned.reduce((sum, { size }) => sum + size, 0);
      return total === places && owned.every(({ size }) => size >= even);
    };
    const missing = Object.keys(planned).filter((groupId) => !isShared(groupId));
    return missing.length === 0 ? undefined : missing.join(', ');
  });
  return Object.entries(planned).map(([name, { type, assignor }]) => ({
    name,
    type,
    assignor,
    members: new Map(
      inGroup(name).map((member) => [
        member.name,
        {
          instanceId: member.config.instanceId ?? '',
          owns: new Set([...member.owned].map((place) => place.replace('/', ' '))),
        },
      ]),
    ),
  }));
}
