/** The file of votes, to the byte: storage-format.md, "votes". */
import { assert } from '../../platform/assert.ts';
import { crc32c } from '../../protocol/index.ts';
import { memberId, nodeOf } from '../raft/member.ts';
import type { HardState } from '../raft/raft.ts';

/** Which group: a partition of a topic, by the topic's id. */
export interface GroupId {
  readonly topicId: string;
  readonly partition: number;
}

export interface Vote {
  readonly group: GroupId;
  readonly state: HardState;
}

export interface VoteFault {
  readonly position: number;
  readonly reason: string;
}

export interface ReadVotes {
  /** The newest of each group. */
  readonly votes: readonly Vote[];
  readonly faults: readonly VoteFault[];
  /** Whether the file is of the format of before, in which records name no directory. */
  readonly isOld: boolean;
  /** After the last good record. */
  readonly endPosition: number;
}

export const votesHeader = Buffer.from('KLVOTES2', 'latin1');
const oldHeader = Buffer.from('KLVOTES1', 'latin1');
export const voteRecordBytes = 48;
const oldRecordBytes = 32;

/**
 * What a file of votes holds, and what is wrong with it. A bad record at the very end is a torn append, no fault. Whom records
 * of the old format name is the node there in `directoryId`: groups had one voter.
 */
export function readVotes(bytes: Buffer, directoryId = '?'): ReadVotes {
  const magic = bytes.subarray(0, votesHeader.length);
  const isOld = magic.equals(oldHeader);
  if (bytes.length < votesHeader.length) return { votes: [], faults: [], isOld, endPosition: 0 };
  if (!isOld && !magic.equals(votesHeader)) {
    const faults = [{ position: 0, reason: 'this is no file of votes that this version can read' }];
    return { votes: [], faults, isOld, endPosition: 0 };
  }
  const recordBytes = isOld ? oldRecordBytes : voteRecordBytes;
  const votes = new Map<string, Vote>();
  const faults: VoteFault[] = [];
  let bad: number | undefined;
  let endPosition = votesHeader.length;
  for (let position = endPosition; position + recordBytes <= bytes.length; position += recordBytes) {
    const vote = decodeVote(bytes.subarray(position, position + recordBytes), directoryId);
    if (vote === undefined) {
      bad ??= position;
      continue;
    }
    if (bad !== undefined) faults.push({ position: bad, reason: 'a record below a good one is damaged' });
    bad = undefined;
    endPosition = position + recordBytes;
    votes.set(keyOf(vote.group), vote);
  }
  return { votes: [...votes.values()], faults, isOld, endPosition };
}

export function encodeVote({ group, state }: Vote): Buffer {
  const record = Buffer.alloc(voteRecordBytes);
  writeId(record, group.topicId, 4);
  record.writeInt32BE(group.partition, 20);
  record.writeInt32BE(state.term, 24);
  const { votedFor } = state;
  record.writeInt32BE(votedFor === undefined ? -1 : nodeOf(votedFor), 28);
  if (votedFor !== undefined) writeId(record, votedFor.slice(votedFor.indexOf('/') + 1), 32);
  record.writeUInt32BE(crc32c(record.subarray(4)), 0);
  return record;
}

export function keyOf(group: GroupId): string {
  return `${group.topicId}:${group.partition}`;
}

function decodeVote(record: Buffer, oldDirectoryId: string): Vote | undefined {
  if (record.readUInt32BE(0) !== crc32c(record.subarray(4))) return undefined;
  const nodeId = record.readInt32BE(28);
  const directoryId =
    record.length === voteRecordBytes ? record.toString('base64url', 32, 48) : oldDirectoryId;
  return {
    group: { topicId: record.toString('base64url', 4, 20), partition: record.readInt32BE(20) },
    state: {
      term: record.readInt32BE(24),
      votedFor: nodeId < 0 ? undefined : memberId(nodeId, directoryId),
    },
  };
}

function writeId(record: Buffer, id: string, position: number): void {
  const bytes = Buffer.from(id, 'base64url');
  assert(bytes.length === 16, 'an id of 22 characters');
  bytes.copy(record, position);
}
