/**
 * Settings of consumer groups with server-side assignment (KIP-848): which of Kafka's are honoured, of a broker and of one group,
 * and what holds between them. The coordinator reads them through `groups/group-config.ts`.
 */
import type { BrokerConfig } from './broker-config.ts';
import { groupConfigDefinitions } from './config-definition.ts';
import type { GroupConfigDefinition } from './config-definition.ts';
import { numberOf, parseConfigValue } from './config-value.ts';
import type { ParsedConfig } from './config-value.ts';

/** What is set on a group itself, by name. */
export type GroupOverrides = ReadonlyMap<string, string>;

/** Of a broker, each with what it is for. */
export const consumerBrokerSettings: ReadonlyMap<string, string> = new Map([
  [
    'group.consumer.assignment.interval.ms',
    'The least time between two assignments of a consumer group, where the group has no consumer.assignment.interval.ms.',
  ],
  [
    'group.consumer.assignors',
    'The assignors of consumer groups, uniform and range; the first is for members that name none.',
  ],
  [
    'group.consumer.heartbeat.interval.ms',
    'How often a member of a consumer group sends a heartbeat, where the group has no consumer.heartbeat.interval.ms.',
  ],
  ['group.consumer.max.assignment.interval.ms', 'The largest consumer.assignment.interval.ms of a group.'],
  ['group.consumer.max.heartbeat.interval.ms', 'The largest consumer.heartbeat.interval.ms of a group.'],
  ['group.consumer.max.session.timeout.ms', 'The largest consumer.session.timeout.ms of a group.'],
  ['group.consumer.max.size', 'The most members of one consumer group.'],
  [
    'group.consumer.migration.policy',
    'Whether groups with members change between the classic and the consumer protocol: bidirectional, upgrade, downgrade, or disabled.',
  ],
  ['group.consumer.min.assignment.interval.ms', 'The smallest consumer.assignment.interval.ms of a group.'],
  ['group.consumer.min.heartbeat.interval.ms', 'The smallest consumer.heartbeat.interval.ms of a group.'],
  ['group.consumer.min.session.timeout.ms', 'The smallest consumer.session.timeout.ms of a group.'],
  [
    'group.consumer.regex.refresh.interval.ms',
    'How often the topics that match the patterns of a consumer group are looked for again.',
  ],
  [
    'group.consumer.session.timeout.ms',
    'A member of a consumer group that is not heard for so long is put out, where the group has no consumer.session.timeout.ms.',
  ],
  [
    'group.coordinator.rebalance.protocols',
    'The protocols of groups that are served: classic always, consumer where it is named.',
  ],
]);

/** Of one group, each with what it is for. */
export const consumerGroupSettings: ReadonlyMap<string, string> = new Map([
  ['consumer.assignment.interval.ms', 'The least time between two assignments of the group.'],
  ['consumer.heartbeat.interval.ms', 'How often a member of the group sends a heartbeat.'],
  ['consumer.session.timeout.ms', 'A member of the group that is not heard for so long is put out.'],
]);

/** The assignors that there are; none of a user's own can be loaded. */
export const consumerAssignors: readonly string[] = ['uniform', 'range'];

/** Why a group cannot have a setting that is one of Kafka's. */
function refusedBecause(name: string): string {
  if (name.startsWith('share.') || name.startsWith('errors.')) return 'Kappalog has no share groups';
  if (name.startsWith('streams.')) return 'Kappalog has no streams groups';
  return 'Kappalog does not honour it';
}

/**
 * What is wrong with the settings of a group, as a sentence; undefined where nothing is. A value that the group has already
 * (`before`) is let be where the broker's bounds have changed since.
 */
export function checkGroupOverrides(
  overrides: GroupOverrides,
  broker: BrokerConfig,
  before: GroupOverrides = new Map(),
): string | undefined {
  for (const [name, text] of overrides) {
    if (before.get(name) === text) continue;
    const definition = groupConfigDefinitions.get(name);
    if (definition === undefined) return `Unknown group config name: ${name}.`;
    if (!consumerGroupSettings.has(name)) {
      return `Invalid value ${text} for configuration ${name}: ${refusedBecause(name)}. Leave it out.`;
    }
    const parsed = parseConfigValue(definition, text);
    const reason =
      parsed.kind === 'fault' ? parsed.reason : outOfBounds(definition, Number(parsed.value), broker);
    if (reason !== undefined) return `Invalid value ${text} for configuration ${name}: it ${reason}.`;
  }
  const sessionTimeoutMs = consumerGroupNumber('consumer.session.timeout.ms', overrides, broker);
  const heartbeatIntervalMs = consumerGroupNumber('consumer.heartbeat.interval.ms', overrides, broker);
  if (sessionTimeoutMs > heartbeatIntervalMs) return undefined;
  return (
    `consumer.session.timeout.ms (${sessionTimeoutMs}) must be larger than ` +
    `consumer.heartbeat.interval.ms (${heartbeatIntervalMs}).`
  );
}

/**
 * The value that counts for one group: its own, else the broker's. It is kept within the broker's bounds, as these may have changed
 * since it was set.
 */
export function consumerGroupNumber(name: string, overrides: GroupOverrides, broker: BrokerConfig): number {
  const definition = groupDefinition(name);
  const value = numberOf(name, effectiveGroupValue(definition, overrides, broker));
  const { min, max } = boundsOf(definition, broker);
  return Math.min(Math.max(value, min), max);
}

/** As it is set on the group, else on the broker, else Kafka's default. */
export function effectiveGroupValue(
  definition: GroupConfigDefinition,
  overrides: GroupOverrides,
  broker: BrokerConfig,
): ParsedConfig | undefined {
  const text = overrides.get(definition.name);
  const parsed = text === undefined ? undefined : parseConfigValue(definition, text);
  if (parsed?.kind === 'value') return parsed;
  return definition.brokerSynonym === undefined ? undefined : broker.effective(definition.brokerSynonym);
}

/** The first of a broker's settings, as given at start, that does not agree with the others; undefined where all do. */
export function consumerSettingsFault(
  broker: BrokerConfig,
): { readonly setting: string; readonly reason: string } | undefined {
  for (const name of consumerGroupSettings.keys()) {
    const definition = groupDefinition(name);
    const setting = definition.brokerSynonym ?? name;
    const { min, max } = boundsOf(definition, broker);
    if (min > max)
      return {
        setting: boundName(name, 'min'),
        reason: `must be no more than ${boundName(name, 'max')} (${max})`,
      };
    const reason = outOfBounds(definition, numberOf(setting, broker.effective(setting)), broker);
    if (reason !== undefined) return { setting, reason };
  }
  const [session, heartbeat] = [
    'group.consumer.session.timeout.ms',
    'group.consumer.heartbeat.interval.ms',
  ] as const;
  if (numberOf(heartbeat, broker.effective(heartbeat)) >= numberOf(session, broker.effective(session))) {
    return { setting: heartbeat, reason: `must be less than ${session}` };
  }
  const strange = listOf('group.consumer.assignors', broker).find(
    (assignor) => !consumerAssignors.includes(assignor),
  );
  if (strange !== undefined) {
    const reason = `must hold only ${consumerAssignors.join(', ')}, and "${strange}" is not one`;
    return { setting: 'group.consumer.assignors', reason };
  }
  const protocols = 'group.coordinator.rebalance.protocols';
  if (!listOf(protocols, broker).includes('classic'))
    return { setting: protocols, reason: 'must hold classic' };
  return undefined;
}

/** The entries of a list among a broker's settings. */
export function listOf(name: string, broker: BrokerConfig): readonly string[] {
  const value = broker.effective(name)?.value;
  return Array.isArray(value) ? value : [];
}

function outOfBounds(
  definition: GroupConfigDefinition,
  value: number,
  broker: BrokerConfig,
): string | undefined {
  const { min, max } = boundsOf(definition, broker);
  if (value < min) return `must be at least ${boundName(definition.name, 'min')} (${min})`;
  if (value > max) return `must be no more than ${boundName(definition.name, 'max')} (${max})`;
  return undefined;
}

function boundsOf(
  { name }: GroupConfigDefinition,
  broker: BrokerConfig,
): { readonly min: number; readonly max: number } {
  const bound = (which: 'min' | 'max') =>
    numberOf(boundName(name, which), broker.effective(boundName(name, which)));
  return { min: bound('min'), max: bound('max') };
}

/** consumer.session.timeout.ms is bounded by group.consumer.min.session.timeout.ms, and so on. */
function boundName(name: string, which: 'min' | 'max'): string {
  return name.replace(/^consumer\./, `group.consumer.${which}.`);
}

function groupDefinition(name: string): GroupConfigDefinition {
  const definition = groupConfigDefinitions.get(name);
  if (definition === undefined) throw new Error(`protocol/configs/group-configs.json has no ${name}`);
  return definition;
}
