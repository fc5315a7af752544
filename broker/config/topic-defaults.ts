/** How a broker setting gives a topic setting its default: which, and in which unit. */
import type { LayeredValue } from './broker-config.ts';
import { topicConfigDefinitions } from './config-definition.ts';
import type { BrokerSynonym, TopicConfigDefinition } from './config-definition.ts';
import { parseConfigValue } from './config-value.ts';
import type { ParsedConfig } from './config-value.ts';

const unitMs = { 'minutes-to-ms': 60_000, 'hours-to-ms': 3_600_000 } as const;

/** The text that a topic setting gets from the text of its broker synonym. A negative time means "never" in any unit. */
export function convertSynonym(synonym: BrokerSynonym, text: string): string {
  if (synonym.convert === undefined) return text;
  const value = Number(text);
  return value < 0 ? '-1' : String(value * unitMs[synonym.convert]);
}

/** The topic settings that take their default from a broker setting. */
export function topicSettingsFrom(brokerSetting: string): readonly TopicConfigDefinition[] {
  return [...topicConfigDefinitions.values()].filter((definition) =>
    definition.brokerSynonyms?.some((synonym) => synonym.broker === brokerSetting),
  );
}

/** Why a broker's value could not serve as the default of its topic setting, if it could not. */
export function brokerSettingFault(brokerSetting: string, parsed: ParsedConfig): string | undefined {
  for (const definition of topicSettingsFrom(brokerSetting)) {
    const synonym = definition.brokerSynonyms?.find(({ broker }) => broker === brokerSetting);
    if (synonym === undefined) continue;
    const checked = parseConfigValue(definition, convertSynonym(synonym, parsed.text));
    if (checked.kind === 'fault') return `${checked.reason}, as a default of "${definition.name}"`;
  }
  return undefined;
}

/**
 * The default of each topic setting, by name, under the settings of a broker: the value of the first synonym that somebody
 * set, else of the first that has a default, else the topic setting's own. A setting without any is left out.
 */
export function topicDefaults(
  layered: (brokerSetting: string) => readonly LayeredValue[],
): ReadonlyMap<string, ParsedConfig> {
  const defaults = new Map<string, ParsedConfig>();
  for (const definition of topicConfigDefinitions.values()) {
    const text = brokerDefault(definition, layered) ?? definition.default;
    if (text === null || text === undefined) continue;
    const parsed = parseConfigValue(definition, text);
    if (parsed.kind === 'value') defaults.set(definition.name, parsed);
  }
  return defaults;
}

function brokerDefault(
  definition: TopicConfigDefinition,
  layered: (brokerSetting: string) => readonly LayeredValue[],
): string | undefined {
  const synonyms = definition.brokerSynonyms ?? [];
  for (const isDefault of [false, true]) {
    for (const synonym of synonyms) {
      const top = layered(synonym.broker)[0];
      if (top === undefined || (top.layer === 'default') !== isDefault) continue;
      return convertSynonym(synonym, top.parsed.text);
    }
  }
  return undefined;
}
