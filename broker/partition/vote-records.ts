/** The file of votes, to the byte: storage-format.md, "votes". */
import { assert } from '../../platform/assert.ts';
import { crc32c } from '../../protocol/index.ts';
import { directoryOf, memberId, nodeOf } from '../raft/member.ts';
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

/**
 * Where this directory's member of a group lives now, with its log and its votes: in another directory of the node; undefined: it
 * lives here, as all do that have never been moved.
 */
export interface VoterMove {
  readonly group: GroupId;
  readonly movedTo: string | undefined;
  /** Drawn by chance for the move: the copy that it makes count has the same. */
  readonly number: number;
}

/** This directory's member of a group was taken out, and its log removed: how far that reached. It may be made a member again. */
export interface VoterLeft {
  readonly group: GroupId;
  /** Of the last entry that it held, or once held. */
  readonly left: { readonly term: number; readonly index: number };
}

export type VoteRecord = Vote | VoterMove | VoterLeft;

export interface VoteFault {
  readonly position: number;
  readonly reason: string;
}

export interface ReadVotes {
  /** The newest of each group. */
  readonly votes: readonly Vote[];
  /** Those that live elsewhere. */
  readonly moves: readonly VoterMove[];
  readonly departures: readonly VoterLeft[];
  readonly faults: readonly VoteFault[];
  /** Whether the file is of the format of before, in which records name no directory. */
  readonly isOld: boolean;
  /** After the last record that counts. */
  readonly endPosition: number;
  /** Where the last round begins of which something counts: what is damaged in it passes for torn. */
  readonly lastRoundPosition: number;
}

export const votesHeader = Buffer.from('KLVOTES2', 'latin1');
const oldHeader = Buffer.from('KLVOTES1', 'latin1');
export const voteRecordBytes = 48;
const oldRecordBytes = 32;

/** In the partition: the first record of a round, which was written when all before it was durable. */
const roundBit = 0x8000_0000;
/** In the place of the node that was voted for: the record is of a move. */
const movedMark = -2;
/** Likewise: the record is of a member that was taken out. */
const leftMark = -3;
/** Of a member that lives here again. */
const nowhere = Buffer.alloc(16).toString('base64url');

/**
 * What a file of votes holds, and what is wrong with it. A round is appended as a whole, and a loss of power can take any sectors
 * of it: from a bad record on, the rest of its round is a torn append, which nobody was told of, where no other round follows. Where
 * one does, the round was durable and has been damaged since. Whom records
 * of the old format name is the node there in `directoryId`: groups had one voter.
 */
export function readVotes(bytes: Buffer, directoryId = '?'): ReadVotes {
  const magic = bytes.subarray(0, votesHeader.length);
  const isOld = magic.equals(oldHeader);
  const nothing = {
    votes: [],
    moves: [],
    departures: [],
    faults: [],
    isOld,
    endPosition: 0,
    lastRoundPosition: 0,
  };
  if (bytes.length < votesHeader.length) return nothing;
  if (!isOld && !magic.equals(votesHeader)) {
    const faults = [{ position: 0, reason: 'this is no file of votes that this version can read' }];
    return { ...nothing, faults };
  }
  const recordBytes = isOld ? oldRecordBytes : voteRecordBytes;
  const votes = new Map<string, Vote>();
  const moves = new Map<string, VoterMove>();
  const departures = new Map<string, VoterLeft>();
  const faults: VoteFault[] = [];
  let bad: number | undefined;
  let endPosition = votesHeader.length;
  let lastRoundPosition = endPosition;
  for (let position = endPosition; position + recordBytes <= bytes.length; position += recordBytes) {
    const decoded = decodeRecord(bytes.subarray(position, position + recordBytes), directoryId);
    if (decoded === undefined) {
      bad ??= position;
      continue;
    }
    if (isOld || decoded.beginsRound) {
      if (bad !== undefined) faults.push({ position: bad, reason: 'a record below a good one is damaged' });
      bad = undefined;
      lastRoundPosition = position;
    } else if (bad !== undefined) {
      continue;
    }
    endPosition = position + recordBytes;
    const { record } = decoded;
    const key = keyOf(record.group);
    if ('state' in record) votes.set(key, record);
    else if ('left' in record) departures.set(key, record);
    else if (record.movedTo === undefined) moves.delete(key);
    else moves.set(key, record);
  }
  const present = { votes: [...votes.values()], moves: [...moves.values()] };
  return { ...present, departures: [...departures.values()], faults, isOld, endPosition, lastRoundPosition };
}

/** What is written at once and told of together. */
export function encodeRound(records: readonly VoteRecord[]): Buffer {
  return Buffer.concat(records.map((record, place) => encodeRecord(record, place === 0)));
}

/** Of a round each, as they are durable together. */
export function encodeRounds(records: readonly VoteRecord[]): Buffer {
  return Buffer.concat(records.map((record) => encodeRecord(record, true)));
}

function encodeRecord(content: VoteRecord, beginsRound: boolean): Buffer {
  const { group } = content;
  const record = Buffer.alloc(voteRecordBytes);
  writeId(record, group.topicId, 4);
  record.writeUInt32BE(beginsRound ? group.partition + roundBit : group.partition, 20);
  if ('state' in content) {
    const { term, votedFor } = content.state;
    record.writeInt32BE(term, 24);
    record.writeInt32BE(votedFor === undefined ? -1 : nodeOf(votedFor), 28);
    if (votedFor !== undefined) writeId(record, directoryOf(votedFor), 32);
  } else if ('left' in content) {
    record.writeInt32BE(content.left.term, 24);
    record.writeInt32BE(leftMark, 28);
    record.writeBigInt64BE(BigInt(content.left.index), 32);
  } else {
    record.writeInt32BE(content.number, 24);
    record.writeInt32BE(movedMark, 28);
    writeId(record, content.movedTo ?? nowhere, 32);
  }
  record.writeUInt32BE(crc32c(record.subarray(4)), 0);
  return record;
}

export function keyOf(group: GroupId): string {
  return `${group.topicId}:${group.partition}`;
}

function decodeRecord(
  record: Buffer,
  oldDirectoryId: string,
): { readonly record: VoteRecord; readonly beginsRound: boolean } | undefined {
  if (record.readUInt32BE(0) !== crc32c(record.subarray(4))) return undefined;
  const nodeId = record.readInt32BE(28);
  const partition = record.readUInt32BE(20);
  const directoryId =
    record.length === voteRecordBytes ? record.toString('base64url', 32, 48) : oldDirectoryId;
  const group = { topicId: record.toString('base64url', 4, 20), partition: partition % roundBit };
  const beginsRound = partition >= roundBit;
  if (nodeId === movedMark) {
    const movedTo = directoryId === nowhere ? undefined : directoryId;
    return { record: { group, movedTo, number: record.readInt32BE(24) }, beginsRound };
  }
  if (nodeId === leftMark) {
    const left = { term: record.readInt32BE(24), index: Number(record.readBigInt64BE(32)) };
    return { record: { group, left }, beginsRound };
  }
  const votedFor = nodeId < 0 ? undefined : memberId(nodeId, directoryId);
  return { record: { group, state: { term: record.readInt32BE(24), votedFor } }, beginsRound };
}

function writeId(record: Buffer, id: string, position: number): void {
  const bytes = Buffer.from(id, 'base64url');
  assert(bytes.length === 16, 'an id of 22 characters');
  bytes.copy(record, position);
}
