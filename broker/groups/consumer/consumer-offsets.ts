/** Who may commit offsets of a consumer group, and who may ask for them (KIP-848). */
import { ErrorCode } from '../../../protocol/index.ts';
import type { CommitCommand, FetchOffsetsCommand } from '../group-commands.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerMember } from './consumer-member.ts';

/** `generationId` of the command is the member's epoch. Whoever is in no group may commit for one that is empty. */
export function checkConsumerCommit(group: ConsumerGroup, command: CommitCommand): ErrorCode {
  const { generationId, memberId } = command;
  if (generationId < 0 && group.isEmpty) return ErrorCode.NONE;
  const member = group.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  // Versions before that know no member epochs; to a member of the classic protocol its own is a generation.
  if (!command.supportsGroupIdNotFound && member.classic === null) return ErrorCode.UNSUPPORTED_VERSION;
  return checkEpoch(member, generationId);
}

function checkEpoch({ epoch, classic }: ConsumerMember, told: number): ErrorCode {
  if (told === epoch) return ErrorCode.NONE;
  return classic === null ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.ILLEGAL_GENERATION;
}

/** Tools say of no member what has been committed; a member asks in its epoch, so that one that was fenced learns of it. */
export function checkConsumerFetch(group: ConsumerGroup, command: FetchOffsetsCommand): ErrorCode {
  if (command.member === undefined) return ErrorCode.NONE;
  const { memberId, memberEpoch } = command.member;
  const member = group.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  return checkEpoch(member, memberEpoch);
}
