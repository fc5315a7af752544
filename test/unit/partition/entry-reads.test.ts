import { describe, expect, it } from 'vitest';
import { SendPace } from '../../../broker/partition/consensus/catch-up/send-pace.ts';
import { EntryReads } from '../../../broker/partition/consensus/entry-reads.ts';
import type { LearnerPace } from '../../../broker/partition/consensus/entry-reads.ts';
import { GroupLog } from '../../../broker/partition/consensus/group-log.ts';
import { indexesWithin } from '../../../broker/partition/consensus/received-entries.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { Append } from '../../../broker/raft/messages.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { batchOf, flushed, openLog } from '../log/log-harness.ts';
import { Gate } from './lone-member.ts';

interface Finished {
  readonly read: number;
  readonly endIndex: number;
  readonly inTerm: number | undefined;
}

interface Opened {
  readonly reads: EntryReads;
  readonly finished: Finished[];
  /** Closed: the disk has not read yet. */
  readonly gate: Gate;
  /** The term in which the member leads. */
  readonly leads: { in: number | undefined };
  /** What is to be done with a read once it is there. */
  readonly use: { with: (read: number) => void };
}

/** Index 1 begins the term; 2, 3 and 4 are one record each. Nothing is in memory. */
async function open(pace?: LearnerPace): Promise<Opened> {
  const gate = new Gate();
  const disk = new MemoryDisk({
    delay: (operation) => (operation === 'read' ? gate.pass() : Promise.resolve()),
  });
  const { log } = await openLog({ disk, blockBytes: 128 });
  const entries = new GroupLog(log, {
    batchReceived: () => undefined,
    raftOnlyAppended: () => undefined,
    truncated: () => Promise.resolve(),
    moved: () => undefined,
    failed: ({ cause }) => {
      throw cause;
    },
  });
  entries.appendOwn({ kind: 'term-start', term: 1, payload: Buffer.alloc(0) });
  for (const value of ['a', 'b', 'c']) entries.appendBatch(batchOf({ values: [value] }), 1, unpooled);
  await flushed(log);
  const leads: Opened['leads'] = { in: 1 };
  const use: Opened['use'] = { with: () => undefined };
  const finished: Finished[] = [];
  const reads = new EntryReads({
    entries,
    leadsIn: () => leads.in,
    endIndex: () => log.endIndex,
    finished: (read, endIndex) => {
      finished.push({ read, endIndex, inTerm: leads.in });
      use.with(read);
    },
    failed: (error) => {
      throw error;
    },
    pace,
  });
  return { reads, finished, gate, leads, use };
}

function want(read: number, fromIndex: number): Parameters<EntryReads['want']>[0] {
  return { kind: 'read-entries', read, to: memberId(2, 'b'), fromIndex, endIndex: 5, bytesMax: 10_000 };
}

function messageOf(fromIndex: number, endIndex: number): Append {
  return {
    kind: 'append',
    from: memberId(1, 'a'),
    to: memberId(2, 'b'),
    term: 1,
    fromIndex,
    endIndex,
    previousTerm: 1,
    terms: [],
    configurations: [],
    committedEndIndex: 1,
    sentAt: 0,
    readSequence: 0,
  };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** A learner on node 2 that has just been sent what the limit allows in ten seconds. */
async function slowLearner() {
  const clock = new ManualClock();
  const sending = new SendPace({ clock, entriesPerSecondMax: () => 100 });
  const isLearner = { now: true };
  const opened = await open({ group: 'g', sending, isLearner: () => isLearner.now });
  const grant = await sending.grant({
    kind: 'entries',
    group: 'g',
    to: 2,
    bytesMax: 1_000,
    state: () => 'waiting',
  });
  grant?.used(1_000);
  return { ...opened, clock, isLearner };
}

describe('the entries that a leader reads for a learner', () => {
  it('wait until they may be sent', async () => {
    const { reads, finished, clock } = await slowLearner();
    reads.want(want(1, 2));
    for (let passed = 0; passed < 9_900; passed += 100) {
      await settle();
      clock.advance(100);
    }
    expect(finished).toEqual([]);
    clock.advance(200);
    await expect.poll(() => finished, { interval: 0 }).toEqual([{ read: 1, endIndex: 5, inTerm: 1 }]);
  });

  it('wait no longer once it votes, and are not read at all once the leadership has ended', async () => {
    const { reads, finished, clock, isLearner, leads } = await slowLearner();
    reads.want(want(1, 2));
    await settle();
    isLearner.now = false;
    clock.advance(50);
    await expect.poll(() => finished, { interval: 0 }).toEqual([{ read: 1, endIndex: 5, inTerm: 1 }]);
    // A voter's is read at once.
    reads.want(want(2, 2));
    await expect.poll(() => finished.length, { interval: 0 }).toBe(2);
    isLearner.now = true;
    reads.want(want(3, 2));
    await settle();
    leads.in = undefined;
    clock.advance(60_000);
    await settle();
    expect(finished.length).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('the entries that a leader reads for a follower', () => {
  it('are sent without those that the follower has meanwhile', async () => {
    const { reads, use, finished } = await open();
    const sent: number[] = [];
    use.with = (read) => {
      const { parts, release } = reads.take(read, messageOf(3, 5));
      const bytes = Buffer.concat(parts);
      const within = { offset: bytes.readInt32BE(4), endOffset: Infinity };
      sent.push(indexesWithin(parts, within)!, bytes.readInt32BE(12));
      release();
    };
    reads.want(want(1, 2));
    await expect.poll(() => finished.length, { interval: 0 }).toBe(1);
    expect(finished).toEqual([{ read: 1, endIndex: 5, inTerm: 1 }]);
    expect(sent).toEqual([2, 1]);
  });

  it('are not those of a leadership that has ended, though the same member leads again and has asked anew', async () => {
    const { reads, gate, leads, finished } = await open();
    gate.close();
    reads.want(want(1, 2));
    await settle();
    leads.in = undefined;
    reads.forget();
    leads.in = 3;
    gate.open();
    await settle();
    expect(finished).toEqual([]);
    // The core numbers its reads anew in each term.
    reads.want(want(1, 4));
    await expect.poll(() => finished.length, { interval: 0 }).toBe(1);
    expect(finished).toEqual([{ read: 1, endIndex: 5, inTerm: 3 }]);
  });
});
