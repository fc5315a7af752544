/**
 * Makes the members of the metadata group those that it should have (`metadata-voters.ts`), while this node leads it: who is new
 * receives the log as a learner first, then the voters change in one step. Looks again when something has moved, and from time to
 * time while there is something to do; once all is as it should be there is no timer.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { haveSameVoters, isJoint, membersOf } from '../../raft/configuration.ts';
import type { Configuration } from '../../raft/configuration.ts';
import { memberId, nodeOf } from '../../raft/member.ts';
import type { MemberId } from '../../raft/member.ts';
import { drainedNodes } from '../controller/drained-nodes.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import { chooseMetadataMembers } from './metadata-voters.ts';
import type { MetadataMembers } from './metadata-voters.ts';

/** The metadata group, as its leader's replica has it. */
export interface MetadataGroup {
  readonly configuration: Configuration;
  /** What keeps the change from being made now, if anything; it is to be asked for again. */
  changeMembers(members: {
    readonly voters: readonly MemberId[];
    readonly learners: readonly MemberId[];
    readonly revision: number;
  }): unknown;
}

export interface MetadataMembershipOptions {
  readonly nodeId: number;
  readonly group: MetadataGroup;
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  /** Whether this node leads the metadata log and knows all of it. */
  readonly isLeading: () => boolean;
}

/** Between two attempts, while a change is under way or a learner catches up. */
const retryMs = 200;

export class MetadataMembership {
  readonly #options: MetadataMembershipOptions;
  /** Nodes that are to join and have yet to register, by node id. Forgotten with the leadership: they ask again. */
  readonly #admitted = new Map<number, MemberId>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: MetadataMembershipOptions) {
    this.#options = options;
  }

  /** A node with this first directory is to join: it is a learner from now on, before it has registered. */
  admit(nodeId: number, directoryId: string): void {
    this.#admitted.set(nodeId, memberId(nodeId, directoryId));
    this.review();
  }

  /** Whether this member belongs to the group. */
  has(nodeId: number, directoryId: string): boolean {
    return membersOf(this.#options.group.configuration).includes(memberId(nodeId, directoryId));
  }

  /** Something has moved: the image, who leads, or the group's configuration. */
  review(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { isLeading, group, clock, image } = this.#options;
    if (!isLeading()) this.#admitted.clear();
    if (this.#closed || !isLeading()) return;
    const wanted = this.#wanted();
    if (wanted === undefined) return;
    if (!isJoint(group.configuration)) {
      group.changeMembers({ ...this.#nextStep(wanted), revision: image().endOffset });
    }
    // A change that was refused, or has yet to commit, is followed by the next look.
    this.#timer = clock.after(retryMs, () => this.review());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#admitted.clear();
  }

  /** Undefined where the group is as it should be. */
  #wanted(): MetadataMembers | undefined {
    const { group, image, nodeId } = this.#options;
    const { configuration } = group;
    const { brokers } = image();
    for (const [id, member] of this.#admitted) {
      const [first] = brokers.get(id)?.logDirectories ?? [];
      const isRegistered = first !== undefined && member === memberId(id, first);
      if (isRegistered || image().isGoneMember(member)) this.#admitted.delete(id);
    }
    const self = configuration.voters.find((voter) => nodeOf(voter) === nodeId);
    if (self === undefined) return undefined;
    const drained = drainedNodes(image());
    const wanted = chooseMetadataMembers({
      brokers: brokers.values(),
      admitted: this.#admitted.values(),
      isGone: (id) => image().isGone(id) && !this.#admitted.has(id),
      isDrained: (id) => drained.has(id),
      voters: configuration.voters,
      learners: configuration.learners,
      leader: self,
    });
    const isSame =
      !isJoint(configuration) &&
      haveSameVoters(configuration.voters, wanted.voters) &&
      haveSameVoters(configuration.learners, wanted.learners);
    return isSame ? undefined : wanted;
  }

  /** Who is new is a learner first. */
  #nextStep(wanted: MetadataMembers): MetadataMembers {
    const { voters, learners } = this.#options.group.configuration;
    const present = [...voters, ...learners];
    const missing = [...wanted.voters, ...wanted.learners].filter((member) => !present.includes(member));
    return missing.length === 0 ? wanted : { voters, learners: [...learners, ...missing] };
  }
}
