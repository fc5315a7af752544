import { type } from 'arktype';
import * as fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { serde } from '../../../../client/index.ts';
import type { Serde } from '../../../../client/index.ts';

const context = { topic: 't', isKey: false };

async function bytesOf<Written>(of: Serde<unknown, Written>, value: Written): Promise<Buffer> {
  const content = await of.serialize(value, context);
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content);
}

async function thereAndBack<Read, Written>(of: Serde<Read, Written>, value: Written): Promise<Read> {
  return of.deserialize(await bytesOf(of, value), context);
}

describe('values come back as they were', () => {
  test.each([
    ['string', serde.string, fc.string({ unit: 'grapheme' })],
    ['int32', serde.int32, fc.integer()],
    ['int64', serde.int64, fc.maxSafeInteger()],
    ['float64', serde.float64, fc.double()],
    ['json', serde.json(), fc.jsonValue()],
    ['bytes', serde.bytes, fc.uint8Array().map((array) => Buffer.from(array))],
  ] as const)('%s', async (_, of: Serde<unknown>, values: fc.Arbitrary<unknown>) => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        // JSON has no -0.
        const expected = of === serde.float64 || value !== 0 ? value : 0;
        const read = await thereAndBack(of, value);
        expect(JSON.stringify(read)).toBe(JSON.stringify(expected));
        if (typeof value !== 'object') expect(Object.is(read, value) || read === value).toBe(true);
      }),
    );
  });
});

test('bytes are those of Kafka', async () => {
  expect((await bytesOf(serde.int32, -2)).toString('hex')).toBe('fffffffe');
  expect((await bytesOf(serde.int64, 2 ** 40 + 1)).toString('hex')).toBe('0000010000000001');
  expect((await bytesOf(serde.float64, 1.5)).toString('hex')).toBe('3ff8000000000000');
  expect((await bytesOf(serde.string, 'é\ufeff')).toString('hex')).toBe('c3a9efbbbf');
  expect((await bytesOf(serde.json(), { a: [1, null] })).toString()).toBe('{"a":[1,null]}');
});

describe('what cannot be meant is refused', () => {
  const beyond = Buffer.alloc(8);
  beyond.writeBigInt64BE(2n ** 53n);
  test.each<[string, Serde<unknown>, Buffer, RegExp]>([
    ['text that is not UTF-8', serde.string, Buffer.from([0xc3]), /encoded data was not valid/],
    ['a number of another size', serde.int32, Buffer.alloc(8), /4 bytes are wanted, not 8/],
    ['a number that would lose digits', serde.int64, beyond, /9007199254740992 is beyond 2\^53/],
    ['no JSON', serde.json(), Buffer.from('{'), /JSON/],
  ])('in bytes: %s', async (_, of, bytes, why) => {
    await expect((async () => of.deserialize(bytes, context))()).rejects.toThrow(why);
  });

  test.each<[string, Serde<unknown>, unknown, RegExp]>([
    ['a fraction', serde.int64, 1.5, /no whole number/],
    ['a number beyond 32 bits', serde.int32, 2 ** 31, /out of range/],
    ['no string', serde.string, 7, /a string is wanted, not number/],
    ['nothing', serde.json(), undefined, /JSON has nothing for a value of type undefined/],
    ['a bigint', serde.json(), 1n, /BigInt/],
  ])('in values: %s', async (_, of, value, why) => {
    await expect((async () => of.serialize(value, context))()).rejects.toThrow(why);
  });
});

describe('a validator checks what is written and makes what is read', () => {
  const schemas = {
    zod: z.object({ id: z.number(), at: z.string().transform((text) => new Date(text)) }),
    valibot: v.object({
      id: v.number(),
      at: v.pipe(
        v.string(),
        v.transform((text) => new Date(text)),
      ),
    }),
    arktype: type({ id: 'number', at: type('string').pipe((text) => new Date(text)) }),
    'zod, asynchronous': z.object({
      id: z.number().refine((id) => Promise.resolve(id !== 13), 'thirteen'),
      at: z.string().transform((text) => Promise.resolve(new Date(text))),
    }),
  };
  const at = '2026-01-02T03:04:05.000Z';

  test.each(Object.entries(schemas))('%s', async (_, schema) => {
    const of = serde.json(schema);
    expectTypeOf(of).toEqualTypeOf<Serde<{ id: number; at: Date }, { id: number; at: string }>>();
    expect((await bytesOf(of, { id: 1, at })).toString()).toBe(JSON.stringify({ id: 1, at }));
    expect(await thereAndBack(of, { id: 1, at })).toEqual({ id: 1, at: new Date(at) });
    const wrong = Buffer.from('{"id":"one","at":3}');
    await expect((async () => of.deserialize(wrong, context))()).rejects.toThrow(/id.*at|at.*id/su);
    // @ts-expect-error -- the id is a number
    await expect((async () => of.serialize({ id: 'one', at }, context))()).rejects.toThrow(/id/u);
  });

  test('and says where it is wrong', async () => {
    const of = serde.json(z.object({ lines: z.array(z.object({ sku: z.string() })) }));
    const wrong = Buffer.from('{"lines":[{"sku":"a"},{"sku":1}]}');
    await expect((async () => of.deserialize(wrong, context))()).rejects.toThrow(/^lines\.1\.sku: /u);
  });
});
