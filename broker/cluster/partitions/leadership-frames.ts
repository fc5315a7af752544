/**
 * Leaderships of one node as bytes, and the answer to them. About ten bytes for each partition: ten thousand leaderships that
 * move at once are a hundred kilobytes to each node.
 */
import { Reader, Writer } from '../../../protocol/index.ts';
import type { Leadership, LeadershipDigest } from './leaderships.ts';

const frameVersion = 0;

/** All of them name the same leader, the node that sends them, and so its id is not written; all are of this broker epoch of it. */
export function encodeLeaderships(epoch: number, leaderships: readonly Leadership[]): Buffer {
  const byTopic = Map.groupBy(leaderships, ({ topicId }) => topicId);
  const writer = new Writer(64 + leaderships.length * 12);
  writer.unsignedVarint(frameVersion);
  writer.int64(epoch);
  writer.unsignedVarint(byTopic.size);
  for (const [topicId, partitions] of byTopic) {
    writer.uuid(topicId);
    writer.unsignedVarint(partitions.length);
    for (const { partition, term, version, inSync, revision } of partitions) {
      for (const value of [partition, term, version, revision, inSync.length, ...inSync]) {
        writer.unsignedVarint(value);
      }
    }
  }
  return writer.finish();
}

/** Throws a ProtocolError for anything else than what `encodeLeaderships` writes. */
export function decodeLeaderships(bytes: Buffer, leader: number): Leadership[] {
  const reader = new Reader(bytes);
  const version = reader.unsignedVarint();
  // A node that knows more writes what this one does not understand; it is told by the others, and by metadata.
  if (version !== frameVersion) return [];
  const epoch = reader.int64();
  const leaderships: Leadership[] = [];
  for (let topics = reader.unsignedVarint(); topics > 0; topics--) {
    const topicId = reader.uuid();
    for (let partitions = reader.unsignedVarint(); partitions > 0; partitions--) {
      leaderships.push(readOne(reader, { topicId, leader, epoch }));
    }
  }
  reader.finish();
  return leaderships;
}

function readOne(reader: Reader, said: Pick<Leadership, 'topicId' | 'leader' | 'epoch'>): Leadership {
  const partition = reader.unsignedVarint();
  const term = reader.unsignedVarint();
  const version = reader.unsignedVarint();
  const revision = reader.unsignedVarint();
  const inSync: number[] = [];
  for (let left = reader.unsignedVarint(); left > 0; left--) inSync.push(reader.unsignedVarint());
  return { ...said, partition, term, version, inSync, revision };
}

export function encodeDigest({ count, hash }: LeadershipDigest): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(count);
  bytes.writeInt32BE(hash, 4);
  return bytes;
}

export function decodeDigest(bytes: Buffer): LeadershipDigest {
  return { count: bytes.readUInt32BE(0), hash: bytes.readInt32BE(4) };
}
