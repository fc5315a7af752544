/** Kafka's tools and the Java Admin client on groups without members: resets in every way, deletions, settings. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { equal } from '../../suite.ts';
import {
  type GroupTools,
  byPlace,
  ends,
  firstMs,
  minuteMs,
  numbersByPlace,
  ofPlaces,
  ordered,
  tablesOf,
} from './group-tools.ts';

type Offsets = Readonly<Record<string, number>>;

/** `names`: groups of both protocols that have committed the ends of all partitions. */
export async function emptyGroups(tools: GroupTools, names: readonly string[]): Promise<void> {
  for (const name of names) await resets(tools, name);
  await resetsOfSeveral(tools, names);
  await offsetsByAdmin(tools, names);
  for (const name of names) await deletedOffsets(tools, name);
  await deletions(tools, names);
  await patterns(tools);
  await settings(tools);
}

/** A time as the tools take it, in the zone of the machine unless it names one. */
function time(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '+00:00');
}

const inTopic = (topic: string, offsets: Offsets): Offsets =>
  Object.fromEntries(Object.entries(offsets).filter(([place]) => place.startsWith(`${topic} `)));
const all = ['--all-topics'];
const onlyA = ['--topic', 'tools-a'];
const someOfA = ['--topic', 'tools-a:0,1'];
const starts = ofPlaces(() => 0);

interface Reset {
  readonly how: readonly string[];
  /** What the tool says will be or is committed. */
  readonly to: Offsets;
}

/** One after another: some go by what the one before has committed. */
function resetsInOrder(directory: string): Reset[] {
  const file = join(directory, 'reset.csv');
  writeFileSync(file, 'tools-a,0,3\ntools-a,2,7\ntools-b,1,1\n');
  const seconds = Math.round((Date.now() - firstMs) / 1000);
  return [
    { how: [...all, '--to-earliest'], to: starts },
    { how: [...onlyA, '--to-latest'], to: inTopic('tools-a', ends) },
    { how: [...all, '--to-current'], to: { ...starts, ...inTopic('tools-a', ends) } },
    { how: [...all, '--to-offset', '4'], to: ofPlaces(() => 4) },
    // There is not so much.
    { how: [...someOfA, '--to-offset', '100'], to: { 'tools-a 0': 10, 'tools-a 1': 11 } },
    {
      how: [...someOfA, '--topic', 'tools-b', '--shift-by', '-2'],
      to: { 'tools-a 0': 8, 'tools-a 1': 9, 'tools-b 0': 2, 'tools-b 1': 2 },
    },
    { how: [...onlyA, '--shift-by', '3'], to: { 'tools-a 0': 10, 'tools-a 1': 11, 'tools-a 2': 7 } },
    { how: ['--topic', 'tools-b', '--shift-by', '-100'], to: { 'tools-b 0': 0, 'tools-b 1': 0 } },
    { how: [...all, '--to-datetime', time(firstMs + 5 * minuteMs)], to: ofPlaces(() => 5) },
    { how: [...all, '--to-datetime', time(firstMs + 5 * minuteMs + 1)], to: ofPlaces(() => 6) },
    { how: [...all, '--to-datetime', '2090-01-01T00:00:00.000'], to: ends },
    { how: [...all, '--by-duration', `PT${seconds + 600}S`], to: starts },
    // As of half a minute before the fourth.
    { how: [...all, '--by-duration', `PT${seconds - 210}S`], to: ofPlaces(() => 4) },
    { how: [...all, '--by-duration', 'PT1M'], to: ends },
    { how: ['--from-file', file], to: { 'tools-a 0': 3, 'tools-a 2': 7, 'tools-b 1': 1 } },
  ];
}

async function resets({ checks, run, directory }: GroupTools, name: string): Promise<void> {
  const group = ['--group', name];
  const committed = async (): Promise<Offsets> =>
    numbersByPlace(tablesOf(await run('groups', '--describe', ...group)), 'CURRENT-OFFSET');
  await checks.check(`groups: kafka-consumer-groups --reset-offsets of ${name}, in every way`, async () => {
    let stands: Offsets = ends;
    for (const { how, to } of resetsInOrder(directory)) {
      const what = how.join(' ');
      const plan = await run('groups', '--reset-offsets', ...group, ...how, '--dry-run');
      equal(numbersByPlace(tablesOf(plan), 'NEW-OFFSET'), to, `the plan of ${what}`);
      equal(await committed(), stands, `what is committed after the plan of ${what}`);
      const exported = await run('groups', '--reset-offsets', ...group, ...how, '--dry-run', '--export');
      equal(fromCsv(exported), to, `the export of ${what}`);
      const done = await run('groups', '--reset-offsets', ...group, ...how, '--execute');
      equal(numbersByPlace(tablesOf(done), 'NEW-OFFSET'), to, `what ${what} has done`);
      stands = { ...stands, ...to };
      equal(await committed(), stands, `what is committed after ${what}`);
    }
    const rows = tablesOf(await run('groups', '--describe', ...group));
    equal(
      numbersByPlace(rows, 'LAG'),
      ofPlaces((partition, topic) => {
        const place = `${topic} ${partition}`;
        return ends[place]! - stands[place]!;
      }),
      'what is yet to be read',
    );
    const unknown = await run(
      'groups',
      '--reset-offsets',
      ...group,
      '--topic',
      'other',
      '--to-latest',
      '--execute',
    );
    equal(
      /This server does not host this topic-partition\./.test(unknown),
      true,
      `that it is told: ${unknown}`,
    );
    equal(await committed(), stands, 'what is committed after what failed');
  });
  await checks.check(`groups: kafka-consumer-groups --describe of ${name} without members`, async () => {
    const described = await run('groups', '--describe', ...group);
    equal(described.includes(`Consumer group '${name}' has no active members.`), true, 'that it has none');
    equal(
      byPlace(tablesOf(described), 'CONSUMER-ID'),
      ofPlaces(() => '-'),
      'the owners',
    );
    equal(tablesOf(await run('groups', '--describe', ...group, '--members')), [], 'the members');
    const [state] = tablesOf(await run('groups', '--describe', ...group, '--state'));
    equal([state?.['STATE'], state?.['#MEMBERS']], ['Empty', '0'], 'its state');
  });
}

/** `TOPIC,PARTITION,OFFSET`, with the group before them where there are several. */
function fromCsv(printed: string): Record<string, number> {
  const lines = printed.split('\n').filter((line) => /^\S+,\d+,\d+$/.test(line));
  const entries = lines.map((line): [string, number] => {
    const cells = line.replaceAll('"', '').split(',');
    return [cells.slice(0, -1).join(' '), Number(cells.at(-1))];
  });
  return ordered(entries);
}

async function resetsOfSeveral(
  { checks, run, directory }: GroupTools,
  names: readonly string[],
): Promise<void> {
  const ofAll = (offsets: Offsets): Offsets =>
    Object.fromEntries(
      names
        .toSorted()
        .flatMap((name) => Object.entries(offsets).map(([place, offset]) => [`${name} ${place}`, offset])),
    );
  await checks.check(
    'groups: kafka-consumer-groups --reset-offsets of several groups, by a file, of none yet',
    async () => {
      const groups = names.flatMap((name) => ['--group', name]);
      const both = await run(
        'groups',
        '--reset-offsets',
        ...groups,
        ...all,
        '--to-earliest',
        '--export',
        '--execute',
      );
      equal(fromCsv(both), ofAll(starts), 'what was done to several');
      const every = await run(
        'groups',
        '--reset-offsets',
        '--all-groups',
        ...all,
        '--to-latest',
        '--export',
        '--execute',
      );
      equal(fromCsv(every), ofAll(ends), 'what was done to all');
      const file = join(directory, 'several.csv');
      writeFileSync(file, names.map((name, index) => `${name},tools-a,${index},${index + 1}\n`).join(''));
      const rows = tablesOf(
        await run('groups', '--reset-offsets', ...groups, '--from-file', file, '--execute'),
      );
      const changed = rows.map((row) =>
        [row['GROUP'], row['TOPIC'], row['PARTITION'], row['NEW-OFFSET']].join(' '),
      );
      equal(
        changed.sort(),
        names.map((name, index) => `${name} tools-a ${index} ${index + 1}`).sort(),
        'what the file did',
      );
      const fresh = [
        '--reset-offsets',
        '--group',
        'tools-fresh',
        '--topic',
        'tools-a',
        '--to-offset',
        '2',
        '--execute',
      ];
      equal(
        numbersByPlace(tablesOf(await run('groups', ...fresh)), 'NEW-OFFSET'),
        inTopic(
          'tools-a',
          ofPlaces(() => 2),
        ),
        'a new group',
      );
      const described = tablesOf(await run('groups', '--describe', '--group', 'tools-fresh'));
      equal(
        numbersByPlace(described, 'CURRENT-OFFSET'),
        inTopic(
          'tools-a',
          ofPlaces(() => 2),
        ),
        'what that has',
      );
      equal(
        /deleted groups? .*'tools-fresh'|'tools-fresh'.*successful/i.test(
          await run('groups', '--delete', '--group', 'tools-fresh'),
        ),
        true,
        'that it is deleted',
      );
    },
  );
}

async function offsetsByAdmin({ checks, admin, run }: GroupTools, names: readonly string[]): Promise<void> {
  await checks.check('groups: Java Admin changes and lists offsets of several groups', async () => {
    for (const [index, group] of names.entries()) {
      const offsets = { 'tools-a-1': [index + 3, `note ${index}`], 'tools-b-0': [index + 5, ''] };
      equal(
        await admin('alterOffsets', { group, offsets }),
        { 'tools-a-1': 'done', 'tools-b-0': 'done' },
        'the change',
      );
      const unknown = { other: 0, 'tools-a': 9 };
      for (const [topic, partition] of Object.entries(unknown))
        equal(
          await admin('alterOffsets', { group, offsets: { [`${topic}-${partition}`]: [1, ''] } }),
          { [`${topic}-${partition}`]: 'UnknownTopicOrPartitionException' },
          'that of a partition that is not there',
        );
      const long = { 'tools-a-0': [1, 'x'.repeat(5000)] };
      equal(
        await admin('alterOffsets', { group, offsets: long }),
        { 'tools-a-0': 'OffsetMetadataTooLarge' },
        'that of a long note',
      );
    }
    const wanted = ['tools-a-1', 'tools-b-0', 'tools-b-7', 'other-0'];
    for (const requireStable of [false, true]) {
      const groups = Object.fromEntries([...names, 'tools-none'].map((name) => [name, wanted]));
      equal(
        await admin('offsets', { groups, requireStable }),
        Object.fromEntries(
          [...names, 'tools-none']
            .map((name, index): [string, unknown] => [
              name,
              {
                'other-0': null,
                'tools-a-1': name === 'tools-none' ? null : [index + 3, `note ${index}`],
                'tools-b-0': name === 'tools-none' ? null : [index + 5, ''],
                'tools-b-7': null,
              },
            ])
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        ),
        'some offsets of all groups',
      );
    }
    const everything = await admin('offsets', { groups: { [names[0]!]: null }, requireStable: true });
    const described = numbersByPlace(
      tablesOf(await run('groups', '--describe', '--group', names[0]!)),
      'CURRENT-OFFSET',
    );
    const offsets = Object.entries(described).map(([place, offset]) => {
      const note = place === 'tools-a 1' ? 'note 0' : '';
      return [place.replace(' ', '-'), [offset, note]];
    });
    equal(everything, { [names[0]!]: Object.fromEntries(offsets) }, 'all offsets of a group');
  });
}

async function deletedOffsets({ checks, run, admin }: GroupTools, name: string): Promise<void> {
  await checks.check(
    `groups: kafka-consumer-groups --delete-offsets of ${name}, and Java Admin`,
    async () => {
      const group = ['--group', name];
      const places = async (): Promise<string[]> =>
        Object.keys(byPlace(tablesOf(await run('groups', '--describe', ...group)), 'CURRENT-OFFSET'));
      const remove = async (...args: string[]): Promise<Record<string, string>> =>
        byPlace(tablesOf(await run('groups', '--delete-offsets', ...group, ...args)), 'STATUS');
      equal(
        await remove('--topic', 'tools-a:0', '--topic', 'tools-b'),
        { 'tools-a 0': 'Successful', 'tools-b 0': 'Successful', 'tools-b 1': 'Successful' },
        'what becomes of each',
      );
      equal(await places(), ['tools-a 1', 'tools-a 2'], 'the partitions that are left');
      equal(await remove('--topic', 'tools-b:1'), { 'tools-b 1': 'Successful' }, 'once more');
      for (const [place, topic] of [
        ['tools-a 7', 'tools-a:7'],
        ['other -', 'other'],
      ] as const) {
        const statuses = await remove('--topic', topic);
        equal(Object.keys(statuses), [place], 'the partition that is not there');
        equal(
          /UnknownTopicOrPartitionException/.test(statuses[place] ?? ''),
          true,
          `that it is not: ${statuses[place]}`,
        );
      }
      equal(
        await admin('deleteOffsets', { group: name, partitions: ['tools-a-1', 'tools-a-7'] }),
        { 'tools-a-1': 'done', 'tools-a-7': 'UnknownTopicOrPartitionException' },
        'what becomes of each by Admin',
      );
      equal(await places(), ['tools-a 2'], 'the partition that is left then');
      const none = tablesOf(
        await run('groups', '--delete-offsets', '--group', 'tools-none', '--topic', 'tools-b'),
      );
      equal(
        Object.values(byPlace(none, 'STATUS')).map((status) => /GroupIdNotFoundException/.test(status)),
        [true, true],
        'that there is no such group',
      );
    },
  );
}

async function deletions({ checks, run, admin }: GroupTools, names: readonly string[]): Promise<void> {
  await checks.check('groups: kafka-consumer-groups --delete, and Java Admin', async () => {
    const [first = '', second = '', ...rest] = names;
    const deleted = await run('groups', '--delete', '--group', first, '--group', 'tools-none');
    equal(
      [
        deleted.includes(`deleted successfully: '${first}'`),
        /'tools-none' could not be deleted due to: .*GroupIdNotFoundException/.test(deleted),
      ],
      [true, true],
      `what is told: ${deleted}`,
    );
    equal(
      await admin('deleteGroups', { groups: [first, second] }),
      ordered([
        [first, 'GroupIdNotFoundException'],
        [second, 'done'],
      ]),
      'what becomes of each by Admin',
    );
    const left = (await run('groups', '--list')).split('\n').filter(Boolean);
    equal(left.sort(), rest.toSorted(), 'those that are left');
    const every = await run('groups', '--delete', '--all-groups');
    equal(
      [rest.every((name) => every.includes(`'${name}'`)), /was successful/.test(every)],
      [true, true],
      every,
    );
    equal((await run('groups', '--list')).trim(), '', 'those that are left then');
    const states = Object.entries((await admin('describe', { groups: names })) ?? {});
    equal(
      states,
      names.toSorted().map((name) => [name, 'GroupIdNotFoundException']),
      'what they are described as',
    );
  });
}

async function patterns({ checks, run }: GroupTools): Promise<void> {
  await checks.check('groups: kafka-consumer-groups --validate-regex', async () => {
    for (const [pattern, isValid] of [
      ['^a.*$', true],
      ['(', false],
      ['a(?=b)', false],
    ] as const) {
      const answer = await run('groups', '--validate-regex', pattern);
      equal(answer.includes(`\`${pattern}\` is ${isValid ? 'valid' : 'invalid'}`), true, answer);
    }
  });
}

async function settings({ checks, run }: GroupTools): Promise<void> {
  await checks.check('groups: kafka-configs sets, shows and removes settings of a group', async () => {
    const entity = ['--entity-type', 'groups', '--entity-name', 'tools-settings'];
    const shown = async (...args: string[]): Promise<Record<string, string>> => {
      const answer = await run('configs', '--describe', ...args);
      const found = [...answer.matchAll(/^\s+(consumer\.\S+)=(\S+) /gm)].map(([, key = '', value]) => [
        key,
        value,
      ]);
      return Object.fromEntries(found);
    };
    equal(await shown(...entity), {}, 'what is set');
    const set = { 'consumer.heartbeat.interval.ms': '500', 'consumer.session.timeout.ms': '7000' };
    const alter = (...args: string[]): Promise<string> => run('configs', '--alter', ...entity, ...args);
    await alter(
      '--add-config',
      Object.entries(set)
        .map((pair) => pair.join('='))
        .join(),
    );
    equal(await shown(...entity), set, 'what is set then');
    equal(await shown('--group', 'tools-settings'), set, 'what is set, asked in short');
    equal(await shown('--entity-type', 'groups'), set, 'what is set for any group');
    equal(
      await shown('--all', ...entity),
      { 'consumer.assignment.interval.ms': '1000', ...set },
      'all settings',
    );
    for (const wrong of [
      'consumer.session.timeout.ms=1',
      'consumer.heartbeat.interval.ms=900000',
      'nonsense=1',
    ])
      equal(
        /InvalidConfigurationException/.test(await alter('--add-config', wrong)),
        true,
        `that ${wrong} is refused`,
      );
    await alter('--delete-config', 'consumer.session.timeout.ms');
    equal(await shown(...entity), { 'consumer.heartbeat.interval.ms': '500' }, 'what is left');
    await alter('--delete-config', 'consumer.heartbeat.interval.ms');
    equal(await shown(...entity), {}, 'what is left at the end');
  });
}
