import { describe, expect, it } from 'vitest';
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import {
  brokerConfigEntries,
  clusterWideConfigEntries,
  topicConfigEntries,
} from '../../../broker/config/config-entries.ts';
import { brokerConfigDefinitions, topicConfigDefinitions } from '../../../broker/config/config-definition.ts';
import { honouredSettings } from '../../../broker/config/honoured-settings.ts';
import { refusedBrokerSettings, refusedTopicSettings } from '../../../broker/config/refused-settings.ts';
import { topicConfigNotes } from '../../../broker/config/topic-config-notes.ts';
import {
  checkTopicOverrides,
  resolveTopicConfig,
  updateTopicConfig,
} from '../../../broker/config/topic-config.ts';

function brokerOf(settings: Record<string, string>): BrokerConfig {
  return new BrokerConfig(new Map(Object.entries(settings)));
}

function overridesOf(settings: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(settings));
}

const plain = brokerOf({});

describe('the settings of a topic', () => {
  it('have the defaults of Kafka', () => {
    expect(resolveTopicConfig(new Map(), plain)).toEqual({
      deletes: true,
      compacts: false,
      compressionGzipLevel: -1,
      compressionType: 'producer',
      compressionZstdLevel: 3,
      deleteRetentionMs: 86_400_000,
      fileDeleteDelayMs: 60_000,
      flushMessages: 2 ** 63,
      flushMs: 2 ** 63,
      followerThrottledReplicas: new Set(),
      indexIntervalBytes: 4096,
      leaderThrottledReplicas: new Set(),
      maxCompactionLagMs: 2 ** 63,
      maxDecompressedMessageBytes: 2_147_483_639,
      maxMessageBytes: 1_048_588,
      messageTimestampAfterMaxMs: 3_600_000,
      messageTimestampBeforeMaxMs: 2 ** 63,
      messageTimestampType: 'CreateTime',
      minCleanableDirtyRatio: 0.5,
      minCompactionLagMs: 0,
      minInsyncReplicas: 1,
      preallocate: false,
      retentionBytes: -1,
      retentionMs: 604_800_000,
      segmentBytes: 1_073_741_824,
      segmentIndexBytes: 10_485_760,
      segmentJitterMs: 0,
      segmentMs: 604_800_000,
      writeCaching: false,
    });
  });

  it('come from the topic before the broker, and from milliseconds before hours', () => {
    const segmentMs = (overrides: Record<string, string>, settings: Record<string, string>) =>
      resolveTopicConfig(overridesOf(overrides), brokerOf(settings)).segmentMs;
    expect(segmentMs({}, { 'log.roll.hours': '2' })).toBe(7_200_000);
    expect(segmentMs({}, { 'log.roll.ms': '50' })).toBe(50);
    expect(segmentMs({}, { 'log.roll.hours': '2', 'log.roll.ms': '50' })).toBe(50);
    expect(segmentMs({ 'segment.ms': '7' }, { 'log.roll.ms': '50' })).toBe(7);
  });

  it('read both policies, and lists in any spacing', () => {
    const policy = (text: string) => {
      const { deletes, compacts } = resolveTopicConfig(overridesOf({ 'cleanup.policy': text }), plain);
      return [deletes, compacts];
    };
    expect([policy('compact'), policy('delete , compact'), policy('')]).toEqual([
      [false, true],
      [true, true],
      [false, false],
    ]);
  });

  it('let tests have segments smaller than Kafka allows', () => {
    expect(checkTopicOverrides(overridesOf({ 'segment.bytes': '1000' }), plain)).toBe(
      'Invalid value 1000 for configuration segment.bytes: it must be at least 1048576.',
    );
    const overrides = overridesOf({ 'internal.segment.bytes': '1000' });
    expect(checkTopicOverrides(overrides, plain)).toBeUndefined();
    expect(resolveTopicConfig(overrides, plain).segmentBytes).toBe(1000);
  });

  it('change in place', () => {
    const live = resolveTopicConfig(new Map(), plain);
    updateTopicConfig(
      live,
      overridesOf({ 'max.message.bytes': '5', 'message.timestamp.type': 'LogAppendTime' }),
      plain,
    );
    expect([live.maxMessageBytes, live.messageTimestampType]).toEqual([5, 'LogAppendTime']);
    updateTopicConfig(live, new Map(), plain);
    expect(live).toEqual(resolveTopicConfig(new Map(), plain));
  });

  it('come from the settings of a broker with their meaning', () => {
    const broker = brokerOf({
      'compression.gzip.level': '3',
      'log.cleanup.policy': 'compact,delete',
      'log.flush.interval.messages': '7',
      'log.retention.minutes': '2',
      'log.roll.jitter.hours': '1',
      'log.segment.delete.delay.ms': '5',
      'write.caching': 'true',
    });
    expect(resolveTopicConfig(new Map(), broker)).toMatchObject({
      compacts: true,
      compressionGzipLevel: 3,
      deletes: true,
      fileDeleteDelayMs: 5,
      flushMessages: 7,
      retentionMs: 120_000,
      segmentJitterMs: 3_600_000,
      writeCaching: true,
    });
    expect(resolveTopicConfig(new Map(), brokerOf({ 'log.retention.hours': '-1' })).retentionMs).toBe(-1);
    const own = resolveTopicConfig(overridesOf({ 'write.caching': 'false' }), broker);
    expect(own.writeCaching).toBe(false);
  });

  it('names throttled replicas one by one, or all of them', () => {
    const config = resolveTopicConfig(
      overridesOf({
        'leader.replication.throttled.replicas': '0:1,0:2,11:3',
        'follower.replication.throttled.replicas': '*',
      }),
      plain,
    );
    expect(config.leaderThrottledReplicas).toEqual(new Set(['0:1', '0:2', '11:3']));
    expect(config.followerThrottledReplicas).toBe('all');
    const wrong = overridesOf({ 'leader.replication.throttled.replicas': '0-1' });
    expect(checkTopicOverrides(wrong, plain)).toMatch(/must be "\*" or a list of the form partition:broker/);
  });

  it('that nothing acts on can have no value but their default, each for a reason', () => {
    const others: Record<string, string> = {
      'compression.lz4.level': '3',
      'errors.deadletterqueue.group.enable': 'true',
      'local.retention.bytes': '100',
      'local.retention.ms': '100',
      'remote.copy.lag.bytes': '100',
      'remote.copy.lag.ms': '100',
      'remote.log.copy.disable': 'true',
      'remote.log.delete.on.disable': 'true',
      'remote.storage.enable': 'true',
      'unclean.leader.election.enable': 'true',
    };
    expect(Object.keys(others)).toEqual([...refusedTopicSettings.keys()]);
    for (const [name, value] of Object.entries(others)) {
      const reason = refusedTopicSettings.get(name);
      const sentence = `Invalid value ${value} for configuration ${name}: ${reason}. Leave it out.`;
      expect(checkTopicOverrides(overridesOf({ [name]: value }), plain)).toBe(sentence);
      const before = overridesOf({ [name]: value });
      const after = overridesOf({ [name]: value, 'retention.ms': '1' });
      expect(checkTopicOverrides(after, plain, before)).toBeUndefined();
    }
    expect([...refusedBrokerSettings.keys()].filter((name) => honouredSettings.has(name))).toEqual([]);
  });

  it('are all taken at their defaults', () => {
    for (const { name, default: text } of topicConfigDefinitions.values()) {
      if (text === null || text === undefined) continue;
      expect([name, checkTopicOverrides(overridesOf({ [name]: text }), plain)]).toEqual([name, undefined]);
    }
  });
});

describe('settings as they are shown', () => {
  it('of a topic are all of the settings of Kafka but internal ones, in order, each with a sentence', () => {
    const entries = topicConfigEntries(new Map(), plain);
    const visible = [...topicConfigDefinitions.values()].filter(({ internal }) => internal !== true);
    expect(entries.map(({ name }) => name)).toEqual(visible.map(({ name }) => name));
    expect([...topicConfigNotes.keys()].toSorted()).toEqual([...topicConfigDefinitions.keys()].toSorted());
    expect(entries.filter(({ documentation }) => !/^[A-Z].*\.$/.test(documentation))).toEqual([]);
    const internal = topicConfigEntries(overridesOf({ 'internal.segment.bytes': '9' }), plain);
    expect(internal).toHaveLength(entries.length + 1);
  });

  it('of a topic say where the value is from, by the numbers of Kafka', () => {
    const broker = brokerOf({ 'message.max.bytes': '100' });
    const entryOf = (name: string, overrides: Record<string, string> = {}) => {
      const entry = topicConfigEntries(overridesOf(overrides), broker).find((found) => found.name === name);
      return [entry?.value, entry?.configSource, entry?.synonyms.map((s) => [s.name, s.value, s.source])];
    };
    const fixed = [
      ['message.max.bytes', '100', 4],
      ['message.max.bytes', '1048588', 5],
    ];
    expect(entryOf('max.message.bytes')).toEqual(['100', 4, fixed]);
    broker.setDynamic('dynamic-cluster', overridesOf({ 'message.max.bytes': '200' }));
    broker.setDynamic('dynamic-broker', overridesOf({ 'message.max.bytes': '300' }));
    const all = [['message.max.bytes', '300', 2], ['message.max.bytes', '200', 3], ...fixed];
    expect(entryOf('max.message.bytes')).toEqual(['300', 2, all]);
    expect(entryOf('max.message.bytes', { 'max.message.bytes': '0400' })).toEqual([
      '400',
      1,
      [['max.message.bytes', '400', 1], ...all],
    ]);
    expect(entryOf('retention.ms')).toEqual(['604800000', 5, []]);
    expect(entryOf('remote.storage.enable')).toEqual(['false', 5, []]);
  });

  it('of a broker are those that are honoured, and read-only as with Kafka', () => {
    const entries = brokerConfigEntries(brokerOf({ 'num.partitions': '3' }));
    expect(entries.map(({ name }) => name)).toEqual([...honouredSettings.keys()]);
    expect(entries.find(({ name }) => name === 'num.partitions')).toEqual({
      name: 'num.partitions',
      value: '3',
      readOnly: true,
      configSource: 4,
      isSensitive: false,
      configType: 3,
      synonyms: [
        { name: 'num.partitions', value: '3', source: 4 },
        { name: 'num.partitions', value: '1', source: 5 },
      ],
      documentation: 'Partitions of a topic that is created without a count.',
    });
    expect(entries.find(({ name }) => name === 'log.roll.ms')).toMatchObject({
      value: null,
      configSource: 5,
      readOnly: false,
    });
    const readOnly = [...brokerConfigDefinitions.values()].filter(
      ({ name, updateMode }) => honouredSettings.has(name) && updateMode === 'read-only',
    );
    expect(entries.filter((entry) => entry.readOnly)).toHaveLength(readOnly.length);
  });

  it('of all brokers are what was set at run time', () => {
    expect(clusterWideConfigEntries(overridesOf({ 'message.max.bytes': '007' }))).toMatchObject([
      {
        name: 'message.max.bytes',
        value: '7',
        configSource: 3,
        readOnly: false,
        synonyms: [{ name: 'message.max.bytes', value: '7', source: 3 }],
      },
    ]);
  });
});
