/** Values of any message in any version, made from its schema: from the JSON of the vectors, or at random. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { inRange, parseSchema } from '../../../protocol/generator/schema.ts';
import type { Field, Message, RawSchema, Struct, TypeReference } from '../../../protocol/generator/schema.ts';

type Value = Record<string, unknown>;
type Json = Readonly<Record<string, unknown>>;

const zeroUuid = 'AAAAAAAAAAAAAAAAAAAAAA';

export function loadMessage(name: string): Message {
  const schema: RawSchema = JSON.parse(
    readFileSync(new URL(`../../../protocol/schemas/${name}.json`, import.meta.url), 'utf8'),
  );
  const message = parseSchema(schema);
  if (message === undefined) throw new Error(`${name} has no versions`);
  return message;
}

export interface JsonOptions {
  /** Put the default in the place of what the JSON leaves out, as decoding does. */
  readonly fill: boolean;
}

/** What the JSON of a vector stands for. */
export function valueOfJson(message: Message, json: Json, options: JsonOptions): Value {
  return structOfJson(message, message.root, json, options);
}

function structOfJson(message: Message, struct: Struct, json: Json, options: JsonOptions): Value {
  const value: Value = {};
  for (const field of struct.fields) {
    const given = json[field.name];
    if (given !== undefined) value[field.name] = fieldOfJson(message, field.type, given, options);
    else if (options.fill) value[field.name] = defaultOf(message, field);
  }
  return value;
}

function fieldOfJson(message: Message, type: TypeReference, json: unknown, options: JsonOptions): unknown {
  if (json === null) return null;
  if (type.kind === 'array') {
    if (!Array.isArray(json)) throw new Error('an array was expected');
    return json.map((item: unknown) => fieldOfJson(message, type.element, item, options));
  }
  if (type.kind === 'struct')
    return structOfJson(message, structOf(message, type.name), isJson(json), options);
  if (type.name === 'bytes' || type.name === 'records') return Buffer.from(text(json), 'base64');
  // An int64 that no double holds is text; it is compared as the nearest double.
  if (type.name === 'int64') return Number(json);
  return json;
}

function text(json: unknown): string {
  if (typeof json !== 'string') throw new Error('text was expected');
  return json;
}

function isJson(json: unknown): Json {
  if (typeof json !== 'object' || json === null) throw new Error('an object was expected');
  return { ...json };
}

/** The field's default by the rules of the schemas' description, not by the generated code. */
export function defaultOf(message: Message, field: Field): unknown {
  if (field.default === 'null') return null;
  if (field.type.kind === 'array') return [];
  if (field.type.kind === 'struct') return defaultStruct(message, structOf(message, field.type.name));
  switch (field.type.name) {
    case 'bytes':
      return Buffer.alloc(0);
    case 'uuid':
      return zeroUuid;
    default:
      return JSON.parse(field.default ?? 'null');
  }
}

function defaultStruct(message: Message, struct: Struct): Value {
  return Object.fromEntries(struct.fields.map((field) => [field.name, defaultOf(message, field)]));
}

function structOf(message: Message, name: string): Struct {
  return message.structs.get(name)!;
}

/** Random values with every field that the version has, as decoding gives them back. */
export function valuesOf(message: Message, version: number): fc.Arbitrary<Value> {
  return structValues(message, message.root, version);
}

function structValues(message: Message, struct: Struct, version: number): fc.Arbitrary<Value> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of struct.fields) {
    fields[field.name] = inRange(field.versions, version)
      ? fieldValues(message, field, version)
      : fc.constant(defaultOf(message, field));
  }
  const values = fc.record(fields, { noNullPrototype: true });
  if (!inRange(message.flexible, version)) return values;
  return fc
    .tuple(values, fc.option(unknownFields(struct), { nil: undefined, freq: 3 }))
    .map(([value, unknown]) => (unknown === undefined ? value : { ...value, unknownTaggedFields: unknown }));
}

function unknownFields(struct: Struct): fc.Arbitrary<{ tag: number; data: Buffer }[]> {
  const first = 1 + Math.max(-1, ...struct.fields.map((field) => field.tag));
  return fc
    .uniqueArray(fc.tuple(fc.integer({ min: first, max: 5000 }), bytes), {
      selector: ([tag]) => tag,
      minLength: 1,
      maxLength: 3,
    })
    .map((fields) => fields.sort(([left], [right]) => left - right).map(([tag, data]) => ({ tag, data })));
}

function fieldValues(message: Message, field: Field, version: number): fc.Arbitrary<unknown> {
  const values = typeValues(message, field.type, version);
  return inRange(field.nullable, version) ? fc.option(values, { nil: null, freq: 4 }) : values;
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((data) => Buffer.from(data));

function typeValues(message: Message, type: TypeReference, version: number): fc.Arbitrary<unknown> {
  if (type.kind === 'array') return fc.array(typeValues(message, type.element, version), { maxLength: 3 });
  if (type.kind === 'struct') return structValues(message, structOf(message, type.name), version);
  switch (type.name) {
    case 'bool':
      return fc.boolean();
    case 'int8':
      return fc.integer({ min: -128, max: 127 });
    case 'int16':
      return fc.integer({ min: -32_768, max: 32_767 });
    case 'uint16':
      return fc.integer({ min: 0, max: 65_535 });
    case 'int32':
      return fc.integer();
    case 'uint32':
      return fc.integer({ min: 0, max: 4_294_967_295 });
    case 'int64':
      return fc.maxSafeInteger();
    case 'float64':
      return fc.double();
    case 'uuid':
      return fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map((data) => Buffer.from(data).toString('base64url'));
    case 'string':
      return fc.string({ unit: 'grapheme', maxLength: 20 });
    case 'bytes':
    case 'records':
      return bytes;
    default:
      throw new Error('a type without values');
  }
}
