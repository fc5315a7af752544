/** Who may commit offsets of a consumer group (KIP-848). */
import { ErrorCode } from '../../../protocol/index.ts';
import type { CommitCommand } from '../group-commands.ts';
import type { ConsumerGroup } from './consumer-group.ts';

/** `generationId` of the command is the member's epoch. Whoever is in no group may commit for one that is empty. */
export function checkConsumerCommit(group: ConsumerGroup, command: CommitCommand): ErrorCode {
  const { generationId, memberId } = command;
  if (generationId < 0 && group.isEmpty) return ErrorCode.NONE;
  const member = group.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  // Versions before that know no member epochs.
  if (!command.supportsGroupIdNotFound) return ErrorCode.UNSUPPORTED_VERSION;
  return generationId === member.epoch ? ErrorCode.NONE : ErrorCode.STALE_MEMBER_EPOCH;
}
