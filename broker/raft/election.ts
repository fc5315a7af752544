/**
 * Who gets a vote, and when to ask for one (thesis, chapter 3 and 9.6).
 *
 * A vote goes to one candidate a term, whose log is at least as complete as the voter's. A voter that hears its leader gives
 * none, so that a member that was cut off cannot depose who serves the others (4.2.3); the leader itself can lift that
 * (transfer). A pre-vote asks first, and changes nothing: only who could win begins a term.
 */
import type { Group } from './group.ts';
import { nodeOf } from './member.ts';
import type { VoteRequest } from './messages.ts';
import { isSilent } from './peers.ts';
import { voteResult } from './quorum.ts';

/** Election timeouts that a member of a new group waits for the one who is to lead it first, and has thousands of others to see to. */
const firstTimeouts = 10;

/**
 * How long after the last sign of a leader this member campaigns: those who come before it in the order of preference and are
 * alive go first, and chance parts those who would go together. `jitter` is drawn once for each attempt.
 */
export function campaignTicks(group: Group, jitter: number): number {
  const { electionTicks, rankTicks } = group.settings.timing;
  const { voters } = group.configuration;
  const lost = group.leader;
  let rank = 0;
  for (const voter of voters) {
    if (voter === group.id) break;
    if (voter !== lost && !isSilent(group.peers, group.settings.timing, nodeOf(voter))) rank++;
  }
  const isFirstElection = group.term === 0 && rank > 0;
  return electionTicks * (isFirstElection ? firstTimeouts : 1) + rank * rankTicks + jitter;
}

/** In [0, ticks): what parts members that would campaign together, and candidates that have split the votes. */
export function drawJitter(group: Group, ticks: number): number {
  return group.random.below(ticks);
}

/** Whether so many voters' nodes are there that this member could be elected. */
export function canBeElected({ configuration, id, peers, settings }: Group): boolean {
  const votes = voteResult(configuration, (voter) =>
    voter === id || !isSilent(peers, settings.timing, nodeOf(voter)) ? true : undefined,
  );
  return votes === 'won';
}

/** Whether the candidate's log has all that may be committed, as far as this voter can tell. */
function isComplete(group: Group, request: VoteRequest): boolean {
  const { impairment, log } = group;
  if (!log.isCoveredBy(request.lastTerm, request.lastIndex)) return false;
  if (impairment?.kind !== 'damaged') return true;
  // What this log has lost it has acknowledged: the floor speaks for the entries that are no longer there.
  const { floor } = impairment;
  return (
    request.lastTerm > floor.term || (request.lastTerm === floor.term && request.lastIndex >= floor.index)
  );
}

export function wouldVote(group: Group, request: VoteRequest): boolean {
  return request.term > group.term && isComplete(group, request);
}

/** One vote a term, of this one or a later; who knows the term's leader has nobody else to vote for. */
export function mayVote(group: Group, request: VoteRequest): boolean {
  if (request.term < group.term) return false;
  if (request.term === group.term) {
    const { votedFor } = group.hardState;
    if (votedFor !== undefined) return votedFor === request.from;
    if (group.leader !== undefined) return false;
  }
  return isComplete(group, request);
}
