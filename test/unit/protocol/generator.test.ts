/** What lies in protocol/generated is what the schemas of this tree give. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { generate } from '../../../protocol/generator/generate.ts';
import { parseRange, parseSchema } from '../../../protocol/generator/schema.ts';

const protocolDirectory = fileURLToPath(new URL('../../../protocol/', import.meta.url));

it('generated files are up to date', () => {
  const files = generate(protocolDirectory);
  const directory = `${protocolDirectory}generated/`;
  expect(readdirSync(directory).sort()).toEqual([...files.keys()].sort());
  const stale = [...files].filter(([name, text]) => readFileSync(directory + name, 'utf8') !== text);
  expect(
    stale.map(([name]) => name),
    'run: node protocol/generator/main.ts',
  ).toEqual([]);
});

it('version ranges are read', () => {
  expect(parseRange('3')).toEqual({ min: 3, max: 3 });
  expect(parseRange('1-4')).toEqual({ min: 1, max: 4 });
  expect(parseRange('2+')).toEqual({ min: 2, max: Infinity });
  for (const nothing of ['none', undefined]) {
    const { min, max } = parseRange(nothing);
    expect(max).toBeLessThan(min);
  }
  for (const bad of ['', '+', '1-', '-1', '1-2+', 'all'])
    expect(() => parseRange(bad), bad).toThrow('version range');
});

it('schemas that contradict themselves are refused', () => {
  const base = { name: 'XRequest', type: 'request', validVersions: '0', flexibleVersions: '0+' };
  const field = { name: 'A', type: 'int8', versions: '0+', taggedVersions: '0+', tag: 0 };
  expect(() => parseSchema({ ...base, fields: [field, { ...field, name: 'B' }] })).toThrow(
    'uses a tag twice',
  );
  const struct = { name: 'A', type: 'S', versions: '0+', fields: [] };
  expect(() => parseSchema({ ...base, fields: [struct, { ...struct, name: 'B' }] })).toThrow('two structs S');
  expect(parseSchema({ ...base, validVersions: 'none' })).toBeUndefined();
});
