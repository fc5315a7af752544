/**
 * Gives groups whose majority is lost for good the voters that are left: what an operator has asked for, as no program may (thesis,
 * 4.2; docs/operations.md). Whatever only the lost ones held is gone.
 *
 * Every survivor does so for its own replicas. The one with the longest log wins the election that follows; the others vote for it.
 * A group that still has a majority is left alone, so that it does no harm to do it twice.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Configuration } from '../raft/configuration.ts';
import { nodeOf } from '../raft/member.ts';
import type { MemberId } from '../raft/member.ts';
import { voteResult } from '../raft/quorum.ts';
import type { Replica } from './replica.ts';

export interface MajorityRecoveryOptions {
  readonly clock: Clock;
  /** The nodes that are left, this one among them. */
  readonly survivors: ReadonlySet<number>;
  /** How long nothing has been heard of a node; Infinity: nothing ever was. */
  readonly silentMs: (nodeId: number) => number;
  /** It goes on without its voters on the lost nodes. */
  readonly onForced: (replica: Replica, lost: readonly number[]) => void;
  /** A clause: why it has to be left as it is. */
  readonly onImpossible: (replica: Replica, reason: string) => void;
}

/** A node that is said to be lost is one that answers, so that two groups would come of one. */
export class SurvivorFound extends Error {
  readonly nodeId: number;

  constructor(nodeId: number) {
    super(`node ${nodeId} is said to be lost, and answers`);
    this.name = 'SurvivorFound';
    this.nodeId = nodeId;
  }
}

/** Nodes that are there make themselves heard within this, many times over. */
const listeningMs = 3_000;
const lookEveryMs = 100;

export class MajorityRecovery {
  readonly #options: MajorityRecoveryOptions;
  /** Lost nodes that were listened to. */
  readonly #silent = new Set<number>();
  #isEnded = false;

  constructor(options: MajorityRecoveryOptions) {
    this.#options = options;
  }

  /**
   * Resolves when each of these has been given the voters that are left where it needs it. Rejects with a SurvivorFound, before
   * anything is done.
   */
  async force(replicas: Iterable<Replica>): Promise<void> {
    const { survivors, onForced } = this.#options;
    const needy = [...replicas].filter((replica) => this.#needsHelp(replica));
    if (needy.length === 0) return;
    const lost = needy.flatMap((replica) => this.#lostOf(replica.configuration));
    await this.#listenTo(lost.filter((nodeId) => !this.#silent.has(nodeId)));
    for (const replica of needy) {
      // Another survivor may lead it by now.
      if (this.#isEnded || !this.#needsHelp(replica)) continue;
      const { learners, revision } = replica.configuration;
      const members = {
        voters: this.#votersLeft(replica.configuration),
        learners: learners.filter((member) => survivors.has(nodeOf(member))),
        revision,
      };
      const refusal = replica.damaged ? 'damaged' : replica.forceConfiguration(members);
      if (refusal === undefined) onForced(replica, this.#lostOf(replica.configuration));
      else if (refusal !== 'leader-alive') this.#options.onImpossible(replica, refusals[refusal]);
    }
  }

  /** Resolves with true when these have a leader and a majority among the survivors; false where the node stops before. */
  async settled(replicas: () => Iterable<Replica>): Promise<boolean> {
    const isDone = (replica: Replica): boolean =>
      replica.failed || replica.damaged || (replica.leaderNode !== undefined && !this.#needsHelp(replica));
    while (!this.#isEnded && ![...replicas()].every(isDone)) await pause(this.#options.clock, lookEveryMs);
    return !this.#isEnded;
  }

  end(): void {
    this.#isEnded = true;
  }

  /** Resolves when none of these nodes has been heard for some time. Rejects with a SurvivorFound. */
  async #listenTo(nodes: readonly number[]): Promise<void> {
    const { clock, silentMs } = this.#options;
    if (nodes.length === 0) return;
    for (let waitedMs = 0; waitedMs < listeningMs && !this.#isEnded; waitedMs += lookEveryMs) {
      for (const nodeId of nodes) if (silentMs(nodeId) < listeningMs) throw new SurvivorFound(nodeId);
      await pause(clock, lookEveryMs);
    }
    for (const nodeId of nodes) this.#silent.add(nodeId);
  }

  /** Too many of its voters are lost. */
  #needsHelp({ configuration }: Replica): boolean {
    const { survivors } = this.#options;
    return voteResult(configuration, (member) => survivors.has(nodeOf(member))) !== 'won';
  }

  /** Those of a change of members that was under way come after those that were to be. */
  #votersLeft({ voters, outgoing }: Configuration): readonly MemberId[] {
    const { survivors } = this.#options;
    const left = voters.filter((member) => survivors.has(nodeOf(member)));
    return left.length > 0 ? left : outgoing.filter((member) => survivors.has(nodeOf(member)));
  }

  #lostOf({ voters, outgoing }: Configuration): number[] {
    const nodes = new Set([...voters, ...outgoing].map(nodeOf));
    return [...nodes].filter((nodeId) => !this.#options.survivors.has(nodeId));
  }
}

const refusals = {
  damaged: 'its log is damaged here: repair it first (`kappalog log repair`)',
  'not-voter': 'the replica on this node was no voter, so that it may lack anything',
  'replacing-log': 'its log was being replaced by a copy, of which not all has come',
};

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
