import { describe, expect, it } from 'vitest';
import { FetchSessions } from '../../../broker/partition/fetch-sessions.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

function sessions(slots: number): { clock: ManualClock; sessions: FetchSessions } {
  const clock = new ManualClock();
  return { clock, sessions: new FetchSessions({ clock, random: new SeededRandom(1), slots: () => slots }) };
}

describe('FetchSessions', () => {
  it('begins at epoch 1 and wraps from the largest to 1', () => {
    const { sessions: all } = sessions(2);
    const session = all.create(new Map(), false)!;
    expect(session.epoch).toBe(1);
    all.advance(session);
    expect(session.epoch).toBe(2);
    session.epoch = 2 ** 31 - 1;
    all.advance(session);
    expect(session.epoch).toBe(1);
    expect(all.find(session.id)).toBe(session);
  });

  it('has no slot for a new session while all are in use, and takes that of the one unused for longest', () => {
    const { clock, sessions: all } = sessions(2);
    const first = all.create(new Map(), false)!;
    const second = all.create(new Map(), false)!;
    clock.advance(100_000);
    all.advance(first);
    expect(all.create(new Map(), false)).toBeUndefined();
    clock.advance(30_000);
    const third = all.create(new Map(), false)!;
    expect(all.find(second.id)).toBeUndefined();
    expect([all.find(first.id), all.find(third.id)]).toEqual([first, third]);
    expect(all.count).toBe(2);
  });

  it('makes none where there are no slots at all', () => {
    expect(sessions(0).sessions.create(new Map(), false)).toBeUndefined();
  });
});
