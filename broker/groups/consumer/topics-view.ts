/** The topics of the cluster, as a coordinator knows them now. */
export interface TopicsView {
  /** Another one whenever a topic has come, gone, or got partitions. */
  readonly version: number;
  idOf(name: string): string | undefined;
  nameOf(topicId: string): string | undefined;
  /** Of all topics, as they are now. */
  names(): readonly string[];
  /** Whether the topic with this id is known to have been deleted; it does not come again. */
  isDeleted(topicId: string): boolean;
  /** 0 where there is no such topic. */
  partitionCount(topicId: string): number;
}

/**
 * What assignments depend on of these topics, as a number up to 2^53: equal where all have the same ids and counts of partitions. The
 * order of the names does not matter, and a topic that does not exist counts as well once it does.
 */
export function metadataHash(topics: TopicsView, names: Iterable<string>): number {
  let [low, high] = [0, 0];
  for (const name of names) {
    const id = topics.idOf(name);
    if (id === undefined) continue;
    const text = `${id}:${topics.partitionCount(id)}`;
    // Sums: order does not matter.
    low = (low + scattered(fnv1a(text, 0x811c9dc5))) >>> 0;
    high = (high + scattered(fnv1a(text, 0x01234567))) >>> 0;
  }
  return (high & 0x1fffff) * 2 ** 32 + low;
}

function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let position = 0; position < text.length; position++) {
    hash = Math.imul(hash ^ text.charCodeAt(position), 0x01000193);
  }
  return hash >>> 0;
}

/** Every bit of the hash in every bit of what comes out: sums of hashes that differ in their last characters alone would often be the same. */
function scattered(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
