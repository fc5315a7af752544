/**
 * On the node that leads a group: brings the group's members to what the metadata wants (`membership-step.ts`), and reports
 * to the controller when that is so.
 *
 * A group is looked at whenever its leadership, its configuration or its intent changes, and as time goes by only while something
 * is under way in it. Nothing is kept that the metadata or the group does not say: another leader goes on where this one was.
 * At most `copyingMax` groups of this leader take in new members at a time; the others wait for their turn.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { memberId } from '../../raft/member.ts';
import type { Configuration, PlacedConfiguration } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/member.ts';
import { nextMembershipStep } from './membership-step.ts';
import type { MembershipIntent, MembershipStep, WantedMembers } from './membership-step.ts';
import type { MetadataChange, MetadataImage, PartitionImage } from '../metadata/metadata-image.ts';
import { MetadataLogError } from '../metadata/metadata-log.ts';
import { unassignedDirectory } from '../metadata/partition-image.ts';
import { isReassigning, targetOf } from '../controller/reassignments.ts';
import type { CompletedReassignment } from '../controller/reassignments.ts';

/** What of a replica the driver uses. */
export interface DrivenReplica {
  readonly identity: { readonly topic: string; readonly topicId: string; readonly partition: number };
  readonly isLeader: boolean;
  readonly closed: boolean;
  readonly configuration: Configuration;
  readonly committedConfiguration: PlacedConfiguration;
  readonly acknowledgements: {
    progress(): readonly { readonly member: MemberId; readonly state: string; readonly lagEntries: number }[];
  };
  /** A reason where it cannot be made now. */
  changeMembers(members: WantedMembers): string | undefined;
}

export interface MembershipDriverOptions {
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  /** The open replica of this node. */
  readonly replica: (topic: string, partition: number) => DrivenReplica | undefined;
  /** Tells the controller. Rejects with a MetadataLogError where that did not come about. */
  readonly complete: (completed: readonly CompletedReassignment[]) => Promise<void>;
  /** Something that should not be has been met. */
  readonly onFailure: (error: unknown) => void;
}

interface Work {
  readonly replica: DrivenReplica;
  /** It has its turn: new members may be taken in. */
  isAdmitted: boolean;
}

const copyingMax = 8;
const reviewMs = 100;
/** Entries that a learner may lack of a log that grows, and still be about to have all. */
const lagMax = 1_000;
/** Completions in one report. */
const reportMax = 1_000;

export class MembershipDriver {
  readonly #options: MembershipDriverOptions;
  /** Groups in which something is under way, by name, in the order in which they came. */
  readonly #works = new Map<string, Work>();
  /** What is to be reported, by group. */
  readonly #completed = new Map<string, CompletedReassignment>();
  #isReporting = false;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: MembershipDriverOptions) {
    this.#options = options;
  }

  /** Groups in which something is under way that this node leads. */
  get workCount(): number {
    return this.#works.size;
  }

  /** The replica's leadership or configuration has changed. It may be called from within the replica: nothing is done at once. */
  replicaChanged(replica: DrivenReplica): void {
    const { topicId, partition } = replica.identity;
    const key = `${topicId}:${partition}`;
    if (!replica.isLeader) {
      this.#works.delete(key);
      this.#completed.delete(key);
      return;
    }
    const wanted = this.#options.image().topicById(topicId)?.partitions[partition];
    if (wanted === undefined || (!this.#works.has(key) && this.#isAsWanted(replica, wanted))) return;
    this.#add(key, replica);
  }

  /** After the image has it. */
  metadataChanged(change: MetadataChange): void {
    if (change.kind === 'topic-deleted') this.#forget(change.topic.id);
    if (change.kind !== 'partition-changed') return;
    const replica = this.#options.replica(change.topic.name, change.partition);
    if (replica?.identity.topicId === change.topic.id) this.replicaChanged(replica);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#works.clear();
  }

  /** Cheap: asked of every group that this node comes to lead. */
  #isAsWanted(replica: DrivenReplica, wanted: PartitionImage): boolean {
    return this.#stepOf(replica, wanted).kind === 'nothing';
  }

  #add(key: string, replica: DrivenReplica): void {
    const known = this.#works.get(key);
    if (known?.replica !== replica) this.#works.set(key, { replica, isAdmitted: false });
    this.#schedule(0);
  }

  #forget(topicId: string): void {
    for (const [key, { replica }] of this.#works) {
      if (replica.identity.topicId === topicId) this.#works.delete(key);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed || (this.#timer !== undefined && delayMs > 0)) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#review();
      if (this.#works.size > 0) this.#schedule(reviewMs);
    });
  }

  #review(): void {
    let admitted = 0;
    for (const work of this.#works.values()) if (work.isAdmitted) admitted++;
    for (const [key, work] of this.#works) {
      if (!work.isAdmitted) {
        if (admitted >= copyingMax) continue;
        work.isAdmitted = true;
        admitted++;
      }
      if (!this.#drive(key, work.replica)) this.#works.delete(key);
    }
    this.#report();
  }

  /** One step; whether more is to come. */
  #drive(key: string, replica: DrivenReplica): boolean {
    const { topicId, partition } = replica.identity;
    const wanted = this.#options.image().topicById(topicId)?.partitions[partition];
    if (wanted === undefined || !replica.isLeader || replica.closed) return false;
    const step = this.#stepOf(replica, wanted);
    switch (step.kind) {
      case 'nothing':
        return false;
      case 'change':
        // Where it is refused (one before it has not committed, a learner has fallen back) it is tried again.
        replica.changeMembers(step.members);
        return true;
      case 'complete':
        this.#completed.set(key, { topicId, partition, revision: step.revision });
        return true;
      default:
        return true;
    }
  }

  #stepOf(replica: DrivenReplica, wanted: PartitionImage): MembershipStep {
    const { configuration, committedConfiguration } = replica;
    return nextMembershipStep(intentOf(wanted), {
      configuration,
      isCommitted: isSame(committedConfiguration.configuration, configuration),
      hasCaughtUp: (member) => {
        const progress = replica.acknowledgements.progress().find((each) => each.member === member);
        return progress?.state === 'replicate' && progress.lagEntries <= lagMax;
      },
    });
  }

  #report(): void {
    if (this.#isReporting || this.#completed.size === 0 || this.#isClosed) return;
    this.#isReporting = true;
    const reported = [...this.#completed].slice(0, reportMax);
    for (const [key] of reported) this.#completed.delete(key);
    // Whatever becomes of it, the metadata shows: until it does, the next look at the group reports it again.
    this.#options
      .complete(reported.map(([, completed]) => completed))
      .catch((error: unknown) => {
        if (!(error instanceof MetadataLogError)) this.#options.onFailure(error);
      })
      .finally(() => {
        this.#isReporting = false;
      });
  }
}

/** One may have been read from the log. */
function isSame(one: Configuration, other: Configuration): boolean {
  const parts = ({ voters, outgoing, learners, revision }: Configuration): string =>
    [voters.join(), outgoing.join(), learners.join(), revision].join(' ');
  return one === other || parts(one) === parts(other);
}

/** What the metadata wants of a group. */
export function intentOf(partition: PartitionImage): MembershipIntent {
  const { replicas, directories, partitionEpoch } = partition;
  const members = targetOf(partition).map((id): MemberId | undefined => {
    const directoryId = directories[replicas.indexOf(id)] ?? unassignedDirectory;
    return directoryId === unassignedDirectory ? undefined : memberId(id, directoryId);
  });
  const known = members.filter((member) => member !== undefined);
  return {
    target: known.length === members.length ? known : undefined,
    revision: partitionEpoch,
    awaitsCompletion: isReassigning(partition),
  };
}
