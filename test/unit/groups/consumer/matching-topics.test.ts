import { describe, expect, it } from 'vitest';
import { MatchingTopics } from '../../../../broker/groups/consumer/matching-topics.ts';
import { PatternSubscriptions } from '../../../../broker/groups/consumer/pattern-subscriptions.ts';
import type { RefreshPatternsCommand } from '../../../../broker/groups/consumer/consumer-commands.ts';
import { TopicPatternError } from '../../../../broker/groups/consumer/topic-pattern.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { Topics } from './consumer-client.ts';

/** Enough to take more than one turn. */
function manyTopics(): Topics {
  return new Topics(Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`topic-${index}`, 1])));
}

describe('the search for topics that match', () => {
  it('lets other work have its turn, and finds all in order', async () => {
    const clock = new ManualClock();
    let isFound = false;
    const searching = new MatchingTopics(clock, manyTopics).of('topic-.*9{3}');
    void searching.then(() => {
      isFound = true;
    });
    await Promise.resolve();
    expect(isFound).toBe(false);
    await clock.advanceAsync(1);
    expect(await searching).toEqual(['topic-1999', 'topic-2999', 'topic-3999', 'topic-4999', 'topic-999']);
  });

  it('is made once for all that name the pattern, until topics change', async () => {
    const clock = new ManualClock();
    const topics = new Topics({ a1: 1, b1: 1 });
    const matching = new MatchingTopics(clock, () => topics);
    const first = matching.of('a.*');
    expect(matching.of('a.*')).toBe(first);
    expect(await first).toEqual(['a1']);
    topics.set('a2', 1);
    expect(await matching.of('a.*')).toEqual(['a1', 'a2']);
    for (let other = 0; other < 40; other++) await matching.of(`b${other}`);
    expect(await matching.of('a.*')).toEqual(['a1', 'a2']);
  });

  it('refuses what is no pattern', async () => {
    await expect(new MatchingTopics(new ManualClock(), () => new Topics()).of('(')).rejects.toThrow(
      TopicPatternError,
    );
  });
});

describe('patterns that may be out of date', () => {
  it('are looked for once for each group at a time, and what is too much for a record is told', async () => {
    const clock = new ManualClock();
    const topics = manyTopics();
    const submitted: RefreshPatternsCommand[] = [];
    const large: unknown[] = [];
    const patterns = new PatternSubscriptions({
      clock,
      topics: () => topics,
      submit: (command) => {
        submitted.push(command);
        return Promise.resolve({
          kind: 'replied',
          reply: { errorCode: ErrorCode.NONE, tooLarge: ['.*2{3}'] },
        });
      },
      onLargePatterns: (groupId, which) => large.push([groupId, which]),
    });
    for (let asked = 0; asked < 3; asked++)
      patterns.refresh('g', ['.*1{4}', '.*2{3}', '('], (name) => name !== 'topic-222');
    await clock.advanceAsync(1);
    expect(submitted).toEqual([
      {
        kind: 'refresh-patterns',
        groupId: 'g',
        patterns: new Map([
          ['.*1{4}', ['topic-1111']],
          ['.*2{3}', ['topic-1222', 'topic-2222', 'topic-3222', 'topic-4222']],
        ]),
        topicsVersion: topics.version,
      },
    ]);
    expect(large).toEqual([['g', ['.*2{3}']]]);
    patterns.refresh('g', ['.*1{4}'], () => true);
    await clock.advanceAsync(1);
    expect(submitted).toHaveLength(2);
  });
});
