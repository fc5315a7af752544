/**
 * The records of `__consumer_offsets`, in Kafka's schemas: the key is INT16 type and body, the value INT16 version and body.
 * Written are the versions that every Kafka since 2.3 (GroupMetadataValue) and 3.6 (OffsetCommitValue) reads; all
 * versions are read.
 */
import { codec } from '../../protocol/index.ts';
import type { GroupMetadataValue, MessageName } from '../../protocol/index.ts';
import type { CommittedOffset } from './committed-offsets.ts';
import { noTopicId } from './group-commands.ts';
import type { Group, Member } from './group.ts';

const legacyOffsetKeyType = 0;
const offsetKeyType = 1;
const groupKeyType = 2;

const groupValueVersion = 3;
/** The version with the topic's id; the one before; the only one with a client's own expiry. */
const offsetValueVersions = { withTopicId: 4, plain: 3, withExpiry: 1 } as const;
const newestOffsetValueVersion = 4;
const newestGroupValueVersion = 4;

export type GroupRecord =
  | {
      readonly kind: 'offset';
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly value: CommittedOffset | null;
    }
  | { readonly kind: 'group'; readonly group: string; readonly value: GroupMetadataValue | null }
  /** A type that this broker does not know; a newer one may have written it. */
  | { readonly kind: 'unknown' };

export function encodeOffsetKey(group: string, topic: string, partition: number): Buffer {
  return framed(offsetKeyType, codec('OffsetCommitKey', 0).encode({ group, topic, partition }));
}

export function encodeOffsetValue(value: CommittedOffset): Buffer {
  const version = offsetValueVersion(value);
  return framed(
    version,
    codec('OffsetCommitValue', version).encode({
      offset: value.offset,
      leaderEpoch: value.leaderEpoch,
      metadata: value.metadata,
      commitTimestamp: value.commitTimestampMs,
      expireTimestamp: value.expireTimestampMs,
      topicId: value.topicId,
    }),
  );
}

function offsetValueVersion(value: CommittedOffset): number {
  if (value.expireTimestampMs !== -1) return offsetValueVersions.withExpiry;
  return value.topicId === noTopicId ? offsetValueVersions.plain : offsetValueVersions.withTopicId;
}

export function encodeGroupKey(group: string): Buffer {
  return framed(groupKeyType, codec('GroupMetadataKey', 0).encode({ group }));
}

/** The group as it is, its members with the assignments that `assignmentOf` gives. */
export function encodeGroupValue(group: Group, assignmentOf: (member: Member) => Buffer): Buffer {
  return framed(
    groupValueVersion,
    codec('GroupMetadataValue', groupValueVersion).encode({
      protocolType: group.protocolType ?? '',
      generation: group.generationId,
      protocol: group.protocolName ?? null,
      leader: group.leaderId ?? null,
      currentStateTimestamp: group.stateTimestampMs,
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: group.metadataOf(member),
        assignment: assignmentOf(member),
      })),
    }),
  );
}

/** Throws a ProtocolError where a record of a known type cannot be read. Buffers in the result are slices of `value`. */
export function decodeGroupRecord(key: Buffer, value: Buffer | null): GroupRecord {
  const type = key.length < 2 ? -1 : key.readInt16BE(0);
  if (type === legacyOffsetKeyType || type === offsetKeyType) {
    const { group, topic, partition } = codec('OffsetCommitKey', 0).decode(key.subarray(2));
    return {
      kind: 'offset',
      group,
      topic,
      partition,
      value: value === null ? null : decodeOffsetValue(value),
    };
  }
  if (type === groupKeyType) {
    const { group } = codec('GroupMetadataKey', 0).decode(key.subarray(2));
    return { kind: 'group', group, value: value === null ? null : decodeGroupValue(value) };
  }
  return { kind: 'unknown' };
}

function decodeOffsetValue(value: Buffer): CommittedOffset {
  const decoded = valueCodec('OffsetCommitValue', value, newestOffsetValueVersion).decode(value.subarray(2));
  return {
    offset: decoded.offset,
    leaderEpoch: decoded.leaderEpoch,
    metadata: decoded.metadata,
    commitTimestampMs: decoded.commitTimestamp,
    expireTimestampMs: decoded.expireTimestamp,
    topicId: decoded.topicId,
  };
}

function decodeGroupValue(value: Buffer): GroupMetadataValue {
  return valueCodec('GroupMetadataValue', value, newestGroupValueVersion).decode(value.subarray(2));
}

function valueCodec<Name extends MessageName>(name: Name, value: Buffer, newest: number) {
  const version = value.length < 2 ? -1 : value.readInt16BE(0);
  return codec(name, version > newest ? newest : version);
}

function framed(typeOrVersion: number, body: Buffer): Buffer {
  const record = Buffer.allocUnsafe(2 + body.length);
  record.writeInt16BE(typeOrVersion, 0);
  body.copy(record, 2);
  return record;
}
