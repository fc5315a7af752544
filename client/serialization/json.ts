import { string } from './primitives.ts';
import type { Serde } from './serde.ts';
import { validated } from './standard-schema.ts';
import type { StandardSchema } from './standard-schema.ts';

/** JSON in UTF-8. With a schema, what is read and written is checked by it; without one, its type is taken on trust. */
export function json<T = unknown>(): Serde<T>;
export function json<Input, Output>(schema: StandardSchema<Input, Output>): Serde<Output, Input>;
export function json(schema?: StandardSchema): Serde<unknown> {
  return schema === undefined ? untyped : validated(untyped, schema);
}

const untyped: Serde<unknown> = {
  serialize: (value) => {
    const text: unknown = JSON.stringify(value);
    if (typeof text !== 'string') throw new TypeError(`JSON has nothing for a value of type ${typeof value}`);
    return text;
  },
  deserialize: async (bytes, context) => {
    const value: unknown = JSON.parse(await string.deserialize(bytes, context));
    return value;
  },
};
