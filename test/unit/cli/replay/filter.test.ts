import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../../../../client/index.ts';
import { compileFilter, loadFunctions } from '../../../../cli/replay/filter.ts';

const message: Message = {
  topic: 't',
  partition: 1,
  offset: 2,
  timestamp: 3,
  key: Buffer.from('JFK'),
  value: Buffer.from('{"delay":90}'),
  headers: [['h', Buffer.from('v')]],
  leaderEpoch: 0,
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kappalog-filter-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('compileFilter', () => {
  it.each([
    ['message.json.delay > 60', true],
    ['message.json.delay > 100', false],
    ['message.key === "JFK" && message.headers.h === "v"', true],
    ['message.partition + message.offset + message.timestamp', true],
    ['message.raw.key.length === 3 // with a comment', true],
    ['null', false],
  ])('evaluates %s to %s', (expression, expected) => {
    expect(compileFilter(expression)(message)).toBe(expected);
  });

  it.each(['message.json.delay >', 'return true', 'if (1) {}', '}'])(
    'refuses %j, which is no expression',
    (expression) => {
      expect(() => compileFilter(expression)).toThrow(/--filter is not a JavaScript expression/);
    },
  );

  it('lets what the predicate throws through', () => {
    expect(() => compileFilter('message.json.delay.minutes.x')(message)).toThrow(TypeError);
    expect(() => compileFilter('message.json')({ ...message, value: Buffer.from('{') })).toThrow(SyntaxError);
  });
});

describe('loadFunctions', () => {
  it('joins the expression and the filter of a module, and takes its transform', async () => {
    const file = join(directory, 'module.mjs');
    await writeFile(
      file,
      'export const filter = async (message) => message.key === "JFK"; export const transform = (message) => ({ value: message.value + "!" });',
    );
    const { filter, transform } = await loadFunctions('message.json.delay > 60', file);
    expect(await filter!(message)).toBe(true);
    expect(await filter!({ ...message, key: Buffer.from('LAX') })).toBe(false);
    expect(await filter!({ ...message, value: Buffer.from('{"delay":1}') })).toBe(false);
    expect(await transform!(message)).toEqual({ value: '{"delay":90}!' });
  });

  it('identifies the code by its text', async () => {
    const file = join(directory, 'changing.mjs');
    await writeFile(file, 'export const filter = () => true;');
    const before = await loadFunctions(undefined, file);
    await writeFile(file, 'export const filter = () => false;');
    const after = await loadFunctions(undefined, file);
    expect(after.definition).not.toBe(before.definition);
    expect((await loadFunctions('1', undefined)).definition).not.toBe(
      (await loadFunctions('2', undefined)).definition,
    );
  });

  it('refuses modules without functions, and files that are none', async () => {
    const file = join(directory, 'empty.mjs');
    await writeFile(file, 'export const filters = 1;');
    await expect(loadFunctions(undefined, file)).rejects.toThrow(/exports neither a function filter nor/);
    await expect(loadFunctions(undefined, join(directory, 'absent.mjs'))).rejects.toThrow(
      /could not be loaded/,
    );
  });
});
