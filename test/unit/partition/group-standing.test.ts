import { expect, it } from 'vitest';
import type { GroupMember } from '../../../broker/partition/consensus/consensus-types.ts';
import { GroupStanding } from '../../../broker/partition/consensus/group-standing.ts';

const nothing = (): void => undefined;
const member: GroupMember = {
  group: 'g',
  hasEnded: false,
  dueAt: Infinity,
  isLeader: false,
  isInElection: false,
  campaign: nothing,
  tick: nothing,
  start: nothing,
  end: nothing,
  retryPersist: nothing,
  step: nothing,
  nodeHeard: nothing,
  nodeSilent: nothing,
  nodeRestarted: nothing,
  leaderGone: nothing,
  unfollowed: nothing,
};

function standingAt(): { standing: GroupStanding; asked: number[]; clock: { now: number } } {
  const asked: number[] = [];
  const clock = { now: 10 };
  const dueAt = (_: GroupMember, tick: number): void => void asked.push(tick);
  const standing = new GroupStanding(member, { ticking: nothing, placed: nothing, dueAt }, () => clock.now);
  return { standing, asked, clock };
}

it('a member asks for the tick that it waits for, once, and for an earlier one', () => {
  const { standing, asked } = standingAt();
  standing.settle({ isTicking: false, quietUntil: 12 });
  standing.settle({ isTicking: true, quietUntil: 30 });
  standing.settle({ isTicking: true, quietUntil: 30 });
  standing.settle({ isTicking: true, quietUntil: 40 });
  standing.settle({ isTicking: true, quietUntil: 20 });
  standing.settle({ isTicking: true, quietUntil: 5 });
  expect(asked).toEqual([30, 20, 11]);
});

it('a member whose tick has gone by without being given to it asks for another one', () => {
  const { standing, asked, clock } = standingAt();
  standing.settle({ isTicking: true, quietUntil: 20 });
  clock.now = 20;
  // It may be about to be given.
  standing.settle({ isTicking: true, quietUntil: 50 });
  expect(asked).toEqual([20]);
  clock.now = 21;
  standing.settle({ isTicking: true, quietUntil: 50 });
  clock.now = 60;
  standing.settle({ isTicking: true, quietUntil: 70 });
  expect(asked).toEqual([20, 50, 70]);
});
