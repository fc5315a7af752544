import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  BrokerConfig,
  BrokerConfigError,
  isDynamic,
  splitSetting,
} from '../../../broker/config/broker-config.ts';
import { brokerConfigDefinitions } from '../../../broker/config/config-definition.ts';
import { consumerBrokerSettings } from '../../../broker/config/consumer-group-settings.ts';
import {
  clusterSettings,
  honouredSettings,
  runtimeSettings,
} from '../../../broker/config/honoured-settings.ts';
import { topicSettingsFrom } from '../../../broker/config/topic-defaults.ts';

const brokerDirectory = join(import.meta.dirname, '../../../broker');

function configOf(settings: Record<string, string>): BrokerConfig {
  return new BrokerConfig(new Map(Object.entries(settings)));
}

/** The code and message with which a setting is refused. */
function refusal(action: () => unknown): unknown[] {
  try {
    action();
  } catch (error) {
    if (error instanceof BrokerConfigError) return [error.code, error.setting, error.message];
    throw error;
  }
  throw new Error('it was taken');
}

function getterNames(): string[] {
  const descriptors = Object.entries(Object.getOwnPropertyDescriptors(BrokerConfig.prototype));
  return descriptors.filter(([, descriptor]) => descriptor.get !== undefined).map(([name]) => name);
}

function camelCase(name: string): string {
  return name.replaceAll(/\.(.)/g, (_, letter: string) => letter.toUpperCase());
}

describe('the settings of a broker', () => {
  it('have the defaults of Kafka', () => {
    const config = configOf({});
    expect([config.autoCreateTopicsEnable, config.numPartitions, config.offsetsTopicNumPartitions]).toEqual([
      true,
      1,
      50,
    ]);
    expect([config.socketRequestMaxBytes, config.queuedMaxRequestBytes, config.fetchMaxBytes]).toEqual([
      104_857_600, -1, 57_671_680,
    ]);
  });

  it('take what is given at start', () => {
    const config = configOf({ 'num.partitions': ' 6', 'auto.create.topics.enable': 'False' });
    expect([config.numPartitions, config.autoCreateTopicsEnable]).toEqual([6, false]);
    expect(config.layered('num.partitions').map(({ layer, parsed }) => [layer, parsed.text])).toEqual([
      ['static', '6'],
      ['default', '1'],
    ]);
  });

  it('change at run time, this broker before all brokers before the start', () => {
    const config = configOf({ 'max.connections': '10' });
    const set = (layer: 'dynamic-broker' | 'dynamic-cluster', value?: string) => {
      config.setDynamic(layer, new Map(value === undefined ? [] : [['max.connections', value]]));
      return config.maxConnections;
    };
    expect([
      set('dynamic-cluster', '20'),
      set('dynamic-broker', '30'),
      set('dynamic-cluster', '25'),
      set('dynamic-broker'),
      set('dynamic-cluster'),
    ]).toEqual([20, 30, 30, 25, 10]);
  });

  it.each([
    [
      { 'num.partition': '3' },
      'unknown-setting',
      'num.partition',
      '"num.partition" is an unknown setting: neither Kafka nor Kappalog has one of that name.',
    ],
    [
      { 'num.network.threads': '3' },
      'not-honoured',
      'num.network.threads',
      '"num.network.threads" is a Kafka setting that Kappalog does not honour; leave it out.',
    ],
    [
      { 'kappalog.drained.nodes': '2' },
      'not-honoured',
      'kappalog.drained.nodes',
      '"kappalog.drained.nodes" belongs to the cluster as a whole: set it for all brokers while they run, not at the start of one.',
    ],
    [
      { 'leader.replication.throttled.rate': '1000' },
      'not-honoured',
      'leader.replication.throttled.rate',
      '"leader.replication.throttled.rate" is set while brokers run, for one or for all; leave it out at the start.',
    ],
    [
      { 'num.partitions': '0' },
      'bad-value',
      'num.partitions',
      'The value "0" of the setting "num.partitions" cannot be taken: it must be at least 1.',
    ],
    [
      { 'num.partitions': 'many' },
      'bad-value',
      'num.partitions',
      'The value "many" of the setting "num.partitions" cannot be taken: it is not a number of type INT.',
    ],
    [
      { 'log.roll.ms': '0' },
      'bad-value',
      'log.roll.ms',
      'The value "0" of the setting "log.roll.ms" cannot be taken: it must be at least 1, as a default of "segment.ms".',
    ],
  ] as [Record<string, string>, string, string, string][])(
    'refuse %j',
    (settings, code, setting, message) => {
      expect(refusal(() => configOf(settings))).toEqual([code, setting, message]);
    },
  );

  it('are written name=value', () => {
    expect(splitSetting('num.partitions=3')).toEqual(['num.partitions', '3']);
    expect(splitSetting(' a = b=c')).toEqual(['a', ' b=c']);
    expect(splitSetting('a=')).toEqual(['a', '']);
    for (const text of ['', 'a', '=', '=3']) {
      expect(refusal(() => splitSetting(text))).toEqual([
        'bad-form',
        text,
        `"${text}" is not of the form name=value.`,
      ]);
    }
  });
});

/** Those that a node has, and does not only know from the metadata. */
/** The others are read from the metadata, or by `consumer-group-settings.ts`, by name. */
const nodeSettings = [...honouredSettings.keys()].filter(
  (name) => !clusterSettings.has(name) && !runtimeSettings.has(name) && !consumerBrokerSettings.has(name),
);

describe('the table of honoured settings', () => {
  it('has only settings of Kafka, in order of name, each with a sentence', () => {
    const names = [...honouredSettings.keys()];
    expect(names).toEqual(names.toSorted());
    expect(names.filter((name) => !brokerConfigDefinitions.has(name))).toEqual([]);
    expect([...honouredSettings.values()].filter((sentence) => !/^[A-Z].*\.$/.test(sentence))).toEqual([]);
  });

  it('agrees with what can be read: a getter, or a topic setting that takes its default from it', () => {
    const getters = getterNames();
    const direct = nodeSettings.filter((name) => topicSettingsFrom(name).length === 0);
    expect(getters.toSorted()).toEqual(direct.map(camelCase).toSorted());
  });

  it('gives every getter a value of the type of its setting', () => {
    const config = configOf({});
    const typeNames = new Map([
      ['BOOLEAN', 'boolean'],
      ['LIST', 'object'],
      ['STRING', 'string'],
    ]);
    const values = getterNames().map((name): [string, string] => [
      name,
      typeof Reflect.get(BrokerConfig.prototype, name, config),
    ]);
    const expected = nodeSettings
      .filter((name) => topicSettingsFrom(name).length === 0)
      .map((name) => [
        camelCase(name),
        typeNames.get(brokerConfigDefinitions.get(name)?.type ?? '') ?? 'number',
      ]);
    expect(Object.fromEntries(values)).toEqual(Object.fromEntries(expected));
  });

  it('has only what some other part of the broker reads', () => {
    const sources = readdirSync(brokerDirectory, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.startsWith('config/'))
      .map((file) => readFileSync(join(brokerDirectory, file), 'utf8'))
      .join('\n');
    const readings = nodeSettings.map((name) => {
      const topicSettings = topicSettingsFrom(name).map(({ name: setting }) =>
        // The list is read as two truth values.
        setting === 'cleanup.policy' ? 'compacts' : camelCase(setting),
      );
      return [name, topicSettings.length === 0 ? [camelCase(name)] : topicSettings] as const;
    });
    // As `config.field` or out of `const { field } = config`.
    const isRead = (field: string) => new RegExp(`\\.${field}\\b|[{,]\\s*${field}\\s*[,}]`).test(sources);
    const unread = readings.filter(([, fields]) => !fields.some(isRead));
    expect(unread.map(([name]) => name)).toEqual([]);
  });

  it('says which can change at run time as Kafka does', () => {
    const dynamic = [...brokerConfigDefinitions.values()].filter(isDynamic).map(({ name }) => name);
    expect(
      dynamic.filter((name) => honouredSettings.has(name) && topicSettingsFrom(name).length === 0),
    ).toEqual([
      'follower.replication.throttled.rate',
      'group.consumer.assignment.interval.ms',
      'kappalog.catch.up.bytes.per.second',
      'kappalog.drained.nodes',
      'kappalog.scrub.bytes.per.second',
      'leader.replication.throttled.rate',
      'log.cleaner.backoff.ms',
      'log.cleaner.dedupe.buffer.size',
      'log.cleaner.io.buffer.load.factor',
      'log.cleaner.io.buffer.size',
      'log.cleaner.io.max.bytes.per.second',
      'max.connections',
      'max.connections.per.ip',
      'producer.id.expiration.ms',
      'replica.alter.log.dirs.io.max.bytes.per.second',
    ]);
  });
});
