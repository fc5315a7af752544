/** Random values and random damage, for every message in every version. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messages, ProtocolError } from '../../../protocol/index.ts';
import { codecByName } from '../../../protocol/codec.ts';
import { loadVectors, vectorsOf } from '../../vectors/load-vectors.ts';
import { loadMessage, valuesOf } from './schema-values.ts';

const types = [...new Set(messages.map(({ type }) => type))];

describe('random values come back as they were', () => {
  it.each(types)('%s', (type) => {
    for (const { name, min, max } of messages.filter((message) => message.type === type)) {
      const message = loadMessage(name);
      for (let version = min; version <= max; version++) {
        const codec = codecByName(name, version);
        fc.assert(
          fc.property(valuesOf(message, version), (value) => {
            const bytes = codec.encode(value);
            expect(codec.decode(bytes)).toStrictEqual(value);
          }),
          { numRuns: 4, seed: 20_261_122 + version },
        );
      }
    }
  });
});

/** Elements of arrays, and bytes in buffers, that a value holds. */
function sizeOf(value: unknown): { elements: number; bytes: number } {
  const size = { elements: 0, bytes: 0 };
  const visit = (part: unknown): void => {
    if (Buffer.isBuffer(part)) size.bytes += part.length;
    else if (typeof part === 'object' && part !== null) {
      if (Array.isArray(part)) size.elements += part.length;
      for (const inner of Object.values(part)) visit(inner);
    }
  };
  visit(value);
  return size;
}

/** Overwrites, cuts, inserts and repeats bytes; among the bytes are those that make lengths negative or huge. */
const damage = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'cut', 'insert', 'repeat'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 })),
    count: fc.integer({ min: 1, max: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);

function applyDamage(
  bytes: Buffer,
  steps: readonly { kind: string; at: number; byte: number; count: number }[],
): Buffer {
  let result = Buffer.from(bytes);
  for (const { kind, at, byte, count } of steps) {
    const position = Math.floor(at * result.length);
    const filled = Buffer.alloc(count, byte);
    if (kind === 'set') filled.copy(result, position);
    else if (kind === 'cut') result = result.subarray(0, position);
    else {
      const inserted = kind === 'insert' ? filled : result.subarray(position, position + count);
      result = Buffer.concat([result.subarray(0, position), inserted, result.subarray(position)]);
    }
  }
  return result;
}

describe('damaged bytes', () => {
  it('give a value no larger than themselves, or a ProtocolError', () => {
    const vectors = vectorsOf(loadVectors(), 'message').filter(({ kind }) => kind !== 'default');
    const counts = { values: 0, errors: 0 };
    const codes = new Set<string>();
    fc.assert(
      fc.property(fc.constantFrom(...vectors), damage, ({ name, version, hex }, steps) => {
        const bytes = applyDamage(Buffer.from(hex, 'hex'), steps);
        let value: unknown;
        try {
          value = codecByName(name, version).decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
          counts.errors++;
          if (error instanceof ProtocolError) codes.add(error.code);
          return;
        }
        counts.values++;
        const size = sizeOf(value);
        expect(size.elements).toBeLessThanOrEqual(bytes.length);
        expect(size.bytes).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 20_000, seed: 4 },
    );
    // Both ways out are taken, and the errors are of every kind that damage can cause.
    expect(counts.values).toBeGreaterThan(400);
    expect(counts.errors).toBeGreaterThan(1000);
    expect([...codes].sort()).toEqual(
      [
        'bad-tag',
        'bad-value',
        'bad-varint',
        'negative-length',
        'null-not-allowed',
        'short',
        'too-large',
        'trailing-bytes',
      ].sort(),
    );
  });

  it('of no kind at all: random bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.uint8Array({ maxLength: 200 }), ({ name, max }, data) => {
        try {
          codecByName(name, max).decode(Buffer.from(data));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 5000, seed: 5 },
    );
  });
});
