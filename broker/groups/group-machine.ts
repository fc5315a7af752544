/**
 * The state machine of one partition of `__consumer_offsets`: all groups whose ids hash to it. Pure: see
 * coordinator/state-machine.ts for the contract.
 *
 * Durable are committed offsets, and of each group its last stable (or empty) generation with the members' metadata and
 * assignments. The rest (who waits, pending members, a rebalance under way) is lost with the coordinator, and clients
 * bring it about again.
 */
import { ShardTimer } from '../coordinator/shard-timers.ts';
import type { Effects, ReplayedRecord, RequestId, StateMachine } from '../coordinator/state-machine.ts';
import type { AnyGroup } from './any-group.ts';
import { removeCommittedOffset, setCommittedOffset } from './committed-offsets.ts';
import type { GroupCommand, GroupReply, GroupTimerEvent } from './group-commands.ts';
import { activateConsumerGroup, expireInConsumerGroup } from './consumer/consumer-events.ts';
import { ConsumerGroup } from './consumer/consumer-group.ts';
import { describeConsumerGroup } from './consumer/consumer-describing.ts';
import { consumerHeartbeat } from './consumer/consumer-heartbeat.ts';
import { decodeConsumerRecord } from './consumer/consumer-records.ts';
import { keepOffsetsOnly, replayConsumerRecord } from './consumer/consumer-replay.ts';
import { refreshPatterns } from './consumer/consumer-patterns.ts';
import type { TopicsView } from './consumer/topics-view.ts';
import type { ConsumerGroupConfig, GroupConfig } from './group-config.ts';
import { decodeGroupRecord } from './group-records.ts';
import { armSession } from './group-step.ts';
import type { GroupStep } from './group-step.ts';
import { Group } from './group.ts';
import { InterruptedMigrations } from './migration/interrupted-migrations.ts';
import type { NoticeMigration } from './migration/migration-notice.ts';
import { joinGroup } from './join.ts';
import { heartbeat, leaveGroup, onSessionTimeout, syncGroup } from './membership.ts';
import {
  commitOffsets,
  deleteGroup,
  deleteOffsets,
  expireOffsets,
  fetchOffsets,
  forgetDeletedTopics,
  forgetTopics,
} from './offsets.ts';
import { describeGroup, listGroups } from './queries.ts';
import { onJoinTimeout, onSyncTimeout, prepareRebalance } from './rebalance.ts';
import { groupFromRecord } from './replayed-group.ts';

type GroupEffects = Effects<GroupReply, GroupTimerEvent>;

export interface GroupMachineOptions {
  readonly config: () => GroupConfig;
  readonly consumerConfig: (groupId: string) => ConsumerGroupConfig;
  readonly topics: () => TopicsView;
  /** Told of groups that change their protocol, or cannot: for the operator only. It may be told although the step is lost. */
  readonly onMigration?: NoticeMigration;
}

/** Between two slices of work that nobody waits for. */
const slicePauseMs = 1;

export class GroupMachine implements StateMachine<GroupCommand, GroupReply, GroupTimerEvent> {
  readonly #groups = new Map<string, AnyGroup>();
  readonly #options: GroupMachineOptions;
  readonly #interrupted = new InterruptedMigrations();
  /** Groups whose offsets have yet to be looked at, while they are. */
  #toExpire: Iterator<AnyGroup> | undefined;
  readonly #expiryTimer = new ShardTimer<GroupTimerEvent>({ kind: 'expire-offsets' });

  constructor(options: GroupMachineOptions) {
    this.#options = options;
  }

  /** For reading only. */
  get groups(): ReadonlyMap<string, AnyGroup> {
    return this.#groups;
  }

  execute(command: GroupCommand, request: RequestId, effects: GroupEffects): void {
    const step = this.#step(effects);
    switch (command.kind) {
      case 'join':
        return joinGroup(step, command, request);
      case 'sync':
        return syncGroup(step, command, request);
      case 'heartbeat':
        return heartbeat(step, command, request);
      case 'leave':
        return leaveGroup(step, command, request);
      case 'commit':
        return commitOffsets(step, command, request);
      case 'fetch-offsets':
        return fetchOffsets(step, command, request);
      case 'delete-offsets':
        return deleteOffsets(step, command, request);
      case 'delete-group':
        return deleteGroup(step, command, request);
      case 'describe-group':
        return effects.reply(request, describeGroup(step.groups.get(command.groupId)));
      case 'consumer-heartbeat':
        return consumerHeartbeat(step, command, request);
      case 'describe-consumer-group':
        return effects.reply(request, describeConsumerGroup(step, command.groupId));
      case 'refresh-patterns':
        return refreshPatterns(step, command, request);
      case 'list-groups':
        return effects.reply(request, { groups: listGroups(this.#groups.values(), command) });
      case 'forget-topics':
        return forgetTopics(step, command, request);
    }
  }

  expire(event: GroupTimerEvent, effects: GroupEffects): void {
    const step = this.#step(effects);
    if (event.kind === 'expire-offsets') {
      this.#toExpire ??= this.#groups.values();
      const isDone = expireOffsets(step, this.#toExpire);
      if (isDone) this.#toExpire = undefined;
      effects.arm(this.#expiryTimer, isDone ? step.config.offsetsRetentionCheckIntervalMs : slicePauseMs);
      return;
    }
    const group = this.#groups.get(event.groupId);
    if (group === undefined) return;
    if (group instanceof ConsumerGroup) {
      expireInConsumerGroup(step, group, event);
      return;
    }
    switch (event.kind) {
      case 'session':
        return onSessionTimeout(step, group, event.memberId);
      case 'join':
        return onJoinTimeout(step, group);
      case 'sync':
        return onSyncTimeout(step, group);
    }
  }

  replay(replayed: ReplayedRecord): void {
    const consumerRecord = decodeConsumerRecord(replayed.key, replayed.value);
    if (consumerRecord !== undefined) {
      replayConsumerRecord(
        { groups: this.#groups, interrupted: this.#interrupted },
        consumerRecord,
        replayed.timestamp,
      );
      return;
    }
    const record = decodeGroupRecord(replayed.key, replayed.value);
    if (record.kind === 'unknown') return;
    if (record.kind === 'offset') {
      this.#replayOffset(record);
      return;
    }
    const known = this.#groups.get(record.group);
    if (record.value !== null) {
      this.#interrupted.hide(known);
      this.#groups.set(record.group, groupFromRecord(record.group, record.value, known?.offsets));
    } else if (known instanceof Group) {
      // Offsets have tombstones of their own: a group that went over to the other protocol has kept them.
      const successor = this.#interrupted.reveal(record.group);
      if (successor === undefined) keepOffsetsOnly(this.#groups, known);
      else this.#groups.set(record.group, successor);
    }
  }

  /** Members' sessions start anew: nobody could be heard of while the log was loaded. */
  activate(effects: GroupEffects): void {
    const step = this.#step(effects);
    this.#interrupted.finish(step);
    for (const group of this.#groups.values()) {
      forgetDeletedTopics(step, group);
      if (group instanceof ConsumerGroup) {
        activateConsumerGroup(step, group);
        continue;
      }
      for (const member of group.members.values()) armSession(step, member);
      group.noteSubscriptions();
      const isTooLarge = group.members.size > step.config.groupSizeMax;
      if (isTooLarge || group.isRebalanceDue) prepareRebalance(step, group);
    }
    effects.arm(this.#expiryTimer, step.config.offsetsRetentionCheckIntervalMs);
  }

  #replayOffset(record: Extract<ReturnType<typeof decodeGroupRecord>, { kind: 'offset' }>): void {
    const { topic, partition, value } = record;
    let group = this.#groups.get(record.group);
    if (value === null) {
      if (group === undefined) return;
      removeCommittedOffset(group.offsets, topic, partition);
      if (group.isForgettable) this.#groups.delete(record.group);
      return;
    }
    if (group === undefined) {
      group = new Group(record.group, value.commitTimestampMs);
      this.#groups.set(record.group, group);
    }
    setCommittedOffset(group.offsets, topic, partition, value);
  }

  #step(effects: GroupEffects): GroupStep {
    const { config, consumerConfig, topics, onMigration = () => {} } = this.#options;
    return {
      effects,
      config: config(),
      consumerConfig,
      topics: topics(),
      groups: this.#groups,
      noticeMigration: onMigration,
    };
  }
}
