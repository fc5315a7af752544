import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { MachineDriver, stabilize, subscription, syncAll } from './machine-driver.ts';

const { NONE, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED } = ErrorCode;

describe('a first rebalance', () => {
  test.each([1, 2, 3, 4, 5])('brings %i members into generation 1 under the first as leader', (count) => {
    const driver = new MachineDriver();
    const members = Array.from({ length: count }, (_, index) => driver.member(`m${index}`));
    for (const member of members) member.join();
    expect(driver.group()!.state).toBe('PreparingRebalance');
    driver.advance(6_000);

    const replies = members.map((member) => member.accept());
    const ids = members.map(({ memberId }) => memberId);
    expect(new Set(ids).size).toBe(count);
    expect(replies.map(({ generationId }) => generationId)).toEqual(members.map(() => 1));
    expect(replies.map(({ leader }) => leader)).toEqual(members.map(() => ids[0]));
    expect(replies.map(({ protocolType, protocolName }) => [protocolType, protocolName])).toEqual(
      members.map(() => ['consumer', 'range']),
    );
    expect(replies[0]!.members).toEqual(
      ids.map((memberId) => ({ memberId, groupInstanceId: null, metadata: subscription(['t']) })),
    );
    for (const reply of replies.slice(1)) expect(reply.members).toEqual([]);
    expect(driver.records).toEqual([]);

    syncAll(members);
    expect(driver.group()!.state).toBe('Stable');
    expect(driver.records).toHaveLength(1);
  });

  test('a member is told its id first, and joins with it', () => {
    const driver = new MachineDriver();
    const reply = driver.answer({ ...driver.member('a').joinCommand(), freshMemberId: 'a-1' });
    expect(reply).toMatchObject({ errorCode: MEMBER_ID_REQUIRED, memberId: 'a-1', generationId: -1 });
    expect(driver.group()!.state).toBe('Empty');
    driver.ask({ ...driver.member('a').joinCommand(), memberId: 'a-1' });
    expect([...driver.group()!.members.keys()]).toEqual(['a-1']);
    expect(driver.group()!.pendingMembers.size).toBe(0);
  });

  test('a client of old joins at once, without knowing its id', () => {
    const driver = new MachineDriver();
    const member = driver.member('a', { requiresKnownMemberId: false });
    member.join();
    driver.advance(3_000);
    expect(member.accept().memberId).toMatch(/^a-fresh-/u);
  });

  test('the initial delay goes on while members come, up to the rebalance timeout', () => {
    const driver = new MachineDriver();
    const first = driver.member('m0', { rebalanceTimeoutMs: 7_000 });
    first.join();
    const others = [1, 2, 3].map((index) => {
      driver.advance(2_900);
      const member = driver.member(`m${index}`, { rebalanceTimeoutMs: 7_000 });
      member.join();
      return member;
    });
    // 3,000 + 3,000 + 1,000: the third extension would go past the timeout.
    expect(driver.nowMs).toBe(8_700);
    const inTime = [first, ...others.slice(0, 2)];
    for (const member of inTime) expect(member.accept().generationId).toBe(1);
    expect(others[2]!.joined!.reply).toBeUndefined();
    expect(driver.group()!.state).toBe('PreparingRebalance');
  });

  test('without a delay the group starts with its first member', () => {
    const driver = new MachineDriver({ initialRebalanceDelayMs: 0 });
    const member = driver.member('a');
    member.join();
    driver.advance(0);
    expect(member.accept().generationId).toBe(1);
  });
});

describe('the protocol', () => {
  const metadata = Buffer.from('x');
  const supports = (...names: string[]) => ({ protocols: names.map((name) => ({ name, metadata })) });

  test('is one that all support, the one most members prefer', () => {
    const driver = new MachineDriver();
    const members = [
      driver.member('a', supports('sticky', 'range', 'roundrobin')),
      driver.member('b', supports('roundrobin', 'range')),
      driver.member('c', supports('roundrobin', 'range', 'sticky')),
    ];
    for (const member of members) member.join();
    driver.advance(6_000);
    expect(members.map((member) => member.accept().protocolName)).toEqual([
      'roundrobin',
      'roundrobin',
      'roundrobin',
    ]);
  });

  test('of equal votes the first stands', () => {
    const driver = new MachineDriver();
    const members = [
      driver.member('a', supports('range', 'sticky')),
      driver.member('b', supports('sticky', 'range')),
    ];
    for (const member of members) member.join();
    driver.advance(6_000);
    expect(members.map((member) => member.accept().protocolName)).toEqual(['range', 'range']);
  });

  test('a member that shares none, or is of another type, is refused', () => {
    const driver = new MachineDriver();
    stabilize(driver, [driver.member('a', supports('range'))]);
    expect(driver.member('b', supports('sticky')).join().reply!.errorCode).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    );
    expect(
      driver.member('c', { ...supports('range'), protocolType: 'connect' }).join().reply!.errorCode,
    ).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    expect(driver.group()!.state).toBe('Stable');
  });

  test('an empty group refuses a member without protocols or type, and is forgotten', () => {
    const driver = new MachineDriver();
    expect(driver.member('a', { protocols: [] }).join().reply!.errorCode).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    );
    expect(driver.member('a', { protocolType: '' }).join().reply!.errorCode).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    );
    expect(driver.group()).toBeUndefined();
  });
});

describe('a stable group', () => {
  function stable(count: number, config = {}) {
    const driver = new MachineDriver(config);
    const members = Array.from({ length: count }, (_, index) => driver.member(`m${index}`));
    stabilize(driver, members);
    return { driver, members };
  }

  test('rebalances when a member comes, and goes on when all have rejoined', () => {
    const { driver, members } = stable(2);
    const third = driver.member('m2');
    third.join();
    expect(members.map((member) => member.heartbeat())).toEqual([
      'REBALANCE_IN_PROGRESS',
      'REBALANCE_IN_PROGRESS',
    ]);
    members[0]!.join();
    expect(members[0]!.joined!.reply).toBeUndefined();
    members[1]!.join();
    const replies = [...members, third].map((member) => member.accept());
    expect(replies.map(({ generationId }) => generationId)).toEqual([2, 2, 2]);
    expect(replies[0]!.members).toHaveLength(3);
    syncAll([...members, third]);
    expect(driver.group()!.state).toBe('Stable');
  });

  test('goes on without members that do not rejoin in time', () => {
    const { driver, members } = stable(3);
    members[1]!.join({ protocols: [{ name: 'range', metadata: subscription(['u']) }] });
    for (let second = 0; second < 59; second += 1) {
      driver.advance(1_000);
      for (const member of members) expect(member.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    }
    expect(members[1]!.joined!.reply).toBeUndefined();
    driver.advance(1_000);
    const reply = members[1]!.accept();
    expect(reply).toMatchObject({ generationId: 2, leader: members[1]!.memberId });
    expect([...driver.group()!.members.keys()]).toEqual([members[1]!.memberId]);
    expect(members[0]!.heartbeat()).toBe('UNKNOWN_MEMBER_ID');
  });

  test('rebalances when a member leaves', () => {
    const { driver, members } = stable(3);
    expect(members[0]!.leave()).toEqual({
      errorCode: NONE,
      members: [{ memberId: members[0]!.memberId, groupInstanceId: null, errorCode: NONE }],
    });
    expect(driver.group()!.state).toBe('PreparingRebalance');
    members[1]!.join();
    members[2]!.join();
    expect(members[1]!.accept().leader).toBe(members[1]!.memberId);
    expect(members[2]!.accept().leader).toBe(members[1]!.memberId);
  });

  test('rebalances when a session expires; heartbeats and commits keep one alive', () => {
    const { driver, members } = stable(3);
    for (let second = 0; second < 9; second += 1) {
      driver.advance(1_000);
      expect(members[0]!.heartbeat()).toBe('NONE');
      expect(members[1]!.commit({ 't-0': second })).toEqual(['NONE']);
    }
    expect(driver.group()!.state).toBe('Stable');
    driver.advance(1_000);
    expect(driver.group()!.state).toBe('PreparingRebalance');
    expect([...driver.group()!.members.keys()]).toEqual([members[0]!.memberId, members[1]!.memberId]);
  });

  test('becomes empty when its last member leaves, and its generation goes on', () => {
    const { driver, members } = stable(1);
    members[0]!.leave();
    expect(driver.group()).toMatchObject({ state: 'Empty', generationId: 2, protocolType: 'consumer' });
    expect(driver.records).toHaveLength(2);
    const next = driver.member('n');
    stabilize(driver, [next]);
    expect(next.generationId).toBe(3);
  });

  test('a follower that joins again unchanged hears of the generation; the leader starts a rebalance', () => {
    const { driver, members } = stable(2);
    const [leader, follower] = members;
    expect(follower!.join().reply).toMatchObject({ errorCode: NONE, generationId: 1, members: [] });
    expect(driver.group()!.state).toBe('Stable');
    expect(leader!.join().reply).toBeUndefined();
    expect(driver.group()!.state).toBe('PreparingRebalance');
  });

  test('a follower with a changed subscription starts a rebalance', () => {
    const { driver, members } = stable(2);
    members[1]!.join({ protocols: [{ name: 'range', metadata: subscription(['t', 'u']) }] });
    expect(driver.group()!.state).toBe('PreparingRebalance');
  });

  test('whoever syncs again gets its assignment again', () => {
    const { members } = stable(2);
    expect(members[1]!.sync().reply).toMatchObject({ errorCode: NONE, assignment: Buffer.from('m1') });
  });

  test('a member that joins twice is answered on its second request', () => {
    const { driver, members } = stable(2);
    driver.member('m2').join();
    const first = members[0]!.join();
    const second = members[0]!.join();
    expect(first.reply).toMatchObject({ errorCode: REBALANCE_IN_PROGRESS, memberId: members[0]!.memberId });
    members[1]!.join();
    expect(second.reply).toMatchObject({ errorCode: NONE, generationId: 2 });
  });

  test('a group above its new maximum size loses the last to rejoin', () => {
    const { driver, members } = stable(3);
    driver.config = { ...driver.config, groupSizeMax: 2 };
    members[0]!.join();
    members[1]!.join();
    expect(members[2]!.join().reply!.errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED);
    expect([...driver.group()!.members.keys()]).toEqual([members[0]!.memberId, members[1]!.memberId]);
    expect(members[0]!.accept().generationId).toBe(2);
  });

  test('a full group refuses more members', () => {
    const { driver } = stable(2, { groupSizeMax: 2 });
    const reply = driver.member('m2').join().reply!;
    expect(reply).toMatchObject({ errorCode: ErrorCode.GROUP_MAX_SIZE_REACHED, memberId: '' });
    expect(driver.group()!.state).toBe('Stable');
  });
});

describe('members that die', () => {
  test('before they come back with their id: nobody waits for them longer than their session', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    stabilize(driver, [a]);
    driver.answer({ ...driver.member('b').joinCommand(), freshMemberId: 'b-1' });
    a.join();
    for (let second = 0; second < 9; second += 1) {
      driver.advance(1_000);
      expect(a.joined!.reply).toBeUndefined();
    }
    driver.advance(1_000);
    expect(a.accept().generationId).toBe(2);
  });

  test('before they come back with their id, alone: the group is forgotten', () => {
    const driver = new MachineDriver();
    driver.answer({ ...driver.member('b').joinCommand(), freshMemberId: 'b-1' });
    expect(driver.group()).toBeDefined();
    driver.advance(10_000);
    expect(driver.group()).toBeUndefined();
    expect(driver.records).toEqual([]);
  });

  test('while they wait to join for the first time: after five minutes', () => {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a', { rebalanceTimeoutMs: 600_000 }), driver.member('b')];
    stabilize(driver, [a]);
    b.join();
    for (let second = 0; second < 299; second += 1) {
      driver.advance(1_000);
      expect(a.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    }
    expect(b.joined!.reply).toBeUndefined();
    driver.advance(1_000);
    expect(b.joined!.reply).toMatchObject({ errorCode: UNKNOWN_MEMBER_ID, memberId: '' });
    expect([...driver.group()!.members.keys()]).toEqual([a.memberId]);
  });

  test('between join and sync: they are taken out, the rest rejoins', () => {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a'), driver.member('b')];
    a.join();
    b.join();
    driver.advance(6_000);
    a.accept();
    b.accept();
    const waiting = b.sync();
    driver.advance(9_999);
    expect(waiting.reply).toBeUndefined();
    driver.advance(1);
    // The leader's session is over; who waits for its assignment is told to join again, and lives.
    expect(waiting.reply!.errorCode).toBe(REBALANCE_IN_PROGRESS);
    expect([...driver.group()!.members.keys()]).toEqual([b.memberId]);
    b.join();
    expect(b.accept()).toMatchObject({ generationId: 2, leader: b.memberId });
  });

  test('a member that only heartbeats and never syncs is taken out when the rebalance timeout is over', () => {
    const driver = new MachineDriver();
    const [a, b] = [
      driver.member('a', { rebalanceTimeoutMs: 20_000 }),
      driver.member('b', { rebalanceTimeoutMs: 20_000 }),
    ];
    a.join();
    b.join();
    driver.advance(6_000);
    a.accept();
    b.accept();
    a.sync({ [a.memberId]: 'a', [b.memberId]: 'b' });
    expect(driver.group()!.state).toBe('Stable');
    // The join phase ended a moment before the 6 s were over, when the extended delay ran out.
    for (let second = 0; second < 19; second += 1) {
      driver.advance(1_000);
      expect([a.heartbeat(), b.heartbeat()]).toEqual(['NONE', 'NONE']);
    }
    driver.advance(1_000);
    expect([a.heartbeat(), b.heartbeat()]).toEqual(['REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID']);
  });

  test('when all are gone the group is empty', () => {
    const driver = new MachineDriver();
    stabilize(driver, [driver.member('a'), driver.member('b')]);
    driver.advance(200_000);
    expect(driver.group()).toMatchObject({ state: 'Empty', leaderId: undefined, protocolName: undefined });
    expect(driver.group()!.members.size).toBe(0);
  });
});
