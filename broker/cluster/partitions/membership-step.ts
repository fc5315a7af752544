/**
 * What the leader of a group has to do next so that the group's members become those that the metadata wants. Pure.
 *
 * The intent has a revision, and every configuration carries the one that it was made for: a leader that knows less than the group
 * itself does nothing. First those who are to join become learners; when they have caught up the voters change, jointly; when
 * the configuration that has committed is the target of the revision and nobody else, that is reported.
 */
import { haveSameVoters, isJoint } from '../../raft/configuration.ts';
import type { Configuration } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/member.ts';

export interface MembershipIntent {
  /** The voters that are to be, the preferred leader first; undefined while the directory of one is not known. */
  readonly target: readonly MemberId[] | undefined;
  readonly revision: number;
  /** The metadata waits to hear that it is done. */
  readonly awaitsCompletion: boolean;
}

export interface GroupMembers {
  /** That holds now, committed or not. */
  readonly configuration: Configuration;
  readonly isCommitted: boolean;
  /** Whether this learner has what is committed. */
  readonly hasCaughtUp: (member: MemberId) => boolean;
}

export interface WantedMembers {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
  readonly revision: number;
}

export type MembershipStep =
  /** The members are as they should be, as far as this node knows. */
  | { readonly kind: 'nothing' }
  /** A change has to commit, a learner to catch up, or the intent to be known in full. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'change'; readonly members: WantedMembers }
  | { readonly kind: 'complete'; readonly revision: number };

const nothing: MembershipStep = { kind: 'nothing' };
const wait: MembershipStep = { kind: 'wait' };

export function nextMembershipStep(intent: MembershipIntent, group: GroupMembers): MembershipStep {
  const { target, revision, awaitsCompletion } = intent;
  const { configuration, isCommitted, hasCaughtUp } = group;
  const { voters, learners } = configuration;
  if (revision < configuration.revision) return nothing;
  if (target === undefined || target.length === 0 || !isCommitted || isJoint(configuration)) return wait;
  const isTarget = isSame(voters, target) && learners.length === 0;
  if (isTarget && !awaitsCompletion) return nothing;
  if (isTarget && configuration.revision === revision) return { kind: 'complete', revision };
  const joining = target.filter((member) => !voters.includes(member));
  // Whoever is no learner of this revision yet begins as one; learners that nobody wants any more go.
  if (joining.length > 0 && !(haveSameVoters(learners, joining) && configuration.revision === revision)) {
    return { kind: 'change', members: { voters, learners: joining, revision } };
  }
  if (!joining.every(hasCaughtUp)) return wait;
  return { kind: 'change', members: { voters: target, learners: [], revision } };
}

function isSame(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every((member, place) => member === other[place]);
}
