import { expect, it } from 'vitest';
import { LeadershipWatch } from '../../../broker/partition/leadership-watch.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';

function replica() {
  return { isLeader: false, leaderNode: undefined as number | undefined, term: 0, closed: false };
}

it('counts each leadership of this node once', () => {
  const watch = new LeadershipWatch(new ManualClock());
  const [one, other] = [replica(), replica()];
  Object.assign(one, { isLeader: true, leaderNode: 1, term: 1 });
  watch.changed(one);
  // Others have come in sync, say.
  watch.changed(one);
  Object.assign(other, { leaderNode: 2, term: 7 });
  watch.changed(other);
  expect(watch.counts).toEqual({ elections: 1, gaps: 0, gapMs: 0 });
  Object.assign(one, { isLeader: false, leaderNode: 2, term: 2 });
  watch.changed(one);
  Object.assign(one, { isLeader: true, leaderNode: 1, term: 3 });
  watch.changed(one);
  expect(watch.counts).toEqual({ elections: 2, gaps: 0, gapMs: 0 });
});

it('tells for how long replicas had no leader after they had one', () => {
  const clock = new ManualClock();
  const watch = new LeadershipWatch(clock);
  const [one, other] = [replica(), replica()];
  // A new replica waits for its first leader, which is no loss.
  watch.changed(one);
  clock.advance(1_000);
  for (const each of [one, other]) watch.changed(Object.assign(each, { leaderNode: 2, term: 1 }));
  for (const each of [one, other]) watch.changed(Object.assign(each, { leaderNode: undefined }));
  clock.advance(100);
  watch.changed(one);
  clock.advance(50);
  watch.changed(Object.assign(one, { isLeader: true, leaderNode: 1, term: 2 }));
  expect(watch.counts).toEqual({ elections: 1, gaps: 1, gapMs: 150 });
  clock.advance(50);
  watch.changed(Object.assign(other, { leaderNode: 3, term: 2 }));
  watch.changed(other);
  expect(watch.counts).toEqual({ elections: 1, gaps: 2, gapMs: 350 });
});
