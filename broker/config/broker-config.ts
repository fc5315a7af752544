/**
 * A broker's settings: Kafka's names, types and defaults, as far as this broker honours them.
 *
 * A value comes from the highest layer that has one: set for this broker at run time, set for all brokers at run time,
 * given at start, Kafka's default. The getters read the present value; callers ask each time rather than keep it.
 * The layers set at run time come from the metadata log and are put here by `cluster/`.
 */
import { brokerConfigDefinitions } from './config-definition.ts';
import type { BrokerConfigDefinition } from './config-definition.ts';
import { booleanOf, numberOf, parseConfigValue } from './config-value.ts';
import type { ParsedConfig } from './config-value.ts';
import { consumerSettingsFault } from './consumer-group-settings.ts';
import { clusterSettings, honouredSettings, runtimeSettings } from './honoured-settings.ts';
import { refusedBrokerSettings } from './refused-settings.ts';
import { brokerSettingFault, topicDefaults } from './topic-defaults.ts';

export type BrokerConfigErrorCode = 'unknown-setting' | 'not-honoured' | 'bad-value' | 'bad-form';

/** A setting given at start that cannot be taken; the message is a sentence for the user. */
export class BrokerConfigError extends Error {
  readonly code: BrokerConfigErrorCode;
  readonly setting: string;

  constructor(code: BrokerConfigErrorCode, setting: string, message: string) {
    super(message);
    this.name = 'BrokerConfigError';
    this.code = code;
    this.setting = setting;
  }
}

/** Where a broker's value comes from, highest first. */
export type BrokerConfigLayer = 'dynamic-broker' | 'dynamic-cluster' | 'static' | 'default';

export interface LayeredValue {
  readonly layer: BrokerConfigLayer;
  readonly parsed: ParsedConfig;
}

const layersByPrecedence: readonly BrokerConfigLayer[] = [
  'dynamic-broker',
  'dynamic-cluster',
  'static',
  'default',
];

export const rackAwareSelector = 'org.apache.kafka.common.replica.RackAwareReplicaSelector';
/** Kafka's own classes; others would have to be loaded. */
const replicaSelectors = ['', 'org.apache.kafka.common.replica.LeaderSelector', rackAwareSelector];

export class BrokerConfig {
  readonly #layers: Record<BrokerConfigLayer, ReadonlyMap<string, ParsedConfig>>;
  /** The winning value of each honoured setting that has one. Invariant: agrees with `#layers`. */
  #effective: ReadonlyMap<string, ParsedConfig>;
  /** What topics get that do not say otherwise. Invariant: agrees with `#layers`. */
  #topicDefaults: ReadonlyMap<string, ParsedConfig>;

  /** Settings as given at start, by name; throws a BrokerConfigError for the first that cannot be taken. */
  constructor(settings: ReadonlyMap<string, string> = new Map()) {
    const given = new Map<string, ParsedConfig>();
    for (const [name, text] of settings) {
      if (clusterSettings.has(name)) throw new BrokerConfigError('not-honoured', name, notAtStart(name));
      if (runtimeSettings.has(name))
        throw new BrokerConfigError('not-honoured', name, onlyWhileRunning(name));
      given.set(name, parseBrokerSetting(name, text));
    }
    this.#layers = {
      'dynamic-broker': new Map(),
      'dynamic-cluster': new Map(),
      static: given,
      default: defaultValues(),
    };
    this.#effective = this.#resolve();
    this.#topicDefaults = topicDefaults((name) => this.layered(name));
    const selector = this.replicaSelectorClass;
    if (!replicaSelectors.includes(selector)) {
      throw new BrokerConfigError(
        'bad-value',
        'replica.selector.class',
        `replica.selector.class cannot be "${selector}": a class of your own cannot be loaded here; ` +
          `leave it out, or set ${rackAwareSelector}`,
      );
    }
    const fault = consumerSettingsFault(this);
    if (fault !== undefined) {
      const { setting, reason } = fault;
      throw new BrokerConfigError(
        'bad-value',
        setting,
        `The setting "${setting}" cannot be taken: it ${reason}.`,
      );
    }
  }

  /** Replaces what was set at run time for this broker or for all; names and values must have been checked before. */
  setDynamic(layer: 'dynamic-broker' | 'dynamic-cluster', settings: ReadonlyMap<string, string>): void {
    const values = new Map<string, ParsedConfig>();
    for (const [name, text] of settings) values.set(name, parseBrokerSetting(name, text));
    this.#layers[layer] = values;
    this.#effective = this.#resolve();
    this.#topicDefaults = topicDefaults((name) => this.layered(name));
  }

  /** The winning value, undefined where the setting has none; for any Kafka setting, honoured or not. */
  effective(name: string): ParsedConfig | undefined {
    return this.#effective.get(name);
  }

  /** The default that this broker gives a topic setting; undefined where it has none. */
  topicDefault(name: string): ParsedConfig | undefined {
    return this.#topicDefaults.get(name);
  }

  /** Every value that the setting has, highest layer first. */
  layered(name: string): LayeredValue[] {
    return layersByPrecedence.flatMap((layer) => {
      const parsed = this.#layers[layer].get(name);
      return parsed === undefined ? [] : [{ layer, parsed }];
    });
  }

  /** What is set in one layer. */
  layer(layer: BrokerConfigLayer): ReadonlyMap<string, ParsedConfig> {
    return this.#layers[layer];
  }

  get autoCreateTopicsEnable(): boolean {
    return this.#boolean('auto.create.topics.enable');
  }
  get autoLeaderRebalanceEnable(): boolean {
    return this.#boolean('auto.leader.rebalance.enable');
  }
  get brokerHeartbeatIntervalMs(): number {
    return this.#number('broker.heartbeat.interval.ms');
  }
  get brokerSessionTimeoutMs(): number {
    return this.#number('broker.session.timeout.ms');
  }
  get connectionsMaxIdleMs(): number {
    return this.#number('connections.max.idle.ms');
  }
  get defaultReplicationFactor(): number {
    return this.#number('default.replication.factor');
  }
  get deleteTopicEnable(): boolean {
    return this.#boolean('delete.topic.enable');
  }
  get fetchMaxBytes(): number {
    return this.#number('fetch.max.bytes');
  }
  get groupInitialRebalanceDelayMs(): number {
    return this.#number('group.initial.rebalance.delay.ms');
  }
  get groupMaxSessionTimeoutMs(): number {
    return this.#number('group.max.session.timeout.ms');
  }
  get groupMaxSize(): number {
    return this.#number('group.max.size');
  }
  get groupMinSessionTimeoutMs(): number {
    return this.#number('group.min.session.timeout.ms');
  }
  get kappalogCatchUpBytesPerSecond(): number {
    return this.#number('kappalog.catch.up.bytes.per.second');
  }
  /** 0: nothing is watched. */
  get kappalogGroupLagIntervalMs(): number {
    return this.#number('kappalog.group.lag.interval.ms');
  }
  get kappalogGroupLagMetrics(): number {
    return this.#number('kappalog.group.lag.metrics');
  }
  get kappalogGroupLagPartitions(): number {
    return this.#number('kappalog.group.lag.partitions');
  }
  get kappalogLeaderLeaseClockDriftPercent(): number {
    return this.#number('kappalog.leader.lease.clock.drift.percent');
  }
  get kappalogLeaderLeaseEnable(): boolean {
    return this.#boolean('kappalog.leader.lease.enable');
  }
  /** Bytes per second; 0: none are read. */
  get kappalogScrubBytesPerSecond(): number {
    return this.#number('kappalog.scrub.bytes.per.second');
  }
  get leaderImbalanceCheckIntervalSeconds(): number {
    return this.#number('leader.imbalance.check.interval.seconds');
  }
  get logCleanerBackoffMs(): number {
    return this.#number('log.cleaner.backoff.ms');
  }
  get logCleanerDedupeBufferSize(): number {
    return this.#number('log.cleaner.dedupe.buffer.size');
  }
  get logCleanerEnable(): boolean {
    return this.#boolean('log.cleaner.enable');
  }
  get logCleanerIoBufferLoadFactor(): number {
    return this.#number('log.cleaner.io.buffer.load.factor');
  }
  get logCleanerIoBufferSize(): number {
    return this.#number('log.cleaner.io.buffer.size');
  }
  get logCleanerIoMaxBytesPerSecond(): number {
    return this.#number('log.cleaner.io.max.bytes.per.second');
  }
  /** Kafka's default, which is not used, where neither it nor log.dirs was given. */
  get logDir(): readonly string[] {
    return this.#list('log.dir');
  }
  /** Empty where it was not given. */
  get logDirs(): readonly string[] {
    return this.#list('log.dirs');
  }
  get logInitialTaskDelayMs(): number {
    return this.#number('log.initial.task.delay.ms');
  }
  get logRetentionCheckIntervalMs(): number {
    return this.#number('log.retention.check.interval.ms');
  }
  get maxConnections(): number {
    return this.#number('max.connections');
  }
  get maxConnectionsPerIp(): number {
    return this.#number('max.connections.per.ip');
  }
  get maxIncrementalFetchSessionCacheSlots(): number {
    return this.#number('max.incremental.fetch.session.cache.slots');
  }
  get maxRequestPartitionSizeLimit(): number {
    return this.#number('max.request.partition.size.limit');
  }
  get numPartitions(): number {
    return this.#number('num.partitions');
  }
  get offsetMetadataMaxBytes(): number {
    return this.#number('offset.metadata.max.bytes');
  }
  get offsetsRetentionCheckIntervalMs(): number {
    return this.#number('offsets.retention.check.interval.ms');
  }
  get offsetsRetentionMinutes(): number {
    return this.#number('offsets.retention.minutes');
  }
  get offsetsTopicNumPartitions(): number {
    return this.#number('offsets.topic.num.partitions');
  }
  get offsetsTopicReplicationFactor(): number {
    return this.#number('offsets.topic.replication.factor');
  }
  get offsetsTopicSegmentBytes(): number {
    return this.#number('offsets.topic.segment.bytes');
  }
  get replicaLagTimeMaxMs(): number {
    return this.#number('replica.lag.time.max.ms');
  }
  /** One of Kafka's own; empty: clients read from leaders. */
  get replicaSelectorClass(): string {
    return this.effective('replica.selector.class')?.text ?? '';
  }

  get producerIdExpirationMs(): number {
    return this.#number('producer.id.expiration.ms');
  }
  /** -1: no limit was set. */
  get queuedMaxRequestBytes(): number {
    return this.#number('queued.max.request.bytes');
  }
  get socketRequestMaxBytes(): number {
    return this.#number('socket.request.max.bytes');
  }

  #number(name: string): number {
    return numberOf(name, this.#effective.get(name));
  }

  #list(name: string): readonly string[] {
    const value = this.#effective.get(name)?.value;
    return Array.isArray(value) ? value : [];
  }

  #boolean(name: string): boolean {
    return booleanOf(name, this.#effective.get(name));
  }

  #resolve(): ReadonlyMap<string, ParsedConfig> {
    return new Map(layersByPrecedence.toReversed().flatMap((layer) => [...this.#layers[layer]]));
  }
}

/** Checks a setting that somebody wants to give this broker; throws a BrokerConfigError that names it. */
export function parseBrokerSetting(name: string, text: string): ParsedConfig {
  const definition = brokerConfigDefinitions.get(name);
  if (definition === undefined) {
    throw new BrokerConfigError(
      'unknown-setting',
      name,
      `"${name}" is an unknown setting: neither Kafka nor Kappalog has one of that name.`,
    );
  }
  if (!honouredSettings.has(name)) {
    throw new BrokerConfigError('not-honoured', name, notHonoured(name));
  }
  const parsed = parseConfigValue(definition, text);
  const reason = parsed.kind === 'fault' ? parsed.reason : brokerSettingFault(name, parsed);
  if (parsed.kind === 'fault' || reason !== undefined) {
    throw new BrokerConfigError(
      'bad-value',
      name,
      `The value "${text}" of the setting "${name}" cannot be taken: it ${reason}.`,
    );
  }
  return parsed;
}

function notHonoured(name: string): string {
  const reason = refusedBrokerSettings.get(name);
  const because = reason === undefined ? '' : ` (${reason})`;
  return `"${name}" is a Kafka setting that Kappalog does not honour${because}; leave it out.`;
}

function notAtStart(name: string): string {
  return `"${name}" belongs to the cluster as a whole: set it for all brokers while they run, not at the start of one.`;
}

function onlyWhileRunning(name: string): string {
  return `"${name}" is set while brokers run, for one or for all; leave it out at the start.`;
}

/** Splits `name=value` as given to `--set`; throws a BrokerConfigError where there is no name or no "=". */
export function splitSetting(text: string): readonly [name: string, value: string] {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(equals, 0)).trim();
  if (name === '') {
    throw new BrokerConfigError('bad-form', text, `"${text}" is not of the form name=value.`);
  }
  return [name, text.slice(equals + 1)];
}

/** Whether a setting can be altered while the broker runs, as with Kafka. */
export function isDynamic(definition: BrokerConfigDefinition): boolean {
  return definition.updateMode !== 'read-only';
}

function defaultValues(): ReadonlyMap<string, ParsedConfig> {
  const values = new Map<string, ParsedConfig>();
  for (const definition of brokerConfigDefinitions.values()) {
    if (definition.default === null || definition.default === undefined) continue;
    const parsed = parseConfigValue(definition, definition.default);
    if (parsed.kind === 'value') values.set(definition.name, parsed);
  }
  return values;
}
