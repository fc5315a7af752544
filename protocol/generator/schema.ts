/** The schemas of protocol/schemas as a model: names in lowerCamel, ranges resolved, structs found by name. */

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

export type TypeReference =
  | { readonly kind: 'primitive'; readonly name: PrimitiveName }
  | { readonly kind: 'struct'; readonly name: string }
  | { readonly kind: 'array'; readonly element: TypeReference };

const primitiveNames = [
  'bool',
  'int8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'float64',
  'uuid',
  'string',
  'bytes',
  'records',
] as const;
export type PrimitiveName = (typeof primitiveNames)[number];

export interface Field {
  readonly name: string;
  readonly type: TypeReference;
  readonly versions: VersionRange;
  readonly nullable: VersionRange;
  readonly tagged: VersionRange;
  readonly tag: number;
  readonly ignorable: boolean;
  /** Overrides the message's range for this field alone. */
  readonly flexible: VersionRange | undefined;
  /** A JavaScript literal of the default; undefined for a struct or an array that starts empty. */
  readonly default: string | undefined;
}

export interface Struct {
  readonly name: string;
  readonly fields: readonly Field[];
}

export interface Message {
  readonly name: string;
  readonly type: string;
  readonly apiKey: number | undefined;
  readonly versions: VersionRange;
  readonly flexible: VersionRange;
  readonly root: Struct;
  readonly structs: ReadonlyMap<string, Struct>;
  readonly latestVersionUnstable: boolean;
}

export interface RawField {
  readonly name: string;
  readonly type: string;
  readonly versions?: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly tag?: number;
  readonly flexibleVersions?: string;
  readonly default?: string | number | boolean | null;
  readonly ignorable?: boolean;
  readonly fields?: readonly RawField[];
}

export interface RawSchema {
  readonly name: string;
  readonly type: string;
  readonly apiKey?: number;
  readonly validVersions: string;
  readonly flexibleVersions?: string;
  readonly latestVersionUnstable?: boolean;
  readonly fields?: readonly RawField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly RawField[] }[];
}

const nowhere: VersionRange = { min: 1, max: 0 };

export function inRange(range: VersionRange, version: number): boolean {
  return version >= range.min && version <= range.max;
}

export function parseRange(text: string | undefined): VersionRange {
  if (text === undefined || text === 'none') return nowhere;
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text);
  if (match === null) throw new Error(`a version range cannot be read: ${text}`);
  const min = Number(match[1]);
  if (match[2] === '+') return { min, max: Infinity };
  return { min, max: match[3] === undefined ? min : Number(match[3]) };
}

/** The message of a schema; undefined for one that has no versions left. */
export function parseSchema(raw: RawSchema): Message | undefined {
  const versions = parseRange(raw.validVersions);
  if (versions.max < versions.min) return undefined;
  const structs = new Map<string, Struct>();
  const addStruct = (name: string, rawFields: readonly RawField[]): Struct => {
    if (structs.has(name)) throw new Error(`${raw.name} has two structs ${name}`);
    const fields: Field[] = [];
    const struct = { name, fields };
    structs.set(name, struct);
    for (const rawField of rawFields) {
      const type = parseType(rawField.type);
      if (rawField.fields !== undefined) addStruct(structName(type), rawField.fields);
      fields.push(parseField(rawField, type));
    }
    return struct;
  };
  for (const common of raw.commonStructs ?? []) addStruct(common.name, common.fields);
  const root = addStruct(raw.name, raw.fields ?? []);
  checkTags(raw.name, structs);
  return {
    name: raw.name,
    type: raw.type,
    apiKey: raw.apiKey,
    versions,
    flexible: parseRange(raw.flexibleVersions),
    root,
    structs,
    latestVersionUnstable: raw.latestVersionUnstable ?? false,
  };
}

function parseField(raw: RawField, type: TypeReference): Field {
  const tagged = parseRange(raw.taggedVersions);
  const versions = raw.versions === undefined ? tagged : parseRange(raw.versions);
  return {
    name: raw.name[0]!.toLowerCase() + raw.name.slice(1),
    type,
    versions,
    nullable: parseRange(raw.nullableVersions),
    tagged,
    tag: raw.tag ?? -1,
    ignorable: raw.ignorable ?? false,
    flexible: raw.flexibleVersions === undefined ? undefined : parseRange(raw.flexibleVersions),
    default: defaultLiteral(raw, type),
  };
}

function parseType(text: string): TypeReference {
  if (text.startsWith('[]')) return { kind: 'array', element: parseType(text.slice(2)) };
  const primitive = primitiveNames.find((name) => name === text);
  return primitive === undefined ? { kind: 'struct', name: text } : { kind: 'primitive', name: primitive };
}

function structName(type: TypeReference): string {
  if (type.kind === 'array') return structName(type.element);
  return type.name;
}

function defaultLiteral(raw: RawField, type: TypeReference): string | undefined {
  const given = raw.default;
  // A JSON null is no default at all; only the text "null" is the value null.
  if (given === 'null' && raw.nullableVersions !== undefined) return 'null';
  if (type.kind !== 'primitive') return undefined;
  switch (type.name) {
    case 'bool':
      return String(given ?? false);
    case 'string':
      return JSON.stringify(given ?? '');
    case 'uuid':
      return JSON.stringify(given ?? 'AAAAAAAAAAAAAAAAAAAAAA');
    case 'bytes':
      return 'empty';
    case 'records':
      return 'null';
    default:
      return String(Number(given ?? 0));
  }
}

function checkTags(message: string, structs: ReadonlyMap<string, Struct>): void {
  for (const struct of structs.values()) {
    const tags = struct.fields.filter((field) => field.tag >= 0).map((field) => field.tag);
    if (new Set(tags).size !== tags.length) throw new Error(`${message}.${struct.name} uses a tag twice`);
  }
}
