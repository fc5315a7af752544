/**
 * Which changes of members a leader makes, and when (thesis, chapter 4). One at a time, and none before an entry of the
 * leader's own term has committed: an earlier change that it has not yet heard of could still come to hold. Who is to vote
 * has caught up as a learner first. docs/decisions have the reasons.
 */
import { haveSameVoters, isJoint } from './configuration.ts';
import type { Configuration } from './configuration.ts';
import type { Group } from './group.ts';
import type { MemberId } from './member.ts';
import type { Replication } from './replication.ts';

/** The members that a group is to have. */
export interface Members {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
  readonly revision: number;
}

export type ChangeRefusal =
  | 'not-leader'
  | 'transferring'
  /** The leader's first entry, or the change before this one, is not yet committed: try again then. */
  | 'change-under-way'
  /** A voter-to-be is no learner yet, or one that lags: try again when it has caught up. */
  | 'learner-behind'
  /** No voter, or a member named twice. */
  | 'invalid-members';

export function changeRefusal(
  group: Group,
  replication: Replication,
  members: Members,
): ChangeRefusal | undefined {
  const { configuration, configurations, committedEndIndex } = group;
  const named = [...members.voters, ...members.learners];
  if (members.voters.length === 0 || new Set(named).size < named.length) return 'invalid-members';
  if (isJoint(configuration) || configurations.last.index >= committedEndIndex) return 'change-under-way';
  for (const voter of members.voters) {
    if (configuration.voters.includes(voter)) continue;
    const progress = replication.of(voter);
    const hasCaughtUp =
      progress?.state === 'replicate' &&
      progress.matchedEndIndex >= progress.toldCommittedEndIndex &&
      progress.toldCommittedEndIndex > 0;
    if (!hasCaughtUp) return 'learner-behind';
  }
  return undefined;
}

/** What the change begins with: joint where the voters are others, at once the whole where they are the same. */
export function firstStep(from: Configuration, members: Members): Configuration {
  const { voters, learners, revision } = members;
  const outgoing = haveSameVoters(from.voters, voters) ? [] : from.voters;
  return { voters, outgoing, learners, revision };
}

/** What a joint configuration ends in. */
export function withoutOutgoing(joint: Configuration): Configuration {
  return { ...joint, outgoing: [] };
}
