/** The types of all messages as one declaration file. */
import type { Field, Message, Struct, TypeReference, VersionRange } from './schema.ts';

interface ErrorEntry {
  readonly code: number;
  readonly name: string;
}

export function emitTypes(messages: readonly Message[], errors: readonly ErrorEntry[]): string {
  const names = new TypeNames(messages);
  const lines = [
    '// Made by protocol/generator from protocol/schemas and protocol/configs.',
    'export interface UnknownTaggedField { tag: number; data: Buffer }',
  ];
  for (const message of messages) {
    for (const struct of message.structs.values()) lines.push(emitStruct(message, struct, names));
  }
  lines.push('/** The type of each message by its name. */', 'export interface MessageTypes {');
  for (const message of messages) lines.push(`  ${message.name}: ${message.name};`);
  lines.push('}', '/** Every error code by its name. */', 'export interface ErrorCodes {');
  for (const error of errors) lines.push(`  readonly ${error.name}: ${error.code};`);
  lines.push('}', '');
  return lines.join('\n');
}

/** A struct's type is named after its message and itself, without saying the message's name twice. */
class TypeNames {
  readonly #names = new Map<Struct, string>();

  constructor(messages: readonly Message[]) {
    const taken = new Set(messages.map((message) => message.name));
    for (const message of messages) {
      for (const struct of message.structs.values()) {
        if (struct === message.root) {
          this.#names.set(struct, message.name);
          continue;
        }
        const short = struct.name.startsWith(message.name) ? struct.name : message.name + struct.name;
        const name = taken.has(short) ? message.name + struct.name : short;
        if (taken.has(name)) throw new Error(`two types would be named ${name}`);
        taken.add(name);
        this.#names.set(struct, name);
      }
    }
  }

  of(struct: Struct): string {
    return this.#names.get(struct)!;
  }
}

function emitStruct(message: Message, struct: Struct, names: TypeNames): string {
  const lines: string[] = [];
  if (struct === message.root) {
    const key = message.apiKey === undefined ? '' : `, key ${message.apiKey}`;
    lines.push(`/** ${message.type}${key}, versions ${rangeText(message.versions)}. */`);
  }
  lines.push(`export interface ${names.of(struct)} {`);
  for (const field of struct.fields) {
    lines.push(`  /** ${fieldNote(message, field)} */`);
    lines.push(
      `  ${field.name}: ${typeText(message, field.type, names)}${mayBeNull(field) ? ' | null' : ''};`,
    );
  }
  lines.push('  unknownTaggedFields?: UnknownTaggedField[];', '}');
  return lines.join('\n');
}

function fieldNote(message: Message, field: Field): string {
  const type = field.type.kind === 'primitive' ? field.type.name : field.type.kind;
  const everywhere = field.versions.min <= message.versions.min && field.versions.max >= message.versions.max;
  const versions = everywhere ? 'all versions' : `versions ${rangeText(field.versions)}`;
  const isPlainDefault = field.default === undefined || ['0', 'false', '""', 'empty'].includes(field.default);
  return `${type}, ${versions}${isPlainDefault || type === 'uuid' ? '' : `, default ${field.default}`}`;
}

function mayBeNull(field: Field): boolean {
  return field.nullable.max >= field.nullable.min || field.default === 'null';
}

function typeText(message: Message, type: TypeReference, names: TypeNames): string {
  if (type.kind === 'array') return `${typeText(message, type.element, names)}[]`;
  if (type.kind === 'struct') return names.of(message.structs.get(type.name)!);
  switch (type.name) {
    case 'bool':
      return 'boolean';
    case 'string':
    case 'uuid':
      return 'string';
    case 'bytes':
    case 'records':
      return 'Buffer';
    default:
      return 'number';
  }
}

function rangeText(range: VersionRange): string {
  if (range.max === Infinity) return `${range.min}+`;
  return range.min === range.max ? String(range.min) : `${range.min}-${range.max}`;
}
