import { expect, test } from 'vitest';
import type { JournalEntry } from '../../conformance/groups/journal.ts';
import { checkLedger } from '../../conformance/groups/ledger.ts';
import { type MemberEvent, recordValue } from '../../conformance/groups/line-protocol.ts';

type Untimed<T> = T extends unknown ? Omit<T, 'at'> : never;
type Told = readonly [member: string, event: Untimed<MemberEvent>];

function owns(member: string, ...partitions: number[]): Told[] {
  return [[member, { event: 'owns', partitions: partitions.length === 0 ? {} : { t: partitions } }]];
}

function reads(member: string, partition: number, ...offsets: number[]): Told[] {
  return offsets.map((offset) => [
    member,
    { event: 'record', topic: 't', partition, offset, value: recordValue('t', partition, offset) },
  ]);
}

function tries(member: string, partition: number, offset: number): Told[] {
  return [[member, { event: 'commit', offsets: { t: { [partition]: offset } } }]];
}

function commits(member: string, partition: number, offset: number): Told[] {
  const offsets = { t: { [partition]: offset } };
  return [...tries(member, partition, offset), [member, { event: 'committed', offsets }]];
}

function isRefused(member: string, offset: number, error: string): Told[] {
  const offsets = { t: { 0: offset } };
  return [...tries(member, 0, offset), [member, { event: 'commit-failed', offsets, error }]];
}

function check(
  told: readonly Told[][],
  end: number,
  options = { hasSilentMembers: false, readsOn: false },
): ReturnType<typeof checkLedger> {
  const entries = told
    .flat()
    .map(([member, event], at): JournalEntry => ({ member, event: { ...event, at } }));
  return checkLedger(entries, { ...options, ends: new Map([['t/0', end]]) });
}

test('a partition that changes hands at what was committed is in order', () => {
  const told = [owns('a', 0), reads('a', 0, 0, 1, 2), commits('a', 0, 3), owns('a')];
  expect(check([...told, owns('b', 0), reads('b', 0, 3, 4)], 5)).toEqual({
    records: 5,
    repeated: 0,
    commits: 1,
  });
});

test('what was not committed is read again by the next owner', () => {
  const told = [owns('a', 0), reads('a', 0, 0, 1), commits('a', 0, 1)];
  expect(check([...told, owns('b', 0), reads('b', 0, 1, 2)], 3)).toEqual({
    records: 4,
    repeated: 1,
    commits: 1,
  });
});

test('events are put in order of their times, not of their arrival', () => {
  const [record] = reads('b', 0, 1);
  const early = [...owns('a', 0), ...reads('a', 0, 0), ...commits('a', 0, 1)];
  const entries = early.map(([member, event], at): JournalEntry => ({ member, event: { ...event, at } }));
  entries.unshift({ member: 'b', event: { ...record![1], at: 99 } });
  const options = { ends: new Map([['t/0', 2]]), hasSilentMembers: false, readsOn: false };
  expect(checkLedger(entries, options).records).toBe(2);
});

test('an attempt to commit without an answer may or may not have counted', () => {
  const told = [reads('a', 0, 0, 1), commits('a', 0, 1), tries('a', 0, 2)];
  expect(check([...told, owns('b', 0), reads('b', 0, 2)], 3).repeated).toBe(0);
  expect(check([...told, owns('b', 0), reads('b', 0, 1, 2)], 3).repeated).toBe(1);
});

test('an attempt that was refused has not counted; one whose answer was lost may have', () => {
  const begin = [reads('a', 0, 0), commits('a', 0, 1), reads('a', 0, 1)];
  const refused = [...begin, isRefused('a', 2, 'ILLEGAL_GENERATION'), reads('b', 0, 2)];
  expect(() => check(refused, 3)).toThrow('b began at 2; the group had committed 1.');
  const lost = [...begin, isRefused('a', 2, 'TIMED_OUT'), reads('b', 0, 2)];
  expect(check(lost, 3).records).toBe(3);
});

test.each([
  [
    'a new owner passes over records',
    [reads('a', 0, 0), commits('a', 0, 1), reads('b', 0, 2)],
    'b began at 2',
  ],
  ['an owner passes over records', [reads('a', 0, 0, 2)], 'a went on from 1 at 2'],
  [
    'what is committed is read again',
    [reads('a', 0, 0), commits('a', 0, 1), reads('b', 0, 0)],
    'b read 0 again',
  ],
  [
    'an owner reads on from its old place after it owned the partition no more',
    [reads('a', 0, 0, 1), commits('a', 0, 1), owns('a'), owns('a', 0), reads('a', 0, 2)],
    'a began at 2',
  ],
  [
    'a commit goes back',
    [reads('a', 0, 0, 1), commits('a', 0, 2), commits('b', 0, 1)],
    'b could commit 1 after 2',
  ],
  ['a record is read by nobody', [reads('a', 0, 0, 1)], 'nobody has read 2 of 3 records'],
  ['a record is read that nobody wrote', [reads('a', 0, 0, 1, 2, 3)], '4 records were read, 3 produced'],
])('it is a fault when %s', (_, told, message) => {
  expect(() => check(told, 3)).toThrow(message);
});

test('it is a fault when a record holds another number than that of its place', () => {
  const wrong: Told = [
    'a',
    { event: 'record', topic: 't', partition: 0, offset: 0, value: recordValue('t', 0, 1) },
  ];
  expect(() => check([[wrong]], 1)).toThrow("at 0 a read 't/0/1', not 't/0/0'");
});

test('members that do not tell of their commits may begin anywhere, as long as all is read', () => {
  const told = [reads('a', 0, 0, 1), reads('b', 0, 2)];
  const silent = { hasSilentMembers: true, readsOn: false };
  expect(check(told, 3, silent).records).toBe(3);
  expect(() => check([reads('a', 0, 0), reads('b', 0, 2)], 3, silent)).toThrow('nobody has read 1');
});

test('where members read on, contents and completeness are left', () => {
  const readsOn = { hasSilentMembers: false, readsOn: true };
  const told = [reads('a', 0, 0, 1), commits('a', 0, 2), reads('b', 0, 0), commits('b', 0, 1)];
  expect(check(told, 2, readsOn)).toEqual({ records: 3, repeated: 1, commits: 2 });
  expect(() => check(told, 3, readsOn)).toThrow('nobody has read 2');
});
