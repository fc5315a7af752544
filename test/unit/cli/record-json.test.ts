import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../client/index.ts';
import { recordFromJson, recordToJson } from '../../../cli/record-json.ts';

const plain: Message = {
  topic: 'orders',
  partition: 2,
  offset: 41,
  timestamp: 978_307_260_000,
  key: Buffer.from('JFK'),
  value: Buffer.from('{"a":1}'),
  headers: [
    ['trace', Buffer.from('x')],
    ['trace', null],
  ],
  leaderEpoch: 0,
};

describe('records as JSON lines', () => {
  it('have the documented fields', () => {
    expect(JSON.parse(recordToJson(plain))).toEqual({
      topic: 'orders',
      partition: 2,
      offset: 41,
      timestamp: 978_307_260_000,
      key: 'JFK',
      value: '{"a":1}',
      headers: [
        ['trace', 'x'],
        ['trace', null],
      ],
    });
  });

  it('come back with the same bytes, whatever these are', () => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)));
    const headers = fc.array(fc.tuple(fc.string({ maxLength: 5 }), bytes), { maxLength: 4 });
    fc.assert(
      fc.property(bytes, bytes, headers, fc.nat(), (key, value, pairs, timestamp) => {
        const line = recordToJson({ ...plain, key, value, headers: pairs, timestamp });
        const back = recordFromJson(line);
        const buffer = (content: unknown) => (typeof content === 'string' ? Buffer.from(content) : content);
        expect(buffer(back.key)).toEqual(key);
        expect(buffer(back.value)).toEqual(value);
        expect(back.timestamp).toBe(timestamp);
        const headers = Array.isArray(back.headers) ? back.headers : [];
        expect(headers.map(([name, content]) => [name, buffer(content)])).toEqual(pairs);
      }),
    );
  });

  it('take values that are JSON themselves, and headers as an object', () => {
    expect(recordFromJson('{"value":{"a":[1,2]},"headers":{"n":"v","m":7}}')).toEqual({
      key: null,
      value: '{"a":[1,2]}',
      headers: [
        ['n', 'v'],
        ['m', '7'],
      ],
    });
    expect(recordFromJson('{"key":"k","value":null}')).toMatchObject({ key: 'k', value: null });
  });

  it.each([
    ['not json', /JSON/],
    ['[1]', /JSON object/],
    ['{"key":"a"}', /no "value"/],
    ['{"value":"a","timestamp":"now"}', /"timestamp" must be a whole number/],
    ['{"value":"a","headers":[["x"]]}', /"headers" must be/],
    ['{"value":"a","headers":"x"}', /"headers" must be/],
  ])('refuses %s', (line, message) => {
    expect(() => recordFromJson(line)).toThrow(message);
  });
});
