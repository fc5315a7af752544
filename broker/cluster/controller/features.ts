/** Levels of features that the cluster has agreed on, and how they change (KIP-584). Pure; see `controller.ts`. */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import type { FeatureRange } from '../metadata/broker-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';

/** The features that Kappalog has, as Kafka numbers them: lowest and highest level that this build can serve. */
export const supportedFeatures: ReadonlyMap<string, { readonly min: number; readonly max: number }> = new Map(
  [
    ['metadata.version', { min: 30, max: 30 }],
    // 1: groups of the consumer protocol (KIP-848).
    ['group.version', { min: 0, max: 1 }],
  ],
);

/** As a node of this build says it of itself. */
export function servedFeatures(): FeatureRange[] {
  return [...supportedFeatures].map(([name, { min, max }]) => ({
    name,
    minSupportedVersion: min,
    maxSupportedVersion: max,
  }));
}

/** The first records of a new cluster: it starts at the highest level of every feature. */
export function firstFeatureRecords(): NewMetadataRecord[] {
  return [...supportedFeatures].map(([name, { max }]) => ({
    type: 'FeatureLevelRecord',
    value: { name, featureLevel: max },
  }));
}

export interface FeatureUpdate {
  readonly name: string;
  /** 0 takes the feature away. */
  readonly level: number;
  /** Whether the level may become lower. */
  readonly allowDowngrade: boolean;
}

/** `refusal` is absent where the update was taken. */
export interface FeatureOutcome {
  readonly name: string;
  readonly refusal?: Refusal;
}

/** All updates are taken or none, as by Kafka from version 2 of UpdateFeatures; one outcome for each, in order. */
export function decideUpdateFeatures(
  state: ControllerState,
  updates: readonly FeatureUpdate[],
): Decision<FeatureOutcome[]> {
  const result = updates.map((update): FeatureOutcome => {
    const refusal = checkUpdate(state, update, updates);
    return refusal === undefined ? { name: update.name } : { name: update.name, refusal };
  });
  if (result.some(({ refusal }) => refusal !== undefined)) return { records: [], result };
  const records = updates
    .filter(({ name, level }) => (state.image.features.get(name) ?? 0) !== level)
    .map(({ name, level }): NewMetadataRecord => ({
      type: 'FeatureLevelRecord',
      value: { name, featureLevel: level },
    }));
  return { records, result };
}

function checkUpdate(
  { image }: ControllerState,
  { name, level, allowDowngrade }: FeatureUpdate,
  updates: readonly FeatureUpdate[],
): Refusal | undefined {
  const invalid = (message: string): Refusal => ({ error: 'INVALID_UPDATE_VERSION', message });
  if (updates.filter((other) => other.name === name).length > 1) {
    return { error: 'INVALID_REQUEST', message: `The feature ${name} stands more than once in the request.` };
  }
  const range = supportedFeatures.get(name);
  if (range === undefined) return invalid(`The controller does not support the feature ${name}.`);
  if (level < range.min || level > range.max) {
    return invalid(
      `The controller supports levels ${range.min} to ${range.max} of ${name}; ${level} is outside.`,
    );
  }
  const present = image.features.get(name) ?? 0;
  if (level < present && !allowDowngrade) {
    return invalid(`The level of ${name} is ${present}; a lower one has to be asked for as a downgrade.`);
  }
  for (const { id, features } of image.brokers.values()) {
    const served = features.find((feature) => feature.name === name);
    if (served !== undefined && served.minSupportedVersion <= level && level <= served.maxSupportedVersion)
      continue;
    return invalid(`Node ${id} does not support level ${level} of ${name}. Upgrade it, or unregister it.`);
  }
  return undefined;
}
