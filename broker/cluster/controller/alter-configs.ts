/**
 * Changes of settings of topics, brokers and groups at run time. Pure; see `controller.ts`.
 *
 * Each resource is decided as a whole: either all of its changes are taken or none. The new settings are checked together
 * with those that stay. Settings of a broker can be changed only where Kafka calls them dynamic and Kappalog honours them. Naming the
 * nodes that are drained moves their replicas away (`drain.ts`), or is refused where these have nowhere to go.
 */
import { BrokerConfigError, isDynamic, parseBrokerSetting } from '../../config/broker-config.ts';
import {
  brokerConfigDefinitions,
  groupConfigDefinitions,
  topicConfigDefinitions,
} from '../../config/config-definition.ts';
import type { ConfigDefinition } from '../../config/config-definition.ts';
import { checkGroupOverrides } from '../../config/consumer-group-settings.ts';
import { clusterSettings } from '../../config/honoured-settings.ts';
import { checkTopicOverrides } from '../../config/topic-config.ts';
import type { ControllerState, Decision, Refusal } from './controller.ts';
import { decideDrain } from './drain.ts';
import type { Drain } from './drain.ts';
import { drainedNodesSetting } from './drained-nodes.ts';
import { ConfigResourceType } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { topicNameFault } from '../topic-names.ts';

/** Kafka's numbers for what IncrementalAlterConfigs does with one setting. */
export const ConfigOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const;

export interface ResourceAlteration {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly configs: readonly {
    readonly name: string;
    readonly configOperation: number;
    readonly value: string | null;
  }[];
}

export interface ResourceReplacement {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

/** What became of one resource; `refusal` is absent where all was taken. */
export interface AlterationResult {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly refusal?: Refusal;
}

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly configs: readonly { readonly name: string }[];
}

type Settings = ReadonlyMap<string, string>;

/** Changes single settings (IncrementalAlterConfigs). One result for each resource, in order. */
export function decideAlterConfigs(
  state: ControllerState,
  resources: readonly ResourceAlteration[],
): Decision<AlterationResult[]> {
  return decideAll(state, resources, (resource, before) => alter(resource, before));
}

/** Puts these settings in the place of all that the resource has (AlterConfigs). One result for each, in order. */
export function decideReplaceConfigs(
  state: ControllerState,
  resources: readonly ResourceReplacement[],
): Decision<AlterationResult[]> {
  return decideAll(state, resources, (resource) => replace(resource));
}

type Outcome = { readonly settings: Settings } | { readonly refusal: Refusal };

function decideAll<R extends Resource>(
  state: ControllerState,
  resources: readonly R[],
  change: (resource: R, before: Settings) => Outcome,
): Decision<AlterationResult[]> {
  const records: NewMetadataRecord[] = [];
  const keys = resources.map(({ resourceType, resourceName }) => `${resourceType}:${resourceName}`);
  const result = resources.map((resource, position): AlterationResult => {
    const { resourceType, resourceName } = resource;
    const key = `${resourceType}:${resourceName}`;
    const repeated = keys.some((other, at) => at !== position && other === key);
    const before = state.image.settings(resourceType, resourceName);
    const refusal = repeated
      ? invalidRequest('Each resource must appear at most once.')
      : checkResource(state, resource);
    const outcome = refusal === undefined ? change(resource, before) : { refusal };
    if ('refusal' in outcome) return { resourceType, resourceName, refusal: outcome.refusal };
    const fault = checkSettings(state, resource, before, outcome.settings);
    if (fault !== undefined) return { resourceType, resourceName, refusal: fault };
    const moves = drainBy(state, resource, outcome.settings);
    if ('kind' in moves) {
      const { error, message } = moves;
      return { resourceType, resourceName, refusal: { error, message } };
    }
    records.push(...differences(resource, before, outcome.settings), ...moves.records);
    return { resourceType, resourceName };
  });
  return { records, result };
}

/** Whether there is such a resource and the request names each of its settings once. */
function checkResource(
  state: ControllerState,
  { resourceType, resourceName, configs }: Resource,
): Refusal | undefined {
  if (new Set(configs.map(({ name }) => name)).size !== configs.length) {
    return invalidRequest('Error due to duplicate config keys: each setting must appear at most once.');
  }
  switch (resourceType) {
    case ConfigResourceType.TOPIC:
      return checkTopic(state, resourceName);
    case ConfigResourceType.BROKER:
      return checkBroker(state, resourceName);
    case ConfigResourceType.GROUP:
      // A group may be given its settings before it has members.
      if (resourceName !== '') return undefined;
      return invalidRequest('Default group resources are not allowed. Name a group.');
    default:
      return invalidRequest(
        `Settings of resource type ${resourceType} cannot be altered here: topics (2), brokers (4) and groups (32) can.`,
      );
  }
}

function checkTopic(state: ControllerState, name: string): Refusal | undefined {
  if (name === '') return invalidRequest('Default topic resources are not allowed. Name a topic.');
  const fault = topicNameFault(name);
  if (fault !== undefined) return { error: 'INVALID_TOPIC_EXCEPTION', message: fault };
  if (state.image.topic(name) !== undefined) return undefined;
  return { error: 'UNKNOWN_TOPIC_OR_PARTITION', message: `The topic '${name}' does not exist.` };
}

/** The empty name stands for all brokers. */
function checkBroker(state: ControllerState, name: string): Refusal | undefined {
  if (name === '') return undefined;
  if (!/^\d{1,10}$/.test(name)) return invalidRequest(`Broker id must be a number, but it is: ${name}`);
  if (state.image.brokers.has(Number(name))) return undefined;
  const known = [...state.image.brokers.keys()].join(', ');
  return invalidRequest(`Unexpected broker id ${name}; the cluster has: ${known}.`);
}

function alter({ resourceType, configs }: ResourceAlteration, before: Settings): Outcome {
  const settings = new Map(before);
  for (const { name, configOperation, value } of configs) {
    if (configOperation === ConfigOperation.DELETE) {
      settings.delete(name);
      continue;
    }
    if (value === null) return { refusal: invalidRequest(`Null value not supported for : ${name}`) };
    if (configOperation === ConfigOperation.SET) {
      settings.set(name, value);
      continue;
    }
    if (configOperation !== ConfigOperation.APPEND && configOperation !== ConfigOperation.SUBTRACT) {
      return { refusal: invalidRequest(`Unknown operation ${configOperation} for the setting ${name}.`) };
    }
    const definition = definitionOf(resourceType, name);
    if (definition?.type !== 'LIST') return { refusal: notAList(configOperation, name) };
    const entries = listEntries(settings.get(name) ?? definition.default ?? '');
    settings.set(name, changeList(entries, configOperation, value.split(',')).join(','));
  }
  return { settings };
}

function replace({ configs }: ResourceReplacement): Outcome {
  const settings = new Map<string, string>();
  for (const { name, value } of configs) {
    if (value === null) return { refusal: invalidRequest(`Null value not supported for : ${name}`) };
    settings.set(name, value);
  }
  return { settings };
}

/** Appending adds what is not there; subtracting takes away the first of each. */
function changeList(entries: readonly string[], operation: number, values: readonly string[]): string[] {
  const changed = [...entries];
  for (const value of values.map((entry) => entry.trim())) {
    const position = changed.indexOf(value);
    if (operation === ConfigOperation.APPEND) {
      if (position < 0) changed.push(value);
    } else if (position >= 0) {
      changed.splice(position, 1);
    }
  }
  return changed;
}

function listEntries(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** What the drained nodes hold goes elsewhere, also where they were named before: a replica may have been left there. */
function drainBy(state: ControllerState, { resourceType, configs }: Resource, after: Settings): Drain {
  const isNamed = configs.some(({ name }) => name === drainedNodesSetting);
  if (resourceType !== ConfigResourceType.BROKER || !isNamed) return { records: [] };
  return decideDrain(state, listEntries(after.get(drainedNodesSetting) ?? ''));
}

function checkSettings(
  state: ControllerState,
  { resourceType, resourceName }: Resource,
  before: Settings,
  after: Settings,
): Refusal | undefined {
  if (resourceType === ConfigResourceType.TOPIC) {
    const fault = checkTopicOverrides(after, state.config, before);
    return fault === undefined ? undefined : { error: 'INVALID_CONFIG', message: fault };
  }
  if (resourceType === ConfigResourceType.GROUP) {
    const fault = checkGroupOverrides(after, state.config, before);
    return fault === undefined ? undefined : { error: 'INVALID_CONFIG', message: fault };
  }
  for (const [name, value] of after) {
    if (before.get(name) === value) continue;
    const refusal = checkBrokerSetting(resourceName, name, value);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Kafka answers a bad value of a broker's setting with INVALID_REQUEST, not INVALID_CONFIG (KAFKA-13609). */
function checkBrokerSetting(broker: string, name: string, value: string): Refusal | undefined {
  if (broker !== '' && clusterSettings.has(name)) {
    return invalidRequest(
      `${name} belongs to the cluster as a whole: set it for all brokers (the empty name).`,
    );
  }
  try {
    parseBrokerSetting(name, value);
  } catch (error) {
    if (error instanceof BrokerConfigError) return invalidRequest(error.message);
    throw error;
  }
  const definition = brokerConfigDefinitions.get(name);
  if (definition !== undefined && isDynamic(definition)) return undefined;
  return invalidRequest(
    `Cannot update these configs dynamically: ${name}. Set it when the broker starts (--set ${name}=...).`,
  );
}

function differences(resource: Resource, before: Settings, after: Settings): NewMetadataRecord[] {
  const { resourceType, resourceName } = resource;
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => ({
      type: 'ConfigRecord',
      value: { resourceType, resourceName, name, value: after.get(name) ?? null },
    }));
}

function definitionOf(resourceType: number, name: string): ConfigDefinition | undefined {
  if (resourceType === ConfigResourceType.TOPIC) return topicConfigDefinitions.get(name);
  if (resourceType === ConfigResourceType.GROUP) return groupConfigDefinitions.get(name);
  return brokerConfigDefinitions.get(name);
}

function notAList(operation: number, name: string): Refusal {
  const verb = operation === ConfigOperation.APPEND ? 'APPEND' : 'SUBTRACT';
  return {
    error: 'INVALID_CONFIG',
    message: `Can't ${verb} to key ${name} because its type is not LIST. Set it to a value instead.`,
  };
}

function invalidRequest(message: string): Refusal {
  return { error: 'INVALID_REQUEST', message };
}
