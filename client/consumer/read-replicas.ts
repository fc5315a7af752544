/**
 * Which broker each partition is read from. That is its leader, unless the client says its rack and the leader names another replica,
 * which is nearer (KIP-392). That one is read from until it errs, is silent or gone, or the choice is as old as metadata may be; then the
 * leader is asked again. So that the two do not send the reader to and fro, the leader is not told of the rack for a while after
 * a replica did not do: it then answers itself.
 */
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import type { PartitionState } from './partition-state.ts';

/** How long the leader alone is read from after another replica did not do. */
export const leaderAloneMs = 10_000;

interface Choice {
  readonly nodeId: number;
  readonly untilMs: number;
}

export class ReadReplicas {
  readonly #cluster: Cluster;
  readonly #choices = new WeakMap<PartitionState, Choice>();
  readonly #leaderAloneUntilMs = new WeakMap<PartitionState, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The broker to read the partition from; undefined while it has no leader, whose word counts for all replicas. */
  source(state: PartitionState): NodeInfo | undefined {
    const { metadata } = this.#cluster;
    const leader = metadata.leader(state.topic, state.partition);
    const choice = this.#choices.get(state);
    if (choice === undefined || leader === undefined) return leader;
    const replica = metadata.nodes.get(choice.nodeId);
    if (replica !== undefined && this.#nowMs() < choice.untilMs) return replica;
    this.#choices.delete(state);
    return leader;
  }

  /** The partition is read from this broker though another one leads. */
  isReadFrom(state: PartitionState, nodeId: number): boolean {
    return this.#choices.get(state)?.nodeId === nodeId;
  }

  /** The leader has named another replica, instead of giving records. */
  named(state: PartitionState, nodeId: number): void {
    if (!this.#cluster.metadata.nodes.has(nodeId)) {
      this.#cluster.refreshSoon();
      return this.leave(state);
    }
    const untilMs = this.#nowMs() + this.#cluster.components.settings.metadataMaxAgeMs;
    this.#choices.set(state, { nodeId, untilMs });
  }

  /** The replica did not do: its leader is read from. */
  leave(state: PartitionState): void {
    this.#choices.delete(state);
    this.#leaderAloneUntilMs.set(state, this.#nowMs() + leaderAloneMs);
  }

  /** What a request for these partitions says of where the client is; '' for nothing. */
  rackFor(states: readonly PartitionState[]): string {
    const { rack } = this.#cluster.components.settings;
    const nowMs = this.#nowMs();
    const isAlone = (state: PartitionState): boolean => nowMs < (this.#leaderAloneUntilMs.get(state) ?? 0);
    return rack !== '' && states.some(isAlone) ? '' : rack;
  }

  #nowMs(): number {
    return this.#cluster.components.clock.monotonicMs();
  }
}
