/**
 * The records of consumer groups in `__consumer_offsets`, in Kafka's schemas (key types 3 and 5 to 8, and 16). Type 4, in which Kafka
 * 3.7 to 4.0 kept the partitions of topics, is read over: what it says is looked up when it is needed.
 */
import {
  coordinatorKeyType,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
} from '../../../protocol/index.ts';
import { assignedFrom, noPartitions, topicPartitionsOf, union } from './assigned-partitions.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import { ownProtocols } from '../group.ts';
import type { ResolvedPattern } from './consumer-group.ts';
import type { ConsumerMember, MemberState } from './consumer-member.ts';

const version = 0;
const keyTypes = { group: 3, member: 5, targetMetadata: 6, target: 7, current: 8, pattern: 16 } as const;
const stateNumbers: Readonly<Record<MemberState, number>> = { stable: 0, unrevoked: 1, unreleased: 2 };

const states: readonly MemberState[] = ['stable', 'unrevoked', 'unreleased'];

/** What a member says of itself. */
export type MemberMetadata = Pick<
  ConsumerMember,
  | 'instanceId'
  | 'rackId'
  | 'clientId'
  | 'clientHost'
  | 'rebalanceTimeoutMs'
  | 'serverAssignor'
  | 'topicNames'
  | 'topicRegex'
  | 'classic'
>;

/** How far a member has come. */
export type CurrentAssignment = Pick<
  ConsumerMember,
  'epoch' | 'previousEpoch' | 'state' | 'assigned' | 'pendingRevocation'
>;

/** A tombstone where the value is null. */
export type ConsumerGroupRecord = { readonly group: string } & (
  | { readonly kind: 'consumer-group'; readonly value: { epoch: number; metadataHash: number } | null }
  | { readonly kind: 'member'; readonly memberId: string; readonly value: MemberMetadata | null }
  | { readonly kind: 'target-metadata'; readonly value: { epoch: number; assignedAtMs: number } | null }
  | { readonly kind: 'target'; readonly memberId: string; readonly value: AssignedPartitions | null }
  | { readonly kind: 'current'; readonly memberId: string; readonly value: CurrentAssignment | null }
  | { readonly kind: 'pattern'; readonly pattern: string; readonly value: ResolvedPattern | null }
);

export interface EncodedRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export function encodeConsumerRecord(record: ConsumerGroupRecord): EncodedRecord {
  const { group: groupId } = record;
  switch (record.kind) {
    case 'consumer-group':
      return {
        key: encodeCoordinatorKey('ConsumerGroupMetadataKey', { groupId }),
        value: record.value && encodeCoordinatorValue('ConsumerGroupMetadataValue', version, record.value),
      };
    case 'member':
      return {
        key: encodeCoordinatorKey('ConsumerGroupMemberMetadataKey', { groupId, memberId: record.memberId }),
        value: record.value && encodeMember(record.value),
      };
    case 'target-metadata':
      return {
        key: encodeCoordinatorKey('ConsumerGroupTargetAssignmentMetadataKey', { groupId }),
        value:
          record.value &&
          encodeCoordinatorValue('ConsumerGroupTargetAssignmentMetadataValue', version, {
            assignmentEpoch: record.value.epoch,
            assignmentTimestamp: record.value.assignedAtMs,
          }),
      };
    case 'target': {
      const { memberId, value } = record;
      const key = encodeCoordinatorKey('ConsumerGroupTargetAssignmentMemberKey', { groupId, memberId });
      const body = value && { topicPartitions: topicPartitionsOf(value) };
      return {
        key,
        value: body && encodeCoordinatorValue('ConsumerGroupTargetAssignmentMemberValue', version, body),
      };
    }
    case 'current': {
      const { memberId, value } = record;
      const key = encodeCoordinatorKey('ConsumerGroupCurrentMemberAssignmentKey', { groupId, memberId });
      return { key, value: value && encodeCurrent(value) };
    }
    default:
      return encodePattern(groupId, record);
  }
}

function encodePattern(
  groupId: string,
  { pattern, value }: Extract<ConsumerGroupRecord, { kind: 'pattern' }>,
): EncodedRecord {
  const regularExpression = pattern;
  const body = value && { topics: [...value.topics], version: 0, timestamp: value.resolvedAtMs };
  return {
    key: encodeCoordinatorKey('ConsumerGroupRegularExpressionKey', { groupId, regularExpression }),
    value: body && encodeCoordinatorValue('ConsumerGroupRegularExpressionValue', version, body),
  };
}

function encodeMember(member: MemberMetadata): Buffer {
  const { classic } = member;
  return encodeCoordinatorValue('ConsumerGroupMemberMetadataValue', version, {
    instanceId: member.instanceId,
    rackId: member.rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...member.topicNames],
    subscribedTopicRegex: member.topicRegex,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    serverAssignor: member.serverAssignor,
    classicMemberMetadata: classic && {
      sessionTimeoutMs: classic.sessionTimeoutMs,
      supportedProtocols: [...classic.protocols],
    },
  });
}

function encodeCurrent(current: CurrentAssignment): Buffer {
  return encodeCoordinatorValue('ConsumerGroupCurrentMemberAssignmentValue', version, {
    memberEpoch: current.epoch,
    previousMemberEpoch: current.previousEpoch,
    state: stateNumbers[current.state],
    assignedPartitions: topicPartitionsOf(current.assigned),
    partitionsPendingRevocation: topicPartitionsOf(current.pendingRevocation),
  });
}

/** Undefined for a key of another kind. Throws a ProtocolError where a record of these cannot be read. */
export function decodeConsumerRecord(key: Buffer, value: Buffer | null): ConsumerGroupRecord | undefined {
  switch (coordinatorKeyType(key)) {
    case keyTypes.group: {
      const { groupId: group } = decodeCoordinatorKey('ConsumerGroupMetadataKey', key);
      return {
        kind: 'consumer-group',
        group,
        value: value && decodeCoordinatorValue('ConsumerGroupMetadataValue', value).value,
      };
    }
    case keyTypes.member: {
      const { groupId: group, memberId } = decodeCoordinatorKey('ConsumerGroupMemberMetadataKey', key);
      return { kind: 'member', group, memberId, value: value && decodeMember(value) };
    }
    case keyTypes.targetMetadata: {
      const { groupId: group } = decodeCoordinatorKey('ConsumerGroupTargetAssignmentMetadataKey', key);
      if (value === null) return { kind: 'target-metadata', group, value };
      const body = decodeCoordinatorValue('ConsumerGroupTargetAssignmentMetadataValue', value).value;
      const { assignmentEpoch: epoch, assignmentTimestamp: assignedAtMs } = body;
      return { kind: 'target-metadata', group, value: { epoch, assignedAtMs } };
    }
    case keyTypes.target: {
      const { groupId: group, memberId } = decodeCoordinatorKey(
        'ConsumerGroupTargetAssignmentMemberKey',
        key,
      );
      if (value === null) return { kind: 'target', group, memberId, value };
      const body = decodeCoordinatorValue('ConsumerGroupTargetAssignmentMemberValue', value).value;
      return { kind: 'target', group, memberId, value: assignedFrom(body.topicPartitions) };
    }
    case keyTypes.current: {
      const { groupId: group, memberId } = decodeCoordinatorKey(
        'ConsumerGroupCurrentMemberAssignmentKey',
        key,
      );
      return { kind: 'current', group, memberId, value: value && decodeCurrent(value) };
    }
    case keyTypes.pattern: {
      const { groupId: group, regularExpression: pattern } = decodeCoordinatorKey(
        'ConsumerGroupRegularExpressionKey',
        key,
      );
      if (value === null) return { kind: 'pattern', group, pattern, value };
      const { topics, timestamp } = decodeCoordinatorValue(
        'ConsumerGroupRegularExpressionValue',
        value,
      ).value;
      return { kind: 'pattern', group, pattern, value: { topics, resolvedAtMs: timestamp } };
    }
    default:
      return undefined;
  }
}

function decodeMember(bytes: Buffer): MemberMetadata {
  const { value } = decodeCoordinatorValue('ConsumerGroupMemberMetadataValue', bytes);
  const { classicMemberMetadata } = value;
  // Where nothing is said of it, as in records of Kafka 3.7, its default is one without protocols.
  const classic = (classicMemberMetadata?.supportedProtocols.length ?? 0) > 0 ? classicMemberMetadata : null;
  return {
    instanceId: value.instanceId,
    rackId: value.rackId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    serverAssignor: value.serverAssignor,
    topicNames: value.subscribedTopicNames,
    topicRegex: value.subscribedTopicRegex ?? '',
    classic: classic && {
      sessionTimeoutMs: classic.sessionTimeoutMs,
      protocols: ownProtocols(classic.supportedProtocols),
    },
  };
}

/** A member in a state that is not known here is to give up all it may have, and goes on from there. */
function decodeCurrent(bytes: Buffer): CurrentAssignment {
  const { value } = decodeCoordinatorValue('ConsumerGroupCurrentMemberAssignmentValue', bytes);
  const assigned = assignedFrom(value.assignedPartitions);
  const pendingRevocation = assignedFrom(value.partitionsPendingRevocation);
  const epochs = { epoch: value.memberEpoch, previousEpoch: value.previousMemberEpoch };
  const state = states.find((each) => stateNumbers[each] === value.state);
  if (state !== undefined) return { ...epochs, state, assigned, pendingRevocation };
  return {
    ...epochs,
    state: 'unrevoked',
    assigned: noPartitions,
    pendingRevocation: union(assigned, pendingRevocation),
  };
}
