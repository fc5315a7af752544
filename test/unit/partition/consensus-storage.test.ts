/** What a member may say and do while its disk is not done: votes, cuts of the log's end, and what was written before them. */
import { describe, expect, it } from 'vitest';
import {
  Gate,
  LeaderEntries,
  second,
  startLoneMember,
  third,
  timeoutNow,
  voteAnswer,
  voteRequest,
} from './lone-member.ts';
import type { LoneMember } from './lone-member.ts';
import type { AppendAnswer, Message } from '../../../broker/raft/messages.ts';
import { batchOf } from '../log/log-harness.ts';

function appendAnswers(sent: readonly Message[]): AppendAnswer[] {
  return sent.filter((message) => message.kind === 'append-answer');
}

/** Index 1 begins term 1, 2 and 3 are committed, 4 to 7 are only here. */
const old = new LeaderEntries({ index: 1, offset: 0, previousTerm: 0 })
  .termStart(1)
  .data('kept', 'kept')
  .data('old', 'old', 'old', 'old');
/** In their place, as the leader of term 2 has it: index 4 begins its term, 5 to 7 are data. */
const other = new LeaderEntries({ index: 4, offset: 2, previousTerm: 1 })
  .termStart(2)
  .data('new', 'new', 'new');

/** A follower that holds what its next leader has otherwise. */
async function withOldEnd(): Promise<LoneMember> {
  const member = await startLoneMember();
  member.receive(old.message(second, 1, 4), old.bytes);
  await member.settle();
  expect([member.log.endIndex, member.log.flushedEndIndex, member.consensus.highWatermark]).toEqual([
    8, 8, 2,
  ]);
  member.sent.length = 0;
  return member;
}

describe('a vote', () => {
  it('is told to nobody before it is durable', async () => {
    const member = await startLoneMember();
    member.votes.close();
    member.receive(voteRequest(second, 3));
    await member.settle();
    expect([member.states, member.sent]).toEqual([[{ term: 3, votedFor: second }], []]);
    member.votes.open();
    await member.settle();
    expect(member.sent).toMatchObject([{ kind: 'vote-answer', to: second, term: 3, isGranted: true }]);
  });

  it('for itself makes nobody a leader before it is durable', async () => {
    const member = await withOldEnd();
    member.votes.close();
    member.receive(timeoutNow(second, 1));
    member.receive(voteAnswer(third, 2));
    await member.settle();
    expect([member.consensus.raft.role, member.sent]).toEqual(['candidate', []]);
    member.votes.open();
    await member.settle();
    member.receive(voteAnswer(third, 2));
    expect(member.consensus.raft.role).toBe('leader');
  });
});

describe('while the end of the log is being cut', () => {
  it('what stands there is not taken for what is committed in its place', async () => {
    const member = await withOldEnd();
    member.receive(other.message(third, 2, 8), other.bytes);
    expect([member.consensus.committedEndIndex, member.consensus.placedEndIndex]).toEqual([8, 4]);
    expect(member.consensus.highWatermark).toBe(2);
    await member.settle();
    expect([member.consensus.placedEndIndex, member.consensus.highWatermark]).toEqual([8, 5]);
    expect(member.log.termAt(7)).toBe(2);
  });

  it('what was stored of it does not count for what comes in its place', async () => {
    const member = await withOldEnd();
    // More of the old leader's is under way to the disk when the new one is heard.
    member.disk.sync = new Gate();
    member.disk.truncate = new Gate();
    member.disk.sync.close();
    member.disk.truncate.close();
    const more = new LeaderEntries({ index: 8, offset: 6, previousTerm: 1 }).data('more', 'more');
    member.receive(more.message(second, 1, 4), more.bytes);
    await member.settle();
    const longer = new LeaderEntries({ index: 4, offset: 2, previousTerm: 1 })
      .termStart(2)
      .data('new', 'new', 'new')
      .data('new', 'new');
    member.receive(longer.message(third, 2, 4), longer.bytes);
    member.disk.sync.open();
    await member.settle();
    for (const answer of appendAnswers(member.sent)) {
      expect(answer.term === 1 || answer.flushedEndIndex <= 4).toBe(true);
    }
    member.disk.truncate.open();
    await member.settle();
    expect(appendAnswers(member.sent).at(-1)).toMatchObject({ term: 2, flushedEndIndex: 10 });
  });

  it('a new leader takes nothing until that is done', async () => {
    const member = await withOldEnd();
    member.disk.truncate = new Gate();
    member.disk.truncate.close();
    member.receive(other.message(third, 2, 4), other.bytes);
    member.receive(timeoutNow(third, 2));
    await member.settle();
    member.receive(voteAnswer(second, 3));
    expect(member.consensus.raft.role).toBe('leader');
    expect(member.consensus.append(batchOf({ values: ['x'] }))).toEqual({ kind: 'refused', reason: 'busy' });
    member.disk.truncate.open();
    await member.settle();
    const outcome = member.consensus.append(batchOf({ values: ['x'] }));
    expect(outcome).toMatchObject({ kind: 'appended', term: 3, baseIndex: 9, baseOffset: 5 });
    expect([4, 7, 8, 9].map((index) => member.log.termAt(index))).toEqual([2, 2, 3, 3]);
  });
});

describe('what a leader sends again', () => {
  it('is appended from where the log ends', async () => {
    const member = await startLoneMember();
    const first = new LeaderEntries({ index: 1, offset: 0, previousTerm: 0 }).termStart(1).data('a', 'b');
    member.receive(first.message(second, 1, 1), first.bytes);
    const again = new LeaderEntries({ index: 2, offset: 0, previousTerm: 1 }).data('a', 'b').data('c');
    member.receive(again.message(second, 1, 1), again.bytes);
    member.receive(again.message(second, 1, 1), again.bytes);
    await member.settle();
    expect([member.log.endIndex, member.log.logEndOffset]).toEqual([5, 3]);
    expect(appendAnswers(member.sent).at(-1)).toMatchObject({ matchedEndIndex: 5, flushedEndIndex: 5 });
  });

  it('is no sign that it is stored', async () => {
    const member = await startLoneMember();
    member.disk.sync = new Gate();
    member.disk.sync.close();
    const first = new LeaderEntries({ index: 1, offset: 0, previousTerm: 0 }).termStart(1).data('a', 'b');
    member.receive(first.message(second, 1, 1), first.bytes);
    await member.settle();
    member.receive(first.message(second, 1, 1), first.bytes);
    await member.settle();
    expect(member.log.writtenEndIndex).toBe(4);
    const answer = appendAnswers(member.sent).at(-1);
    expect(answer).toMatchObject({ matchedEndIndex: 4, flushedEndIndex: 1 });
    member.disk.sync.open();
    await member.settle();
    expect(appendAnswers(member.sent).at(-1)).toMatchObject({ matchedEndIndex: 4, flushedEndIndex: 4 });
  });
});

describe('a configuration that is committed', () => {
  it('is not to be kept before it is durable here', async () => {
    const member = await startLoneMember();
    member.disk.sync = new Gate();
    member.disk.sync.close();
    const next = { voters: [second, third], outgoing: [], learners: [], revision: 7 };
    const entries = new LeaderEntries({ index: 1, offset: 0, previousTerm: 0 })
      .termStart(1)
      .configuration(next)
      .data('a');
    member.receive(entries.message(second, 1, 4), entries.bytes);
    await member.settle();
    expect(member.consensus.committedEndIndex).toBe(4);
    expect(member.consensus.durableConfiguration().index).toBe(0);
    member.disk.sync.open();
    await member.settle();
    expect(member.consensus.durableConfiguration()).toEqual({ index: 2, configuration: next });
  });
});

describe('a member whose log fails', () => {
  it('leads no more, and says and hears nothing', async () => {
    const member = await withOldEnd();
    member.receive(timeoutNow(second, 1));
    await member.settle();
    member.receive(voteAnswer(third, 2));
    await member.settle();
    expect(member.consensus.raft.role).toBe('leader');
    member.faults.write = 'io';
    member.consensus.append(batchOf({ values: ['x'] }));
    await member.settle();
    expect(member.told.filter((line) => line.startsWith('failed'))).toEqual(['failed: write']);
    expect([member.consensus.hasEnded, member.consensus.raft.role]).toEqual([true, 'follower']);
    member.sent.length = 0;
    member.receive(voteRequest(third, 9));
    await member.settle();
    expect([member.sent, member.consensus.append(batchOf({ values: ['y'] }))]).toEqual([
      [],
      { kind: 'refused', reason: 'failed' },
    ]);
  });
});
