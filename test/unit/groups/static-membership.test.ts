import { describe, expect, test } from 'vitest';
import { encodeConsumerAssignment, ErrorCode } from '../../../protocol/index.ts';
import { Topics } from './consumer/consumer-client.ts';
import { durablePart, MachineDriver, stabilize, subscription, syncAll } from './machine-driver.ts';
import type { DrivenMember } from './machine-driver.ts';

const { NONE, FENCED_INSTANCE_ID, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS } = ErrorCode;

function stable() {
  const driver = new MachineDriver();
  const leader = driver.member('s0', { groupInstanceId: 'i0' });
  const follower = driver.member('s1', { groupInstanceId: 'i1' });
  stabilize(driver, [leader, follower]);
  return { driver, leader, follower };
}

describe('a static member', () => {
  test('joins at once, without being sent back for its id', () => {
    const driver = new MachineDriver();
    const member = driver.member('s', { groupInstanceId: 'i' });
    expect(member.join().reply).toBeUndefined();
    driver.advance(3_000);
    expect(member.accept().members).toEqual([
      { memberId: member.memberId, groupInstanceId: 'i', metadata: subscription(['t']) },
    ]);
  });

  test('that restarts takes its old place in a stable group, without a rebalance', () => {
    const { driver, leader, follower } = stable();
    const oldId = follower.memberId;
    const restarted = driver.member('s1', { groupInstanceId: 'i1' });
    restarted.join();
    const reply = restarted.accept();
    expect(reply).toMatchObject({
      generationId: 1,
      leader: leader.memberId,
      skipAssignment: false,
      members: [],
    });
    expect(reply.memberId).not.toBe(oldId);
    expect(driver.group()!.state).toBe('Stable');
    expect(restarted.sync().reply).toMatchObject({ errorCode: NONE, assignment: Buffer.from('s1') });
    expect(leader.heartbeat()).toBe('NONE');
    expect(follower.heartbeat()).toBe('FENCED_INSTANCE_ID');
    expect(follower.commit({ 't-0': 1 })).toEqual(['FENCED_INSTANCE_ID']);
    expect(follower.sync().reply!.errorCode).toBe(FENCED_INSTANCE_ID);
    expect(follower.join().reply!.errorCode).toBe(FENCED_INSTANCE_ID);
    expect(follower.leave().members[0]!.errorCode).toBe(FENCED_INSTANCE_ID);
    // The new id is durable before it is told.
    expect(durablePart(driver.reloaded())).toEqual(durablePart(driver));
    expect([...driver.reloaded().group()!.members.keys()].sort()).toEqual(
      [leader.memberId, restarted.memberId].sort(),
    );
  });

  test('that leads and restarts is told to skip the assignment, or (an old client) that another leads', () => {
    const { driver, leader, follower } = stable();
    const restarted = driver.member('s0', { groupInstanceId: 'i0' });
    restarted.join();
    expect(restarted.accept()).toMatchObject({
      generationId: 1,
      skipAssignment: true,
      leader: restarted.memberId,
    });
    expect(restarted.joined!.reply!.members.map(({ memberId }) => memberId).sort()).toEqual(
      [restarted.memberId, follower.memberId].sort(),
    );
    expect(leader.heartbeat()).toBe('FENCED_INSTANCE_ID');

    const old = driver.member('s0', { groupInstanceId: 'i0', supportsSkipAssignment: false });
    old.join();
    expect(old.accept()).toMatchObject({ skipAssignment: false, leader: restarted.memberId, members: [] });
    expect(old.memberId).not.toBe(restarted.memberId);
    expect(driver.group()!.leaderId).toBe(old.memberId);
  });

  test('that restarts with another choice of protocol starts a rebalance', () => {
    const metadata = subscription(['t']);
    const driver = new MachineDriver();
    const both = {
      protocols: [
        { name: 'range', metadata },
        { name: 'sticky', metadata },
      ],
    };
    const a = driver.member('a', { groupInstanceId: 'i0', ...both });
    const b = driver.member('b', { groupInstanceId: 'i1', ...both });
    stabilize(driver, [a, b]);
    const restarted = driver.member('b', {
      groupInstanceId: 'i1',
      protocols: [{ name: 'sticky', metadata }],
    });
    expect(restarted.join().reply).toBeUndefined();
    expect(driver.group()!.state).toBe('PreparingRebalance');
    a.join();
    expect([a.accept(), restarted.accept()].map(({ protocolName }) => protocolName)).toEqual([
      'sticky',
      'sticky',
    ]);
  });

  describe('of a group of consumers', () => {
    const assigned = (topic: string, partitions: number[]): Buffer =>
      encodeConsumerAssignment(0, { assignedPartitions: [{ topic, partitions }], userData: null });

    /** The leader has t-0 and t-1, the follower t-2. */
    function consumers() {
      const topics = new Topics({ t: 3, u: 1 });
      const driver = new MachineDriver({}, [], { topics });
      const leader = driver.member('s0', { groupInstanceId: 'i0' });
      const follower = driver.member('s1', { groupInstanceId: 'i1' });
      for (const member of [leader, follower]) member.join();
      driver.advance(6_000);
      for (const member of [leader, follower]) member.accept();
      leader.syncBytes({ [leader.memberId]: assigned('t', [0, 1]), [follower.memberId]: assigned('t', [2]) });
      expect(follower.sync().reply!.errorCode).toBe(NONE);
      const restart = (name: string, groupInstanceId: string, ...names: string[]): string => {
        const protocols = [{ name: 'range', metadata: subscription(names) }];
        driver.member(name, { groupInstanceId, protocols }).join();
        return driver.group()!.state;
      };
      return { topics, restart };
    }

    test('goes on with what it had', () => {
      const { topics, restart } = consumers();
      topics.set('u', 5);
      expect([restart('s0', 'i0', 't'), restart('s1', 'i1', 't')]).toEqual(['Stable', 'Stable']);
    });

    test('that leads, and comes back when a topic has more partitions, shares them out', () => {
      const { topics, restart } = consumers();
      topics.set('t', 4);
      // The leader looks after the others.
      expect(restart('s1', 'i1', 't')).toBe('Stable');
      expect(restart('s0', 'i0', 't')).toBe('PreparingRebalance');
    });

    test.each(['i0', 'i1'])('that comes back to other topics is given them: %s', (instance) => {
      expect(consumers().restart('s', instance, 't', 'u')).toBe('PreparingRebalance');
    });
  });

  test('that restarts in a group that is full takes its old place', () => {
    const { driver, leader, follower } = stable();
    driver.config = { ...driver.config, groupSizeMax: 2 };
    const restarted = driver.member('s1', { groupInstanceId: 'i1' });
    expect(restarted.join().reply!.errorCode).toBe(NONE);
    const another = driver.member('s2', { groupInstanceId: 'i2' });
    expect(another.join().reply!.errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED);
    // And while the others rejoin.
    leader.join();
    const again = driver.member('s1', { groupInstanceId: 'i1' });
    again.join();
    expect([again.accept().generationId, leader.accept().generationId]).toEqual([2, 2]);
    expect(follower.heartbeat()).toBe('FENCED_INSTANCE_ID');
  });

  test('that restarts while assignments are awaited starts over, and fences whoever waits', () => {
    const driver = new MachineDriver();
    const a = driver.member('a', { groupInstanceId: 'i0' });
    const b = driver.member('b', { groupInstanceId: 'i1' });
    a.join();
    b.join();
    driver.advance(6_000);
    a.accept();
    b.accept();
    const waiting = b.sync();
    const restarted = driver.member('b', { groupInstanceId: 'i1' });
    restarted.join();
    expect(waiting.reply!.errorCode).toBe(FENCED_INSTANCE_ID);
    expect(a.sync().reply!.errorCode).toBe(REBALANCE_IN_PROGRESS);
    a.join();
    syncAll([a, restarted]);
    expect(driver.group()).toMatchObject({ state: 'Stable', generationId: 2 });
  });

  test('that restarts before it has fetched its assignment has to fetch it in time', () => {
    const joined = () => {
      const driver = new MachineDriver();
      const [a, b] = [driver.member('a'), driver.member('b', { groupInstanceId: 'i1' })];
      a.join();
      b.join();
      driver.advance(6_000);
      a.accept();
      b.accept();
      a.sync({ [a.memberId]: 'a', [b.memberId]: 'b' });
      const restarted = driver.member('b', { groupInstanceId: 'i1', sessionTimeoutMs: 300_000 });
      restarted.join();
      restarted.accept();
      expect([...driver.group()!.pendingSync]).toEqual([restarted.memberId]);
      return { driver, a, restarted };
    };
    const beat = (driver: MachineDriver, a: DrivenMember) => {
      for (let second = 0; second < 61; second += 1) {
        driver.advance(1_000);
        a.heartbeat();
      }
    };
    const inTime = joined();
    expect(inTime.restarted.sync().reply!.assignment.toString()).toBe('b');
    beat(inTime.driver, inTime.a);
    expect(inTime.driver.group()!.state).toBe('Stable');
    const late = joined();
    beat(late.driver, late.a);
    expect([...late.driver.group()!.members.keys()]).toEqual([late.a.memberId]);
  });

  test('that restarts while members rejoin fences the one that waits', () => {
    const { driver, leader, follower } = stable();
    driver.member('d').join();
    follower.join();
    const restarted = driver.member('s1', { groupInstanceId: 'i1' });
    expect(restarted.join().reply).toBeUndefined();
    expect(follower.joined!.reply!.errorCode).toBe(FENCED_INSTANCE_ID);
    leader.join();
    expect(restarted.accept().generationId).toBe(2);
  });

  test('keeps its place when the others go on without it, until its session expires', () => {
    const { driver, leader, follower } = stable();
    const dynamic = driver.member('d', { sessionTimeoutMs: 300_000 });
    dynamic.join();
    leader.join();
    // The follower is silent: its session of 10 s would take it out.
    expect(dynamic.joined!.reply).toBeUndefined();
    driver.advance(10_000);
    expect(dynamic.accept().generationId).toBe(2);
    expect([...driver.group()!.staticMembers.keys()]).toEqual(['i0']);
    expect(follower.heartbeat()).toBe('UNKNOWN_MEMBER_ID');
  });

  test('with a long session is kept over a rebalance that it does not take part in', () => {
    const driver = new MachineDriver();
    const slow = { groupInstanceId: 'i1', sessionTimeoutMs: 300_000 };
    const [a, b] = [driver.member('a'), driver.member('b', slow)];
    stabilize(driver, [a, b]);
    const c = driver.member('c');
    c.join();
    a.join();
    driver.advance(60_000);
    expect(a.accept()).toMatchObject({ generationId: 2, leader: a.memberId });
    expect(a.joined!.reply!.members.map(({ groupInstanceId }) => groupInstanceId)).toEqual([
      null,
      'i1',
      null,
    ]);
    expect(c.accept().generationId).toBe(2);
    expect(driver.group()!.members.has(b.memberId)).toBe(true);
    expect(b.heartbeat()).toBe('ILLEGAL_GENERATION');
  });

  test('waits on where only silent static members are left', () => {
    const driver = new MachineDriver();
    const slow = (groupInstanceId: string) => ({ groupInstanceId, sessionTimeoutMs: 300_000 });
    const [a, b, c] = [
      driver.member('a', slow('i0')),
      driver.member('b', slow('i1')),
      driver.member('c', slow('i2')),
    ];
    stabilize(driver, [a, b, c]);
    a.leave();
    expect(driver.group()!.state).toBe('PreparingRebalance');
    driver.advance(60_000);
    expect(driver.group()).toMatchObject({ state: 'PreparingRebalance', generationId: 1 });
    c.join();
    driver.advance(60_000);
    expect(c.accept()).toMatchObject({ generationId: 2, leader: c.memberId });
    expect(driver.group()!.members.has(b.memberId)).toBe(true);
  });

  test('can be removed by its instance id alone', () => {
    const { driver, leader, follower } = stable();
    const reply = driver.answer({
      kind: 'leave',
      groupId: 'g',
      members: [
        { memberId: '', groupInstanceId: 'i1' },
        { memberId: '', groupInstanceId: 'nobody' },
        { memberId: '', groupInstanceId: null },
        { memberId: leader.memberId, groupInstanceId: 'i1' },
      ],
    });
    expect(reply.members.map(({ errorCode }) => errorCode)).toEqual([
      NONE,
      UNKNOWN_MEMBER_ID,
      UNKNOWN_MEMBER_ID,
      UNKNOWN_MEMBER_ID,
    ]);
    expect(driver.group()!.members.has(follower.memberId)).toBe(false);
    expect(driver.group()!.state).toBe('PreparingRebalance');
  });
});
