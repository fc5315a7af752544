/** The matrix: which clients, which assignor, what happens. */
import type { GroupSpec } from './group-run.ts';

export interface Row {
  /** Of the check, after `groups: `. */
  readonly name: string;
  /** Members are made of them in turn, of those that can be had. */
  readonly clients: readonly string[];
  readonly spec: GroupSpec;
  /** `coordinator`: on three nodes, and what happens is that the coordinator goes away. */
  readonly scenario: 'lifecycle' | 'storm' | 'static' | 'migration' | 'coordinator';
}

interface Abilities {
  /** Assignors of the classic protocol, by Kafka's names. */
  readonly classic: readonly string[];
  /** The server's, of group.protocol=consumer. */
  readonly consumer: readonly string[];
  /** The protocols in which its members can stop and come back by their group.instance.id. */
  readonly isStatic: readonly GroupSpec['protocol'][];
  /** Subscribes to regular expressions that the broker resolves. */
  readonly hasPatterns: boolean;
  /** How many topics it can read; any number where absent. */
  readonly topics?: number;
}

const server = ['uniform', 'range'];

const abilities: Readonly<Record<string, Abilities>> = {
  // Its only assignor has a name that no other client has; range and roundrobin are added here for mixed groups.
  kafkajs: { classic: ['RoundRobinAssigner'], consumer: [], isStatic: [], hasPatterns: false },
  kcat: {
    classic: ['range', 'roundrobin', 'cooperative-sticky'],
    consumer: [],
    isStatic: ['classic'],
    hasPatterns: false,
  },
  confluent: {
    classic: ['range', 'roundrobin', 'cooperative-sticky'],
    consumer: server,
    isStatic: ['classic', 'consumer'],
    hasPatterns: true,
  },
  'franz-go': {
    classic: ['range', 'roundrobin', 'sticky', 'cooperative-sticky'],
    consumer: server,
    // In the consumer protocol its goodbye lacks the name of the instance, and brokers refuse it.
    isStatic: ['classic'],
    hasPatterns: true,
  },
  platformatic: {
    classic: ['roundrobin', 'cooperative-sticky'],
    consumer: server,
    // It can end in one way only, which in the consumer protocol leaves the group for good.
    isStatic: ['classic'],
    hasPatterns: false,
  },
  java: {
    classic: ['range', 'roundrobin', 'sticky', 'cooperative-sticky'],
    consumer: server,
    isStatic: ['classic', 'consumer'],
    hasPatterns: true,
  },
  // Kafka's VerifiableConsumer.
  verifiable: {
    classic: ['range', 'roundrobin', 'sticky', 'cooperative-sticky'],
    consumer: server,
    isStatic: ['classic', 'consumer'],
    hasPatterns: false,
    topics: 1,
  },
  own: {
    classic: ['range', 'roundrobin', 'sticky', 'cooperative-sticky'],
    consumer: server,
    isStatic: ['classic', 'consumer'],
    hasPatterns: true,
  },
};

type Mix = readonly [assignor: string, clients: readonly string[]];

/** Clients that share a group. */
const mixes: readonly Mix[] = [
  ['range', ['kafkajs', 'confluent', 'franz-go', 'own']],
  ['roundrobin', ['kafkajs', 'confluent', 'franz-go', 'own']],
  ['roundrobin', ['platformatic', 'own']],
  ['sticky', ['franz-go', 'own']],
  ['cooperative-sticky', ['confluent', 'franz-go', 'own']],
  ['range', ['java', 'kafkajs', 'own']],
  ['roundrobin', ['java', 'kafkajs', 'own']],
  ['sticky', ['java', 'franz-go', 'own']],
  ['cooperative-sticky', ['java', 'confluent', 'franz-go', 'own']],
];

/** All rows, or those few of the short form. */
export function rowsOf(isShort: boolean): Row[] {
  return isShort ? shortRows() : longRows();
}

function shortRows(): Row[] {
  return [
    row(['kafkajs', 'confluent', 'franz-go', 'own'], { protocol: 'classic', assignor: 'range' }),
    row(['confluent', 'franz-go', 'own'], { protocol: 'classic', assignor: 'cooperative-sticky' }),
    staticRow('range', ['confluent', 'franz-go', 'own']),
    row(['confluent', 'franz-go', 'own'], { protocol: 'consumer', assignor: 'uniform' }),
  ];
}

function longRows(): Row[] {
  const withConsumer = Object.keys(abilities).filter((client) => {
    const { consumer, topics } = abilities[client]!;
    return consumer.length > 0 && topics === undefined;
  });
  return [
    ...Object.keys(abilities).flatMap(rowsOfOne),
    ...mixes.map((mix) => mixedRow(mix)),
    staticRow('range', ['confluent', 'franz-go', 'own']),
    row(withConsumer, { protocol: 'consumer', assignor: 'uniform' }),
    ...rowsOfBothProtocols(),
    ...stormRows(),
    clusterRow(['own', 'confluent', 'franz-go'], { protocol: 'classic', assignor: 'range' }),
    clusterRow(['own', 'confluent', 'franz-go'], { protocol: 'classic', assignor: 'cooperative-sticky' }),
    clusterRow(['java'], { protocol: 'classic', assignor: 'cooperative-sticky' }),
    clusterRow(withConsumer, { protocol: 'consumer', assignor: 'uniform' }),
  ];
}

function rowsOfOne(client: string): Row[] {
  const { classic, consumer, isStatic, hasPatterns } = abilities[client]!;
  const rows = classic.map((assignor) => row([client], { protocol: 'classic', assignor }));
  if (isStatic.includes('classic'))
    rows.push(...staticAssignors(classic).map((assignor) => staticRow(assignor, [client])));
  rows.push(...consumer.map((assignor) => row([client], { protocol: 'consumer', assignor })));
  if (isStatic.includes('consumer')) rows.push(staticRow('uniform', [client], 'consumer'));
  if (hasPatterns) rows.push(patternRow([client]));
  return rows;
}

function rowsOfBothProtocols(): Row[] {
  const both = { protocol: 'classic', assignor: 'range', isOfBothProtocols: true } as const;
  const rows = [row(['kafkajs', 'confluent', 'own', 'franz-go'], both), row(['java', 'own'], both)];
  for (const assignor of ['range', 'cooperative-sticky'])
    for (const clients of [['confluent', 'franz-go', 'own'], ['java'], ['java', 'own', 'confluent']])
      rows.push(migrationRow(clients, assignor));
  for (const assignor of ['roundrobin', 'sticky']) rows.push(migrationRow(['java'], assignor));
  rows.push(migrationRow(['verifiable'], 'range'));
  return rows;
}

/** One where all is given up at a rebalance, and one where it is not. */
function staticAssignors(classic: readonly string[]): string[] {
  return [classic[0]!, ...classic.filter((name) => name === 'cooperative-sticky')];
}

function mixedRow([assignor, clients]: Mix): Row {
  return row(clients, { protocol: 'classic', assignor });
}

function staticRow(
  assignor: string,
  clients: readonly string[],
  protocol: GroupSpec['protocol'] = 'classic',
): Row {
  return variant(row(clients, { protocol, assignor }), 'static', {
    scenario: 'static',
    name: 'static members restart',
  });
}

function patternRow(clients: readonly string[]): Row {
  const base = row(clients, { protocol: 'consumer', assignor: 'uniform', byPattern: true });
  return variant(base, 'pattern', { name: 'by a pattern' });
}

function clusterRow(clients: readonly string[], spec: Omit<GroupSpec, 'name'>): Row {
  return variant(row(clients, spec), 'moved', { scenario: 'coordinator', name: 'the coordinator restarts' });
}

function migrationRow(clients: readonly string[], assignor: string): Row {
  const base = row(clients, { protocol: 'classic', assignor });
  return variant(base, 'migrated', { scenario: 'migration', name: 'to the protocol consumer and back' });
}

function stormRows(): Row[] {
  const clients = ['own', 'confluent', 'franz-go'];
  return [
    stormRow(clients, { protocol: 'classic', assignor: 'range' }),
    stormRow(clients, { protocol: 'classic', assignor: 'cooperative-sticky' }),
    stormRow([...clients, 'kafkajs'], { protocol: 'classic', assignor: 'roundrobin' }),
    stormRow(clients, { protocol: 'consumer', assignor: 'uniform' }),
    stormRow(clients, { protocol: 'classic', assignor: 'range', isOfBothProtocols: true }),
  ];
}

function stormRow(clients: readonly string[], spec: Omit<GroupSpec, 'name'>): Row {
  return variant(row(clients, spec), 'storm', { scenario: 'storm', name: 'nobody waits' });
}

/** A row of another name, for a group of another name. */
function variant(base: Row, suffix: string, change: Partial<Row> & { readonly name: string }): Row {
  const spec = { ...base.spec, name: `${base.spec.name}-${suffix}` };
  return { ...base, ...change, spec, name: `${base.name}: ${change.name}` };
}

function row(clients: readonly string[], spec: Omit<GroupSpec, 'name'>): Row {
  const topics = Math.min(...clients.map((client) => abilities[client]?.topics ?? Infinity));
  const how = protocolOf(spec) + spec.assignor;
  return {
    name: `${clients.join(' + ')}, ${how}`,
    clients,
    spec: {
      ...spec,
      ...(topics === Infinity ? {} : { topics }),
      name: [
        'groups',
        spec.isOfBothProtocols === true ? 'both' : spec.protocol,
        ...clients,
        spec.assignor,
      ].join('-'),
    },
    scenario: 'lifecycle',
  };
}

function protocolOf({ protocol, isOfBothProtocols }: Omit<GroupSpec, 'name'>): string {
  if (isOfBothProtocols === true) return 'both protocols, ';
  return protocol === 'consumer' ? 'protocol consumer, ' : '';
}
