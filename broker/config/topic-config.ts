/**
 * A topic's settings. The value of each comes from the topic itself, else from the broker setting that stands for it
 * (set at run time, then at start), else from Kafka's default.
 *
 * `TopicConfig` is the typed view that the log and the partitions read. It is live: the object stays the same for the
 * life of the topic, and its fields change when a setting does (`cluster/` does that). So keep the object, read the field.
 */
import type { BrokerConfig } from './broker-config.ts';
import { topicConfigDefinitions } from './config-definition.ts';
import type { TopicConfigDefinition } from './config-definition.ts';
import { booleanOf, numberOf, parseConfigValue } from './config-value.ts';
import type { ConfigFault, ParsedConfig } from './config-value.ts';
import { refusedTopicSettings } from './refused-settings.ts';

export interface TopicConfig {
  /** Whether old segments are deleted, and whether records are compacted by key. Both may hold, or neither. */
  readonly deletes: boolean;
  readonly compacts: boolean;
  readonly compressionType: string;
  /** -1: the codec's own default. */
  readonly compressionGzipLevel: number;
  readonly compressionZstdLevel: number;
  readonly deleteRetentionMs: number;
  readonly fileDeleteDelayMs: number;
  readonly followerThrottledReplicas: ThrottledReplicas;
  /** 2^63 stands for no bound, here and in flushMs. */
  readonly flushMessages: number;
  readonly flushMs: number;
  readonly indexIntervalBytes: number;
  readonly leaderThrottledReplicas: ThrottledReplicas;
  readonly maxCompactionLagMs: number;
  /** The most bytes that one compressed batch may hold when decompressed. */
  readonly maxDecompressedMessageBytes: number;
  /** The largest batch, as compressed, with its header. */
  readonly maxMessageBytes: number;
  readonly messageTimestampAfterMaxMs: number;
  /** 2^63 stands for no bound. */
  readonly messageTimestampBeforeMaxMs: number;
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime';
  readonly minCleanableDirtyRatio: number;
  readonly minCompactionLagMs: number;
  readonly minInsyncReplicas: number;
  readonly preallocate: boolean;
  /** -1: unlimited. */
  readonly retentionBytes: number;
  readonly retentionMs: number;
  /** `internal.segment.bytes` where that is set: Kafka's way round the lower bound of `segment.bytes`, for tests. */
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  readonly segmentJitterMs: number;
  readonly segmentMs: number;
  /** Acknowledged before it is synced. */
  readonly writeCaching: boolean;
}

/** As `partition:broker`; or all. */
export type ThrottledReplicas = ReadonlySet<string> | 'all';

/** What is set on the topic itself, by name. */
export type TopicOverrides = ReadonlyMap<string, string>;

/** The present values of all settings. Overrides must have been checked (`checkTopicOverrides`). */
export function resolveTopicConfig(overrides: TopicOverrides, broker: BrokerConfig): TopicConfig {
  const parsed = (name: string) => effectiveTopicValue(topicDefinition(name), overrides, broker);
  const number = (name: string) => numberOf(name, parsed(name));
  const cleanupPolicy = parsed('cleanup.policy')?.text.split(',') ?? [];
  const appendTime = parsed('message.timestamp.type')?.text === 'LogAppendTime';
  return {
    deletes: cleanupPolicy.includes('delete'),
    compacts: cleanupPolicy.includes('compact'),
    compressionGzipLevel: number('compression.gzip.level'),
    compressionZstdLevel: number('compression.zstd.level'),
    compressionType: parsed('compression.type')?.text ?? 'producer',
    deleteRetentionMs: number('delete.retention.ms'),
    fileDeleteDelayMs: number('file.delete.delay.ms'),
    followerThrottledReplicas: throttledReplicas(parsed('follower.replication.throttled.replicas')),
    flushMessages: number('flush.messages'),
    flushMs: number('flush.ms'),
    indexIntervalBytes: number('index.interval.bytes'),
    leaderThrottledReplicas: throttledReplicas(parsed('leader.replication.throttled.replicas')),
    maxCompactionLagMs: number('max.compaction.lag.ms'),
    maxDecompressedMessageBytes: number('max.decompressed.message.bytes'),
    maxMessageBytes: number('max.message.bytes'),
    messageTimestampAfterMaxMs: number('message.timestamp.after.max.ms'),
    messageTimestampBeforeMaxMs: number('message.timestamp.before.max.ms'),
    messageTimestampType: appendTime ? 'LogAppendTime' : 'CreateTime',
    minCleanableDirtyRatio: number('min.cleanable.dirty.ratio'),
    minCompactionLagMs: number('min.compaction.lag.ms'),
    minInsyncReplicas: number('min.insync.replicas'),
    preallocate: booleanOf('preallocate', parsed('preallocate')),
    retentionBytes: number('retention.bytes'),
    retentionMs: number('retention.ms'),
    segmentBytes: number(
      parsed('internal.segment.bytes') === undefined ? 'segment.bytes' : 'internal.segment.bytes',
    ),
    segmentIndexBytes: number('segment.index.bytes'),
    segmentJitterMs: number('segment.jitter.ms'),
    segmentMs: number('segment.ms'),
    writeCaching: booleanOf('write.caching', parsed('write.caching')),
  };
}

const noReplicas: ReadonlySet<string> = new Set();

function throttledReplicas(parsed: ParsedConfig | undefined): ThrottledReplicas {
  if (parsed === undefined || parsed.text === '') return noReplicas;
  return parsed.text === '*' ? 'all' : new Set(parsed.text.split(','));
}

/** Puts new values into a live view. */
export function updateTopicConfig(live: TopicConfig, overrides: TopicOverrides, broker: BrokerConfig): void {
  Object.assign(live, resolveTopicConfig(overrides, broker));
}

/** The value that counts for one setting; undefined where it has none (`internal.segment.bytes`). */
export function effectiveTopicValue(
  definition: TopicConfigDefinition,
  overrides: TopicOverrides,
  broker: BrokerConfig,
): ParsedConfig | undefined {
  const text = overrides.get(definition.name);
  if (text === undefined) return broker.topicDefault(definition.name);
  const parsed = parseConfigValue(definition, text);
  return parsed.kind === 'value' ? parsed : undefined;
}

/**
 * What is wrong with the settings of a topic, as a sentence; undefined where nothing is. Checks every value by itself
 * and those that must agree with each other. A value that the topic has already (`before`) and that nothing acts on is
 * let be, so that other settings of the topic can be altered.
 */
export function checkTopicOverrides(
  overrides: TopicOverrides,
  broker: BrokerConfig,
  before: TopicOverrides = new Map(),
): string | undefined {
  for (const [name, text] of overrides) {
    const definition = topicConfigDefinitions.get(name);
    if (definition === undefined) {
      return `Unknown topic config name: ${name}. Look for a slip of the pen; DescribeConfigs lists all names.`;
    }
    const parsed = parseConfigValue(definition, text);
    if (parsed.kind === 'fault') return invalidValue(definition, text, parsed);
    const reason = refusedTopicSettings.get(name);
    if (reason !== undefined && parsed.text !== definition.default && before.get(name) !== text) {
      return `Invalid value ${text} for configuration ${name}: ${reason}. Leave it out.`;
    }
  }
  const { minCompactionLagMs, maxCompactionLagMs } = resolveTopicConfig(overrides, broker);
  if (minCompactionLagMs > maxCompactionLagMs) {
    return (
      `min.compaction.lag.ms (${minCompactionLagMs}) must not be larger than ` +
      `max.compaction.lag.ms (${maxCompactionLagMs}).`
    );
  }
  return undefined;
}

/** The definition of a topic setting that is known to exist. */
export function topicDefinition(name: string): TopicConfigDefinition {
  const definition = topicConfigDefinitions.get(name);
  if (definition === undefined) throw new Error(`protocol/configs/topic-configs.json has no ${name}`);
  return definition;
}

function invalidValue(definition: TopicConfigDefinition, text: string, fault: ConfigFault): string {
  return `Invalid value ${text} for configuration ${definition.name}: it ${fault.reason}.`;
}
