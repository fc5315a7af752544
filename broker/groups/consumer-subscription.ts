/**
 * Reads the topics out of the metadata that consumers join with. Every version of ConsumerProtocolSubscription begins
 * with the version (int16) and the topics (array of strings), so that newer versions than we know are read as well.
 */

/** All topics that the members subscribe to; undefined where a member's metadata is not a subscription. */
export function subscribedTopics(memberMetadata: readonly Buffer[]): ReadonlySet<string> | undefined {
  const topics = new Set<string>();
  for (const metadata of memberMetadata) if (!readTopics(metadata, topics)) return undefined;
  return topics;
}

function readTopics(metadata: Buffer, topics: Set<string>): boolean {
  if (metadata.length < 6) return false;
  let position = 6;
  for (let remaining = metadata.readInt32BE(2); remaining > 0; remaining -= 1) {
    if (position + 2 > metadata.length) return false;
    const sizeBytes = metadata.readInt16BE(position);
    position += 2;
    if (sizeBytes < 0 || position + sizeBytes > metadata.length) return false;
    topics.add(metadata.toString('utf8', position, position + sizeBytes));
    position += sizeBytes;
  }
  return true;
}
