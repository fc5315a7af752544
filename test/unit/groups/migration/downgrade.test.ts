import { describe, expect, test } from 'vitest';
import { decodeConsumerRecord } from '../../../../broker/groups/consumer/consumer-records.ts';
import { decodeConsumerAssignment, ErrorCode } from '../../../../protocol/index.ts';
import { ConsumerClient, Topics } from '../consumer/consumer-client.ts';
import { ClassicClient } from './classic-client.ts';
import { allOf, classics, consumerGroup, driverWith, inOrder, readers, settle } from './mixed-groups.ts';

describe('a consumer group whose last member of KIP-848 goes', () => {
  test.each([{ isCooperative: false }, { isCooperative: true }])('becomes a classic group: %j', (options) => {
    const driver = driverWith({ t: 6 });
    const [a, b] = classics(driver, ['a', 'b'], options);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    settle(driver, [a!, b!, c]);
    expect(b!.commit({ 't-5': 9 })).toEqual(['NONE']);
    const { epoch } = consumerGroup(driver);
    expect(c.leave().errorCode).toBe(ErrorCode.NONE);
    const group = driver.group()!;
    expect(group).toMatchObject({
      state: 'PreparingRebalance',
      generationId: epoch,
      protocolType: 'consumer',
      hasRecord: true,
      leaderId: a!.memberId,
    });
    // What they have is in the record, and a coordinator that takes over has it.
    const reloaded = driver.reloaded();
    expect(reloaded.group()).toMatchObject({ state: 'PreparingRebalance', generationId: epoch });
    expect(reloaded.group()!.members.get(a!.memberId)!.assignment).toEqual(
      group.members.get(a!.memberId)!.assignment,
    );
    expect(reloaded.committed()).toEqual({ 't-5': 9 });
    expect(reloaded.records.length).toBe(driver.records.length);
    expect([a!.heartbeat(), b!.heartbeat()]).toEqual(['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS']);
    settle(driver, [a!, b!]);
    expect(readers([a!, b!]).map(({ length }) => length)).toEqual([3, 3]);
    expect(inOrder(readers([a!, b!]).flat())).toEqual(allOf(6));
    expect(driver.notices.map(({ kind }) => kind)).toEqual(['upgraded', 'downgraded']);
    // Nothing of the consumer group is left: all of its records are written off.
    const last = new Map(driver.records.map(({ key, value }) => [key.toString('hex'), { key, value }]));
    const left = [...last.values()].filter(({ key, value }) => decodeConsumerRecord(key, value)?.value);
    expect(left).toEqual([]);
    // And back again.
    const d = new ConsumerClient(driver, { memberId: 'd' });
    settle(driver, [a!, b!, d]);
    expect(inOrder(readers([a!, b!, d]).flat())).toEqual(allOf(6));
    expect(driver.committed()).toEqual({ 't-5': 9 });
  });

  test('because one of the classic protocol takes its place, when it is alone: the count goes on', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c', instanceId: 'i' });
    settle(driver, [c]);
    driver.topics = new Topics({ t: 5 }, 9);
    settle(driver, [c]);
    const { epoch } = consumerGroup(driver);
    c.leave(-2);
    const a = new ClassicClient(driver, { name: 'a', instanceId: 'i' });
    a.join();
    // A coordinator that takes over before the new generation has begun goes on with the count, too,
    // and waits for it to join again before another has what it had.
    const next = driver.reloaded().group()!;
    expect(next).toMatchObject({ state: 'PreparingRebalance', generationId: epoch });
    expect([...next.staticMembers.keys()]).toEqual(['i']);
    const held = decodeConsumerAssignment([...next.members.values()][0]!.assignment).value;
    expect(held.assignedPartitions).toEqual([{ topic: 't', partitions: [0, 1, 2, 3, 4] }]);
    settle(driver, [a]);
    expect(driver.notices.map(({ kind }) => kind)).toEqual(['downgraded']);
    expect(a.generationId).toBe(epoch + 1);
    expect(readers([a])).toEqual([[0, 1, 2, 3, 4]]);
  });

  test('because it was not heard of', () => {
    const driver = driverWith();
    const [a] = classics(driver, ['a']);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    settle(driver, [a!, c]);
    for (let seconds = 0; seconds < 46; seconds++) {
      driver.advance(1_000);
      a!.proceed();
    }
    expect(driver.notices.map(({ kind }) => kind)).toEqual(['upgraded', 'downgraded']);
    settle(driver, [a!]);
    expect(readers([a!])).toEqual([[0, 1, 2, 3]]);
    // It may come back, and the group goes over once more.
    expect(c.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    settle(driver, [a!, c]);
    expect(inOrder(readers([a!, c]).flat())).toEqual(allOf(4));
  });

  test('because one of the classic protocol has taken its place', () => {
    const driver = driverWith();
    const [a] = classics(driver, ['a']);
    const c = new ConsumerClient(driver, { memberId: 'c', instanceId: 'i' });
    settle(driver, [a!, c]);
    const b = new ClassicClient(driver, { name: 'b', instanceId: 'i' });
    b.join();
    expect(driver.group()).toMatchObject({ state: 'PreparingRebalance' });
    settle(driver, [a!, b]);
    expect(readers([a!, b]).map(({ length }) => length)).toEqual([2, 2]);
    const alone = driverWith();
    const s = new ConsumerClient(alone, { memberId: 's', instanceId: 'i' });
    s.heartbeat();
    const t = new ClassicClient(alone, { name: 't', instanceId: 'i' });
    settle(alone, [t]);
    expect([alone.group()?.state, readers([t])]).toEqual(['Stable', [[0, 1, 2, 3]]]);
  });

  test.each(['disabled', 'upgrade'] as const)(
    'stays what it is where the policy is %s',
    (migrationPolicy) => {
      const driver = driverWith({ t: 4 }, { migrationPolicy: 'upgrade' });
      const [a] = classics(driver, ['a']);
      const c = new ConsumerClient(driver, { memberId: 'c' });
      settle(driver, [a!, c]);
      driver.consumerConfig = { ...driver.consumerConfig, migrationPolicy };
      c.leave();
      settle(driver, [a!]);
      expect(consumerGroup(driver).state).toBe('Stable');
      expect(readers([a!])).toEqual([[0, 1, 2, 3]]);
      expect(driver.notices.at(-1)).toEqual({
        kind: 'not-downgraded',
        groupId: 'g',
        reason: `group.consumer.migration.policy is ${migrationPolicy}`,
      });
      // One of the classic protocol in the place of the last of the other is in the consumer group.
      const s = new ConsumerClient(driver, { memberId: 's', instanceId: 'i' });
      settle(driver, [a!, s]);
      const b = new ClassicClient(driver, { name: 'b', instanceId: 'i' });
      settle(driver, [a!, b]);
      expect(consumerGroup(driver).classicProtocols.memberCount).toBe(2);
      expect(inOrder(readers([a!, b]).flat())).toEqual(allOf(4));
    },
  );

  test('stays what it is where it is too large for a classic group, or for one record', () => {
    for (const limit of ['members', 'bytes']) {
      const driver = driverWith();
      const [a, b] = classics(
        driver,
        ['a', 'b'].map((name) => name.repeat(80)),
      );
      const c = new ConsumerClient(driver, { memberId: 'c' });
      settle(driver, [a!, b!, c]);
      if (limit === 'members') driver.config = { ...driver.config, groupSizeMax: 1 };
      else driver.recordSizeBytesMax = 260;
      c.leave();
      expect(consumerGroup(driver).members.size).toBe(2);
      expect(driver.notices.at(-1)!.kind).toBe('not-downgraded');
      settle(driver, [a!, b!]);
      expect(inOrder(readers([a!, b!]).flat())).toEqual(allOf(4));
    }
  });
});
