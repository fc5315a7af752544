/** All serdes, as applications name them: `serde.string`, `serde.json(schema)`. */
export { json } from './json.ts';
export { bytes, float64, int32, int64, string } from './primitives.ts';
export { validated } from './standard-schema.ts';
