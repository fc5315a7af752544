import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memberId } from '../../../broker/raft/member.ts';
import { quorumValue, voteResult } from '../../../broker/raft/quorum.ts';

const all = Array.from({ length: 7 }, (_, id) => memberId(id, 'd'));
const values = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 7, maxLength: 7 });
const voters = fc.subarray(all);

describe('quorumValue', () => {
  it('is the largest value that a majority of each set has reached', () => {
    fc.assert(
      fc.property(voters, voters, values, (incoming, outgoing, of) => {
        const valueOf = (member: (typeof all)[number]): number => of[all.indexOf(member)]!;
        const isReached = (value: number): boolean =>
          [incoming, outgoing].every(
            (set) => set.length === 0 || set.filter((m) => valueOf(m) >= value).length * 2 > set.length,
          );
        const value = quorumValue({ voters: incoming, outgoing }, valueOf);
        if (value === Number.POSITIVE_INFINITY) {
          expect([incoming.length, outgoing.length]).toEqual([0, 0]);
          return;
        }
        expect(isReached(value)).toBe(true);
        expect(isReached(value + 1)).toBe(false);
      }),
    );
  });
});

describe('voteResult', () => {
  it('is won when a majority of each set grants, and lost when that can no longer be', () => {
    const votes = fc.array(fc.constantFrom(true, false, undefined), { minLength: 7, maxLength: 7 });
    fc.assert(
      fc.property(voters, voters, votes, (incoming, outgoing, of) => {
        const sets = [incoming, outgoing].filter((set) => set.length > 0);
        const wins = (granted: readonly (boolean | undefined)[]): boolean =>
          sets.every((set) => set.filter((m) => granted[all.indexOf(m)] === true).length * 2 > set.length);
        const result = voteResult({ voters: incoming, outgoing }, (member) => of[all.indexOf(member)]);
        const best = of.map((vote) => vote !== false);
        const expected = wins(of) ? 'won' : wins(best) ? 'pending' : 'lost';
        expect(result).toBe(expected);
      }),
    );
  });

  it('asks both sets of a joint configuration', () => {
    const sets = { voters: [all[0]!], outgoing: [all[1]!, all[2]!, all[3]!] };
    expect(voteResult(sets, (member) => (member === all[0] ? true : undefined))).toBe('pending');
    expect(voteResult(sets, (member) => member !== all[3])).toBe('won');
    expect(voteResult(sets, (member) => member === all[0] || undefined)).toBe('pending');
    expect(voteResult(sets, (member) => member !== all[0])).toBe('lost');
  });
});
