import type { BrokerConfig } from '../config/broker-config.ts';
import { consumerGroupNumber, listOf } from '../config/consumer-group-settings.ts';
import type { GroupOverrides } from '../config/consumer-group-settings.ts';
import { numberOf } from '../config/config-value.ts';

/** The broker's settings for groups, as the coordinator reads them: live values, so that a change takes effect at once. */
export interface GroupConfig {
  /** group.min.session.timeout.ms */
  readonly sessionTimeoutMinMs: number;
  /** group.max.session.timeout.ms */
  readonly sessionTimeoutMaxMs: number;
  /** group.initial.rebalance.delay.ms: how long an empty group waits for more members after the first. */
  readonly initialRebalanceDelayMs: number;
  /** group.max.size */
  readonly groupSizeMax: number;
  /** offset.metadata.max.bytes */
  readonly offsetMetadataSizeMax: number;
  /** offsets.retention.minutes, in ms */
  readonly offsetsRetentionMs: number;
  /** offsets.retention.check.interval.ms */
  readonly offsetsRetentionCheckIntervalMs: number;
}

/** What holds for one consumer group (KIP-848). */
export interface ConsumerGroupConfig {
  /** consumer.session.timeout.ms */
  readonly sessionTimeoutMs: number;
  /** consumer.heartbeat.interval.ms: how often a member is to be heard of. */
  readonly heartbeatIntervalMs: number;
  /** consumer.assignment.interval.ms: at least between target assignments. */
  readonly assignmentIntervalMs: number;
  /** group.consumer.assignors: names; the first is the default. At least one. */
  readonly assignors: readonly string[];
  /** group.consumer.max.size */
  readonly sizeMax: number;
  /** group.consumer.regex.refresh.interval.ms: how often topics that match patterns are looked for, though none came or went. */
  readonly patternRefreshIntervalMs: number;
  /** group.consumer.migration.policy: of groups that have members; empty ones always change. */
  readonly migrationPolicy: MigrationPolicy;
}

/** Between which protocols a group may change with the members that join. */
export type MigrationPolicy = 'disabled' | 'upgrade' | 'downgrade' | 'bidirectional';

/** What holds for all groups of the consumer protocol alike. */
export interface ConsumerProtocolConfig {
  /** group.coordinator.rebalance.protocols: whether it names consumer. */
  readonly isServed: boolean;
}

/** The present settings of the consumer protocol. */
export function consumerProtocolConfigOf(config: BrokerConfig): ConsumerProtocolConfig {
  return {
    isServed: listOf('group.coordinator.rebalance.protocols', config).includes('consumer'),
  };
}

function migrationPolicyOf(config: BrokerConfig): MigrationPolicy {
  const text = config.effective('group.consumer.migration.policy')?.text.toLowerCase();
  return text === 'disabled' || text === 'upgrade' || text === 'downgrade' ? text : 'bidirectional';
}

/** The present settings of one group: its own (`overrides`) before the broker's, within the broker's bounds. */
export function consumerGroupConfigOf(config: BrokerConfig, overrides: GroupOverrides): ConsumerGroupConfig {
  const number = (name: string) => consumerGroupNumber(name, overrides, config);
  const refresh = 'group.consumer.regex.refresh.interval.ms';
  return {
    sessionTimeoutMs: number('consumer.session.timeout.ms'),
    heartbeatIntervalMs: number('consumer.heartbeat.interval.ms'),
    assignmentIntervalMs: number('consumer.assignment.interval.ms'),
    assignors: listOf('group.consumer.assignors', config),
    sizeMax: numberOf('group.consumer.max.size', config.effective('group.consumer.max.size')),
    patternRefreshIntervalMs: numberOf(refresh, config.effective(refresh)),
    migrationPolicy: migrationPolicyOf(config),
  };
}

/** The present settings of a broker. */
export function groupConfigOf(config: BrokerConfig): GroupConfig {
  return {
    sessionTimeoutMinMs: config.groupMinSessionTimeoutMs,
    sessionTimeoutMaxMs: config.groupMaxSessionTimeoutMs,
    initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs,
    groupSizeMax: config.groupMaxSize,
    offsetMetadataSizeMax: config.offsetMetadataMaxBytes,
    offsetsRetentionMs: config.offsetsRetentionMinutes * 60_000,
    offsetsRetentionCheckIntervalMs: config.offsetsRetentionCheckIntervalMs,
  };
}

/** Kafka's defaults. */
export const defaultGroupConfig: GroupConfig = {
  sessionTimeoutMinMs: 6_000,
  sessionTimeoutMaxMs: 1_800_000,
  initialRebalanceDelayMs: 3_000,
  groupSizeMax: 2_147_483_647,
  offsetMetadataSizeMax: 4_096,
  offsetsRetentionMs: 10_080 * 60_000,
  offsetsRetentionCheckIntervalMs: 600_000,
};

export const defaultConsumerGroupConfig: ConsumerGroupConfig = {
  sessionTimeoutMs: 45_000,
  heartbeatIntervalMs: 5_000,
  assignmentIntervalMs: 1_000,
  assignors: ['uniform', 'range'],
  sizeMax: 2_147_483_647,
  patternRefreshIntervalMs: 600_000,
  migrationPolicy: 'bidirectional',
};

/**
 * How long a new member's JoinGroup may wait before the member counts as gone. It knows no member id yet and sends no
 * heartbeats, and a client that gave up may have left it behind. Kafka uses the same, fixed.
 */
export const newMemberJoinTimeoutMs = 300_000;
