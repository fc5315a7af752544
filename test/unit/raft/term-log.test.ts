import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TermLog } from '../../../broker/raft/term-log.ts';
import type { TermStart } from '../../../broker/raft/term-log.ts';

/** A log as a plain list of terms: the first entry has index `start`. */
interface Model {
  start: number;
  startTerm: number;
  terms: number[];
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    count: fc.integer({ min: 1, max: 4 }),
    raise: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({ kind: fc.constant('truncate' as const), back: fc.integer({ min: 0, max: 5 }) }),
  fc.record({ kind: fc.constant('compact' as const), forward: fc.integer({ min: 0, max: 5 }) }),
);

function apply(
  log: TermLog,
  model: Model,
  action: typeof step extends fc.Arbitrary<infer T> ? T : never,
): void {
  const end = model.start + model.terms.length;
  if (action.kind === 'append') {
    const last = model.terms.at(-1) ?? model.startTerm;
    const term = last === 0 ? 1 : last + action.raise;
    const starts: TermStart[] = term > last ? [{ index: end, term }] : [];
    log.append(end + action.count, starts);
    for (let count = 0; count < action.count; count++) model.terms.push(term);
  } else if (action.kind === 'truncate') {
    const to = Math.max(model.start, end - action.back);
    log.truncate(to);
    model.terms.length = to - model.start;
  } else {
    const to = Math.min(end, model.start + action.forward);
    log.compact(to);
    const gone = model.terms.splice(0, to - model.start);
    model.startTerm = gone.at(-1) ?? model.startTerm;
    model.start = to;
  }
}

/** The terms of entries, in runs. */
function entriesOf(
  runs: readonly { readonly count: number; readonly raise: number }[],
  lastTerm: number,
  step: number,
): number[] {
  let term = lastTerm;
  return runs.flatMap(({ count, raise }) => Array<number>(count).fill((term += raise * step)));
}

/** Its first entry has index 1; the first `gone` have been removed, as far as there are so many. */
function logOf(terms: readonly number[], gone: number): TermLog {
  const starts = terms.flatMap((term, place) =>
    term === terms[place - 1] ? [] : [{ index: place + 1, term }],
  );
  const log = new TermLog({ startIndex: 1, startTerm: 0, endIndex: terms.length + 1, terms: starts });
  log.compact(Math.min(gone, terms.length) + 1);
  return log;
}

describe('TermLog', () => {
  it('knows the term of every entry, whatever was appended, cut and compacted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (actions) => {
        const log = new TermLog({ startIndex: 1, startTerm: 0, endIndex: 1, terms: [] });
        const model: Model = { start: 1, startTerm: 0, terms: [] };
        for (const action of actions) {
          apply(log, model, action);
          const terms = model.terms.map((_, place) => log.termAt(model.start + place));
          expect(terms).toEqual(model.terms);
          expect([log.startIndex, log.endIndex]).toEqual([model.start, model.start + model.terms.length]);
          expect(log.lastTerm).toBe(model.terms.at(-1) ?? model.startTerm);
          expect(log.termAt(model.start - 1)).toBe(model.startTerm);
        }
      }),
    );
  });

  it('answers the question of OffsetForLeaderEpoch', () => {
    const terms = [
      { index: 1, term: 1 },
      { index: 4, term: 3 },
      { index: 6, term: 4 },
    ];
    const log = new TermLog({ startIndex: 1, startTerm: 0, endIndex: 9, terms });
    expect([0, 1, 2, 3, 4, 5].map((term) => log.endOfTermAtMost(term))).toEqual([
      { term: 0, endIndex: 1 },
      { term: 1, endIndex: 4 },
      { term: 1, endIndex: 4 },
      { term: 3, endIndex: 6 },
      { term: 4, endIndex: 9 },
      { term: 4, endIndex: 9 },
    ]);
  });

  it('takes a log with the same last term to be complete by its length, and else by the term', () => {
    const log = new TermLog({ startIndex: 1, startTerm: 0, endIndex: 5, terms: [{ index: 1, term: 2 }] });
    expect(log.isCoveredBy(2, 4)).toBe(true);
    expect(log.isCoveredBy(2, 3)).toBe(false);
    expect(log.isCoveredBy(3, 1)).toBe(true);
    expect(log.isCoveredBy(1, 9)).toBe(false);
  });

  it('finds where two logs part as far as both have it, and never a difference where there is none', () => {
    const runs = fc.array(
      fc.record({ count: fc.integer({ min: 1, max: 4 }), raise: fc.integer({ min: 1, max: 3 }) }),
      {
        maxLength: 4,
      },
    );
    const starts = fc.tuple(fc.nat({ max: 15 }), fc.nat({ max: 15 }));
    fc.assert(
      fc.property(runs, runs, runs, starts, (common, first, second, [start, otherStart]) => {
        // After they part, no term is in both: a term has one leader.
        const terms = entriesOf(common, 0, 1);
        const last = terms.at(-1) ?? 0;
        const one = [...terms, ...entriesOf(first, last + 2 - (last % 2), 2)];
        const other = [...terms, ...entriesOf(second, last + 1 - (last % 2), 2)];
        const found = logOf(one, start).firstDifference(logOf(other, otherStart));
        const endIndex = Math.min(one.length, other.length) + 1;
        const partIndex = terms.length + 1;
        const knownIndex = Math.max(
          partIndex,
          Math.min(start, one.length),
          Math.min(otherStart, other.length),
        );
        if (found === undefined) expect(knownIndex).toBeGreaterThanOrEqual(endIndex);
        else expect([found >= partIndex, found <= knownIndex, found < endIndex]).toEqual([true, true, true]);
      }),
    );
  });

  it('matches what is before its start, and what it has with that term', () => {
    const log = new TermLog({ startIndex: 10, startTerm: 2, endIndex: 12, terms: [{ index: 11, term: 3 }] });
    expect([8, 9, 10, 11, 12].map((index) => log.matches(index, 2))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(log.matches(11, 3)).toBe(true);
    expect(log.matches(9, 1)).toBe(false);
  });
});
