/** Kafka's tools and the Java Admin client on groups that have members: one of each protocol, and one by a pattern. */
import { equal } from '../../suite.ts';
import { until } from '../../cluster/tools.ts';
import {
  type GroupTools,
  type Row,
  byPlace,
  ends,
  numbersByPlace,
  ofPlaces,
  ordered,
  tablesOf,
} from './group-tools.ts';

/** A group, and by the client ids of its members what they own, as the tools write it. */
export interface LiveGroup {
  readonly name: string;
  readonly type: 'Classic' | 'Consumer';
  readonly assignor: string;
  readonly members: ReadonlyMap<string, LiveMember>;
}

export interface LiveMember {
  /** Empty where it has none. */
  readonly instanceId: string;
  /** `topic partition`. */
  readonly owns: ReadonlySet<string>;
}

export async function liveGroups(tools: GroupTools, groups: readonly LiveGroup[]): Promise<void> {
  await lists(tools, groups);
  for (const group of groups) await descriptions(tools, group);
  await allDescriptions(tools, groups);
  for (const group of groups) await refusals(tools, group);
  await byAdmin(tools, groups);
}

/** Of the first column by the first, as kafka-consumer-groups and kafka-groups print groups. */
function listed(printed: string, ...columns: string[]): Record<string, string> {
  const rows = tablesOf(printed).toSorted((a, b) => (a['GROUP']! < b['GROUP']! ? -1 : 1));
  return Object.fromEntries(
    rows.map((row) => [row['GROUP'], columns.map((column) => row[column]).join(' ')]),
  );
}

function expected(
  groups: readonly LiveGroup[],
  valueOf: (group: LiveGroup) => string,
): Record<string, string> {
  return Object.fromEntries(groups.map((group) => [group.name, valueOf(group)]));
}

async function lists({ checks, run }: GroupTools, groups: readonly LiveGroup[]): Promise<void> {
  const consumer = groups.filter(({ type }) => type === 'Consumer');
  const classic = groups.filter(({ type }) => type === 'Classic');
  await checks.check('groups: kafka-consumer-groups --list, by states and types', async () => {
    const list = (...args: string[]): Promise<string> => run('groups', '--list', ...args);
    const names = (await list()).split('\n').filter(Boolean).sort();
    equal(names, groups.map(({ name }) => name).sort(), 'the names');
    const stable = expected(groups, () => 'Stable');
    for (const filter of [[], ['stable'], ['Stable,Empty']])
      equal(listed(await list('--state', ...filter), 'STATE'), stable, `the states ${filter.join()}`);
    equal(listed(await list('--state', 'Empty,Dead'), 'STATE'), {}, 'those without members');
    const types = expected(groups, ({ type }) => type);
    equal(listed(await list('--type'), 'TYPE'), types, 'the types');
    equal(listed(await list('--type', 'classic,consumer'), 'TYPE'), types, 'both types');
    equal(
      listed(await list('--type', 'classic'), 'TYPE'),
      expected(classic, () => 'Classic'),
      'the classic ones',
    );
    const both = listed(await list('--type', 'consumer', '--state', 'stable'), 'TYPE', 'STATE');
    equal(
      both,
      expected(consumer, () => 'Consumer Stable'),
      'those of type consumer that are stable',
    );
    equal(
      /Invalid state list 'nonsense'/.test(await list('--state', 'nonsense')),
      true,
      'that a state is refused',
    );
  });
  await checks.check('groups: kafka-groups --list, by types and protocols', async () => {
    const list = async (...args: string[]): Promise<Record<string, string>> =>
      listed(await run('allGroups', '--list', ...args), 'TYPE', 'PROTOCOL');
    const all = expected(groups, ({ type }) => `${type} consumer`);
    for (const filter of [[], ['--consumer'], ['--protocol', 'consumer']])
      equal(await list(...filter), all, `the groups ${filter.join(' ')}`);
    equal(
      await list('--group-type', 'classic'),
      expected(classic, () => 'Classic consumer'),
      'the classic ones',
    );
    equal(
      await list('--group-type', 'consumer'),
      expected(consumer, () => 'Consumer consumer'),
      'the others',
    );
    for (const filter of ['--share', '--streams']) equal(await list(filter), {}, `the groups ${filter}`);
  });
}

/** `a:0,1;b:0`, as the tools write what a member owns. */
function written(owns: ReadonlySet<string>): string {
  const byTopic = new Map<string, string[]>();
  for (const place of [...owns].sort()) {
    const [topic = '', partition = ''] = place.split(' ');
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  }
  return [...byTopic].map(([topic, partitions]) => `${topic}:${partitions.join()}`).join(';');
}

async function descriptions({ checks, run, broker }: GroupTools, group: LiveGroup): Promise<void> {
  const { name, type, assignor, members } = group;
  const describe = async (...args: string[]): Promise<Row[]> =>
    tablesOf(await run('groups', '--describe', '--group', name, ...args));
  await checks.check(`groups: kafka-consumer-groups --describe of ${name}`, async () => {
    for (const args of [[], ['--offsets', '--verbose'], ['--timeout', '5000']]) {
      const rows = await describe(...args);
      equal(numbersByPlace(rows, 'CURRENT-OFFSET'), ends, `what it has committed ${args.join(' ')}`);
      equal(numbersByPlace(rows, 'LOG-END-OFFSET'), ends, 'the ends');
      equal(
        numbersByPlace(rows, 'LAG'),
        ofPlaces(() => 0),
        'what is yet to be read',
      );
      equal(
        byPlace(rows, 'CLIENT-ID'),
        ofPlaces((partition, topic) => ownerOf(members, `${topic} ${partition}`)),
        'the owners',
      );
      equal(new Set(rows.map((row) => row['HOST'])), new Set(['/127.0.0.1']), 'the hosts');
    }
    const short = await describe('--members');
    equal(
      ofMembers(short, '#PARTITIONS'),
      inMembers(members, ({ owns }) => `${owns.size}`),
      'the sizes of shares',
    );
    equal(
      ofMembers(short, 'GROUP-INSTANCE-ID'),
      inMembers(members, ({ instanceId }) => instanceId),
      'the instances',
    );
    const long = await describe('--members', '--verbose');
    const shares = inMembers(members, ({ owns }) => written(owns));
    equal(ofMembers(long, 'CURRENT-ASSIGNMENT'), shares, 'the shares');
    const isNew = type === 'Consumer';
    equal(
      ofMembers(long, 'TARGET-ASSIGNMENT'),
      isNew ? shares : inMembers(members, () => '-'),
      'the targets',
    );
    const [state, ...others] = await describe('--state', '--verbose');
    equal(others, [], 'further lines');
    equal(
      [
        state?.['COORDINATOR (ID)']?.replace(/ +/, ' '),
        state?.['ASSIGNMENT-STRATEGY'],
        state?.['STATE'],
        state?.['#MEMBERS'],
      ],
      [`${broker.address} (1)`, assignor, 'Stable', `${members.size}`],
      'its state',
    );
    const epochs = [state?.['GROUP-EPOCH'], state?.['TARGET-ASSIGNMENT-EPOCH']];
    const epoch = isNew ? epochs[0]! : '-';
    equal(/^\d+$/.test(epoch), isNew, `that it has an epoch: ${epoch}`);
    equal(epochs, [epoch, epoch], 'its epochs');
    for (const column of ['CURRENT-EPOCH', 'TARGET-EPOCH'])
      equal(
        ofMembers(long, column),
        inMembers(members, () => epoch),
        `the members' ${column}`,
      );
  });
}

function ownerOf(members: LiveGroup['members'], place: string): string {
  return [...members].find(([, { owns }]) => owns.has(place))?.[0] ?? '-';
}

function ofMembers(rows: readonly Row[], column: string): Record<string, string> {
  const inOrder = rows.toSorted((a, b) => (a['CLIENT-ID']! < b['CLIENT-ID']! ? -1 : 1));
  return Object.fromEntries(inOrder.map((row) => [row['CLIENT-ID'], row[column] ?? '']));
}

function inMembers<T>(members: LiveGroup['members'], valueOf: (member: LiveMember) => T): Record<string, T> {
  return Object.fromEntries([...members].map(([clientId, member]) => [clientId, valueOf(member)]));
}

async function allDescriptions({ checks, run }: GroupTools, groups: readonly LiveGroup[]): Promise<void> {
  await checks.check(
    'groups: kafka-consumer-groups --describe --all-groups, and of none that is there',
    async () => {
      const describe = async (...args: string[]): Promise<Row[]> =>
        tablesOf(await run('groups', '--describe', '--all-groups', ...args));
      const counts = (rows: readonly Row[]): Record<string, number> =>
        Object.fromEntries(
          groups.map(({ name }) => [name, rows.filter((row) => row['GROUP'] === name).length]),
        );
      const places = Object.keys(ends).length;
      const sizes = Object.fromEntries(groups.map(({ name, members }) => [name, members.size]));
      equal(
        counts(await describe()),
        Object.fromEntries(groups.map(({ name }) => [name, places])),
        'the places',
      );
      equal(counts(await describe('--members')), sizes, 'the members');
      equal(
        counts(await describe('--state')),
        Object.fromEntries(groups.map(({ name }) => [name, 1])),
        'the states',
      );
      for (const args of [['--offsets'], ['--members'], ['--state']]) {
        const answer = await run('groups', '--describe', '--group', 'tools-none', ...args);
        equal(
          /GroupIdNotFoundException: Group tools-none not found\./.test(answer),
          true,
          `that it is not there: ${answer}`,
        );
      }
    },
  );
}

async function refusals({ checks, run }: GroupTools, { name }: LiveGroup): Promise<void> {
  await checks.check(
    `groups: what kafka-consumer-groups may not do with ${name} while it has members`,
    async () => {
      const group = ['--group', name];
      for (const how of ['--execute', '--dry-run']) {
        const answer = await run('groups', '--reset-offsets', ...group, '--all-topics', '--to-earliest', how);
        const why = `Assignments can only be reset if the group '${name}' is inactive, but the current state is Stable.`;
        equal([answer.includes(why), tablesOf(answer)], [true, []], `that it is not reset: ${answer}`);
      }
      const deleted = await run('groups', '--delete', ...group);
      equal(
        deleted.includes(
          `Group '${name}' could not be deleted due to: org.apache.kafka.common.errors.GroupNotEmptyException`,
        ),
        true,
        `that it is not deleted: ${deleted}`,
      );
      const statuses = tablesOf(await run('groups', '--delete-offsets', ...group, '--topic', 'tools-b'));
      equal(
        Object.entries(byPlace(statuses, 'STATUS')).map(([place, status]) => [
          place,
          /GroupSubscribedToTopicException/.test(status),
        ]),
        [
          ['tools-b 0', true],
          ['tools-b 1', true],
        ],
        'that its offsets are not deleted',
      );
      const offsets = tablesOf(await run('groups', '--describe', ...group));
      equal(numbersByPlace(offsets, 'CURRENT-OFFSET'), ends, 'what it has committed still');
    },
  );
}

async function byAdmin(tools: GroupTools, groups: readonly LiveGroup[]): Promise<void> {
  const { checks, admin } = tools;
  const live = groups.filter(({ members }) => members.size > 1);
  await checks.check('groups: Java Admin lists and describes groups of both protocols', async () => {
    const list = (states: string[], types: string[], protocols: string[] = []): Promise<unknown> =>
      admin('list', { states, types, protocols });
    const all = Object.fromEntries(
      groups
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ name, type }) => [name, [type, 'Stable', 'consumer', false]]),
    );
    equal(await list([], []), all, 'all');
    equal(await list(['Stable'], ['Classic', 'Consumer'], ['consumer']), all, 'all of these kinds');
    equal(await list(['Empty'], []), {}, 'those without members');
    equal(await list([], ['Share']), {}, 'those that share');
    for (const { name, type, assignor, members } of groups) {
      const described = JSON.stringify(await admin('describe', { groups: [name] }));
      const isNew = type === 'Consumer';
      const names = (owns: ReadonlySet<string>): string[] =>
        [...owns].map((place) => place.replace(' ', '-')).sort();
      const epoch = /"groupEpoch":(\d+)/.exec(described)?.[1];
      const memberIds = new Map(
        [...described.matchAll(/"([^"]+)":\{"memberId":"([^"]+)"/g)].map(([, a = '', b]) => [a, b]),
      );
      const group = {
        type,
        state: 'Stable',
        isSimple: false,
        assignor,
        groupEpoch: isNew ? Number(epoch) : null,
        targetEpoch: isNew ? Number(epoch) : null,
        coordinator: 1,
        members: Object.fromEntries(
          [...members].map(([clientId, { instanceId, owns }]) => [
            clientId,
            {
              memberId: memberIds.get(clientId),
              instanceId: instanceId || null,
              host: '/127.0.0.1',
              epoch: isNew ? Number(epoch) : null,
              isUpgraded: isNew ? true : null,
              assigned: names(owns),
              target: isNew ? names(owns) : null,
            },
          ]),
        ),
      };
      equal(JSON.parse(described), { [name]: group }, 'the description');
    }
  });
  await checks.check('groups: what Java Admin may not do with groups that have members', async () => {
    for (const { name } of live) {
      equal(
        await admin('alterOffsets', { group: name, offsets: { 'tools-a-0': [1, ''] } }),
        { 'tools-a-0': 'UnknownMemberIdException' },
        `a change of offsets of ${name}`,
      );
      const partitions = ['tools-a-0', 'other-0'];
      const refused = {
        'other-0': 'UnknownTopicOrPartitionException',
        'tools-a-0': 'GroupSubscribedToTopicException',
      };
      equal(
        await admin('deleteOffsets', { group: name, partitions }),
        refused,
        `a deletion of offsets of ${name}`,
      );
    }
    const names = live.map(({ name }) => name);
    equal(
      await admin('deleteGroups', { groups: [...names, 'tools-none'] }),
      ordered([
        ...names.map((name) => [name, 'GroupNotEmptyException'] as const),
        ['tools-none', 'GroupIdNotFoundException'],
      ]),
      'a deletion of groups',
    );
  });
  for (const group of live) await removals(tools, group);
}

/** Both come back by themselves at once, as members that join anew. */
async function removals({ checks, admin, run }: GroupTools, { name, members }: LiveGroup): Promise<void> {
  /** Who is there: what a member gets anew when it joins anew, and what it owns. */
  const there = async (): Promise<{ instanceId: string | null; self: string; shares: number }[]> => {
    const verbose = tablesOf(await run('groups', '--describe', '--group', name, '--members', '--verbose'));
    return verbose.map((row) => ({
      instanceId: row['GROUP-INSTANCE-ID'] || null,
      self: `${row['CONSUMER-ID']} ${row['CURRENT-EPOCH']}`,
      shares:
        row['CURRENT-ASSIGNMENT'] === row['TARGET-ASSIGNMENT'] || row['TARGET-EPOCH'] === '-'
          ? Number(row['#PARTITIONS'])
          : 0,
    }));
  };
  const untilBack = async (before: readonly string[]): Promise<void> =>
    until(`all members of ${name} are there again`, async () => {
      const now = await there();
      const isAnew = now.every(({ self }) => !before.includes(self));
      return isAnew && now.length === members.size && now.every(({ shares }) => shares >= 2);
    });
  await checks.check(`groups: Java Admin takes members out of ${name}`, async () => {
    const before = await there();
    const instance = before.map(({ instanceId }) => instanceId).find((id) => id !== null);
    equal(
      await admin('removeMembers', { group: name, instances: [instance, 'nobody'] }),
      { [instance ?? '']: 'done', nobody: 'UnknownMemberIdException' },
      'what becomes of each',
    );
    await untilBack(before.filter(({ instanceId }) => instanceId === instance).map(({ self }) => self));
    const all = await there();
    equal(await admin('removeMembers', { group: name, instances: [] }), 'done', 'what becomes of all');
    await untilBack(all.map(({ self }) => self));
  });
}
