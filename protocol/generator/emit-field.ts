/** The statements that read, write, default and compare one field in one version. */
import type { Field, TypeReference } from './schema.ts';

export interface FieldContext {
  readonly field: Field;
  /** Whether null may travel in this version. */
  readonly nullable: boolean;
  readonly flexible: boolean;
  /** Whether it travels in a tag in this version. */
  readonly tagged: boolean;
  /** Names of the functions that handle a struct in this version. */
  readonly structReader: (name: string) => string;
  readonly structWriter: (name: string) => string;
  readonly structDefault: (name: string) => string;
  readonly structIsDefault: (name: string) => string;
  readonly sizeBytesMin: (type: TypeReference) => number;
}

/** An expression with the field's default; objects and arrays are new ones each time. */
export function defaultValue({ field, structDefault }: FieldContext): string {
  if (field.default !== undefined) return field.default;
  return field.type.kind === 'struct' ? `${structDefault(field.type.name)}()` : '[]';
}

/** A statement that reads the field into a declared variable. */
export function readStatement(variable: string, context: FieldContext): string {
  const { type } = context.field;
  if (type.kind === 'primitive') return `${variable} = r.${readMethod(type.name, context)}();`;
  if (type.kind === 'struct') {
    const read = `${context.structReader(type.name)}(r)`;
    const present = context.tagged ? 'r.presentInTag()' : 'r.present()';
    return context.nullable ? `${variable} = ${present} ? ${read} : null;` : `${variable} = ${read};`;
  }
  const count = context.flexible
    ? context.nullable
      ? 'compactNullableCount'
      : 'compactCount'
    : context.nullable
      ? 'nullableCount'
      : 'count';
  const { element } = type;
  const sizeBytesMin = context.sizeBytesMin(element);
  if (sizeBytesMin < 1) throw new Error(`elements of ${context.field.name} may take no bytes`);
  const items =
    `${variable} = []; for (let index = 0; index < count; index++) ` +
    `${variable}.push(${elementReader(element, context)});`;
  const fill = context.nullable ? `if (count < 0) ${variable} = null; else { ${items} }` : items;
  return `{ const count = r.${count}(${sizeBytesMin}); ${fill} }`;
}

/** A statement that writes the field from a variable, which may be undefined. */
export function writeStatement(variable: string, context: FieldContext): string {
  const { field, nullable, flexible, tagged } = context;
  const { type } = field;
  if (type.kind === 'primitive') {
    const given = `${variable} === undefined ? ${field.default} : ${variable}`;
    return `w.${readMethod(type.name, context)}(${given});`;
  }
  const failNull = `w.fail('null-not-allowed', '${field.name} may not be null');`;
  const startsNull = field.default === 'null';
  if (type.kind === 'struct') {
    const write = context.structWriter(type.name);
    const [one, none] = tagged
      ? ['w.unsignedVarint(1);', 'w.unsignedVarint(0);']
      : ['w.int8(1);', 'w.int8(-1);'];
    const present = nullable ? `${one} ` : '';
    const absent = nullable ? none : failNull;
    const isNull = startsNull ? `${variable} === undefined || ${variable} === null` : `${variable} === null`;
    const value = startsNull ? variable : `${variable} === undefined ? {} : ${variable}`;
    return `if (${isNull}) { ${absent} } else { ${present}${write}(w, ${value}); }`;
  }
  const countMethod = flexible ? 'compactCount' : 'count';
  const writeNull = nullable ? (flexible ? 'w.unsignedVarint(0);' : 'w.int32(-1);') : failNull;
  const writeUndefined = startsNull ? writeNull : `w.${countMethod}(0);`;
  return (
    `if (${variable} === undefined) { ${writeUndefined} } else if (${variable} === null) { ${writeNull} } else { ` +
    `const count = ${variable}.length; w.${countMethod}(count); for (let index = 0; index < count; index++) ` +
    `${elementWriter(type.element, `${variable}[index]`, context)} }`
  );
}

/** An expression that tells whether a given value, or an absent one, is the field's default. */
export function isDefaultCondition(value: string, context: FieldContext): string {
  const { field } = context;
  const absent = `${value} === undefined`;
  if (field.default === 'null') return `(${absent} || ${value} === null)`;
  if (field.default === 'empty') return `(${absent} || (${value} !== null && ${value}.length === 0))`;
  if (field.default !== undefined) return `(${absent} || ${value} === ${field.default})`;
  if (field.type.kind === 'array') return `(${absent} || (${value} !== null && ${value}.length === 0))`;
  if (field.type.kind !== 'struct') throw new Error(`${field.name} has no default`);
  return `(${absent} || (${value} !== null && ${context.structIsDefault(field.type.name)}(${value})))`;
}

/** Reader and Writer name their methods alike. */
function readMethod(name: string, { nullable, flexible }: FieldContext): string {
  const base = name === 'records' ? 'bytes' : name;
  if (base !== 'string' && base !== 'bytes') return base;
  const middle = nullable ? `Nullable${capital(base)}` : capital(base);
  if (flexible) return `compact${middle}`;
  return nullable ? `nullable${capital(base)}` : base;
}

function elementReader(type: TypeReference, context: FieldContext): string {
  if (type.kind === 'struct') return `${context.structReader(type.name)}(r)`;
  if (type.kind === 'array') throw new Error(`${context.field.name} is an array of arrays`);
  return `r.${readMethod(type.name, { ...context, nullable: false })}()`;
}

function elementWriter(type: TypeReference, value: string, context: FieldContext): string {
  if (type.kind === 'struct') return `${context.structWriter(type.name)}(w, ${value});`;
  if (type.kind === 'array') throw new Error(`${context.field.name} is an array of arrays`);
  return `w.${readMethod(type.name, { ...context, nullable: false })}(${value});`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
