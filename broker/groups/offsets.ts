/** OffsetCommit, OffsetFetch, OffsetDelete and the end of offsets: with their group, their topic or their retention. */
import { ErrorCode } from '../../protocol/index.ts';
import type { RequestId } from '../coordinator/state-machine.ts';
import type { AnyGroup, CoordinatedGroup } from './any-group.ts';
import {
  committedOffset,
  isOfTopic,
  removeCommittedOffset,
  setCommittedOffset,
} from './committed-offsets.ts';
import type { CommittedOffset } from './committed-offsets.ts';
import { ConsumerGroup } from './consumer/consumer-group.ts';
import { checkConsumerCommit, checkConsumerFetch } from './consumer/consumer-offsets.ts';
import { forgetConsumerGroup } from './consumer/taking-over.ts';
import { noTopicId } from './group-commands.ts';
import type {
  CommitCommand,
  CommitReply,
  DeleteGroupCommand,
  DeleteOffsetsCommand,
  DeleteOffsetsReply,
  FetchedOffset,
  FetchOffsetsCommand,
  FetchOffsetsReply,
  ForgetTopicsCommand,
} from './group-commands.ts';
import { encodeGroupKey, encodeOffsetKey, encodeOffsetValue } from './group-records.ts';
import { armSession, checkMember, maybeForget, removePendingMember } from './group-step.ts';
import type { GroupStep } from './group-step.ts';
import { Group } from './group.ts';

export function commitOffsets(step: GroupStep, command: CommitCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  const errorCode = checkCommit(group, command);
  if (errorCode !== ErrorCode.NONE) {
    step.effects.reply(
      request,
      mapPartitions(command, () => errorCode),
    );
    return;
  }
  const target = group ?? new Group(command.groupId, step.effects.wallMs);
  step.groups.set(command.groupId, target);
  if (target instanceof Group) keepAlive(step, target, command.memberId);
  step.effects.reply(
    request,
    mapPartitions(command, (topic, partition) => commitOffset(step, target, { command, topic, partition })),
  );
  maybeForget(step, target);
}

/** Of consumer groups only heartbeats count. */
function keepAlive(step: GroupStep, group: Group, memberId: string): void {
  const member = group.members.get(memberId);
  if (member !== undefined && group.state !== 'CompletingRebalance') armSession(step, member);
}

/** A commit from outside of any membership makes a simple group. */
function unknownGroupError(command: CommitCommand): ErrorCode {
  if (command.generationId < 0) return ErrorCode.NONE;
  return command.supportsGroupIdNotFound ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION;
}

function checkCommit(group: AnyGroup | undefined, command: CommitCommand): ErrorCode {
  if (group === undefined) return unknownGroupError(command);
  return group instanceof Group ? checkClassicCommit(group, command) : checkConsumerCommit(group, command);
}

function checkClassicCommit(group: Group, command: CommitCommand): ErrorCode {
  const { generationId, memberId, groupInstanceId } = command;
  if (generationId < 0 && group.state === 'Empty') return ErrorCode.NONE;
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return ErrorCode.UNKNOWN_MEMBER_ID;
  const errorCode = checkMember(group, memberId, groupInstanceId);
  if (errorCode !== ErrorCode.NONE) return errorCode;
  if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION;
  return group.state === 'CompletingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
}

type CommitTopic = CommitCommand['topics'][number];
type CommitPartition = CommitTopic['partitions'][number];

function commitOffset(
  step: GroupStep,
  group: CoordinatedGroup,
  commit: { command: CommitCommand; topic: CommitTopic; partition: CommitPartition },
): ErrorCode {
  const { command, topic, partition } = commit;
  const metadata = partition.committedMetadata ?? '';
  if (metadata.length > step.config.offsetMetadataSizeMax) return ErrorCode.OFFSET_METADATA_TOO_LARGE;
  const value: CommittedOffset = {
    offset: partition.committedOffset,
    leaderEpoch: partition.committedLeaderEpoch,
    metadata,
    commitTimestampMs: step.effects.wallMs,
    expireTimestampMs: command.retentionTimeMs === -1 ? -1 : step.effects.wallMs + command.retentionTimeMs,
    topicId: topic.topicId,
  };
  step.effects.append(
    encodeOffsetKey(group.groupId, topic.name, partition.partitionIndex),
    encodeOffsetValue(value),
  );
  setCommittedOffset(group.offsets, topic.name, partition.partitionIndex, value);
  return ErrorCode.NONE;
}

function mapPartitions(
  command: CommitCommand,
  errorOf: (topic: CommitTopic, partition: CommitPartition) => ErrorCode,
): CommitReply {
  return {
    topics: command.topics.map((topic) => ({
      name: topic.name,
      partitions: topic.partitions.map((partition) => ({
        partitionIndex: partition.partitionIndex,
        errorCode: errorOf(topic, partition),
      })),
    })),
  };
}

/** An unknown group has committed nothing, which is no error. */
export function fetchOffsets(step: GroupStep, command: FetchOffsetsCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  const errorCode = group instanceof ConsumerGroup ? checkConsumerFetch(group, command) : ErrorCode.NONE;
  if (errorCode !== ErrorCode.NONE) {
    step.effects.reply(request, { errorCode, topics: [] } satisfies FetchOffsetsReply);
    return;
  }
  const topics = command.topics === null ? allOffsets(step, group) : requestedOffsets(group, command.topics);
  step.effects.reply(request, { errorCode: ErrorCode.NONE, topics } satisfies FetchOffsetsReply);
}

function allOffsets({ topics }: GroupStep, group: CoordinatedGroup | undefined): FetchOffsetsReply['topics'] {
  if (group === undefined) return [];
  return [...group.offsets.topics].flatMap(([name, committed]) => {
    const topicId = topics.idOf(name) ?? noTopicId;
    const partitions = [...committed]
      .filter(([, offset]) => isOfTopic(offset, topicId) && !topics.isDeleted(offset.topicId))
      .map(([partition, offset]) => fetchedOffset(partition, offset));
    return partitions.length === 0 ? [] : [{ name, topicId, partitions }];
  });
}

function requestedOffsets(
  group: CoordinatedGroup | undefined,
  topics: NonNullable<FetchOffsetsCommand['topics']>,
): FetchOffsetsReply['topics'] {
  return topics.map(({ name, topicId, partitionIndexes }) => ({
    name,
    topicId,
    partitions: partitionIndexes.map((partition) => {
      const offset = group && committedOffset(group.offsets, name, partition);
      return fetchedOffset(partition, isOfTopic(offset, topicId) ? offset : undefined);
    }),
  }));
}

function fetchedOffset(partitionIndex: number, offset: CommittedOffset | undefined): FetchedOffset {
  return {
    partitionIndex,
    committedOffset: offset?.offset ?? -1,
    committedLeaderEpoch: offset?.leaderEpoch ?? -1,
    metadata: offset?.metadata ?? '',
    errorCode: ErrorCode.NONE,
  };
}

export function deleteOffsets(step: GroupStep, command: DeleteOffsetsCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  const errorCode = checkDeleteOffsets(group, command);
  if (group === undefined || errorCode !== ErrorCode.NONE) {
    step.effects.reply(request, { errorCode, topics: [] } satisfies DeleteOffsetsReply);
    return;
  }
  const topics = command.topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      if (group.isSubscribedTo(name))
        return { partitionIndex, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC };
      deleteOffset(step, group, { topic: name, partition: partitionIndex });
      return { partitionIndex, errorCode: ErrorCode.NONE };
    }),
  }));
  step.effects.reply(request, { errorCode: ErrorCode.NONE, topics } satisfies DeleteOffsetsReply);
  maybeForget(step, group);
}

/** Of a live group only consumers' offsets can be deleted: for others it is unknown what they read. */
function checkDeleteOffsets(group: AnyGroup | undefined, command: DeleteOffsetsCommand): ErrorCode {
  if (command.groupId === '') return ErrorCode.INVALID_GROUP_ID;
  if (group === undefined) return ErrorCode.GROUP_ID_NOT_FOUND;
  const isOfOthers = group instanceof Group && group.state !== 'Empty' && !group.usesConsumerProtocol;
  return isOfOthers ? ErrorCode.NON_EMPTY_GROUP : ErrorCode.NONE;
}

/** False where nothing was committed. */
function deleteOffset(
  step: GroupStep,
  group: CoordinatedGroup,
  of: { topic: string; partition: number },
): boolean {
  if (!removeCommittedOffset(group.offsets, of.topic, of.partition)) return false;
  step.effects.append(encodeOffsetKey(group.groupId, of.topic, of.partition), null);
  return true;
}

export function deleteGroup(step: GroupStep, command: DeleteGroupCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  let errorCode: ErrorCode = ErrorCode.NONE;
  if (group === undefined) errorCode = ErrorCode.GROUP_ID_NOT_FOUND;
  else if (group.state !== 'Empty') errorCode = ErrorCode.NON_EMPTY_GROUP;
  else removeGroup(step, group);
  step.effects.reply(request, { errorCode });
}

/** The group's own tombstone comes last: a crash in between leaves an empty group, never offsets without one. */
function removeGroup(step: GroupStep, group: AnyGroup): void {
  for (const [topic, partitions] of group.offsets.topics) {
    for (const partition of partitions.keys()) {
      step.effects.append(encodeOffsetKey(group.groupId, topic, partition), null);
    }
  }
  if (group instanceof ConsumerGroup) {
    forgetConsumerGroup(step, group);
    return;
  }
  for (const memberId of group.pendingMembers.keys()) removePendingMember(step, group, memberId);
  if (group.hasRecord) step.effects.append(encodeGroupKey(group.groupId), null);
  step.groups.delete(group.groupId);
}

export function forgetTopics(step: GroupStep, command: ForgetTopicsCommand, request: RequestId): void {
  let removedOffsets = 0;
  for (const group of step.groups.values()) {
    for (const topic of command.names) {
      for (const partition of group.offsets.topics.get(topic)?.keys() ?? []) {
        if (deleteOffset(step, group, { topic, partition })) removedOffsets += 1;
      }
    }
    maybeForget(step, group);
  }
  step.effects.reply(request, { removedOffsets });
}

/** Those whose deletion went by while nobody coordinated the group. */
export function forgetDeletedTopics(step: GroupStep, group: CoordinatedGroup): void {
  for (const [topic, partitions] of group.offsets.topics) {
    for (const [partition, { topicId }] of partitions) {
      if (step.topics.isDeleted(topicId)) deleteOffset(step, group, { topic, partition });
    }
  }
}

/** So many groups and offsets are looked at in one step at least, and no group more: other work waits for it. */
const expirySlice = 10_000;

/**
 * Removes offsets whose retention is over, and groups of which nothing is left then. Goes through some of `groups`; false: there are more
 * of them, for another step.
 */
export function expireOffsets(step: GroupStep, groups: Iterator<AnyGroup>): boolean {
  let looked = 0;
  for (let next = groups.next(); next.done !== true; next = groups.next()) {
    looked += 1 + expireOffsetsOf(step, next.value);
    if (looked >= expirySlice) return false;
  }
  return true;
}

/** How many it looked at. */
function expireOffsetsOf(step: GroupStep, group: AnyGroup): number {
  let looked = 0;
  const { retentionFrom } = group;
  if (retentionFrom === undefined) return looked;
  for (const [topic, partitions] of group.offsets.topics) {
    looked += partitions.size;
    for (const [partition, offset] of partitions) {
      if (isExpired(step, offset, retentionFrom)) deleteOffset(step, group, { topic, partition });
    }
  }
  if (group.isEmpty && group.offsets.topics.size === 0) removeGroup(step, group);
  return looked;
}

/** A commit that came after what the group's retention is counted from counts anew. */
function isExpired(step: GroupStep, offset: CommittedOffset, retentionFrom: number | 'commit'): boolean {
  const nowMs = step.effects.wallMs;
  if (offset.expireTimestampMs !== -1) return nowMs >= offset.expireTimestampMs;
  const { commitTimestampMs } = offset;
  const sinceMs = retentionFrom === 'commit' ? commitTimestampMs : Math.max(commitTimestampMs, retentionFrom);
  return nowMs - sinceMs >= step.config.offsetsRetentionMs;
}
