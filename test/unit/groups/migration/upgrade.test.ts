import { describe, expect, test } from 'vitest';
import { encodeConsumerAssignment, ErrorCode } from '../../../../protocol/index.ts';
import { ConsumerClient, shown } from '../consumer/consumer-client.ts';
import { ClassicClient } from './classic-client.ts';
import {
  allOf,
  classics,
  consumerGroup,
  driverWith,
  durable,
  inOrder,
  joinOf,
  readers,
  settle,
  syncOf,
} from './mixed-groups.ts';

describe('a classic group that a member of KIP-848 joins', () => {
  test.each([{ isCooperative: false }, { isCooperative: true }])(
    'becomes a consumer group: %j',
    (options) => {
      const driver = driverWith({ t: 6 });
      const [a, b] = classics(driver, ['a', 'b'], options);
      expect(a!.commit({ 't-0': 7 })).toEqual(['NONE']);
      const before = driver.group()!.generationId;
      const c = new ConsumerClient(driver, { memberId: 'c' });
      expect(c.heartbeat()).toMatchObject({ errorCode: ErrorCode.NONE, memberEpoch: before + 2 });
      const group = consumerGroup(driver);
      expect([...group.members.keys()]).toEqual([a!.memberId, b!.memberId, 'c']);
      expect(group.members.get(a!.memberId)).toMatchObject({
        epoch: before,
        assigned: a!.owned,
        topicNames: ['t'],
        clientId: 'a',
        rebalanceTimeoutMs: 60_000,
        classic: { sessionTimeoutMs: 10_000, protocols: a!.protocols.map(({ name }) => ({ name })) },
      });
      expect(a!.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
      settle(driver, [a!, b!, c]);
      expect(readers([a!, b!, c]).map(({ length }) => length)).toEqual([2, 2, 2]);
      expect(inOrder(readers([a!, b!, c]).flat())).toEqual(allOf(6));
      expect(driver.committed()).toEqual({ 't-0': 7 });
      expect(driver.notices).toEqual([{ kind: 'upgraded', groupId: 'g', reason: '' }]);
      expect(durable(driver.reloaded())).toEqual(durable(driver));
    },
  );

  test('tells members that wait to join again, and takes in who has not been in it before', () => {
    const driver = driverWith();
    const [a] = classics(driver, ['a']);
    const [b, d] = [new ClassicClient(driver, { name: 'b' }), new ClassicClient(driver, { name: 'd' })];
    b.join();
    // Has an id, and has not come back with it.
    const pending = driver.answer({ ...joinOf(d), memberId: '' });
    expect([pending.errorCode, driver.group()!.state]).toEqual([
      ErrorCode.MEMBER_ID_REQUIRED,
      'PreparingRebalance',
    ]);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    expect(b.joined!.reply!.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS);
    expect([...consumerGroup(driver).members.keys()]).toEqual([a!.memberId, 'c']);
    d.memberId = pending.memberId;
    settle(driver, [a!, b, c, d]);
    expect(inOrder(readers([a!, b, c, d]).flat())).toEqual(allOf(4));
  });

  test('in its first rebalance has nobody yet', () => {
    const driver = driverWith();
    const a = new ClassicClient(driver, { name: 'a' });
    a.join();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    expect(shown(c.heartbeat().assignment!)).toEqual({ t: [0, 1, 2, 3] });
    expect(a.joined!.reply!.errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS);
    settle(driver, [a, c]);
    expect(inOrder(readers([a, c]).flat())).toEqual(allOf(4));
  });

  test('counts what cooperative members say that they have and have not been assigned', () => {
    const driver = driverWith({ t: 4 });
    const [a] = classics(driver, ['a'], { isCooperative: true });
    const b = new ClassicClient(driver, { name: 'b', isCooperative: true });
    b.join();
    expect(a!.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    a!.join();
    // Both have joined: what b is to get is with nobody in this generation, but a reads it until it has its assignment.
    expect(driver.group()!.state).toBe('CompletingRebalance');
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    expect([shown(a!.owned)['t'], shown(c.owned)['t'] ?? []]).toEqual([[0, 1, 2, 3], []]);
    settle(driver, [a!, b, c]);
    expect(inOrder(readers([a!, b, c]).flat())).toEqual(allOf(4));
  });

  test('whose members were assigned the same has it once', () => {
    const driver = driverWith({ t: 2 });
    const members = ['a', 'b'].map((name) => driver.member(name));
    for (const member of members) member.join();
    driver.advance(6_000);
    for (const member of members) member.accept();
    const assignment = encodeConsumerAssignment(0, {
      assignedPartitions: [{ topic: 't', partitions: [0, 1] }],
      userData: null,
    });
    driver.ask({
      ...syncOf(members[0]!.memberId),
      assignments: members.map(({ memberId }) => ({ memberId, assignment })),
    });
    expect(driver.group()!.state).toBe('Stable');
    const c = new ConsumerClient(driver, { memberId: 'c' });
    expect(c.heartbeat().errorCode).toBe(ErrorCode.NONE);
    const assigned = [...consumerGroup(driver).members.values()].map((member) => shown(member.assigned));
    expect(assigned).toEqual([{ t: [0, 1] }, {}, {}]);
  });

  test('in the place of the only one, which had nothing yet, has all', () => {
    const driver = driverWith();
    const [a] = classics(driver, ['a']);
    const b = new ClassicClient(driver, { name: 'b', instanceId: 'i' });
    b.join();
    a!.leave();
    // It has joined, and has not shared the partitions out.
    expect([b.joined!.reply!.leader, driver.group()!.state]).toEqual(['b-2', 'CompletingRebalance']);
    const c = new ConsumerClient(driver, { memberId: 'c', instanceId: 'i' });
    expect(shown(c.heartbeat().assignment!)).toEqual({ t: [0, 1, 2, 3] });
  });

  test.each(['disabled', 'downgrade'] as const)(
    'stays what it is where the policy is %s',
    (migrationPolicy) => {
      const driver = driverWith({ t: 4 }, { migrationPolicy });
      const [a] = classics(driver, ['a']);
      const count = driver.records.length;
      const c = new ConsumerClient(driver, { memberId: 'c' });
      const reason = `group.consumer.migration.policy is ${migrationPolicy}`;
      expect(c.heartbeat()).toMatchObject({
        errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
        errorMessage: `Group g is not a consumer group, and cannot become one with its members: ${reason}.`,
      });
      expect([a!.heartbeat(), driver.records.length]).toEqual(['NONE', count]);
      expect(driver.notices).toEqual([{ kind: 'not-upgraded', groupId: 'g', reason }]);
    },
  );

  test('stays what it is where it is too large, not of consumers, or cannot be read', () => {
    const large = driverWith({ t: 4 }, { sizeMax: 1 });
    classics(large, ['a', 'b']);
    const connect = driverWith();
    const worker = connect.member('w', { protocolType: 'connect' });
    const broken = driverWith();
    const odd = broken.member('o', { protocols: [{ name: 'range', metadata: Buffer.from('what') }] });
    for (const [driver, member] of [[connect, worker] as const, [broken, odd] as const]) {
      member.join();
      driver.advance(3_000);
      member.accept();
      member.sync({ [member.memberId]: '' });
    }
    for (const driver of [large, connect, broken]) {
      const c = new ConsumerClient(driver, { memberId: 'c' });
      expect(c.heartbeat().errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND);
      expect(driver.group()!.state).toBe('Stable');
    }
    expect([large, connect, broken].map(({ notices }) => notices[0]!.reason)).toEqual([
      'it has 2 members, and group.consumer.max.size is 1',
      'its members are no consumers',
      'what its members say of themselves cannot be read, or not be kept',
    ]);
  });
});
