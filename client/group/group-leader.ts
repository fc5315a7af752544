/** What the leader of a classic group does beside its own part: it shares out the partitions, and looks whether topics have changed. */
import type { JoinGroupResponse } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { KafkaError } from '../errors.ts';
import { abortable } from '../waiting.ts';
import type { Assignor, GroupMember } from './assignor.ts';
import { decodeSubscription, encodeAssignment } from './consumer-protocol.ts';

export class GroupLeader {
  readonly #cluster: Cluster;
  readonly #assignors: readonly Assignor[];
  /** The topics that were shared out, with how many partitions each had. Undefined in other members. */
  #sharedCounts: ReadonlyMap<string, number> | undefined;

  constructor(cluster: Cluster, assignors: readonly Assignor[]) {
    this.#cluster = cluster;
    this.#assignors = assignors;
  }

  /** Another member leads. */
  resign(): void {
    this.#sharedCounts = undefined;
  }

  /** The signal ends it: then it rejects with ABORTED. */
  async shareOut(
    joined: JoinGroupResponse,
    signal: AbortSignal,
  ): Promise<{ memberId: string; assignment: Buffer }[]> {
    const assignor = this.#assignors.find(({ name }) => name === joined.protocolName);
    if (assignor === undefined) {
      throw new KafkaError(
        'INCONSISTENT_GROUP_PROTOCOL',
        `The group chose '${joined.protocolName ?? ''}', which this member did not offer.`,
      );
    }
    const members = joined.members.map(({ memberId, groupInstanceId, metadata }): GroupMember => ({
      memberId,
      groupInstanceId,
      subscription: decodeSubscription(metadata),
    }));
    const topics = new Set(members.flatMap((member) => member.subscription.topics));
    this.#cluster.track(topics);
    await abortable(this.#cluster.refresh(), signal, 'share the partitions out');
    this.#sharedCounts = this.#partitionCounts(topics);
    if (joined.skipAssignment) return [];
    const assignment = assignor.assign(members, this.#sharedCounts);
    return [...assignment].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment(partitions),
    }));
  }

  /** Whether the topics that were shared out, or those given here, have other partitions by now. */
  haveTopicsChanged(own: readonly string[]): boolean {
    const shared = this.#sharedCounts;
    if (shared === undefined) return false;
    const topics = new Set([...shared.keys(), ...own]);
    const now = this.#partitionCounts(topics);
    return [...topics].some((topic) => now.get(topic) !== shared.get(topic));
  }

  /** Of the topics that exist. */
  #partitionCounts(topics: Iterable<string>): Map<string, number> {
    const counts = new Map<string, number>();
    for (const topic of topics) {
      const count = this.#cluster.metadata.topic(topic)?.partitions.length ?? 0;
      if (count > 0) counts.set(topic, count);
    }
    return counts;
  }
}
