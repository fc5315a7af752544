import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineReader } from '../../../../cli/produce/line-reader.ts';
import { readLines } from '../../../../cli/produce/lines.ts';

async function linesOf(chunks: readonly Buffer[]): Promise<[number, string][]> {
  async function* stream(): AsyncGenerator<Buffer> {
    yield* chunks;
  }
  const found: [number, string][] = [];
  for await (const lines of readLines(stream())) {
    for (const { number, bytes } of lines) found.push([number, bytes.toString('latin1')]);
  }
  return found;
}

describe('readLines', () => {
  it('numbers lines, keeps empty ones and a last one without a newline', async () => {
    expect(await linesOf([Buffer.from('a\n\nb\r\nc')])).toEqual([
      [1, 'a'],
      [2, ''],
      [3, 'b\r'],
      [4, 'c'],
    ]);
    expect(await linesOf([Buffer.from('a\n')])).toEqual([[1, 'a']]);
    expect(await linesOf([])).toEqual([]);
  });

  it('finds the same lines wherever the chunks are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 60 }),
        fc.array(fc.nat(60), { maxLength: 6 }),
        async (bytes, cuts) => {
          const data = Buffer.from(bytes.map((byte) => (byte % 5 === 0 ? 10 : byte)));
          const places = [0, ...cuts.filter((cut) => cut <= data.length).sort((a, b) => a - b), data.length];
          const chunks = places.slice(1).map((end, index) => data.subarray(places[index], end));
          expect(await linesOf(chunks)).toEqual(await linesOf([data]));
          const text = data.toString('latin1');
          const expected = text.split('\n');
          if (expected.at(-1) === '') expected.pop();
          expect((await linesOf(chunks)).map(([, line]) => line)).toEqual(expected);
        },
      ),
    );
  });
});

describe('lineReader', () => {
  const line = (text: string) => ({ number: 1, bytes: Buffer.from(text) });

  it('takes a line as the value', () => {
    expect(lineReader({ format: 'lines', keySeparator: undefined })(line('a:b'))).toEqual({
      value: Buffer.from('a:b'),
    });
  });

  it('cuts at the first key separator', () => {
    const read = lineReader({ format: 'lines', keySeparator: '::' });
    expect(read(line('k::v::w'))).toEqual({ key: Buffer.from('k'), value: Buffer.from('v::w') });
    expect(read(line('::'))).toEqual({ key: Buffer.from(''), value: Buffer.from('') });
    expect(() => read(line('k:v'))).toThrow('it has no key separator "::"');
  });
});
