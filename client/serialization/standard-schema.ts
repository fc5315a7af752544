/**
 * Validation by any library that follows Standard Schema (https://standardschema.dev, version 1): zod, valibot, arktype and others.
 * What of it is needed here is written down as an interface, so that none of them is depended on.
 */
import type { Serde } from './serde.ts';

/** A validator of values; `Input` is what it takes, `Output` what it makes of that. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => ValidationResult<Output> | Promise<ValidationResult<Output>>;
    /** Types only. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type ValidationResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly ValidationIssue[] };

interface ValidationIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * What `inner` reads is what the schema makes of it. What is written must pass the schema, and is written as it was given: so what the
 * schema changes (a text to a date, say) is changed when it is read.
 */
export function validated<Input, Output>(
  inner: Serde<unknown>,
  schema: StandardSchema<Input, Output>,
): Serde<Output, Input> {
  return {
    serialize: async (value, context) => {
      await validate(schema, value);
      return inner.serialize(value, context);
    },
    deserialize: async (bytes, context) => validate(schema, await inner.deserialize(bytes, context)),
  };
}

async function validate<Output>(schema: StandardSchema<unknown, Output>, value: unknown): Promise<Output> {
  const result = await schema['~standard'].validate(value);
  if (result.issues === undefined) return result.value;
  throw new TypeError(result.issues.map(textOf).join('; '));
}

function textOf({ message, path = [] }: ValidationIssue): string {
  const keys = path.map((part) => String(typeof part === 'object' ? part.key : part));
  return keys.length === 0 ? message : `${keys.join('.')}: ${message}`;
}
