import { describe, expect, it } from 'vitest';
import { SendPace } from '../../../../broker/partition/consensus/catch-up/send-pace.ts';
import type {
  ReplicationThrottles,
  WantedBytes,
} from '../../../../broker/partition/consensus/catch-up/send-pace.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

const throttles: ReplicationThrottles = {
  isLeaderThrottled: (group) => group.startsWith('slow'),
  isFollowerThrottled: (group, nodeId) => group.startsWith('slow') && nodeId === 3,
  isCopyThrottled: () => false,
  leaderPerSecondMax: () => 100_000,
  followerPerSecondMax: () => 10_000,
};

function wanted(fields: Partial<WantedBytes>): WantedBytes {
  const defaults = { kind: 'entries', group: 'g', to: 2, bytesMax: 1_000_000 } as const;
  return { ...defaults, state: () => 'waiting', ...fields };
}

/** What is sent in so much time where a member asks again and again, and sends all that it may. */
async function sentWithin(ms: number, fields: readonly Partial<WantedBytes>[]): Promise<number[]> {
  const clock = new ManualClock();
  const pace = new SendPace({ clock, entriesPerSecondMax: () => 1_000_000, throttles });
  const sent = fields.map(() => 0);
  const phase = { isOver: false };
  const runs = fields.map(async (each, place) => {
    while (!phase.isOver) {
      const grant = await pace.grant(
        wanted({ ...each, state: () => (phase.isOver ? 'unwanted' : 'waiting') }),
      );
      grant?.used(grant.bytesMax);
      sent[place]! += grant?.bytesMax ?? 0;
    }
  });
  for (let passed = 0; passed < ms; passed += 10) {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    clock.advance(10);
  }
  phase.isOver = true;
  clock.advance(1_000);
  await Promise.all(runs);
  expect(pace.sentBytes).toBe(sent.reduce((sum, bytes) => sum + bytes, 0));
  return sent;
}

describe('what is sent to members that are to join', () => {
  it('is no more than the limit on entries, over all groups', async () => {
    const sent = await sentWithin(10_000, [{ group: 'one' }, { group: 'two', to: 4 }]);
    const total = sent[0]! + sent[1]!;
    expect(total).toBeGreaterThan(9_500_000);
    expect(total).toBeLessThan(10_600_000);
    // Each has its turn.
    expect(Math.abs(sent[0]! - sent[1]!)).toBeLessThan(1_000_000);
  });

  it("is no more than the leader's throttle for the replicas that are named, and for the follower's no more than its own", async () => {
    const [open, slow, slowest] = await sentWithin(10_000, [
      { group: 'open', kind: 'files' },
      { group: 'slow 1', to: 2 },
      { group: 'slow 2', to: 3 },
    ]);
    expect(open).toBeGreaterThan(10_000_000);
    expect(slowest).toBeGreaterThan(80_000);
    expect(slowest).toBeLessThan(110_000);
    expect(slow! + slowest!).toBeGreaterThan(900_000);
    expect(slow! + slowest!).toBeLessThan(1_060_000);
  });

  it('is sent at once where it must not wait any more, and not at all where nobody wants it', async () => {
    const clock = new ManualClock();
    const pace = new SendPace({ clock, entriesPerSecondMax: () => 0 });
    const first = await pace.grant(wanted({ bytesMax: 5_000 }));
    expect(first?.bytesMax).toBe(1_024);
    let state: ReturnType<WantedBytes['state']> = 'waiting';
    const outcomes: (number | undefined)[] = [];
    const next = pace.grant(wanted({ state: () => state })).then((grant) => outcomes.push(grant?.bytesMax));
    clock.advance(60_000);
    await Promise.resolve();
    expect(outcomes).toEqual([]);
    state = 'free';
    for (let turn = 0; turn < 10; turn++) {
      clock.advance(50);
      await Promise.resolve();
    }
    await next;
    const last = pace
      .grant(wanted({ state: () => 'unwanted' }))
      .then((grant) => outcomes.push(grant?.bytesMax));
    await last;
    expect(outcomes).toEqual([1_024, undefined]);
  });
});
