/**
 * Settings as DescribeConfigs and CreateTopics show them: value, source, synonyms, type, in Kafka's terms and numbers.
 */
import type { BrokerConfig, BrokerConfigLayer } from './broker-config.ts';
import { isDynamic } from './broker-config.ts';
import {
  brokerConfigDefinitions,
  groupConfigDefinitions,
  topicConfigDefinitions,
} from './config-definition.ts';
import type {
  BrokerConfigDefinition,
  ConfigType,
  GroupConfigDefinition,
  TopicConfigDefinition,
} from './config-definition.ts';
import { effectiveGroupValue, consumerGroupSettings } from './consumer-group-settings.ts';
import type { GroupOverrides } from './consumer-group-settings.ts';
import { parseConfigValue } from './config-value.ts';
import { honouredSettings } from './honoured-settings.ts';
import { topicConfigNotes } from './topic-config-notes.ts';
import { effectiveTopicValue } from './topic-config.ts';
import type { TopicOverrides } from './topic-config.ts';

/** Kafka's numbers for where a value comes from. */
export const ConfigSource = {
  TOPIC: 1,
  DYNAMIC_BROKER: 2,
  DYNAMIC_DEFAULT_BROKER: 3,
  STATIC_BROKER: 4,
  DEFAULT: 5,
  GROUP: 8,
} as const;

/** Kafka's numbers for types in DescribeConfigs. */
const typeNumbers: Readonly<Record<ConfigType, number>> = {
  BOOLEAN: 1,
  STRING: 2,
  INT: 3,
  SHORT: 4,
  LONG: 5,
  DOUBLE: 6,
  LIST: 7,
  CLASS: 8,
  PASSWORD: 9,
};

const sourceOfLayer: Readonly<Record<BrokerConfigLayer, number>> = {
  'dynamic-broker': ConfigSource.DYNAMIC_BROKER,
  'dynamic-cluster': ConfigSource.DYNAMIC_DEFAULT_BROKER,
  static: ConfigSource.STATIC_BROKER,
  default: ConfigSource.DEFAULT,
};

export interface ConfigSynonymEntry {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
}

export interface ConfigEntry {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  readonly configType: number;
  readonly synonyms: readonly ConfigSynonymEntry[];
  readonly documentation: string;
}

/** All settings of a topic that users see, and internal ones that are set on it; in order of name. */
export function topicConfigEntries(overrides: TopicOverrides, broker: BrokerConfig): ConfigEntry[] {
  return [...topicConfigDefinitions.values()]
    .filter(({ name, internal }) => internal !== true || overrides.has(name))
    .map((definition) => topicConfigEntry(definition, overrides, broker));
}

function topicConfigEntry(
  definition: TopicConfigDefinition,
  overrides: TopicOverrides,
  broker: BrokerConfig,
): ConfigEntry {
  const value = effectiveTopicValue(definition, overrides, broker)?.text ?? null;
  const fromBroker = topicBrokerSynonyms(definition, broker);
  const synonyms = overrides.has(definition.name)
    ? [{ name: definition.name, value, source: ConfigSource.TOPIC }, ...fromBroker]
    : fromBroker;
  return {
    name: definition.name,
    value,
    readOnly: false,
    configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT,
    isSensitive: false,
    configType: typeNumbers[definition.type],
    synonyms,
    documentation: topicConfigNotes.get(definition.name) ?? '',
  };
}

/**
 * Kafka lists the synonyms by source, and leaves out those before the first of the main synonym's name: retention.ms
 * has none while only log.retention.hours has a value.
 */
function topicBrokerSynonyms(definition: TopicConfigDefinition, broker: BrokerConfig): ConfigSynonymEntry[] {
  const names = (definition.brokerSynonyms ?? []).map((synonym) => synonym.broker);
  const all = synonymEntries(names, broker);
  const main = all.findIndex(({ name }) => name === names[0]);
  return main < 0 ? [] : all.slice(main);
}

function synonymEntries(names: readonly string[], broker: BrokerConfig): ConfigSynonymEntry[] {
  return names
    .flatMap((name) =>
      broker.layered(name).map(({ layer, parsed }) => ({
        name,
        value: parsed.text,
        source: sourceOfLayer[layer],
      })),
    )
    .sort((left, right) => left.source - right.source);
}

/** The honoured settings of a group, whether it exists or not, in order of name. */
export function groupConfigEntries(overrides: GroupOverrides, broker: BrokerConfig): ConfigEntry[] {
  return [...groupConfigDefinitions.values()]
    .filter(({ name }) => consumerGroupSettings.has(name))
    .map((definition) => groupConfigEntry(definition, overrides, broker));
}

function groupConfigEntry(
  definition: GroupConfigDefinition,
  overrides: GroupOverrides,
  broker: BrokerConfig,
): ConfigEntry {
  const { name, brokerSynonym, type } = definition;
  const value = effectiveGroupValue(definition, overrides, broker)?.text ?? null;
  const fromBroker = synonymEntries(brokerSynonym === undefined ? [] : [brokerSynonym], broker);
  const own = overrides.has(name) ? [{ name, value, source: ConfigSource.GROUP }] : [];
  const synonyms = [...own, ...fromBroker];
  return {
    name,
    value,
    readOnly: false,
    configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT,
    isSensitive: false,
    configType: typeNumbers[type],
    synonyms,
    documentation: consumerGroupSettings.get(name) ?? '',
  };
}

/** The honoured settings of this broker, in order of name. */
export function brokerConfigEntries(broker: BrokerConfig): ConfigEntry[] {
  return [...brokerConfigDefinitions.values()]
    .filter(({ name }) => honouredSettings.has(name))
    .map((definition) => brokerConfigEntry(definition, synonymEntries([definition.name], broker)));
}

/** What is set at run time for all brokers, in order of name. */
export function clusterWideConfigEntries(settings: ReadonlyMap<string, string>): ConfigEntry[] {
  return [...brokerConfigDefinitions.values()].flatMap((definition) => {
    const text = settings.get(definition.name);
    if (text === undefined) return [];
    const parsed = parseConfigValue(definition, text);
    const value = parsed.kind === 'value' ? parsed.text : text;
    const source = ConfigSource.DYNAMIC_DEFAULT_BROKER;
    return [brokerConfigEntry(definition, [{ name: definition.name, value, source }])];
  });
}

function brokerConfigEntry(
  definition: BrokerConfigDefinition,
  synonyms: readonly ConfigSynonymEntry[],
): ConfigEntry {
  return {
    name: definition.name,
    value: synonyms[0]?.value ?? null,
    readOnly: !isDynamic(definition),
    configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT,
    isSensitive: definition.type === 'PASSWORD',
    configType: typeNumbers[definition.type],
    synonyms,
    documentation: honouredSettings.get(definition.name) ?? '',
  };
}
