import { describe, expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import type { TopicCreation, TopicToCreate } from '../../../../broker/cluster/controller/create-topics.ts';
import { decideDeleteTopics } from '../../../../broker/cluster/controller/delete-topics.ts';
import { carryOut, stateOf, topicNamed, uuid } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

/** The error and message that a topic meets. */
function refusal(state: TestState, topic: TopicToCreate): [string, string] {
  const { records, result } = decideCreateTopics(state, [topic]);
  expect(records).toEqual([]);
  const [only] = result;
  if (only?.kind !== 'refused') throw new Error(`${topic.name} was not refused`);
  return [only.error, only.message];
}

function kinds(results: readonly TopicCreation[]): string[] {
  return results.map((result) => (result.kind === 'refused' ? result.error : result.kind));
}

describe('creating a topic', () => {
  it('writes the topic, its settings, then its partitions, and says what was made', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const decision = decideCreateTopics(state, [
      topicNamed('orders', {
        numPartitions: 3,
        replicationFactor: 2,
        configs: [{ name: 'retention.ms', value: '-1' }],
      }),
    ]);
    expect(decision.records.map(({ type }) => type)).toEqual([
      'TopicRecord',
      'ConfigRecord',
      'PartitionRecord',
      'PartitionRecord',
      'PartitionRecord',
    ]);
    expect(decision.result).toEqual([
      {
        kind: 'created',
        name: 'orders',
        topicId: uuid(1),
        partitionCount: 3,
        replicationFactor: 2,
        overrides: [['retention.ms', '-1']],
      },
    ]);
    carryOut(state, decision);
    const topic = state.image.topic('orders');
    expect(topic).toBe(state.image.topicById(uuid(1)));
    expect(topic?.partitions.map(({ index, replicas }) => [index, replicas])).toEqual([
      [0, [1, 2]],
      [1, [3, 1]],
      [2, [2, 3]],
    ]);
    expect(topic?.partitions[1]).toMatchObject({
      leader: 3,
      leaderEpoch: 0,
      isr: [3, 1],
      directories: [uuid(1003), uuid(1001)],
    });
  });

  it('takes counts of -1 from the settings of the broker', () => {
    const state = stateOf({
      nodes: [1, 2],
      settings: { 'num.partitions': '4', 'default.replication.factor': '2' },
    });
    const { result } = decideCreateTopics(state, [
      topicNamed('t', { numPartitions: -1, replicationFactor: -1 }),
    ]);
    expect(result).toMatchObject([{ kind: 'created', partitionCount: 4, replicationFactor: 2 }]);
  });

  it('places replicas by hand', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const assignments = [
      { partitionIndex: 1, brokerIds: [3, 1] },
      { partitionIndex: 0, brokerIds: [2, 3] },
    ];
    carryOut(
      state,
      decideCreateTopics(state, [topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments })]),
    );
    expect(state.image.topic('t')?.partitions.map(({ replicas }) => replicas)).toEqual([
      [2, 3],
      [3, 1],
    ]);
  });

  it.each([
    ['', 'Topic name is invalid: it is empty. Give a name of 1 to 249 characters.'],
    ['.', "Topic name is invalid: '.' is not allowed, as it would name a directory. Choose another one."],
    ['..', "Topic name is invalid: '..' is not allowed, as it would name a directory. Choose another one."],
    [
      'a b',
      "Topic name is invalid: 'a b' contains characters other than ASCII letters, digits, '.', '_' and '-'. Leave them out.",
    ],
    [
      'ä',
      "Topic name is invalid: 'ä' contains characters other than ASCII letters, digits, '.', '_' and '-'. Leave them out.",
    ],
    [
      'a/../../etc',
      "Topic name is invalid: 'a/../../etc' contains characters other than ASCII letters, digits, '.', '_' and '-'. Leave them out.",
    ],
    [
      'x\n',
      "Topic name is invalid: 'x\n' contains characters other than ASCII letters, digits, '.', '_' and '-'. Leave them out.",
    ],
    [
      'x'.repeat(250),
      `Topic name is invalid: '${'x'.repeat(250)}' has 250 characters, and 249 is the most. Choose a shorter one.`,
    ],
  ])('refuses the name %j', (name, message) => {
    expect(refusal(stateOf({}), topicNamed(name))).toEqual(['INVALID_TOPIC_EXCEPTION', message]);
  });

  it('takes a name of 249 characters and every kind of character that is allowed', () => {
    const names = ['x'.repeat(249), 'aZ09._-', '...', '-', '_'];
    expect(
      kinds(
        decideCreateTopics(
          stateOf({}),
          names.map((name) => topicNamed(name)),
        ).result,
      ),
    ).toEqual(['created', 'created', 'created', 'created', 'created']);
  });

  it('refuses a name that differs from another one only in "." and "_"', () => {
    const state = stateOf({});
    carryOut(state, decideCreateTopics(state, [topicNamed('a.b_c')]));
    expect(refusal(state, topicNamed('a_b.c'))).toEqual([
      'INVALID_TOPIC_EXCEPTION',
      "Topic 'a_b.c' collides with existing topic: a.b_c. " +
        "Names must differ in more than '.' and '_'; choose another one.",
    ]);
    expect(kinds(decideCreateTopics(state, [topicNamed('x.y'), topicNamed('x_y')]).result)).toEqual([
      'created',
      'INVALID_TOPIC_EXCEPTION',
    ]);
    carryOut(state, decideDeleteTopics(state, [uuid(1)]));
    expect(kinds(decideCreateTopics(state, [topicNamed('a_b.c')]).result)).toEqual(['created']);
  });

  it('refuses a topic that exists, that the request has twice, or that is the metadata log', () => {
    const state = stateOf({});
    carryOut(state, decideCreateTopics(state, [topicNamed('t')]));
    expect(refusal(state, topicNamed('t'))).toEqual(['TOPIC_ALREADY_EXISTS', "Topic 't' already exists."]);
    const twice = decideCreateTopics(state, [topicNamed('u'), topicNamed('v'), topicNamed('u')]);
    expect(kinds(twice.result)).toEqual(['INVALID_REQUEST', 'created', 'INVALID_REQUEST']);
    expect(refusal(state, topicNamed('__cluster_metadata'))).toEqual([
      'INVALID_REQUEST',
      'Creation of internal topic __cluster_metadata is prohibited. Choose another name.',
    ]);
  });

  it.each([0, -2])('refuses %i partitions and as many replicas', (count) => {
    const state = stateOf({});
    expect(refusal(state, topicNamed('t', { numPartitions: count }))).toEqual([
      'INVALID_PARTITIONS',
      `Number of partitions must be larger than 0, or -1 to use the default value; it is ${count}.`,
    ]);
    expect(refusal(state, topicNamed('t', { replicationFactor: count }))).toEqual([
      'INVALID_REPLICATION_FACTOR',
      `Replication factor must be larger than 0, or -1 to use the default value; it is ${count}.`,
    ]);
  });

  it('refuses more replicas than there are nodes', () => {
    expect(refusal(stateOf({ nodes: [1, 2] }), topicNamed('t', { replicationFactor: 3 }))).toEqual([
      'INVALID_REPLICATION_FACTOR',
      'Unable to replicate the partition 3 time(s): the cluster has 2 node(s) that take replicas, ' +
        'and each replica needs one of its own. Ask for 2 or fewer.',
    ]);
  });

  it('refuses 2,000,000 partitions, and 10,001 over several topics, all topics together', () => {
    const state = stateOf({});
    expect(refusal(state, topicNamed('t', { numPartitions: 2_000_000 }))).toEqual([
      'POLICY_VIOLATION',
      'Excessively large number of partitions per request: 2000000, and 10000 is the most. ' +
        'Ask for fewer, or spread them over several requests.',
    ]);
    const topics = [topicNamed('a', { numPartitions: 10_000 }), topicNamed('b')];
    expect(kinds(decideCreateTopics(state, topics).result)).toEqual(['POLICY_VIOLATION', 'POLICY_VIOLATION']);
    expect(kinds(decideCreateTopics(state, topics.slice(0, 1)).result)).toEqual(['created']);
  });

  it('refuses what would fill a node beyond its bound', () => {
    const state = stateOf({ limits: { replicasPerNodeMax: 3 } });
    carryOut(state, decideCreateTopics(state, [topicNamed('a', { numPartitions: 2 })]));
    expect(kinds(decideCreateTopics(state, [topicNamed('b', { numPartitions: 1 })]).result)).toEqual([
      'created',
    ]);
    expect(refusal(state, topicNamed('b', { numPartitions: 2 }))).toEqual([
      'POLICY_VIOLATION',
      'Node 1 would hold 4 replicas, and 3 is the most that a node takes. ' +
        'Ask for fewer partitions, delete topics, or add nodes.',
    ]);
  });

  it.each([
    [
      [{ name: 'retention.ms', value: null }],
      'Null value not supported for topic configs: retention.ms. Leave it out to get the default.',
    ],
    [
      [{ name: 'retention.mss', value: '1' }],
      'Unknown topic config name: retention.mss. Look for a slip of the pen; DescribeConfigs lists all names.',
    ],
    [
      [{ name: 'retention.ms', value: '-2' }],
      'Invalid value -2 for configuration retention.ms: it must be at least -1.',
    ],
    [
      [{ name: 'cleanup.policy', value: 'shrink' }],
      'Invalid value shrink for configuration cleanup.policy: it must hold only compact, delete, and "shrink" is not one.',
    ],
    [
      [
        { name: 'min.compaction.lag.ms', value: '10' },
        { name: 'max.compaction.lag.ms', value: '9' },
      ],
      'min.compaction.lag.ms (10) must not be larger than max.compaction.lag.ms (9).',
    ],
  ])('refuses the settings %j', (configs, message) => {
    expect(refusal(stateOf({}), topicNamed('t', { configs }))).toEqual(['INVALID_CONFIG', message]);
  });

  it.each([
    [
      { replicationFactor: 1 },
      [[0, [1]]],
      'INVALID_REQUEST',
      'A manual partition assignment was specified, but the replication factor was not set to -1.',
    ],
    [
      { numPartitions: 1 },
      [[0, [1]]],
      'INVALID_REQUEST',
      'A manual partition assignment was specified, but the number of partitions was not set to -1.',
    ],
    [
      {},
      [
        [0, [1]],
        [0, [2]],
      ],
      'INVALID_REPLICA_ASSIGNMENT',
      'Found multiple manual partition assignments for partition 0.',
    ],
    [
      {},
      [[0, []]],
      'INVALID_REPLICA_ASSIGNMENT',
      'The manual partition assignment includes an empty replica list. Name at least one node.',
    ],
    [
      {},
      [[0, [1, 9]]],
      'INVALID_REPLICA_ASSIGNMENT',
      'The manual partition assignment includes broker 9, but no such broker is registered. Registered: 1, 2.',
    ],
    [
      {},
      [[0, [1, 1]]],
      'INVALID_REPLICA_ASSIGNMENT',
      'The manual partition assignment includes the broker 1 more than once.',
    ],
    [
      {},
      [
        [0, [1]],
        [1, [1, 2]],
      ],
      'INVALID_REPLICA_ASSIGNMENT',
      'The manual partition assignment includes a partition with 2 replica(s), while other partitions of the topic have 1. Give all the same number.',
    ],
    [
      {},
      [
        [0, [1]],
        [2, [1]],
      ],
      'INVALID_REPLICA_ASSIGNMENT',
      'Partitions must be numbered from 0 to 1 without gaps; 2 is out of place.',
    ],
    [
      {},
      [[-1, [1]]],
      'INVALID_REPLICA_ASSIGNMENT',
      'Partitions must be numbered from 0 to 0 without gaps; -1 is out of place.',
    ],
  ] as [Partial<TopicToCreate>, [number, number[]][], string, string][])(
    'refuses the assignment %j %j',
    (counts, assigned, error, message) => {
      const assignments = assigned.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds }));
      const topic = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments, ...counts });
      expect(refusal(stateOf({ nodes: [1, 2] }), topic)).toEqual([error, message]);
    },
  );

  it('makes the good topics of a request that has bad ones', () => {
    const state = stateOf({});
    const decision = decideCreateTopics(state, [
      topicNamed('good'),
      topicNamed('b/d'),
      topicNamed('fine', { numPartitions: 2 }),
    ]);
    carryOut(state, decision);
    expect(kinds(decision.result)).toEqual(['created', 'INVALID_TOPIC_EXCEPTION', 'created']);
    expect([...state.image.topics()].map(({ name, partitions }) => [name, partitions.length])).toEqual([
      ['good', 1],
      ['fine', 2],
    ]);
  });
});

describe('a node that is silent, though its session lasts', () => {
  it('gets replicas only where there are too few others, and leads none of them first', () => {
    const state = stateOf({ nodes: [1, 2, 3], silent: [1] });
    const replicas = (name: string, replicationFactor: number): (readonly number[])[] => {
      carryOut(state, decideCreateTopics(state, [topicNamed(name, { replicationFactor, numPartitions: 3 })]));
      return state.image.topic(name)!.partitions.map((partition) => partition.replicas);
    };
    expect(replicas('two', 2)).toEqual([
      [2, 3],
      [3, 2],
      [2, 3],
    ]);
    const all = replicas('three', 3);
    expect(all.map((ids) => ids.toSorted((left, right) => left - right))).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(all.map((ids) => ids[2])).toEqual([1, 1, 1]);
  });
});

describe('deleting topics', () => {
  it('takes the topic with its settings and its load, and refuses an unknown id', () => {
    const state = stateOf({});
    const configs = [{ name: 'retention.ms', value: '1' }];
    carryOut(state, decideCreateTopics(state, [topicNamed('a', { configs }), topicNamed('b')]));
    const { result } = carryOut(state, decideDeleteTopics(state, [uuid(1), uuid(77)]));
    expect(result).toEqual([
      { kind: 'deleted', topicId: uuid(1), name: 'a' },
      {
        kind: 'refused',
        topicId: uuid(77),
        error: 'UNKNOWN_TOPIC_ID',
        message: `There is no topic with the id ${uuid(77)}.`,
      },
    ]);
    expect([...state.image.topics()].map(({ name }) => name)).toEqual(['b']);
    expect(state.image.settings(2, 'a').size).toBe(0);
    expect(state.image.replicaCount(1)).toBe(1);
  });
});
