import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { CommandLine, jsonLines, type RecordLine } from './support.ts';

let broker: Broker;
let cli: CommandLine;
let directory: string;
const start = Date.UTC(2026, 0, 1);
const count = 60;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kappalog-replay-'));
  broker = await startBroker({ port: 0, storage: 'memory' });
  cli = new CommandLine(`127.0.0.1:${broker.port}`);
  await cli.text(['topic', 'create', 'source', '-p', '3', '-c', 'retention.ms=-1']);
  const input = Array.from({ length: count }, (_, row) =>
    JSON.stringify({
      key: `k${row % 7}`,
      value: { row },
      timestamp: start + row * 60_000,
      headers: [['n', String(row)]],
    }),
  ).join('\n');
  await cli.text(['produce', 'source', '--format', 'json'], { input });
});
afterAll(async () => {
  await broker.close();
  await rm(directory, { recursive: true });
});

async function read(topic: string): Promise<RecordLine[]> {
  return jsonLines(await cli.text(['consume', topic, '--until', 'end', '-o', 'json']));
}

/** Rows in order of number. */
function rows(lines: readonly { value: unknown }[]): number[] {
  return lines.map(({ value }) => Number(JSON.parse(String(value)).row)).sort((a, b) => a - b);
}

const range = (from: number, until: number): number[] =>
  Array.from({ length: until - from }, (_, index) => from + index);

describe('kappalog replay', () => {
  it('copies a range by time into a topic made like the source, keeping all but the offsets', async () => {
    const { code, stdout, stderr } = await cli.run([
      'replay',
      'source',
      '--to',
      'copy',
      '--create',
      '--id',
      'copy-1',
      '--from',
      '2026-01-01T00:10:00Z',
      '--until',
      '2026-01-01T00:30:00Z',
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(
      /^Replay copy-1: source from 2026-01-01T00:10:00\.000Z until 2026-01-01T00:30:00\.000Z into copy \(to be created\)\nPARTITION/,
    );
    expect(stderr).toMatch(
      /20 records to read\.\nDone in .*: 20 records read, 20 written, 0 filtered out\.\n$/,
    );
    const [copied, original] = await Promise.all([read('copy'), read('source')]);
    expect(rows(copied)).toEqual(range(10, 30));
    for (const line of copied) {
      const source = original.find(({ value }) => value === line.value)!;
      expect(line).toMatchObject({
        key: source.key,
        partition: source.partition,
        timestamp: source.timestamp,
      });
      expect(line.headers).toEqual([
        ...source.headers,
        ['kappalog-replay-id', 'copy-1'],
        ['kappalog-source-topic', 'source'],
        ['kappalog-source-partition', String(source.partition)],
        ['kappalog-source-offset', String(source.offset)],
      ]);
    }
    for (const partition of [0, 1, 2]) {
      const numbers = copied
        .filter((line) => line.partition === partition)
        .map(({ value }) => Number(JSON.parse(value).row));
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
    expect(await cli.json(['topic', 'describe', 'copy'])).toMatchObject({
      topics: [{ configs: [{ name: 'retention.ms', value: '-1' }] }],
    });

    const again = await cli.run([
      'replay',
      'source',
      '--to',
      'copy',
      '--create',
      '--id',
      'copy-1',
      '--from',
      '2026-01-01T00:10:00Z',
      '--until',
      '2026-01-01T00:30:00Z',
    ]);
    expect(again).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('0 records to read of 20; an earlier run has done the rest'),
    });
    expect(await read('copy')).toHaveLength(20);
  });

  it('prints JSON lines where there is no destination, filtered by an expression, leaving no group behind', async () => {
    const text = await cli.text([
      'replay',
      'source',
      '--filter',
      'message.json.row % 10 === 3 && message.key !== "k1"',
      '-q',
    ]);
    expect(rows(jsonLines(text))).toEqual([3, 13, 23, 33, 53]);
    expect(await cli.text(['group', 'list'])).not.toContain('__replay-source');
  });

  it('goes through the filter and transform of a module, and partitions by key where the numbers differ', async () => {
    const file = join(directory, 'module.mjs');
    await writeFile(
      file,
      `export const filter = (message) => message.json.row < 20;
       export const transform = ({ json, key }) => json.row === 5 ? null : { key: key.toUpperCase(), value: JSON.stringify({ row: json.row + 1000 }) };`,
    );
    await cli.text(['topic', 'create', 'transformed', '-p', '2']);
    const summary = await cli.json([
      'replay',
      'source',
      '--to',
      'transformed',
      '--module',
      file,
      '--no-provenance',
    ]);
    expect(summary).toMatchObject({
      state: 'done',
      read: 60,
      written: 19,
      filtered: 41,
      skipped: 0,
      remaining: 0,
      resume: null,
    });
    const lines = await read('transformed');
    expect(rows(lines)).toEqual(range(1000, 1020).filter((row) => row !== 1005));
    expect(lines.every(({ headers, key }) => headers.length === 0 && /^K\d$/.test(key))).toBe(true);
    const partitions = new Map<string, Set<number>>();
    for (const { key, partition } of lines)
      partitions.set(key, (partitions.get(key) ?? new Set()).add(partition));
    expect([...partitions.values()].every((each) => each.size === 1)).toBe(true);
  });

  it('prints its plan and does nothing with --dry-run', async () => {
    const plan = await cli.json([
      'replay',
      'source',
      '--to',
      'never',
      '--create',
      '--dry-run',
      '--from',
      '-5',
    ]);
    expect(plan).toMatchObject({
      topic: 'source',
      records: 15,
      destination: { topic: 'never', toBeCreated: true, replicationFactor: 1 },
      resumed: false,
    });
    expect((await cli.run(['topic', 'describe', 'never'])).code).toBe(3);
  });

  it('keeps to its pace', async () => {
    const began = performance.now();
    await cli.text(['replay', 'source', '--rate', '100', '-q']);
    expect(performance.now() - began).toBeGreaterThan(550);
  });

  it('keeps original timing, partitions merged in order of time', async () => {
    const began = performance.now();
    // 60 minutes in 1.2 seconds.
    const lines = jsonLines(await cli.text(['replay', 'source', '--speed', '3000', '-q']));
    expect(performance.now() - began).toBeGreaterThan(1_150);
    expect(lines.map(({ value }) => Number(JSON.parse(value).row))).toEqual(range(0, count));
  });

  it('interrupted by Ctrl-C says how to go on, and then neither loses nor repeats', async () => {
    await cli.text(['topic', 'create', 'slow', '-p', '3']);
    const args = ['replay', 'source', '--to', 'slow', '--rate', '20', '--rack', 'here', '--id', 'slow-1'];
    const first = cli.start(args);
    await first.stderrMatching(/60 records to read\.\n/);
    // Some of it is to be done when it is stopped.
    while ((await read('slow')).length < 5);
    const { code, stderr } = await first.signal('SIGINT');
    expect(code).toBe(130);
    const command = /To go on: kappalog (replay .*)\n$/.exec(stderr)?.[1];
    expect(command).toContain('--id slow-1');
    const done = (await read('slow')).length;
    expect(done).toBeGreaterThanOrEqual(5);
    expect(done).toBeLessThan(60);
    expect(command).toContain(' --rack here ');
    const second = await cli.run(command!.replace('--rate 20', '--rate 2k').split(' '));
    expect(second.code).toBe(0);
    expect(second.stderr).toContain(`${60 - done} records to read of 60; an earlier run has done the rest.`);
    expect(rows(await read('slow'))).toEqual(range(0, 60));
  });

  it('killed with -9 goes on without a loss', async () => {
    await cli.text(['topic', 'create', 'killed', '-p', '3']);
    const args = ['replay', 'source', '--to', 'killed', '--id', 'killed-1'];
    const first = cli.start([...args, '--rate', '20']);
    while ((await read('killed')).length < 30);
    expect(await first.signal('SIGKILL')).toMatchObject({ code: null });
    await cli.text([...args, '-q']);
    expect([...new Set(rows(await read('killed')))]).toEqual(range(0, 60));
  });
});

describe('kappalog replay refuses', () => {
  it('a replay into its own source', async () => {
    const { code, stderr } = await cli.run(['replay', 'source', '--to', 'source']);
    expect(code).toBe(2);
    expect(stderr).toBe(
      'error: A replay of source into itself would read what it writes: choose another topic.\n',
    );
  });

  it('to go on with another filter under the same name', async () => {
    await cli.text(['replay', 'source', '--id', 'fixed', '--filter', 'message.partition === 0', '-q']);
    const { code, stderr } = await cli.run([
      'replay',
      'source',
      '--id',
      'fixed',
      '--filter',
      'message.partition === 1',
      '-q',
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain('The replay fixed was begun with other options');
    expect(
      await cli.text([
        'replay',
        'source',
        '--id',
        'fixed',
        '--restart',
        '--filter',
        'message.partition === 9',
        '-q',
      ]),
    ).toBe('');
  });

  it('a topic that was deleted and made again since', async () => {
    await cli.text(['topic', 'create', 'remade', '-p', '1']);
    await cli.text(['produce', 'remade'], { input: 'x\n' });
    await cli.text(['replay', 'remade', '--id', 'remade-1', '-q']);
    await cli.text(['topic', 'delete', 'remade', '-y']);
    await cli.text(['topic', 'create', 'remade', '-p', '1']);
    const { code, stderr } = await cli.run(['replay', 'remade', '--id', 'remade-1', '-q']);
    // The broker forgets what groups committed for a topic that is gone; else the topic's id tells.
    if (code !== 0) expect(stderr).toContain('was deleted and made again');
  });
});

describe('a predicate that throws', () => {
  const filter = ['--filter', 'message.json.row === 31 ? message.nothing.at.all : true'];

  it('stops the replay before that record and names it; the rest is remembered', async () => {
    const first = await cli.run(['replay', 'source', '--id', 'throws', ...filter]);
    expect(first.code).toBe(1);
    expect(first.stderr).toMatch(
      /To go on from there: kappalog replay source .*--id throws\nerror: The record at offset \d+ of partition \d of source could not be handled: Cannot read/,
    );
    const before = rows(jsonLines(first.stdout));
    expect(before).not.toContain(31);
    const second = await cli.run([
      'replay',
      'source',
      '--id',
      'throws',
      ...filter,
      '--on-error',
      'skip',
      '-q',
    ]);
    expect(second.code).toBe(5);
    expect(second.stderr).toMatch(
      /^warning: The record at offset \d+ of partition \d of source could not be handled/,
    );
    const all = [...before, ...rows(jsonLines(second.stdout))].sort((a, b) => a - b);
    expect(all).toEqual(range(0, 60).filter((row) => row !== 31));
  });
});
