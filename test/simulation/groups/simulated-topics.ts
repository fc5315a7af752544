/** The topics of a simulated cluster; one that is made again has another id. */
import type { TopicsView } from '../../../broker/groups/consumer/topics-view.ts';
import type { Ids } from '../../../platform/ids.ts';

interface Topic {
  readonly id: string;
  readonly name: string;
  partitions: number;
}

export class SimulatedTopics implements TopicsView {
  readonly #ids: Ids;
  readonly #byName = new Map<string, Topic>();
  readonly #byId = new Map<string, Topic>();
  readonly #deleted = new Set<string>();
  version = 0;

  constructor(ids: Ids) {
    this.#ids = ids;
  }

  make(name: string, partitions: number): void {
    const topic = { id: this.#ids.uuid(), name, partitions };
    this.#byName.set(name, topic);
    this.#byId.set(topic.id, topic);
    this.version++;
  }

  grow(name: string, by: number): void {
    this.#byName.get(name)!.partitions += by;
    this.version++;
  }

  delete(name: string): void {
    const { id } = this.#byName.get(name)!;
    this.#byName.delete(name);
    this.#byId.delete(id);
    this.#deleted.add(id);
    this.version++;
  }

  idOf(name: string): string | undefined {
    return this.#byName.get(name)?.id;
  }

  nameOf(topicId: string): string | undefined {
    return this.#byId.get(topicId)?.name;
  }

  names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  isDeleted(topicId: string): boolean {
    return this.#deleted.has(topicId);
  }

  partitionCount(topicId: string): number {
    return this.#byId.get(topicId)?.partitions ?? 0;
  }
}
