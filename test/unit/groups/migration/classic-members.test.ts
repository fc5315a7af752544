import { describe, expect, test } from 'vitest';
import { Group } from '../../../../broker/groups/group.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { ConsumerClient, shown, Topics } from '../consumer/consumer-client.ts';
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

describe('members of the classic protocol in a consumer group', () => {
  test('join, are given what others give up, and leave', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    const a = new ClassicClient(driver, { name: 'a' });
    a.proceed();
    expect([a.phase, a.generationId, shown(a.owned)]).toEqual(['stable', 2, {}]);
    // What it is to get is not free yet: there is nothing to join for.
    expect(a.heartbeat()).toBe('NONE');
    c.heartbeat();
    c.heartbeat();
    expect(a.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    settle(driver, [a, c]);
    expect(readers([a, c]).map(({ length }) => length)).toEqual([2, 2]);
    expect(a.leave()).toBe('NONE');
    settle(driver, [c]);
    expect(readers([c])).toEqual([[0, 1, 2, 3]]);
    expect(durable(driver.reloaded())).toEqual(durable(driver));
  });

  test('go on reading until they have joined again, and others get nothing of it before', () => {
    const driver = driverWith({ t: 4 });
    const [a] = classics(driver, ['a']);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    expect([readers([a!, c]), a!.heartbeat()]).toEqual([[[0, 1, 2, 3], []], 'REBALANCE_IN_PROGRESS']);
    expect(shown(c.heartbeat().assignment ?? new Map())).toEqual({});
    a!.join();
    c.heartbeat();
    expect(c.owned.size).toBe(1);
  });

  test('notice by themselves that topics have got partitions', () => {
    const driver = driverWith({ t: 2 }, { migrationPolicy: 'upgrade' });
    const [a] = classics(driver, ['a']);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    c.leave();
    settle(driver, [a!]);
    expect(consumerGroup(driver).classicProtocols.memberCount).toBe(1);
    driver.topics = new Topics({ t: 3 }, 9);
    expect(a!.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    settle(driver, [a!]);
    expect(readers([a!])).toEqual([[0, 1, 2]]);
  });

  test('are out where they are silent, do not join, or do not fetch their assignment', () => {
    const driver = driverWith({ t: 4 });
    const [silent, idle, lazy] = classics(driver, ['silent', 'idle', 'lazy'], { rebalanceTimeoutMs: 20_000 });
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    // One joins and does not fetch what it gets; the second hears that it is to join, and only beats; the third says nothing.
    lazy!.join();
    lazy!.generationId = lazy!.joined!.reply!.generationId;
    const memberIds = () => [...consumerGroup(driver).members.values()].map(({ clientId }) => clientId);
    for (let seconds = 0; seconds < 20; seconds++) {
      idle!.heartbeat();
      lazy!.heartbeat();
      c.heartbeat();
      driver.advance(1_000);
      if (seconds === 8) expect(memberIds()).toEqual(['silent', 'idle', 'lazy', 'client']);
      if (seconds === 11) expect(memberIds()).toEqual(['idle', 'lazy', 'client']);
    }
    expect(memberIds()).toEqual(['client']);
    expect([silent!.heartbeat(), idle!.heartbeat(), lazy!.heartbeat()]).toEqual(
      Array.from({ length: 3 }, () => 'UNKNOWN_MEMBER_ID'),
    );
  });

  test('are told what is wrong', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c', instanceId: 'ic' });
    const a = new ClassicClient(driver, { name: 'a', instanceId: 'ia' });
    c.heartbeat();
    a.proceed();
    const heartbeat = (memberId: string, generationId: number, groupInstanceId: string | null = null) =>
      driver.answer({ kind: 'heartbeat', groupId: 'g', memberId, generationId, groupInstanceId }).errorCode;
    expect(heartbeat(a.memberId, 1)).toBe(ErrorCode.ILLEGAL_GENERATION);
    expect(heartbeat('c', 2)).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(heartbeat('x', 2, 'ia')).toBe(ErrorCode.FENCED_INSTANCE_ID);
    expect(heartbeat('x', 2, 'ix')).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    const sync = (change: object) => driver.answer({ ...syncOf(a.memberId), generationId: 2, ...change });
    expect(sync({ protocolName: 'sticky' }).errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    expect(sync({ protocolType: 'connect' }).errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    expect(sync({ generationId: 1 }).errorCode).toBe(ErrorCode.ILLEGAL_GENERATION);
    expect(sync({ protocolName: 'range' })).toMatchObject({
      errorCode: ErrorCode.NONE,
      protocolType: 'consumer',
      protocolName: 'range',
    });
    const leave = (memberId: string, groupInstanceId: string | null) =>
      driver.answer({ kind: 'leave', groupId: 'g', members: [{ memberId, groupInstanceId }] }).members[0]!
        .errorCode;
    expect(leave('x', null)).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(leave('x', 'ia')).toBe(ErrorCode.FENCED_INSTANCE_ID);
    expect(leave('', 'ix')).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(leave('', 'ia')).toBe(ErrorCode.NONE);
    const b = new ConsumerClient(driver, { memberId: 'b' });
    b.heartbeat();
    const d = new ClassicClient(driver, { name: 'd' });
    d.proceed();
    // A member of one protocol is none of the other.
    const asOther = new ConsumerClient(driver, { memberId: d.memberId });
    asOther.epoch = d.generationId;
    expect(asOther.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(driver.answer({ ...joinOf(d), memberId: 'b' }).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
  });

  test('are taken out by tools, and so are those of the other protocol', () => {
    const driver = driverWith();
    const a = new ClassicClient(driver, { name: 'a', instanceId: 'ia' });
    const c = new ConsumerClient(driver, { memberId: 'c', instanceId: 'ic' });
    const d = new ConsumerClient(driver, { memberId: 'd' });
    settle(driver, [c, d, a]);
    const take = (...members: [memberId: string, groupInstanceId: string | null][]) =>
      driver
        .answer({
          kind: 'leave',
          groupId: 'g',
          members: members.map(([memberId, groupInstanceId]) => ({ memberId, groupInstanceId })),
        })
        .members.map(({ errorCode }) => errorCode);
    expect(take(['x', 'ic'], ['', 'ix'])).toEqual([
      ErrorCode.FENCED_INSTANCE_ID,
      ErrorCode.UNKNOWN_MEMBER_ID,
    ]);
    expect(take(['', 'ic'], ['c', null])).toEqual([ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID]);
    expect(c.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    expect(durable(driver.reloaded())).toEqual(durable(driver));
    // With the last one of the consumer protocol the group becomes a classic one, and the other goes from that.
    expect(take(['d', null], ['', 'ia'])).toEqual([ErrorCode.NONE, ErrorCode.NONE]);
    const group = driver.machine.groups.get('g');
    expect(group).toBeInstanceOf(Group);
    expect([group?.state, group?.members.size]).toEqual(['Empty', 0]);
    expect(d.heartbeat().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
  });

  test('are refused where they share no protocol with others, are no consumers, or cannot be read', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    settle(driver, [c, new ClassicClient(driver, { name: 'a' })]);
    const records = driver.records.length;
    const x = joinOf(new ClassicClient(driver, { name: 'x' }));
    const changes = [
      { protocols: [{ name: 'sticky', metadata: x.protocols[0]!.metadata }] },
      { protocolType: 'connect' },
      { protocols: [{ name: 'range', metadata: Buffer.from('what') }] },
      { protocols: [] },
    ];
    for (const change of changes) {
      expect(driver.answer({ ...x, ...change }).errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    }
    expect(driver.records.length).toBe(records);
    expect(driver.notices.map(({ kind }) => kind)).toEqual(changes.map(() => 'not-joined'));
    driver.consumerConfig = { ...driver.consumerConfig, sizeMax: 2 };
    expect(driver.answer(x).errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED);
  });

  test('that were put out, and do not know, are not taken in with what they had', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    const a = new ClassicClient(driver, { name: 'a', isCooperative: true });
    settle(driver, [a, c]);
    for (let seconds = 0; seconds < 11; seconds++) {
      driver.advance(1_000);
      c.heartbeat();
    }
    expect(a.owned.size).toBe(1);
    a.join();
    expect(a.joined!.reply!.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    settle(driver, [a, c]);
    expect(inOrder(readers([a, c]).flat())).toEqual(allOf(4));
  });

  test('commit and ask for offsets in their generation', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    const a = new ClassicClient(driver, { name: 'a' });
    settle(driver, [a, c]);
    const commit = (generationId: number, supportsGroupIdNotFound: boolean) =>
      driver.commit({ 't-0': 3 }, { memberId: a.memberId, generationId, supportsGroupIdNotFound });
    expect(commit(a.generationId, false)).toEqual(['NONE']);
    expect(commit(a.generationId - 1, true)).toEqual(['ILLEGAL_GENERATION']);
    expect(driver.commit({ 't-0': 3 }, { memberId: 'c', generationId: 0 })).toEqual(['STALE_MEMBER_EPOCH']);
    expect(driver.commit({ 't-0': 3 }, { memberId: 'x', generationId: 2 })).toEqual(['UNKNOWN_MEMBER_ID']);
    const fetch = (memberId: string, memberEpoch: number) =>
      driver.answer({ kind: 'fetch-offsets', groupId: 'g', member: { memberId, memberEpoch }, topics: null });
    expect(fetch(a.memberId, a.generationId).topics[0]!.partitions[0]!.committedOffset).toBe(3);
    expect(fetch(a.memberId, 1).errorCode).toBe(ErrorCode.ILLEGAL_GENERATION);
    expect(fetch('c', 1).errorCode).toBe(ErrorCode.STALE_MEMBER_EPOCH);
  });

  test('that are static keep their part when they come back, by either protocol', () => {
    const driver = driverWith();
    const c = new ConsumerClient(driver, { memberId: 'c' });
    c.heartbeat();
    const a = new ClassicClient(driver, { name: 'a', instanceId: 'i' });
    settle(driver, [a, c]);
    const { epoch } = consumerGroup(driver);
    const again = new ClassicClient(driver, { name: 'a2', instanceId: 'i' });
    const had = shown(a.owned);
    settle(driver, [again, c]);
    expect([shown(again.owned), consumerGroup(driver).epoch]).toEqual([had, epoch]);
    expect(a.heartbeat()).toBe('FENCED_INSTANCE_ID');
    const upgraded = new ConsumerClient(driver, { memberId: 'u', instanceId: 'i' });
    expect(shown(upgraded.heartbeat().assignment!)).toEqual(had);
    expect([again.heartbeat(), consumerGroup(driver).epoch]).toEqual(['FENCED_INSTANCE_ID', epoch]);
    expect(consumerGroup(driver).classicProtocols.memberCount).toBe(0);
    expect(durable(driver.reloaded())).toEqual(durable(driver));
  });
});
