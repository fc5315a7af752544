/** Kafka's hashes: murmur2 for keys, Java's String.hashCode for what coordinators own. */

const multiplier = 0x5bd1e995;

/** murmur2 as a signed 32-bit number, as Kafka's producers use it on keys. */
export function murmur2(bytes: Buffer): number {
  const length = bytes.length;
  let hash = 0x9747b28c ^ length;
  let position = 0;
  for (; position + 4 <= length; position += 4) {
    let word =
      bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24);
    word = Math.imul(word, multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const rest = length - position;
  if (rest === 3) hash ^= bytes[position + 2]! << 16;
  if (rest >= 2) hash ^= bytes[position + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[position]!, multiplier);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return hash ^ (hash >>> 15);
}

/** The partition that every Kafka producer of the Java line gives to a key. */
export function partitionOfKey(key: Buffer, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}

/** Java's String.hashCode, signed: over UTF-16 units. */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return hash;
}

/** The partition of a coordinator's topic where a group, transactional id or share key lives. */
export function partitionOfCoordinator(id: string, partitionCount: number): number {
  const hash = javaStringHash(id);
  // Java's absolute value of the lowest int is itself; Kafka takes 0 for it.
  return (hash === -2_147_483_648 ? 0 : Math.abs(hash)) % partitionCount;
}
