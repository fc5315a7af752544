import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../../protocol/index.ts';
import { ConsumerGroup } from '../../../../broker/groups/consumer/consumer-group.ts';
import { MachineDriver } from '../machine-driver.ts';
import { ConsumerClient, shown, topicId, Topics } from './consumer-client.ts';

function driverWith(counts: Readonly<Record<string, number>> = { t: 4 }, assignmentIntervalMs = 0) {
  const topics = new Topics(counts);
  const driver = new MachineDriver({}, [], { topics, consumerConfig: { assignmentIntervalMs } });
  return { driver, topics };
}

function groupOf(driver: MachineDriver): ConsumerGroup {
  const group = driver.machine.groups.get('g');
  if (!(group instanceof ConsumerGroup)) throw new Error('there is no consumer group g');
  return group;
}

/** All are heard of until nothing changes any more. */
function settle(driver: MachineDriver, clients: readonly ConsumerClient[]): void {
  for (let round = 0; round < 20; round++) {
    for (const client of clients) client.heartbeat();
    if (groupOf(driver).state === 'Stable' && clients.every(({ isSettled }) => isSettled)) return;
    driver.advance(500);
  }
  throw new Error('the group does not settle');
}

describe('members of a consumer group', () => {
  test('are given what topics have when it is shared out, and again when that changes back', () => {
    const { driver, topics } = driverWith({ t: 4 }, 1_000);
    const [a, b] = ['a', 'b'].map((memberId) => new ConsumerClient(driver, { memberId }));
    settle(driver, [a!]);
    b!.heartbeat();
    topics.set('t', 0);
    driver.advance(1_000);
    expect(groupOf(driver).target.get('b')).toEqual(new Map());
    topics.set('t', 4);
    driver.advance(1_000);
    settle(driver, [a!, b!]);
    expect([shown(a!.owned)['t']?.length, shown(b!.owned)['t']?.length]).toEqual([2, 2]);
  });

  test('the first one gets all partitions at once', () => {
    const { driver } = driverWith({ t: 4, u: 1 });
    const client = new ConsumerClient(driver, { memberId: 'a', topics: ['u', 't', 'missing'] });
    expect(client.heartbeat()).toEqual({
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      stalePatterns: [],
      memberId: 'a',
      memberEpoch: 1,
      heartbeatIntervalMs: 5_000,
      assignment: new Map([
        [topicId('t'), [0, 1, 2, 3]],
        [topicId('u'), [0]],
      ]),
    });
    expect(groupOf(driver).state).toBe('Stable');
    // Told once; again where it says all of itself.
    expect(client.heartbeat().assignment).toBeNull();
    client.saysAll = true;
    expect(shown(client.heartbeat().assignment!)).toEqual({ t: [0, 1, 2, 3], u: [0] });
  });

  test('a second one gets what the first has given up, and not before', () => {
    const { driver } = driverWith();
    const [a, b] = ['a', 'b'].map((memberId) => new ConsumerClient(driver, { memberId }));
    a!.heartbeat();
    expect(shown(b!.heartbeat().assignment!)).toEqual({});
    expect([b!.epoch, b!.last!.heartbeatIntervalMs, groupOf(driver).state]).toEqual([2, 500, 'Reconciling']);
    const told = a!.heartbeat({ obeys: false });
    expect([told.memberEpoch, Object.values(shown(told.assignment!)).flat().length]).toEqual([1, 2]);
    // It goes on reading, says so, and is told nothing new; the other waits.
    expect(a!.heartbeat({ obeys: false }).memberEpoch).toBe(1);
    expect(b!.heartbeat().assignment).toBeNull();
    a!.owned = a!.assigned;
    expect(a!.heartbeat().memberEpoch).toBe(2);
    expect(Object.values(shown(b!.heartbeat().assignment!)).flat()).toHaveLength(2);
    expect(groupOf(driver).state).toBe('Stable');
    expect(new Set([...shown(a!.owned)['t']!, ...shown(b!.owned)['t']!])).toEqual(new Set([0, 1, 2, 3]));
  });

  test('one that does not give up in time is out', () => {
    const { driver } = driverWith();
    const a = new ConsumerClient(driver, { memberId: 'a', rebalanceTimeoutMs: 10_000 });
    const b = new ConsumerClient(driver, { memberId: 'b' });
    a.heartbeat();
    b.heartbeat();
    for (let seconds = 0; seconds < 10; seconds++) {
      a.heartbeat({ obeys: false });
      b.heartbeat();
      driver.advance(1_000);
    }
    expect(a.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(shown(b.heartbeat().assignment!)).toEqual({ t: [0, 1, 2, 3] });
    settle(driver, [a, b]);
    expect(shown(a.owned)['t']).toHaveLength(2);
  });

  test('one that is not heard of, or leaves, leaves its part to the others', () => {
    const { driver } = driverWith({ t: 6 });
    const a = new ConsumerClient(driver, { memberId: 'a' });
    const b = new ConsumerClient(driver, { memberId: 'b' });
    const c = new ConsumerClient(driver, { memberId: 'c' });
    settle(driver, [a, b, c]);
    c.leave();
    settle(driver, [a, b]);
    expect([shown(a.owned)['t'], shown(b.owned)['t']].map((each) => each!.length)).toEqual([3, 3]);
    for (let seconds = 0; seconds <= 45; seconds++) {
      driver.advance(1_000);
      a.heartbeat();
    }
    settle(driver, [a]);
    expect(shown(a.owned)).toEqual({ t: [0, 1, 2, 3, 4, 5] });
    expect(b.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect([...groupOf(driver).members.keys()]).toEqual(['a']);
  });

  test('members that come within the assignment interval count together', () => {
    const { driver } = driverWith({ t: 6 }, 1_000);
    const clients = ['a', 'b', 'c'].map((memberId) => new ConsumerClient(driver, { memberId }));
    for (const client of clients) client.heartbeat();
    expect([groupOf(driver).epoch, groupOf(driver).assignmentEpoch, groupOf(driver).state]).toEqual([
      3,
      1,
      'Assigning',
    ]);
    driver.advance(999);
    expect(groupOf(driver).assignmentEpoch).toBe(1);
    driver.advance(1);
    expect([groupOf(driver).assignmentEpoch, groupOf(driver).state]).toEqual([3, 'Reconciling']);
    settle(driver, clients);
    expect(clients.map(({ owned }) => shown(owned)['t']!.length)).toEqual([2, 2, 2]);
  });

  test('partitions and topics that come or go are shared out at the next heartbeat', () => {
    const { driver, topics } = driverWith({ t: 2 });
    const a = new ConsumerClient(driver, { memberId: 'a', topics: ['t', 'later'] });
    settle(driver, [a]);
    topics.set('other', 7);
    expect([a.heartbeat().assignment, groupOf(driver).epoch]).toEqual([null, 1]);
    topics.set('t', 3);
    expect(shown(a.heartbeat().assignment!)).toEqual({ t: [0, 1, 2] });
    topics.set('later', 1);
    expect(shown(a.heartbeat().assignment!)).toEqual({ t: [0, 1, 2], later: [0] });
    topics.set('t', 0);
    expect(shown(a.heartbeat().assignment!)).toEqual({ later: [0] });
    a.topics = ['t'];
    a.saysAll = true;
    expect(shown(a.heartbeat().assignment!)).toEqual({});
  });

  test('the assignor that most members ask for counts', () => {
    const { driver } = driverWith({ t: 3, u: 3 });
    const clients = ['a', 'b'].map(
      (memberId) => new ConsumerClient(driver, { memberId, topics: ['t', 'u'], assignor: 'range' }),
    );
    settle(driver, clients);
    expect(clients.map(({ owned }) => shown(owned))).toEqual([
      { t: [0, 1], u: [0, 1] },
      { t: [2], u: [2] },
    ]);
  });
});

describe('epochs', () => {
  test('of an answer that was lost are taken where the member has nothing that it should not', () => {
    const { driver } = driverWith();
    const a = new ConsumerClient(driver, { memberId: 'a' });
    a.heartbeat();
    const b = new ConsumerClient(driver, { memberId: 'b' });
    b.heartbeat();
    a.heartbeat();
    const [epoch, owned] = [a.epoch, a.owned];
    expect(a.heartbeat().memberEpoch).toBe(2);
    a.epoch = epoch;
    a.owned = owned;
    expect(a.heartbeat().errorCode).toBe(ErrorCode.NONE);
    // With more than it is to have it is out of step.
    a.epoch = epoch;
    a.owned = new Map([[topicId('t'), [0, 1, 2, 3]]]);
    expect(a.heartbeat().errorCode).toBe(ErrorCode.FENCED_MEMBER_EPOCH);
    settle(driver, [a, b]);
    a.epoch = 7;
    const { errorCode, errorMessage } = a.heartbeat();
    expect(errorCode).toBe(ErrorCode.FENCED_MEMBER_EPOCH);
    expect(errorMessage).toContain('greater member epoch (7)');
  });

  test('of a member that joins again begin anew, with nothing', () => {
    const { driver } = driverWith();
    const a = new ConsumerClient(driver, { memberId: 'a' });
    a.heartbeat();
    a.epoch = 0;
    expect(shown(a.heartbeat().assignment!)).toEqual({ t: [0, 1, 2, 3] });
    expect([a.epoch, groupOf(driver).members.size]).toEqual([1, 1]);
  });
});

describe('static members', () => {
  test('that are away for a while come back under another id to what they had', () => {
    const { driver } = driverWith();
    const a = new ConsumerClient(driver, { memberId: 'a', instanceId: 'one' });
    const b = new ConsumerClient(driver, { memberId: 'b', instanceId: 'two' });
    settle(driver, [a, b]);
    const [had, epoch] = [shown(a.owned), groupOf(driver).epoch];
    const usurper = new ConsumerClient(driver, { memberId: 'c', instanceId: 'one' });
    expect(usurper.heartbeat().errorCode).toBe(ErrorCode.UNRELEASED_INSTANCE_ID);
    expect(a.leave(-2)).toMatchObject({ errorCode: ErrorCode.NONE, memberEpoch: -2 });
    expect(b.heartbeat().assignment).toBeNull();
    expect(shown(usurper.heartbeat().assignment!)).toEqual(had);
    expect([groupOf(driver).epoch, usurper.epoch, groupOf(driver).state]).toEqual([epoch, epoch, 'Stable']);
    expect(a.heartbeat({ memberEpoch: epoch }).errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID);
  });

  test('that do not come back within their session are gone', () => {
    const { driver } = driverWith();
    const a = new ConsumerClient(driver, { memberId: 'a', instanceId: 'one' });
    a.heartbeat();
    a.leave(-2);
    driver.advance(45_000);
    expect(groupOf(driver).state).toBe('Empty');
    const known = new ConsumerClient(driver, { memberId: 'a', instanceId: 'one' });
    expect(known.heartbeat({ memberEpoch: 1 }).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(known.heartbeat().errorCode).toBe(ErrorCode.NONE);
  });
});

describe('what is refused', () => {
  const cases = [
    [{ memberId: '' }, ErrorCode.INVALID_REQUEST, "MemberId can't be empty."],
    [{ groupId: '' }, ErrorCode.INVALID_REQUEST, "GroupId can't be empty."],
    [{ instanceId: '' }, ErrorCode.INVALID_REQUEST, "InstanceId can't be empty."],
    [{ rackId: '' }, ErrorCode.INVALID_REQUEST, "RackId can't be empty."],
    [{ memberEpoch: -3 }, ErrorCode.INVALID_REQUEST, 'MemberEpoch -3 is invalid.'],
    [
      { memberEpoch: -2 },
      ErrorCode.INVALID_REQUEST,
      'A member without an InstanceId leaves with the epoch -1.',
    ],
    [
      { rebalanceTimeoutMs: -1 },
      ErrorCode.INVALID_REQUEST,
      'RebalanceTimeoutMs must be provided in first request.',
    ],
    [{ owned: null }, ErrorCode.INVALID_REQUEST, 'TopicPartitions must be empty when (re-)joining.'],
    [
      { topicNames: null },
      ErrorCode.INVALID_REQUEST,
      'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.',
    ],
    [
      { serverAssignor: 'mine' },
      ErrorCode.UNSUPPORTED_ASSIGNOR,
      'ServerAssignor mine is not supported. Supported assignors: uniform, range.',
    ],
    [
      { topicNames: [`t${'x'.repeat(1_000_000)}`] },
      ErrorCode.INVALID_REQUEST,
      'What the member names is more than a record of __consumer_offsets takes.',
    ],
    [{ memberEpoch: 5 }, ErrorCode.GROUP_ID_NOT_FOUND, 'Consumer group g not found.'],
  ] as const;

  test.each(cases.map(([change, errorCode, errorMessage]) => ({ change, errorCode, errorMessage })))(
    '$errorMessage',
    ({ change, errorCode, errorMessage }) => {
      const { driver } = driverWith();
      const a = new ConsumerClient(driver, { memberId: 'a' });
      expect(a.heartbeat(change)).toMatchObject({ errorCode, errorMessage, assignment: null });
      expect([driver.records, driver.machine.groups.size]).toEqual([[], 0]);
    },
  );

  test('a member too many', () => {
    const topics = new Topics({ t: 1 });
    const driver = new MachineDriver({}, [], { topics, consumerConfig: { sizeMax: 1 } });
    const [a, b] = ['a', 'b'].map((memberId) => new ConsumerClient(driver, { memberId }));
    a!.heartbeat();
    expect(b!.heartbeat().errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED);
    expect(a!.heartbeat().errorCode).toBe(ErrorCode.NONE);
  });
});

test('what a member had that left is given to others, also where only its end was written', () => {
  const { driver } = driverWith();
  const clients = ['a', 'b'].map((memberId) => new ConsumerClient(driver, { memberId }));
  settle(driver, clients);
  const [a, b] = clients;
  const before = driver.records.length;
  b!.leave();
  const tombstones = driver.records.slice(before).filter(({ value }) => value === null);
  const next = driver.reloaded(before + tombstones.length);
  expect([...groupOf(next).members.keys()]).toEqual(['a']);
  a!.driver = next;
  settle(next, [a!]);
  expect(shown(a!.owned)).toEqual({ t: [0, 1, 2, 3] });
});

describe('groups of both protocols', () => {
  test('an empty classic group becomes a consumer group and keeps its offsets, and the other way around', () => {
    const { driver } = driverWith();
    driver.commit({ 't-0': 5 });
    const a = new ConsumerClient(driver, { memberId: 'a' });
    expect(a.heartbeat().errorCode).toBe(ErrorCode.NONE);
    expect(driver.committed()).toEqual({ 't-0': 5 });
    const joining = driver.member('worker', { protocolType: 'connect' });
    joining.join();
    expect(joining.joined!.reply!.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    a.leave();
    const reloaded = driver.reloaded();
    const member = reloaded.member('classic');
    member.join();
    expect(reloaded.group()).toBeDefined();
    expect(reloaded.committed()).toEqual({ 't-0': 5 });
    expect(reloaded.reloaded().committed()).toEqual({ 't-0': 5 });
  });
});
