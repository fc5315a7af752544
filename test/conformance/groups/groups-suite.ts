/**
 * Clients in consumer groups: members that join, crash, leave, restart and are replaced, alone and mixed with other clients, for every
 * assignor that they have. See ledger.ts for what is compared.
 */
import { join } from 'node:path';
import { Kappalog } from '../../../client/index.ts';
import { BrokerCluster } from '../../support/broker-cluster.ts';
import { type BrokerKind, formatKafkaStorage, startBroker } from '../../support/broker-process.ts';
import type { Suite } from '../suite.ts';
import { type InstalledClients, installClients } from './clients.ts';
import type { GroupRun, GroupsSuite } from './group-run.ts';
import type { LedgerSums } from './ledger.ts';
import type { MemberClient } from './member-process.ts';
import { type Row, rowsOf } from './rows.ts';
import { disturbed, lifecycle, migration, staticRestarts, storm } from './scenarios.ts';

const settings = {
  'group.initial.rebalance.delay.ms': '0',
  // Of the consumer protocol, where brokers and not members say these.
  'group.consumer.session.timeout.ms': '6000',
  'group.consumer.min.session.timeout.ms': '6000',
  'group.consumer.heartbeat.interval.ms': '300',
  'group.consumer.min.heartbeat.interval.ms': '300',
};

/** Ports from `port` on: three for one node, then three for each node of a cluster. */
export async function groupsSuite(
  suite: Omit<Suite, 'broker'>,
  options: { readonly kind: BrokerKind; readonly port: number },
): Promise<void> {
  const { checks, short } = suite;
  if (!checks.wants('groups')) return;
  const wanted = rowsOf(short).filter((row) => checks.mayRun(`groups: ${row.name}`));
  const clients = await installClients(suite.children, [...new Set(wanted.flatMap((row) => row.clients))]);
  for (const [name, why] of clients.missing) checks.skip(`groups: ${name} in all of them`, why);
  const rows = wanted.filter((row) => row.clients.some((name) => clients.byName.has(name)));
  await onOneNode(suite, options, { rows: rows.filter((row) => row.scenario !== 'coordinator'), clients });
  const further = { ...options, port: options.port + 3 };
  await onThreeNodes(suite, further, { rows: rows.filter((row) => row.scenario === 'coordinator'), clients });
}

interface Work {
  readonly rows: readonly Row[];
  readonly clients: InstalledClients;
}

type Where = { readonly kind: BrokerKind; readonly port: number };

async function onOneNode(suite: Omit<Suite, 'broker'>, { kind, port }: Where, work: Work): Promise<void> {
  if (work.rows.length === 0) return;
  const spec = { port, directory: join(suite.directory, 'groups'), settings };
  if (kind === 'kafka') await formatKafkaStorage(suite.children, spec);
  const broker = await startBroker(kind, suite.children, spec);
  const kappalog = new Kappalog({ brokers: broker.address });
  const { children } = suite;
  const groups: GroupsSuite = {
    children,
    kappalog,
    brokers: broker.address,
    replicationFactor: 1,
    directory: suite.directory,
  };
  for (const row of work.rows) {
    await runRow(suite, row, {
      clients: work.clients,
      scenario: (members) => eventsOf(row)(groups, row.spec, members),
    });
  }
  await kappalog.close();
  await broker.kill();
}

async function onThreeNodes(suite: Omit<Suite, 'broker'>, { kind, port }: Where, work: Work): Promise<void> {
  if (work.rows.length === 0) return;
  const { children, directory } = suite;
  const cluster = await BrokerCluster.start(kind, children, {
    port,
    directory: join(directory, 'groups-cluster'),
    settings,
  });
  const kappalog = new Kappalog({ brokers: cluster.address });
  const groups: GroupsSuite = {
    children,
    kappalog,
    brokers: cluster.address,
    replicationFactor: 3,
    directory,
  };
  for (const row of work.rows) {
    const away = async (run: GroupRun, how: 'stopped' | 'killed'): Promise<void> => {
      const node = await coordinatorOf(kappalog, row.spec.name);
      await (how === 'stopped' ? cluster.stopNode(node) : cluster.killNode(node));
      await run.untilRead(`after its coordinator, node ${node}, was ${how}`);
      await cluster.startNode(node);
      await cluster.untilComplete();
      await run.untilRead(`after node ${node} has come back`);
    };
    const disturb = async (run: GroupRun): Promise<void> => {
      await away(run, 'stopped');
      await away(run, 'killed');
    };
    const scenario = (members: MemberClient[]): Promise<LedgerSums> =>
      disturbed(groups, row.spec, { clients: members, disturb });
    await runRow(suite, row, { clients: work.clients, scenario });
  }
  await kappalog.close();
  await cluster.kill();
}

function eventsOf({ scenario }: Row): typeof lifecycle {
  if (scenario === 'static') return staticRestarts;
  if (scenario === 'storm') return storm;
  return scenario === 'migration' ? migration : lifecycle;
}

/** `scenario` is given those of the row's clients that the machine has. */
async function runRow(
  { checks }: Omit<Suite, 'broker'>,
  row: Row,
  {
    clients,
    scenario,
  }: { clients: InstalledClients; scenario: (members: MemberClient[]) => Promise<LedgerSums> },
): Promise<void> {
  await checks.check(`groups: ${row.name}`, async () => {
    const members = row.clients.flatMap((name) => clients.byName.get(name) ?? []);
    const { records, repeated, commits } = await scenario(members);
    console.log(
      `      ${records} records, of which ${repeated} again after they were not committed; ${commits} commits`,
    );
  });
}

async function coordinatorOf(kappalog: Kappalog, groupId: string): Promise<number> {
  const admin = kappalog.admin();
  const [group] = await admin.describeGroups([groupId]);
  await admin.close();
  if (group === undefined) throw new Error(`${groupId} is not described.`);
  return group.coordinator;
}
