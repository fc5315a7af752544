import { describe, expect, it } from 'vitest';
import type { GroupMember } from '../../../broker/partition/consensus/consensus-types.ts';
import { DueMembers } from '../../../broker/partition/consensus/due-members.ts';
import { ElectionLine } from '../../../broker/partition/consensus/election-line.ts';

const electionTicks = 100;

interface TestMember extends GroupMember {
  dueAt: number;
  isInElection: boolean;
}

/** Members that begin an election when they campaign, or are given the tick that they wait for. */
function members(count: number, told: string[]): TestMember[] {
  return Array.from({ length: count }, (_, place) => {
    const begin = (how: string): void => {
      told.push(`${how} ${place}`);
      member.isInElection = true;
    };
    const member: TestMember = {
      group: `g${place}`,
      hasEnded: false,
      dueAt: Infinity,
      isLeader: false,
      isInElection: false,
      campaign: () => begin('campaign'),
      tick: () => begin('tick'),
      start: () => undefined,
      end: () => undefined,
      retryPersist: () => undefined,
      step: () => undefined,
      nodeHeard: () => undefined,
      nodeSilent: () => undefined,
      nodeRestarted: () => undefined,
      leaderGone: () => undefined,
      unfollowed: () => undefined,
    };
    return member;
  });
}

describe('the line of members that ask for leadership', () => {
  it('lets some of them begin, in order, and the next ones when elections are over', () => {
    const told: string[] = [];
    const line = new ElectionLine(electionTicks);
    const all = members(70, told);
    for (const member of all) line.ask(member);
    line.moveOn(0);
    expect(told).toEqual(all.slice(0, 64).map((_, place) => `campaign ${place}`));
    line.moveOn(1);
    expect(told.length).toBe(64);
    all[5]!.isInElection = false;
    all[7]!.isInElection = false;
    line.moveOn(2);
    expect(told.slice(64)).toEqual(['campaign 64', 'campaign 65']);
    expect(line.isEmpty).toBe(false);
  });

  it('waits no longer than an election timeout for elections that nobody decides', () => {
    const told: string[] = [];
    const line = new ElectionLine(electionTicks);
    for (const member of members(70, told)) line.due(member);
    line.moveOn(0);
    line.moveOn(electionTicks - 1);
    expect(told.length).toBe(64);
    line.moveOn(electionTicks);
    expect(told.slice(64)).toEqual(['tick 64', 'tick 65', 'tick 66', 'tick 67', 'tick 68', 'tick 69']);
    expect(line.isEmpty).toBe(true);
  });

  it('passes over members that have left', () => {
    const told: string[] = [];
    const line = new ElectionLine(electionTicks);
    const [gone, other] = members(2, told);
    line.ask(gone!);
    line.due(other!);
    line.leave(gone!);
    line.moveOn(0);
    expect(told).toEqual(['tick 1']);
  });
});

describe('members that wait for ticks', () => {
  it('are given the tick that they wait for, and the next one is known', () => {
    const due = new DueMembers();
    const [first, second, third] = members(3, []);
    due.add(first!, 7);
    due.add(second!, 5);
    due.add(third!, 7);
    expect([due.next, due.take(4), due.take(5), due.next]).toEqual([5, [], [second], 7]);
    expect([due.take(7), due.next]).toEqual([[first, third], Infinity]);
  });
});
