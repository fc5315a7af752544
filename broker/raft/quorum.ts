/**
 * Majorities, of one set of voters and of two at once (joint consensus: both must agree). Pure functions; a set without
 * voters agrees to everything, so that the outgoing half of a configuration that is not joint asks for nothing.
 */
import { assert } from '../../platform/assert.ts';
import type { MemberId } from './member.ts';

/** The voters whose agreement counts; `outgoing` is empty but while a change of voters is under way. */
export interface VoterSets {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
}

export type VoteResult = 'won' | 'lost' | 'pending';

/** How many of `count` voters are a majority. */
export function majorityOf(count: number): number {
  return (count >> 1) + 1;
}

/** The largest value that a majority of each set has reached; Infinity without any voter. */
export function quorumValue(sets: VoterSets, valueOf: (member: MemberId) => number): number {
  const incoming = majorityValue(sets.voters, valueOf);
  if (sets.outgoing.length === 0) return incoming;
  return Math.min(incoming, majorityValue(sets.outgoing, valueOf));
}

/** Whether the votes known so far decide the election: `undefined` is a voter that has not answered. */
export function voteResult(sets: VoterSets, voteOf: (member: MemberId) => boolean | undefined): VoteResult {
  const incoming = majorityVote(sets.voters, voteOf);
  const outgoing = majorityVote(sets.outgoing, voteOf);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityValue(voters: readonly MemberId[], valueOf: (member: MemberId) => number): number {
  const [first, second, third] = voters;
  if (first === undefined) return Number.POSITIVE_INFINITY;
  if (second === undefined) return valueOf(first);
  // Three voters are what nearly all groups have, and this runs for every acknowledgement: the middle of three by hand.
  if (third !== undefined && voters.length === 3) {
    const [a, b, c] = [valueOf(first), valueOf(second), valueOf(third)];
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }
  const values = voters.map(valueOf).sort((a, b) => b - a);
  const value = values[majorityOf(values.length) - 1];
  assert(value !== undefined, 'a majority of some voters is at least one');
  return value;
}

function majorityVote(
  voters: readonly MemberId[],
  voteOf: (member: MemberId) => boolean | undefined,
): VoteResult {
  const needed = majorityOf(voters.length);
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  if (voters.length === 0 || granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}
