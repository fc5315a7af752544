/**
 * The records of `__consumer_offsets`, in Kafka's schemas: the key is INT16 type and body, the value INT16 version and body.
 * Written are the versions that every Kafka since 2.3 (GroupMetadataValue) and 3.6 (OffsetCommitValue) reads; all
 * versions are read.
 */
import {
  coordinatorKeyType,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
} from '../../protocol/index.ts';
import type { GroupMetadataValue, OffsetCommitKey } from '../../protocol/index.ts';
import type { CommittedOffset } from './committed-offsets.ts';
import { noTopicId } from './group-commands.ts';
import type { Group, Member } from './group.ts';

const keyTypes = { legacyOffset: 0, offset: 1, group: 2 } as const;

const groupValueVersion = 3;
/** The version with the topic's id; the one before; the only one with a client's own expiry. */
const offsetValueVersions = { withTopicId: 4, plain: 3, withExpiry: 1 } as const;

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
  return encodeCoordinatorKey('OffsetCommitKey', { group, topic, partition });
}

export function encodeOffsetValue(value: CommittedOffset): Buffer {
  return encodeCoordinatorValue('OffsetCommitValue', offsetValueVersion(value), {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs,
    topicId: value.topicId,
  });
}

function offsetValueVersion(value: CommittedOffset): number {
  if (value.expireTimestampMs !== -1) return offsetValueVersions.withExpiry;
  return value.topicId === noTopicId ? offsetValueVersions.plain : offsetValueVersions.withTopicId;
}

export function encodeGroupKey(group: string): Buffer {
  return encodeCoordinatorKey('GroupMetadataKey', { group });
}

/** The group as it is, its members with the assignments that `assignmentOf` gives. */
export function encodeGroupValue(group: Group, assignmentOf: (member: Member) => Buffer): Buffer {
  return encodeCoordinatorValue('GroupMetadataValue', groupValueVersion, {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol: group.protocolName ?? null,
    leader: group.isRebalanceDue ? null : (group.leaderId ?? null),
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
  });
}

/** Throws a ProtocolError where a record of a known type cannot be read. Buffers in the result are slices of `value`. */
export function decodeGroupRecord(key: Buffer, value: Buffer | null): GroupRecord {
  switch (coordinatorKeyType(key)) {
    case keyTypes.legacyOffset:
      return offsetRecord(decodeCoordinatorKey('LegacyOffsetCommitKey', key), value);
    case keyTypes.offset:
      return offsetRecord(decodeCoordinatorKey('OffsetCommitKey', key), value);
    case keyTypes.group: {
      const { group } = decodeCoordinatorKey('GroupMetadataKey', key);
      return {
        kind: 'group',
        group,
        value: value && decodeCoordinatorValue('GroupMetadataValue', value).value,
      };
    }
    default:
      return { kind: 'unknown' };
  }
}

/** Version 0 of the value is what the legacy type has. */
function offsetRecord(key: OffsetCommitKey, value: Buffer | null): GroupRecord {
  const { group, topic, partition } = key;
  return { kind: 'offset', group, topic, partition, value: value && decodeOffsetValue(value) };
}

function decodeOffsetValue(bytes: Buffer): CommittedOffset {
  const { value } = decodeCoordinatorValue('OffsetCommitValue', bytes);
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
    topicId: value.topicId,
  };
}
