/**
 * Which role a member has, and how it passes from one to another:
 *
 *   follower       -> pre-candidate  no leader is heard for too long, or a campaign is asked for
 *   pre-candidate  -> candidate      a majority would vote for it;  -> follower: it would not, or a leader is heard
 *   follower       -> candidate      the leader hands over, or an operator forces it
 *   candidate      -> leader         a majority has voted for it;  -> follower: or not;  -> pre-candidate: nothing was decided
 *   any            -> follower       a higher term, or this term's leader, is heard
 *   leader         -> follower       no majority follows, it has led itself out of the group, or it resigns
 */
import { Candidate } from './candidate.ts';
import { isSoleVoter } from './configuration.ts';
import type { Configuration } from './configuration.ts';
import { canBeElected } from './election.ts';
import { Follower } from './follower.ts';
import type { Group } from './group.ts';
import { Leader } from './leader.ts';
import type { MemberId } from './member.ts';
import type { Snapshot } from './messages.ts';
import type { Role } from './outbox.ts';
import type { SnapshotReceiver } from './snapshot-receiver.ts';

/** Above any term that the voters who are given up may have reached meanwhile, in all likelihood. */
const forcedTermStep = 1000;

export class Roles {
  readonly #group: Group;
  readonly #receiver: SnapshotReceiver;
  #state: Follower | Candidate | Leader;
  /** What an operator has ordered, until it stands in the log. */
  #forced: Configuration | undefined;
  /** How many pre-votes in a row have decided nothing. */
  #undecidedPreVotes = 0;
  #announced: { readonly role: Role; readonly term: number; readonly leader: MemberId | undefined };
  /** The newest that could be sent to others. */
  snapshot: Snapshot | undefined;

  constructor(group: Group, receiver: SnapshotReceiver) {
    this.#group = group;
    this.#receiver = receiver;
    this.#state = new Follower(group);
    this.#announced = { role: 'follower', term: group.term, leader: undefined };
  }

  get state(): Follower | Candidate | Leader {
    return this.#state;
  }

  get role(): Role {
    if (this.#state instanceof Leader) return 'leader';
    if (this.#state instanceof Follower) return 'follower';
    return this.#state.kind === 'vote' ? 'candidate' : 'pre-candidate';
  }

  get isPromotable(): boolean {
    return this.#group.isPromotable && !this.#receiver.isReplacing;
  }

  get isLeaderAlive(): boolean {
    const state = this.#state;
    if (state instanceof Leader) return state.hasQuorum;
    return state instanceof Follower && state.isLeaderAlive;
  }

  get wantsTicks(): boolean {
    if (this.#state instanceof Candidate) return !this.#decidesAlone;
    return this.#state.wantsTicks && !this.#receiver.isReplacing;
  }

  /** See Raft. */
  get quietUntil(): number {
    return this.#state.quietUntil;
  }

  /** Becomes a follower; of a new term, with a vote for it where one is given at once. */
  follow(term: number, leader: MemberId | undefined, vote?: MemberId): Follower {
    this.#endLeadership();
    if (this.#state instanceof Follower) this.#group.promised(this.#state.leaderHeardAt);
    if (leader !== undefined) this.#forced = undefined;
    if (term > this.#group.term) this.#group.setHardState(term, vote);
    this.#group.leader = leader;
    const follower = new Follower(this.#group);
    this.#state = follower;
    this.#announce();
    return follower;
  }

  stepDown(): void {
    this.follow(this.#group.term, undefined);
  }

  /**
   * The leader is said to lead no more. `isCertain`: it has said so itself, or its process is gone, so that it counts on no promise
   * any more; what its node said of all its groups may be older than its leadership.
   */
  leaderGone(isCertain: boolean): void {
    if (!(this.#state instanceof Follower) || this.#group.leader === undefined) return;
    if (isCertain) this.#group.leader = undefined;
    const follower = this.follow(this.#group.term, undefined);
    // With leases only time counts: it has promised that leader, too, not to campaign.
    if (isCertain || this.#group.settings.leases === undefined) follower.leaderGone();
  }

  /** It is time to: as a follower without a leader, or because the last attempt has decided nothing. */
  campaignAgain(): void {
    const isRepeated = this.#state instanceof Candidate && this.#state.kind === 'pre-vote';
    this.#undecidedPreVotes = isRepeated ? this.#undecidedPreVotes + 1 : 0;
    if (this.#forced !== undefined) this.campaign(false);
    else if (this.isPromotable && canBeElected(this.#group)) this.preCampaign();
    else this.stepDown();
  }

  /** Asks whether it could win before it disturbs anybody. */
  preCampaign(): void {
    this.#endLeadership();
    this.#group.leader = undefined;
    const candidate = new Candidate(this.#group, 'pre-vote', {
      isTransfer: false,
      sets: this.#group.configuration,
      patienceTicks: this.#preVoteTicks,
    });
    this.#state = candidate;
    this.#announce();
    if (candidate.voteForItself() === 'won') this.campaign(false);
    else candidate.request();
  }

  /** Begins a term. Its own vote counts when it is durable: `hardStateDurable`. */
  campaign(isTransfer: boolean): void {
    const group = this.#group;
    const step = this.#forced === undefined ? 1 : forcedTermStep;
    this.#endLeadership();
    group.leader = undefined;
    group.setHardState(group.term + step, group.id);
    const candidate = new Candidate(group, 'vote', {
      isTransfer: isTransfer || this.#forced !== undefined,
      sets: this.#forced ?? group.configuration,
      patienceTicks: group.settings.timing.electionTicks,
    });
    this.#state = candidate;
    this.#announce();
    candidate.request();
  }

  force(configuration: Configuration): void {
    this.#forced = configuration;
    this.campaign(false);
  }

  hardStateDurable(): void {
    const state = this.#state;
    if (state instanceof Candidate && state.kind === 'vote' && state.voteForItself() === 'won') this.lead();
  }

  lead(): void {
    this.#group.leader = this.#group.id;
    this.#announce('leader');
    this.#state = new Leader(this.#group, this.snapshot, this.#forced);
    this.#forced = undefined;
  }

  /** Nobody else is asked: what it waits for is its own disk, however long that takes. */
  get #decidesAlone(): boolean {
    return isSoleVoter(this.#forced ?? this.#group.configuration, this.#group.id);
  }

  /**
   * How long a pre-vote waits for answers. One that is refused by a voter who has heard the old leader a little later may be
   * the only one that can win, and asks again soon; who goes on in vain asks ever more seldom.
   */
  get #preVoteTicks(): number {
    const { heartbeatTicks, electionTicks } = this.#group.settings.timing;
    return Math.min(electionTicks, heartbeatTicks * 2 ** this.#undecidedPreVotes);
  }

  /** Whoever waits for what only a leader can say hears so, whatever comes next. */
  #endLeadership(): void {
    if (this.#state instanceof Leader) this.#state.end();
  }

  #announce(role: Role = this.role): void {
    const { role: oldRole, term: oldTerm, leader: oldLeader } = this.#announced;
    const { term, leader } = this.#group;
    if (role === oldRole && term === oldTerm && leader === oldLeader) return;
    this.#announced = { role, term, leader };
    this.#group.outbox.put({ kind: 'role', role, term, leader });
  }
}
