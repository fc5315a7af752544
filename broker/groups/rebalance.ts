/**
 * The rebalance itself: from PreparingRebalance, where members are to rejoin, to the next generation.
 *
 * An empty group waits for the initial delay, and again while new members keep coming, up to the rebalance timeout:
 * that saves the rebalance for each of several consumers that start together. Any other group goes on as soon as all of
 * its members have rejoined, or without those who have not when the rebalance timeout is over. Static members are never
 * left out for that: they keep their place until their session expires.
 */
import { assert } from '../../platform/assert.ts';
import { ErrorCode } from '../../protocol/index.ts';
import {
  answerJoin,
  answerSync,
  armSession,
  joinReply,
  removeMember,
  syncError,
  writeGroup,
} from './group-step.ts';
import type { GroupStep } from './group-step.ts';
import { noAssignment } from './group.ts';
import type { Group } from './group.ts';

/** Starts a rebalance where the group's state allows one; otherwise one runs already, which this may complete. */
export function rebalanceOrCompleteJoin(step: GroupStep, group: Group): void {
  if (group.canRebalance) prepareRebalance(step, group);
  else maybeCompleteJoin(step, group);
}

export function prepareRebalance(step: GroupStep, group: Group): void {
  if (group.state === 'CompletingRebalance') dropAssignments(step, group, ErrorCode.REBALANCE_IN_PROGRESS);
  group.pendingSync.clear();
  step.effects.disarm(group.syncTimer);
  const isInitial = group.state === 'Empty';
  group.transitionTo('PreparingRebalance', step.effects.wallMs);
  if (isInitial) startInitialDelay(step, group);
  else if (group.hasAllMembersJoined) completeJoin(step, group);
  else step.effects.arm(group.joinTimer, group.rebalanceTimeoutMs);
}

/** Members that wait for an assignment are told `errorCode`, and to join again. */
export function dropAssignments(step: GroupStep, group: Group, errorCode: ErrorCode): void {
  assert(group.state === 'CompletingRebalance', 'assignments are dropped only while they are awaited');
  for (const member of group.members.values()) {
    member.assignment = noAssignment;
    answerSync(step, member, syncError(errorCode));
  }
}

/** Completes the join phase if nobody is missing and this is not an initial delay, which runs its full time. */
export function maybeCompleteJoin(step: GroupStep, group: Group): void {
  if (group.state !== 'PreparingRebalance' || group.initialDelay !== undefined) return;
  if (group.hasAllMembersJoined) completeJoin(step, group);
}

/** The join timer has fired. */
export function onJoinTimeout(step: GroupStep, group: Group): void {
  if (group.state !== 'PreparingRebalance') return;
  const delay = group.initialDelay;
  if (delay !== undefined && group.newMemberAdded && delay.remainingMs > 0) extendInitialDelay(step, group);
  else completeJoin(step, group);
}

/** The sync timer has fired: members from which no SyncGroup came are taken out, and the rest joins again. */
export function onSyncTimeout(step: GroupStep, group: Group): void {
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return;
  if (group.pendingSync.size === 0) return;
  for (const memberId of group.pendingSync) removeMember(step, group, group.members.get(memberId)!);
  prepareRebalance(step, group);
}

function startInitialDelay(step: GroupStep, group: Group): void {
  const delayMs = step.config.initialRebalanceDelayMs;
  group.newMemberAdded = false;
  group.initialDelay = { remainingMs: Math.max(group.rebalanceTimeoutMs - delayMs, 0) };
  step.effects.arm(group.joinTimer, delayMs);
}

function extendInitialDelay(step: GroupStep, group: Group): void {
  const remainingMs = group.initialDelay!.remainingMs;
  const delayMs = Math.min(step.config.initialRebalanceDelayMs, remainingMs);
  group.newMemberAdded = false;
  group.initialDelay = { remainingMs: remainingMs - delayMs };
  step.effects.arm(group.joinTimer, delayMs);
}

function completeJoin(step: GroupStep, group: Group): void {
  step.effects.disarm(group.joinTimer);
  group.initialDelay = undefined;
  for (const member of group.members.values()) {
    if (member.awaitingJoin === undefined && member.groupInstanceId === null)
      removeMember(step, group, member);
  }
  if (!group.maybeElectJoinedLeader() && group.members.size > 0) {
    // Only static members are left and none has rejoined: wait on until one does, or their sessions expire.
    step.effects.arm(group.joinTimer, group.rebalanceTimeoutMs);
    return;
  }
  group.beginGeneration(step.effects.wallMs);
  if (group.state === 'Empty') {
    const written = writeGroup(step, group);
    assert(written, 'the record of an empty group must fit into the log');
    return;
  }
  for (const member of group.members.values()) {
    answerJoin(step, group, member, joinReply(group, member));
    armSession(step, member);
    member.isNew = false;
    group.pendingSync.add(member.memberId);
  }
  step.effects.arm(group.syncTimer, group.rebalanceTimeoutMs);
}
