/** Watches from outside, by Metadata of nodes that are up, who leads the partitions of a topic. */
import { WireConnection } from '../integration/wire-connection.ts';

const metadataVersion = 12;
const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export class LeaderWatch implements AsyncDisposable {
  readonly #connection: WireConnection;
  readonly #topic: string;

  private constructor(connection: WireConnection, topic: string) {
    this.#connection = connection;
    this.#topic = topic;
  }

  /** By the node that answers on this port. */
  static async open(port: number, topic: string): Promise<LeaderWatch> {
    return new LeaderWatch(await WireConnection.open(port), topic);
  }

  /** The leader's node of each partition; -1 where the node knows of none. */
  async leaders(): Promise<number[]> {
    const { topics } = await this.#connection.call('Metadata', metadataVersion, {
      topics: [{ topicId: noTopicId, name: this.#topic }],
      allowAutoTopicCreation: false,
    });
    const leaders: number[] = [];
    for (const { partitionIndex, leaderId } of topics[0]?.partitions ?? [])
      leaders[partitionIndex] = leaderId;
    return leaders;
  }

  /**
   * Milliseconds from `sinceMs` until each of these partitions has a leader other than `node`; Infinity for those that have
   * none within `withinMs`.
   */
  async timesWithoutLeader(
    partitions: readonly number[],
    gone: { readonly node: number; readonly sinceMs: number; readonly withinMs: number },
  ): Promise<number[]> {
    const times = new Map<number, number>();
    while (times.size < partitions.length && performance.now() - gone.sinceMs < gone.withinMs) {
      const leaders = await this.leaders();
      const nowMs = performance.now();
      for (const partition of partitions) {
        const leader = leaders[partition] ?? -1;
        if (leader >= 0 && leader !== gone.node && !times.has(partition))
          times.set(partition, nowMs - gone.sinceMs);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return partitions.map((partition) => times.get(partition) ?? Infinity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}
