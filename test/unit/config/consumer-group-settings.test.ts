import { describe, expect, it } from 'vitest';
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { brokerConfigDefinitions, groupConfigDefinitions } from '../../../broker/config/config-definition.ts';
import {
  checkGroupOverrides,
  consumerBrokerSettings,
  consumerGroupSettings,
} from '../../../broker/config/consumer-group-settings.ts';
import { honouredSettings } from '../../../broker/config/honoured-settings.ts';
import {
  consumerGroupConfigOf,
  consumerProtocolConfigOf,
  defaultConsumerGroupConfig,
} from '../../../broker/groups/group-config.ts';

function configOf(settings: Record<string, string> = {}): BrokerConfig {
  return new BrokerConfig(new Map(Object.entries(settings)));
}

function groupOf(settings: Record<string, string>): ReadonlyMap<string, string> {
  return new Map(Object.entries(settings));
}

describe('settings of consumer groups', () => {
  it('are of Kafka, in order of name, each with a sentence', () => {
    const tables = [
      [consumerBrokerSettings, brokerConfigDefinitions],
      [consumerGroupSettings, groupConfigDefinitions],
    ] as const;
    for (const [settings, definitions] of tables) {
      const names = [...settings.keys()];
      expect(names).toEqual(names.toSorted());
      expect(names.filter((name) => !definitions.has(name))).toEqual([]);
      expect([...settings.values()].filter((sentence) => !/^[A-Z].*\.$/.test(sentence))).toEqual([]);
    }
  });

  it('have the defaults of Kafka', () => {
    expect(consumerGroupConfigOf(configOf(), new Map())).toEqual(defaultConsumerGroupConfig);
    expect(consumerProtocolConfigOf(configOf())).toEqual({ isServed: true });
  });

  it('of a group count before those of the broker, within its bounds', () => {
    const own = groupOf({
      'consumer.session.timeout.ms': '50000',
      'consumer.heartbeat.interval.ms': '7000',
      'consumer.assignment.interval.ms': '99999',
    });
    expect(consumerGroupConfigOf(configOf(), own)).toEqual({
      ...defaultConsumerGroupConfig,
      sessionTimeoutMs: 50_000,
      heartbeatIntervalMs: 7_000,
      assignmentIntervalMs: 15_000,
    });
  });

  it('follow the broker while it runs', () => {
    const config = configOf();
    const assignmentIntervalMs = () => consumerGroupConfigOf(config, new Map()).assignmentIntervalMs;
    expect(assignmentIntervalMs()).toBe(1_000);
    config.setDynamic('dynamic-cluster', new Map([['group.consumer.assignment.interval.ms', '30']]));
    expect(assignmentIntervalMs()).toBe(30);
  });

  it('are there for users', () => {
    const names = [...consumerBrokerSettings.keys()];
    expect(names.filter((name) => !honouredSettings.has(name))).toEqual([]);
  });

  it.each([
    ['no.such', '1', 'Unknown group config name: no.such.'],
    [
      'share.session.timeout.ms',
      '45000',
      'Invalid value 45000 for configuration share.session.timeout.ms: Kappalog has no share groups. Leave it out.',
    ],
    [
      'errors.deadletterqueue.topic.name',
      't',
      'Invalid value t for configuration errors.deadletterqueue.topic.name: Kappalog has no share groups. Leave it out.',
    ],
    [
      'streams.num.standby.replicas',
      '1',
      'Invalid value 1 for configuration streams.num.standby.replicas: Kappalog has no streams groups. Leave it out.',
    ],
    [
      'consumer.assignor.offload.enable',
      'true',
      'Invalid value true for configuration consumer.assignor.offload.enable: Kappalog does not honour it. Leave it out.',
    ],
  ])('refuse %s', (name, value, message) => {
    expect(checkGroupOverrides(groupOf({ [name]: value }), configOf())).toBe(message);
  });

  it.each([
    [
      { 'consumer.session.timeout.ms': '44999' },
      'must be at least group.consumer.min.session.timeout.ms (45000)',
    ],
    [
      { 'consumer.session.timeout.ms': '60001' },
      'must be no more than group.consumer.max.session.timeout.ms (60000)',
    ],
    [{ 'consumer.session.timeout.ms': 'long' }, 'is not a number of type INT'],
    [
      { 'consumer.heartbeat.interval.ms': '4999' },
      'must be at least group.consumer.min.heartbeat.interval.ms (5000)',
    ],
    [{ 'consumer.assignment.interval.ms': '-1' }, 'must be at least 0'],
  ] as [Record<string, string>, string][])('of a group are bounded by the broker: %j', (settings, reason) => {
    const overrides = groupOf(settings);
    expect(checkGroupOverrides(overrides, configOf())).toContain(reason);
    expect(checkGroupOverrides(overrides, configOf(), overrides)).toBeUndefined();
  });

  it('must leave a session longer than a heartbeat', () => {
    const config = configOf({
      'group.consumer.min.session.timeout.ms': '6000',
      'group.consumer.max.session.timeout.ms': '60000',
    });
    const overrides = groupOf({
      'consumer.session.timeout.ms': '6000',
      'consumer.heartbeat.interval.ms': '6000',
    });
    expect(checkGroupOverrides(overrides, config)).toBe(
      'consumer.session.timeout.ms (6000) must be larger than consumer.heartbeat.interval.ms (6000).',
    );
  });

  it.each([
    [{ 'group.consumer.min.session.timeout.ms': '60001' }, 'must be no more than group.consumer.max.session'],
    [{ 'group.consumer.session.timeout.ms': '60001' }, 'must be no more than group.consumer.max.session'],
    [{ 'group.consumer.heartbeat.interval.ms': '1' }, 'must be at least group.consumer.min.heartbeat'],
    [
      {
        'group.consumer.max.heartbeat.interval.ms': '50000',
        'group.consumer.heartbeat.interval.ms': '45000',
      },
      'must be less than group.consumer.session.timeout.ms',
    ],
    [{ 'group.consumer.assignors': 'uniform,org.example.Mine' }, '"org.example.Mine" is not one'],
    [{ 'group.coordinator.rebalance.protocols': 'consumer' }, 'must hold classic'],
    [{ 'group.consumer.migration.policy': 'sideways' }, 'must be one of DISABLED'],
  ] as [Record<string, string>, string][])(
    'keep a broker from starting where they disagree: %j',
    (settings, reason) => {
      expect(() => configOf(settings)).toThrow(reason);
    },
  );

  it('are taken at start', () => {
    const config = configOf({
      'group.consumer.migration.policy': 'Upgrade',
      'group.coordinator.rebalance.protocols': 'classic',
      'group.consumer.regex.refresh.interval.ms': '10000',
      'group.consumer.assignors': 'range',
      'group.consumer.max.size': '7',
    });
    expect(consumerProtocolConfigOf(config)).toEqual({ isServed: false });
    expect(consumerGroupConfigOf(config, new Map())).toMatchObject({
      assignors: ['range'],
      sizeMax: 7,
      patternRefreshIntervalMs: 10_000,
      migrationPolicy: 'upgrade',
    });
  });
});
