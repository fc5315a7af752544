/**
 * Settings as data: name, type, default and allowed values of every topic, broker and group setting of Kafka's, and of the few
 * that Kappalog has besides (`kappalog-configs.json`), from `protocol/configs`. Which of a broker's settings Kappalog
 * honours is said in `honoured-settings.ts`, not here.
 */
import brokerFile from '../../protocol/configs/broker-configs.json' with { type: 'json' };
import groupFile from '../../protocol/configs/group-configs.json' with { type: 'json' };
import ownFile from '../../protocol/configs/kappalog-configs.json' with { type: 'json' };
import topicFile from '../../protocol/configs/topic-configs.json' with { type: 'json' };

export type ConfigType =
  | 'BOOLEAN'
  | 'STRING'
  | 'INT'
  | 'SHORT'
  | 'LONG'
  | 'DOUBLE'
  | 'LIST'
  | 'CLASS'
  | 'PASSWORD';

export interface ListRules {
  readonly of?: readonly string[];
  readonly distinct: boolean;
  readonly emptyAllowed: boolean;
  readonly nullAllowed: boolean;
}

export interface ConfigDefinition {
  readonly name: string;
  readonly type: ConfigType;
  /** The text form; null, or absent where a value is required, when the setting is unset unless somebody sets it. */
  readonly default?: string | null;
  /** A range `[low,...,high]`, a choice `[a, b]`, or one of a few words; see `config-value.ts`. */
  readonly valid?: string;
  readonly list?: ListRules;
  /** Not shown to users. */
  readonly internal?: boolean;
}

export type UpdateMode = 'read-only' | 'per-broker' | 'cluster-wide';

export interface BrokerConfigDefinition extends ConfigDefinition {
  readonly updateMode: UpdateMode;
}

/** A broker setting that gives a topic setting its default; the first one that is set counts. */
export interface BrokerSynonym {
  readonly broker: string;
  readonly convert?: 'minutes-to-ms' | 'hours-to-ms';
}

export interface TopicConfigDefinition extends ConfigDefinition {
  readonly brokerSynonyms?: readonly BrokerSynonym[];
}

export interface GroupConfigDefinition extends ConfigDefinition {
  /** The broker setting that gives it its default. */
  readonly brokerSynonym?: string;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- TypeScript reads the file's present contents as literal types; a test checks every entry
const topicConfigs = [
  ...topicFile.configs,
  ...ownFile.topicConfigs,
] as unknown as readonly TopicConfigDefinition[];
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
const brokerConfigs = [
  ...brokerFile.configs,
  ...brokerFile.otherEntities.brokerReplicationQuotas.map((quota) => ({
    ...quota,
    updateMode: 'per-broker',
  })),
  ...ownFile.brokerConfigs,
] as unknown as readonly BrokerConfigDefinition[];

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
const groupConfigs = groupFile.groupConfigs as unknown as readonly GroupConfigDefinition[];

/** Every topic setting, by name, in alphabetical order. */
export const topicConfigDefinitions: ReadonlyMap<string, TopicConfigDefinition> = byName(topicConfigs);

/** Every broker setting, by name, honoured or not, in alphabetical order. */
export const brokerConfigDefinitions: ReadonlyMap<string, BrokerConfigDefinition> = byName(brokerConfigs);

/** Every setting of a group, by name, honoured or not, in alphabetical order. */
export const groupConfigDefinitions: ReadonlyMap<string, GroupConfigDefinition> = byName(groupConfigs);

function byName<Definition extends ConfigDefinition>(
  definitions: readonly Definition[],
): ReadonlyMap<string, Definition> {
  const ordered = definitions.toSorted((left, right) => (left.name < right.name ? -1 : 1));
  return new Map(ordered.map((definition) => [definition.name, definition]));
}
