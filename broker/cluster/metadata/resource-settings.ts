/** The settings of topics, brokers and other resources, each a map by name. Part of `metadata-image.ts`. */
import type { NewMetadataRecord, RecordValue } from './metadata-record.ts';

interface Resource {
  readonly type: number;
  readonly name: string;
  readonly settings: Map<string, string>;
}

const none: ReadonlyMap<string, string> = new Map();

export class ResourceSettings {
  /** By type and name. Invariant: a resource without settings has no entry. */
  readonly #resources = new Map<string, Resource>();

  /** Settings of one resource, by name; empty where it has none. */
  of(type: number, name: string): ReadonlyMap<string, string> {
    return this.#resources.get(keyOf(type, name))?.settings ?? none;
  }

  /** A value of null takes the setting away. */
  set({ resourceType, resourceName, name, value }: RecordValue<'ConfigRecord'>): void {
    const key = keyOf(resourceType, resourceName);
    const resource = this.#resources.get(key) ?? {
      type: resourceType,
      name: resourceName,
      settings: new Map<string, string>(),
    };
    if (value === null) resource.settings.delete(name);
    else resource.settings.set(name, value);
    if (resource.settings.size === 0) this.#resources.delete(key);
    else this.#resources.set(key, resource);
  }

  remove(type: number, name: string): void {
    this.#resources.delete(keyOf(type, name));
  }

  /** Those that have settings, in the order in which they got their first one. */
  *resources(): Generator<{ readonly type: number; readonly name: string }> {
    for (const { type, name } of this.#resources.values()) yield { type, name };
  }

  /** The records that make the settings of one resource. */
  records(resourceType: number, resourceName: string): NewMetadataRecord[] {
    return [...this.of(resourceType, resourceName)].map(([name, value]) => ({
      type: 'ConfigRecord',
      value: { resourceType, resourceName, name, value },
    }));
  }
}

function keyOf(type: number, name: string): string {
  return `${type}:${name}`;
}
