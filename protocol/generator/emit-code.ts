/**
 * One message's codecs as JavaScript: a function to read and one to write each struct in each version. Functions whose
 * text would be the same are shared between versions. All objects of a struct have all its fields, in the schema's order,
 * in every version, so that the engine gives them one shape.
 */
import { defaultValue, isDefaultCondition, readStatement, writeStatement } from './emit-field.ts';
import type { FieldContext } from './emit-field.ts';
import { inRange } from './schema.ts';
import type { Field, Message, Struct, TypeReference } from './schema.ts';

export function emitMessage(message: Message): string {
  return new MessageEmitter(message).emit();
}

class MessageEmitter {
  readonly #message: Message;
  readonly #functions: string[] = [];
  /** Names of functions by the text of their bodies. */
  readonly #names = new Map<string, string>();
  readonly #sizes = new Map<string, number>();

  constructor(message: Message) {
    this.#message = message;
  }

  emit(): string {
    const { name, versions, root } = this.#message;
    const entries: string[] = [];
    for (let version = versions.min; version <= versions.max; version++) {
      const read = this.#reader(root, version);
      const write = this.#writer(root, version);
      entries.push(
        `  ${version}: { flexible: ${this.#isFlexible(version)}, read: ${read}, write: ${write} },`,
      );
    }
    return [
      `// Made by protocol/generator from protocol/schemas/${name}.json.`,
      "'use strict';",
      'const empty = Buffer.alloc(0);',
      ...this.#functions,
      `module.exports = {\n${entries.join('\n')}\n};`,
      '',
    ].join('\n');
  }

  #isFlexible(version: number): boolean {
    return inRange(this.#message.flexible, version);
  }

  #struct(name: string): Struct {
    const struct = this.#message.structs.get(name);
    if (struct === undefined) throw new Error(`${this.#message.name} has no struct ${name}`);
    return struct;
  }

  #context(field: Field, version: number): FieldContext {
    return {
      field,
      nullable: inRange(field.nullable, version),
      tagged: inRange(field.tagged, version),
      flexible: inRange(field.flexible ?? this.#message.flexible, version),
      structReader: (name) => this.#reader(this.#struct(name), version),
      structWriter: (name) => this.#writer(this.#struct(name), version),
      structDefault: (name) => this.#defaults(this.#struct(name)),
      structIsDefault: (name) => this.#isDefault(this.#struct(name)),
      sizeBytesMin: (type) => this.#sizeBytesMin(type, version),
    };
  }

  #add(kind: string, struct: Struct, version: number | undefined, parametersAndBody: string): string {
    const key = `${kind} ${struct.name} ${parametersAndBody}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = `${kind}${struct.name}${version ?? ''}`;
    this.#names.set(key, name);
    this.#functions.push(`function ${name}${parametersAndBody}`);
    return name;
  }

  #reader(struct: Struct, version: number): string {
    const lines: string[] = [];
    const names: string[] = [];
    const tagged: string[] = [];
    struct.fields.forEach((field, index) => {
      const context = this.#context(field, version);
      const variable = `v${index}`;
      names.push(`${field.name}: ${variable}`);
      if (!inRange(field.versions, version)) lines.push(`const ${variable} = ${defaultValue(context)};`);
      else if (inRange(field.tagged, version)) {
        lines.push(`let ${variable} = ${defaultValue(context)};`);
        tagged.push(`case ${field.tag}: { ${readStatement(variable, context)} break; }`);
      } else lines.push(`let ${variable}; ${readStatement(variable, context)}`);
    });
    const value = `{ ${names.join(', ')} }`;
    if (!this.#isFlexible(version)) lines.push(`return ${value};`);
    else {
      lines.push(...tagLoop(tagged), `const value = ${value};`);
      lines.push('if (unknown !== undefined) value.unknownTaggedFields = unknown;', 'return value;');
    }
    return this.#add('read', struct, version, body('r', lines));
  }

  #writer(struct: Struct, version: number): string {
    const lines: string[] = [];
    const tagged: { field: Field; variable: string }[] = [];
    struct.fields.forEach((field, index) => {
      const context = this.#context(field, version);
      const variable = `v${index}`;
      if (!inRange(field.versions, version)) {
        if (field.ignorable) return;
        lines.push(
          `const ${variable} = value.${field.name};`,
          `if (!(${isDefaultCondition(variable, context)})) ` +
            `w.fail('unsupported-field', '${this.#path(struct, field)} does not exist in version ${version}');`,
        );
        return;
      }
      lines.push(`const ${variable} = value.${field.name};`);
      if (inRange(field.tagged, version)) tagged.push({ field, variable });
      else lines.push(writeStatement(variable, context));
    });
    lines.push('const unknown = value.unknownTaggedFields;');
    if (this.#isFlexible(version)) lines.push(...this.#writeTags(tagged, version));
    else {
      lines.push(
        'if (unknown !== undefined && unknown.length > 0) ' +
          `w.fail('unsupported-field', '${struct.name} has no tagged fields in version ${version}');`,
      );
    }
    return this.#add('write', struct, version, body('w, value', lines));
  }

  #path(struct: Struct, field: Field): string {
    return struct === this.#message.root
      ? `${struct.name}.${field.name}`
      : `${this.#message.name}.${struct.name}.${field.name}`;
  }

  #writeTags(tagged: readonly { field: Field; variable: string }[], version: number): string[] {
    if (tagged.length === 0) {
      return [
        'if (unknown === undefined) { w.unsignedVarint(0); return; }',
        'w.tagCount(unknown.length);',
        'w.unknownTags(unknown, 0, Infinity);',
      ];
    }
    const lines = ['let count = unknown === undefined ? 0 : unknown.length;', 'let next = 0;'];
    const ascending = [...tagged].sort((left, right) => left.field.tag - right.field.tag);
    for (const { field, variable } of ascending) {
      const condition = isDefaultCondition(variable, this.#context(field, version));
      lines.push(`const given${field.tag} = !(${condition});`, `if (given${field.tag}) count++;`);
    }
    lines.push('w.tagCount(count);', 'if (count === 0) return;');
    for (const { field, variable } of ascending) {
      const statement = writeStatement(variable, this.#context(field, version));
      lines.push(
        `if (unknown !== undefined) next = w.unknownTags(unknown, next, ${field.tag});`,
        `if (given${field.tag}) { const outer = w; { const w = outer.child(); ${statement} outer.tagged(${field.tag}, w); } }`,
      );
    }
    lines.push('if (unknown !== undefined) w.unknownTags(unknown, next, Infinity);');
    return lines;
  }

  #defaults(struct: Struct): string {
    const fields = struct.fields.map((field) => `${field.name}: ${defaultValue(this.#context(field, 0))}`);
    return this.#add('default', struct, undefined, `() { return { ${fields.join(', ')} }; }`);
  }

  #isDefault(struct: Struct): string {
    const conditions = struct.fields.map((field) =>
      isDefaultCondition(`value.${field.name}`, this.#context(field, 0)),
    );
    conditions.push('(value.unknownTaggedFields === undefined || value.unknownTaggedFields.length === 0)');
    return this.#add('isDefault', struct, undefined, `(value) { return ${conditions.join('\n    && ')}; }`);
  }

  /** The fewest bytes that a value of this type takes, so that a false count is seen before anything is allocated. */
  #sizeBytesMin(type: TypeReference, version: number): number {
    if (type.kind === 'array') return this.#isFlexible(version) ? 1 : 4;
    if (type.kind === 'primitive') return primitiveSizeBytesMin(type.name, this.#isFlexible(version));
    const key = `${type.name} ${version}`;
    const known = this.#sizes.get(key);
    if (known !== undefined) return known;
    let size = this.#isFlexible(version) ? 1 : 0;
    for (const field of this.#struct(type.name).fields) {
      if (!inRange(field.versions, version) || inRange(field.tagged, version)) continue;
      const nullableStruct = field.type.kind === 'struct' && inRange(field.nullable, version);
      size += nullableStruct ? 1 : this.#sizeBytesMin(field.type, version);
    }
    this.#sizes.set(key, size);
    return size;
  }
}

function primitiveSizeBytesMin(name: string, flexible: boolean): number {
  const fixed: Record<string, number> = {
    bool: 1,
    int8: 1,
    int16: 2,
    uint16: 2,
    int32: 4,
    uint32: 4,
    int64: 8,
    float64: 8,
    uuid: 16,
  };
  const size = fixed[name];
  if (size !== undefined) return size;
  if (flexible) return 1;
  return name === 'string' ? 2 : 4;
}

function tagLoop(cases: readonly string[]): string[] {
  if (cases.length === 0) return ['const unknown = r.unknownTags();'];
  return [
    'let unknown;',
    'const tagCount = r.tagCount();',
    'for (let index = 0, tag = -1; index < tagCount; index++) {',
    '  tag = r.tag(tag);',
    '  const end = r.beginTag();',
    '  switch (tag) {',
    ...cases.map((text) => `    ${text}`),
    '    default: (unknown ??= []).push({ tag, data: r.rest() });',
    '  }',
    '  r.endTag(end);',
    '}',
  ];
}

function body(parameters: string, lines: readonly string[]): string {
  return `(${parameters}) {\n${lines.map((line) => `  ${line}`).join('\n')}\n}`;
}
