import { describe, expect, test } from 'vitest';
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import { MachineDriver, stabilize } from './machine-driver.ts';

describe('JoinGroup refuses', () => {
  const driver = new MachineDriver();
  const join = (options: object) =>
    errorName(driver.answer({ ...driver.member('a').joinCommand(), ...options }).errorCode);

  test('an empty group id', () => expect(join({ groupId: '' })).toBe('INVALID_GROUP_ID'));
  test('a session timeout below the minimum', () =>
    expect(join({ sessionTimeoutMs: 5_999 })).toBe('INVALID_SESSION_TIMEOUT'));
  test('a session timeout above the maximum', () =>
    expect(join({ sessionTimeoutMs: 1_800_001 })).toBe('INVALID_SESSION_TIMEOUT'));
  test('a member id in a group that is not there', () =>
    expect(join({ memberId: 'x' })).toBe('UNKNOWN_MEMBER_ID'));

  test('a member id that the group does not have', () => {
    const other = new MachineDriver();
    stabilize(other, [other.member('a')]);
    expect(other.answer({ ...other.member('b').joinCommand(), memberId: 'x' })).toMatchObject({
      errorCode: ErrorCode.UNKNOWN_MEMBER_ID,
      memberId: 'x',
    });
  });

  test('an instance id with the id of a dynamic member', () => {
    const other = new MachineDriver();
    const [a, pendingId] = [other.member('a'), 'p-1'];
    stabilize(other, [a]);
    other.answer({ ...other.member('p').joinCommand(), freshMemberId: pendingId });
    const memberIds = [a.memberId, pendingId];
    const errors = memberIds.map(
      (memberId) =>
        other.answer({ ...other.member('x').joinCommand(), memberId, groupInstanceId: 'i' }).errorCode,
    );
    expect(errors.map(errorName)).toEqual(['UNKNOWN_MEMBER_ID', 'UNKNOWN_MEMBER_ID']);
  });

  test('nothing that leaves a group behind', () => expect(driver.machine.groups.size).toBe(0));
});

describe('SyncGroup, Heartbeat and LeaveGroup', () => {
  function joined() {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a'), driver.member('b')];
    a.join();
    b.join();
    driver.advance(6_000);
    a.accept();
    b.accept();
    return { driver, a, b };
  }
  const sync = {
    kind: 'sync',
    groupId: 'g',
    generationId: 1,
    groupInstanceId: null,
    protocolType: null,
    protocolName: null,
    assignments: [],
  } as const;

  test('of an unknown group or member', () => {
    const { driver, a } = joined();
    const member = { memberId: a.memberId, groupInstanceId: null };
    const beat = { kind: 'heartbeat', generationId: 1, ...member } as const;
    expect(errorName(driver.answer({ ...sync, memberId: 'x' }).errorCode)).toBe('UNKNOWN_MEMBER_ID');
    expect(errorName(driver.answer({ ...sync, groupId: 'h', memberId: 'x' }).errorCode)).toBe(
      'UNKNOWN_MEMBER_ID',
    );
    expect(errorName(driver.answer({ ...sync, groupId: '', memberId: 'x' }).errorCode)).toBe(
      'INVALID_GROUP_ID',
    );
    expect(errorName(driver.answer({ ...beat, groupId: 'g', memberId: 'x' }).errorCode)).toBe(
      'UNKNOWN_MEMBER_ID',
    );
    expect(errorName(driver.answer({ ...beat, groupId: 'h' }).errorCode)).toBe('UNKNOWN_MEMBER_ID');
    expect(errorName(driver.answer({ ...beat, groupId: '' }).errorCode)).toBe('INVALID_GROUP_ID');
    expect(driver.answer({ kind: 'leave', groupId: 'h', members: [member] })).toEqual({
      errorCode: ErrorCode.NONE,
      members: [{ ...member, errorCode: ErrorCode.UNKNOWN_MEMBER_ID }],
    });
    expect(driver.answer({ kind: 'leave', groupId: '', members: [member] })).toEqual({
      errorCode: ErrorCode.INVALID_GROUP_ID,
      members: [],
    });
  });

  test('of another generation', () => {
    const { a } = joined();
    for (const generationId of [0, 2, -1]) {
      a.generationId = generationId;
      expect(errorName(a.sync().reply!.errorCode)).toBe('ILLEGAL_GENERATION');
      expect(a.heartbeat()).toBe('ILLEGAL_GENERATION');
    }
  });

  test('with another idea of the protocol', () => {
    const { driver, a } = joined();
    const { memberId } = a;
    const errors = [
      { protocolType: 'connect', protocolName: 'range' },
      { protocolType: 'consumer', protocolName: 'sticky' },
    ].map((protocol) => driver.answer({ ...sync, ...protocol, memberId }).errorCode);
    expect(errors.map(errorName)).toEqual(['INCONSISTENT_GROUP_PROTOCOL', 'INCONSISTENT_GROUP_PROTOCOL']);
    const right = { protocolType: 'consumer', protocolName: 'range' };
    expect(errorName(driver.answer({ ...sync, ...right, memberId }).errorCode)).toBe('NONE');
  });

  test('in each state', () => {
    const { driver, a, b } = joined();
    expect([a.heartbeat(), b.heartbeat()]).toEqual(['NONE', 'NONE']);
    a.sync();
    expect(driver.group()!.state).toBe('Stable');
    expect([a.heartbeat(), b.heartbeat()]).toEqual(['NONE', 'NONE']);
    a.join();
    expect(driver.group()!.state).toBe('PreparingRebalance');
    expect([a.heartbeat(), b.heartbeat()]).toEqual(['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS']);
    expect(errorName(b.sync().reply!.errorCode)).toBe('REBALANCE_IN_PROGRESS');
  });

  test('members whom the leader leaves out get an empty assignment', () => {
    const { a, b } = joined();
    const waiting = b.sync();
    a.sync({ [a.memberId]: 'all', stranger: 'lost' });
    expect(a.synced!.reply!.assignment.toString()).toBe('all');
    expect(waiting.reply).toMatchObject({ errorCode: ErrorCode.NONE, assignment: Buffer.alloc(0) });
  });

  test('a member that syncs twice is answered on its second request', () => {
    const { a, b } = joined();
    const first = b.sync();
    const second = b.sync();
    expect(errorName(first.reply!.errorCode)).toBe('REBALANCE_IN_PROGRESS');
    a.sync({ [b.memberId]: 'mine' });
    expect(second.reply!.assignment.toString()).toBe('mine');
  });

  test('assignments that no record can hold are refused, and members join again', () => {
    const { driver, a, b } = joined();
    driver.recordSizeBytesMax = 1_000;
    const waiting = b.sync();
    a.sync({ [a.memberId]: 'x'.repeat(1_000) });
    expect([a.synced!.reply!, waiting.reply!].map(({ errorCode }) => errorName(errorCode))).toEqual([
      'UNKNOWN_SERVER_ERROR',
      'UNKNOWN_SERVER_ERROR',
    ]);
    expect(driver.group()!.state).toBe('PreparingRebalance');
    expect(driver.records).toEqual([]);
  });

  test('a pending member can leave', () => {
    const driver = new MachineDriver();
    driver.answer({ ...driver.member('a').joinCommand(), freshMemberId: 'a-1' });
    const members = [{ memberId: 'a-1', groupInstanceId: null }];
    expect(driver.answer({ kind: 'leave', groupId: 'g', members }).members[0]!.errorCode).toBe(
      ErrorCode.NONE,
    );
    expect(driver.group()).toBeUndefined();
  });

  test('a member that leaves while it waits to join is told so', () => {
    const driver = new MachineDriver();
    const a = driver.member('a');
    a.join();
    a.leave();
    expect(errorName(a.joined!.reply!.errorCode)).toBe('UNKNOWN_MEMBER_ID');
    driver.advance(3_000);
    expect(driver.group()).toMatchObject({ state: 'Empty', generationId: 1 });
  });
});

test('ids that are given out and not used are bounded: the oldest goes, and who comes back with it is given another', () => {
  const driver = new MachineDriver();
  const ask = (memberId: string, number: number) =>
    driver.answer({ ...driver.member('a').joinCommand(), memberId, freshMemberId: `id-${number}` });
  for (let number = 0; number <= 10_000; number++) {
    expect(ask('', number).errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED);
  }
  const { pendingMembers } = driver.group()!;
  expect([pendingMembers.size, pendingMembers.has('id-0'), pendingMembers.has('id-10000')]).toEqual([
    10_000,
    false,
    true,
  ]);
  expect(ask('id-0', 0).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
});

test('a member that asks again for what it was told has been heard of by that', () => {
  const driver = new MachineDriver();
  const [a, b] = [driver.member('a'), driver.member('b')];
  stabilize(driver, [a, b]);
  for (const ask of [() => b.join().reply?.errorCode, () => b.sync().reply?.errorCode]) {
    for (let half = 0; half < 3; half++) {
      driver.advance(6_000);
      expect([a.heartbeat(), ask()]).toEqual(['NONE', ErrorCode.NONE]);
    }
  }
  expect(driver.group()!.members.size).toBe(2);
});
