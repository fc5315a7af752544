/** Names of topics by their ids, which is what a coordinator of KIP-848 goes by. What is known is kept: an id never changes its name. */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';

export class TopicNames {
  readonly #cluster: Cluster;
  readonly #names = new Map<string, string>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** One attempt. Leaves out ids that no broker knows: they may be too new, or of topics that were deleted. */
  async resolve(ids: ReadonlySet<string>, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const unknown = [...ids].filter((id) => !this.#names.has(id));
    if (unknown.length > 0) await this.#ask(unknown, signal);
    const found = [...ids].flatMap((id): [string, string][] => {
      const name = this.#names.get(id);
      return name === undefined ? [] : [[id, name]];
    });
    return new Map(found);
  }

  /** Keeps only these. */
  retain(ids: ReadonlySet<string>): void {
    for (const id of this.#names.keys()) if (!ids.has(id)) this.#names.delete(id);
  }

  async #ask(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const { topics } = await this.#cluster.request(
      'Metadata',
      { topics: ids.map((topicId) => ({ topicId, name: null })), allowAutoTopicCreation: false },
      { target: 'any', signal },
    );
    for (const { topicId, name, errorCode } of topics) {
      const isThere = errorCode === ErrorCode.NONE || errorCode === ErrorCode.LEADER_NOT_AVAILABLE;
      if (isThere && name !== null) this.#names.set(topicId, name);
    }
  }
}
