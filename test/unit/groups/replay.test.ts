import { describe, expect, test } from 'vitest';
import { codec } from '../../../protocol/index.ts';
import { durablePart, MachineDriver, stabilize, subscription, syncAll } from './machine-driver.ts';

function framed(version: number, body: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeInt16BE(version);
  return Buffer.concat([head, body]);
}

describe('a coordinator that takes over', () => {
  test('has the members with their assignments, and they go on', () => {
    const driver = new MachineDriver();
    const members = [driver.member('a'), driver.member('b', { groupInstanceId: 'i' }), driver.member('c')];
    stabilize(driver, members);
    members[1]!.commit({ 't-0': 42 });
    const next = driver.reloaded();
    expect(durablePart(next)).toEqual(durablePart(driver));
    const moved = members.map((member) =>
      Object.assign(next.member(member.name, member.options), {
        memberId: member.memberId,
        generationId: member.generationId,
      }),
    );
    expect(moved.map((member) => member.heartbeat())).toEqual(['NONE', 'NONE', 'NONE']);
    expect(moved.map((member) => member.sync().reply!.assignment.toString())).toEqual(['a', 'b', 'c']);
    expect(moved[2]!.commit({ 't-1': 1 })).toEqual(['NONE']);
    expect(next.committed()).toEqual({ 't-0': 42, 't-1': 1 });
    expect(next.group()!.leaderId).toBe(members[0]!.memberId);
  });

  test('gives every member a whole session, and then takes the silent ones out', () => {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a'), driver.member('b')];
    stabilize(driver, [a, b]);
    const next = driver.reloaded();
    const moved = Object.assign(next.member('a'), { memberId: a.memberId, generationId: 1 });
    next.advance(9_999);
    expect(moved.heartbeat()).toBe('NONE');
    next.advance(1);
    expect(moved.heartbeat()).toBe('REBALANCE_IN_PROGRESS');
    expect([...next.group()!.members.keys()]).toEqual([a.memberId]);
  });

  test('falls back to the last stable generation when one was under way', () => {
    const driver = new MachineDriver();
    const [a, b] = [driver.member('a'), driver.member('b')];
    stabilize(driver, [a]);
    const before = durablePart(driver);
    b.join();
    a.join();
    a.accept();
    b.accept();
    expect(driver.group()).toMatchObject({ state: 'CompletingRebalance', generationId: 2 });
    expect(durablePart(driver.reloaded())).toEqual(before);
    const next = driver.reloaded();
    const moved = Object.assign(next.member('b'), { memberId: b.memberId, generationId: 2 });
    expect(moved.heartbeat()).toBe('UNKNOWN_MEMBER_ID');
  });

  test('starts a rebalance for a group that is too large for it', () => {
    const driver = new MachineDriver();
    const members = [driver.member('a'), driver.member('b'), driver.member('c')];
    stabilize(driver, members);
    driver.config = { ...driver.config, groupSizeMax: 2 };
    expect(driver.reloaded().group()!.state).toBe('PreparingRebalance');
  });

  test('knows what members subscribe to', () => {
    const driver = new MachineDriver();
    const members = [
      driver.member('a', { protocols: [{ name: 'range', metadata: subscription(['t', 'u'], 3) }] }),
      driver.member('b', { protocols: [{ name: 'range', metadata: subscription(['v']) }] }),
    ];
    stabilize(driver, members);
    for (const each of [driver, driver.reloaded()]) {
      expect([...each.group()!.subscribedTopics!].sort()).toEqual(['t', 'u', 'v']);
    }
  });

  test('keeps nothing of the buffers that it was given', () => {
    const driver = new MachineDriver();
    stabilize(driver, [driver.member('a')]);
    driver.commit({ 't-0': 5 }, { groupId: 'h' });
    const records = driver.records.map(({ key, value }) => ({
      key: Buffer.from(key),
      value: Buffer.from(value!),
    }));
    const next = new MachineDriver({}, records);
    for (const { key, value } of records) {
      key.fill(0xee);
      value.fill(0xee);
    }
    expect(durablePart(next)).toEqual(durablePart(driver));
  });
});

describe('records of others', () => {
  test('in all of Kafka’s versions are read', () => {
    const offsetKey = (type: number, partition: number) =>
      framed(type, codec('OffsetCommitKey', 0).encode({ group: 'g', topic: 't', partition }));
    const offsetRecords = [0, 1, 2, 3, 4].map((version) => ({
      key: offsetKey(version === 0 ? 0 : 1, version),
      value: framed(
        version,
        codec('OffsetCommitValue', version).encode({
          offset: 10 + version,
          metadata: 'm',
          commitTimestamp: 1,
        }),
      ),
    }));
    const groupRecords = [0, 1, 2, 3, 4].map((version) => ({
      key: framed(2, codec('GroupMetadataKey', 0).encode({ group: `g${version}` })),
      value: framed(
        version,
        codec('GroupMetadataValue', version).encode({
          protocolType: 'consumer',
          generation: 7,
          protocol: 'range',
          leader: 'm',
          members: [
            {
              memberId: 'm',
              clientId: 'c',
              clientHost: '/h',
              sessionTimeout: 9_000,
              subscription: subscription(['t']),
              assignment: Buffer.from('a'),
            },
          ],
        }),
      ),
    }));
    const driver = new MachineDriver({}, [...offsetRecords, ...groupRecords]);
    expect(driver.committed('g')).toEqual({ 't-0': 10, 't-1': 11, 't-2': 12, 't-3': 13, 't-4': 14 });
    for (const version of [0, 1, 2, 3, 4]) {
      const group = driver.group(`g${version}`)!;
      expect(group).toMatchObject({ state: 'Stable', generationId: 7, leaderId: 'm', stateTimestampMs: -1 });
      expect(group.members.get('m')).toMatchObject({ rebalanceTimeoutMs: 9_000, sessionTimeoutMs: 9_000 });
    }
  });

  test('of types that are not known are left alone', () => {
    const key = framed(99, Buffer.from('whatever'));
    const driver = new MachineDriver({}, [{ key, value: Buffer.from('x') }]);
    expect(driver.machine.groups.size).toBe(0);
  });

  test('that are broken are not passed over', () => {
    const key = framed(1, Buffer.from([0, 9, 1]));
    expect(() => new MachineDriver({}, [{ key, value: null }])).toThrow();
    const good = framed(1, codec('OffsetCommitKey', 0).encode({ group: 'g', topic: 't', partition: 0 }));
    expect(() => new MachineDriver({}, [{ key: good, value: Buffer.from([0]) }])).toThrow();
    expect(() => new MachineDriver({}, [{ key: good, value: framed(3, Buffer.from([1, 2])) }])).toThrow();
  });

  test('ours have Kafka’s bytes', () => {
    const driver = new MachineDriver();
    driver.commit({ 't-2': 5 });
    driver.commit({ 't-2': 5 }, { retentionTimeMs: 10 });
    const timestamp = (ms: number) => ms.toString(16).padStart(16, '0');
    const hex = (...parts: readonly string[]) => parts.join('');
    const key = hex('0001', '000167', '000174', '00000002');
    expect(driver.records.map(({ key: bytes }) => bytes.toString('hex'))).toEqual([key, key]);
    expect(driver.records.map(({ value }) => value!.toString('hex'))).toEqual([
      hex('0003', '0000000000000005', 'ffffffff', '0000', timestamp(driver.wallMs)),
      hex('0001', '0000000000000005', '0000', timestamp(driver.wallMs), timestamp(driver.wallMs + 10)),
    ]);
    const member = driver.member('a', { groupId: 'h' });
    stabilize(driver, [member]);
    const { key: groupKey, value } = driver.records[2]!;
    expect(groupKey.toString('hex')).toBe('0002000168');
    expect(value!.readInt16BE(0)).toBe(3);
    expect(codec('GroupMetadataValue', 3).decode(value!.subarray(2))).toEqual({
      protocolType: 'consumer',
      generation: 1,
      protocol: 'range',
      leader: member.memberId,
      currentStateTimestamp: driver.wallMs,
      members: [
        {
          memberId: member.memberId,
          groupInstanceId: null,
          clientId: 'a',
          clientHost: '/10.0.0.1',
          rebalanceTimeout: 60_000,
          sessionTimeout: 10_000,
          subscription: subscription(['t']),
          assignment: Buffer.from('a'),
        },
      ],
    });
  });
});

test('a restart in the middle of a rolling bounce loses nobody', () => {
  const driver = new MachineDriver();
  const members = [0, 1, 2].map((index) => driver.member(`m${index}`, { groupInstanceId: `i${index}` }));
  stabilize(driver, members);
  let current = driver;
  for (const index of [0, 1, 2]) {
    const restarted = current.member(`m${index}`, { groupInstanceId: `i${index}` });
    restarted.join();
    restarted.accept();
    current = current.reloaded();
  }
  expect(current.group()).toMatchObject({ state: 'Stable', generationId: 1 });
  expect(
    [...current.group()!.members.values()].map(({ assignment }) => assignment.toString()).sort(),
  ).toEqual(['m0', 'm1', 'm2']);
});

test('what was not committed is not there', () => {
  const driver = new MachineDriver();
  const a = driver.member('a');
  stabilize(driver, [a]);
  a.commit({ 't-0': 1 });
  const committedRecords = driver.records.length;
  const before = durablePart(driver);
  a.commit({ 't-0': 2 });
  const b = driver.member('b');
  b.join();
  a.join();
  syncAll([a, b]);
  expect(driver.group()!.generationId).toBe(2);
  expect(durablePart(driver.reloaded(committedRecords))).toEqual(before);
});
