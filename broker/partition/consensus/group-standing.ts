/** What a group's member has told its node: where the group stands, and which tick it waits for. Told again only when that has changed. */
import { membersOf } from '../../raft/configuration.ts';
import type { Configuration } from '../../raft/configuration.ts';
import { nodeOf } from '../../raft/member.ts';
import type { Placement } from '../../raft/node-heartbeats.ts';
import type { Raft } from '../../raft/raft.ts';
import type { ConsensusHost, GroupMember } from './consensus-types.ts';

/** What of its node it tells. */
export type StandingHost = Pick<ConsensusHost, 'ticking' | 'placed' | 'dueAt'>;

export class GroupStanding {
  readonly #member: GroupMember;
  readonly #host: StandingHost;
  readonly #now: () => number;
  #placement: Placement | undefined;
  #configuration: Configuration | undefined;
  /** See GroupMember. */
  dueAt = Infinity;

  constructor(member: GroupMember, host: StandingHost, now: () => number) {
    this.#member = member;
    this.#host = host;
    this.#now = now;
  }

  /** Which term it is does not matter to the node while nobody leads. */
  place({ configuration, leader, term }: Pick<Raft, 'configuration' | 'leader' | 'term'>): void {
    const leaderNode = leader === undefined ? undefined : nodeOf(leader);
    const before = this.#placement;
    const isSame = before?.leaderNode === leaderNode && (leaderNode === undefined || before?.term === term);
    if (isSame && this.#configuration === configuration) return;
    this.#configuration = configuration;
    this.#placement = { term, leaderNode, nodes: membersOf(configuration).map(nodeOf) };
    this.#host.placed(this.#member, this.#placement);
  }

  /**
   * After every input. A tick that has gone by is waited for no longer: it came while the member stood in the line of those that ask for
   * leadership, and it has campaigned since without being given it.
   */
  settle(raft: Pick<Raft, 'isTicking' | 'quietUntil'>): void {
    if (!raft.isTicking) return;
    const now = this.#now();
    const tick = Math.max(raft.quietUntil, now + 1);
    if (this.dueAt >= now && tick >= this.dueAt) return;
    this.dueAt = tick;
    this.#host.dueAt(this.#member, tick);
  }

  /** The member has left its group. */
  end(): void {
    this.dueAt = Infinity;
    this.#host.ticking(this.#member, false);
    this.#host.placed(this.#member, undefined);
  }
}
