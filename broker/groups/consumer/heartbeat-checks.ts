/** What is wrong with a ConsumerGroupHeartbeat by itself, whatever the group is like. Pure. */
import { ErrorCode } from '../../../protocol/index.ts';
import type { ConsumerGroupConfig } from '../group-config.ts';
import type { ConsumerHeartbeatCommand, ConsumerRefusal } from './consumer-commands.ts';
import { joiningEpoch, staticLeavingEpoch } from './consumer-member.ts';

/** Bytes of a member's record beside what it names, and of each string beside its characters: upper bounds. */
const memberFixedBytes = 128;
const stringFixedBytes = 5;

/** Undefined where nothing is. */
export function checkHeartbeat(
  command: ConsumerHeartbeatCommand,
  config: ConsumerGroupConfig,
  recordSizeBytesMax: number,
): ConsumerRefusal | undefined {
  const { groupId, memberId, memberEpoch, instanceId, rackId, serverAssignor } = command;
  if (groupId === '') return invalid("GroupId can't be empty.");
  if (memberId === '') return invalid("MemberId can't be empty.");
  if (instanceId === '') return invalid("InstanceId can't be empty.");
  if (rackId === '') return invalid("RackId can't be empty.");
  if (memberEpoch < staticLeavingEpoch) return invalid(`MemberEpoch ${memberEpoch} is invalid.`);
  if (memberEpoch === staticLeavingEpoch && instanceId === null) {
    return invalid('A member without an InstanceId leaves with the epoch -1.');
  }
  if (serverAssignor !== null && !config.assignors.includes(serverAssignor)) {
    return {
      errorCode: ErrorCode.UNSUPPORTED_ASSIGNOR,
      message: `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${config.assignors.join(', ')}.`,
    };
  }
  if (sizeBytesOf(command) > recordSizeBytesMax) {
    return invalid('What the member names is more than a record of __consumer_offsets takes.');
  }
  return memberEpoch === joiningEpoch ? checkJoin(command) : undefined;
}

function checkJoin({
  rebalanceTimeoutMs,
  owned,
  topicNames,
  topicRegex,
}: ConsumerHeartbeatCommand): ConsumerRefusal | undefined {
  if (rebalanceTimeoutMs === -1) return invalid('RebalanceTimeoutMs must be provided in first request.');
  if (owned === null || owned.length > 0) {
    return invalid('TopicPartitions must be empty when (re-)joining.');
  }
  if (topicNames === null && topicRegex === null) {
    return invalid('Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.');
  }
  return undefined;
}

function sizeBytesOf(command: ConsumerHeartbeatCommand): number {
  const { topicNames, matchingTopics, topicRegex, instanceId, rackId, clientId, clientHost } = command;
  let sizeBytes = memberFixedBytes;
  for (const names of [topicNames ?? [], matchingTopics]) {
    for (const name of names) sizeBytes += Buffer.byteLength(name) + stringFixedBytes;
  }
  for (const text of [
    command.memberId,
    command.groupId,
    topicRegex,
    instanceId,
    rackId,
    clientId,
    clientHost,
  ]) {
    sizeBytes += Buffer.byteLength(text ?? '') + stringFixedBytes;
  }
  return sizeBytes;
}

function invalid(message: string): ConsumerRefusal {
  return { errorCode: ErrorCode.INVALID_REQUEST, message };
}
