/** `kappalog log` as its users run it, on the directory of a broker that runs and then does not. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker } from '../../broker/index.ts';
import { CommandLine } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'kappalog-cli-log-'));
const partition = join(directory, 'orders-0');
const segment = join(partition, '00000000000000000000.log');
let cli: CommandLine;
let beside: Awaited<ReturnType<CommandLine['run']>>;
let refused: Awaited<ReturnType<CommandLine['run']>>;

beforeAll(async () => {
  const broker = await startBroker({ port: 0, storage: 'disk', dataDir: directory });
  cli = new CommandLine(`127.0.0.1:${broker.port}`);
  await cli.text(['topic', 'create', 'orders', '-p', '1']);
  await cli.text(['produce', 'orders', '-K', ':'], { input: 'a:one\nb:two\nc:three\n' });
  await cli.text(['produce', 'orders', '-z', 'zstd'], { input: 'four\nfive\n' });
  beside = await cli.run(['log', 'verify', partition]);
  refused = await cli.run(['log', 'repair', directory]);
  await broker.close();
});
afterAll(() => rmSync(directory, { recursive: true }));

function flip(position: number): void {
  const bytes = readFileSync(segment);
  bytes[position]! ^= 4;
  writeFileSync(segment, bytes);
}

describe('beside a running broker', () => {
  it('verify warns and goes on, repair refuses with exit code 1', () => {
    expect(beside.stderr).toMatch(/warning: A broker \(process \d+\) runs on/);
    expect(beside.stdout).toMatch(/^1 partitions, 1 segments, .* 0 damaged/m);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/process \d+.*stop it before its logs are repaired/);
  });
});

describe('on a sound directory', () => {
  it('verify finds nothing', async () => {
    const outcome = await cli.run(['log', 'verify', directory]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/: 0 damaged, 0 to be repaired, \d+ notes\.\n$/);
  });

  it('dump prints batches and records in the words of kafka-dump-log, and Raft’s entries behind #', async () => {
    const text = await cli.text(['log', 'dump', '--print-data-log', segment]);
    const lines = text.split('\n');
    expect(lines.slice(0, 2)).toEqual([`Dumping ${segment}`, 'Log starting offset: 0']);
    expect(lines[3]).toMatch(/^# raftOnly kind: term-start term: 1 index: 1 offset: 0/);
    const payloads = [...text.matchAll(/^\| offset: (\d+) .* payload: (.*)$/gm)].map(
      ([, offset, payload]) => [offset, payload],
    );
    expect(payloads).toEqual([
      ['0', 'one'],
      ['1', 'two'],
      ['2', 'three'],
      ['3', 'four'],
      ['4', 'five'],
    ]);
    expect(text).toMatch(/^baseOffset: 3 lastOffset: 4 count: 2 .* compresscodec: zstd .* isvalid: true$/m);
  });

  it('dump --json prints one object a line', async () => {
    const text = await cli.text(['log', 'dump', '--json', '--deep-iteration', directory]);
    const items = text
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(items).toContainEqual(expect.objectContaining({ type: 'batch', file: segment, baseOffset: 3 }));
    expect(items).toContainEqual(expect.objectContaining({ type: 'record', file: segment, offset: 4 }));
    expect(items).toContainEqual(expect.objectContaining({ type: 'recoveryPoint', endOffset: 5 }));
    expect(items).not.toContainEqual(expect.objectContaining({ type: 'fault' }));
  });

  it('dump decodes the metadata log', async () => {
    const text = await cli.text([
      'log',
      'dump',
      '--cluster-metadata-decoder',
      join(directory, '__cluster_metadata-0'),
    ]);
    expect(text).toMatch(/payload: \{"type":"TOPIC_RECORD","version":0,"data":\{"name":"orders",/);
  });

  it('repair has nothing to do', async () => {
    expect(await cli.text(['log', 'repair', directory])).toBe('There is nothing to repair.\n');
  });
});

describe('on a damaged segment', () => {
  beforeAll(() => flip(100));

  it('verify says where, dump goes on, both end with exit code 1', async () => {
    const verified = await cli.run(['log', 'verify', directory]);
    expect(verified.code).toBe(1);
    expect(verified.stdout).toContain(
      `damage: ${segment}, position 83, offset 0: the CRC does not fit the batch`,
    );
    const dumped = await cli.run(['log', 'dump', segment]);
    expect(dumped.code).toBe(1);
    expect(dumped.stdout).toContain(`# ${segment}, position 83: the CRC does not fit the batch`);
    expect(dumped.stdout).toMatch(/^baseOffset: 3 .* isvalid: true$/m);
    const objects = await cli.run(['log', 'verify', '--json', directory]);
    const [finding] = objects.stdout
      .split('\n')
      .map((line): unknown => (line === '' ? {} : JSON.parse(line)));
    expect(finding).toMatchObject({
      type: 'finding',
      kind: 'damage',
      file: segment,
      position: 83,
      offset: 0,
    });
  });

  it('repair leaves it unless told to give up what follows; then the broker takes writes again', async () => {
    const left = await cli.run(['log', 'repair', directory]);
    expect(left).toMatchObject({ code: 5 });
    expect(left.stdout).toContain('--accept-data-loss');
    const planned = await cli.run(['log', 'repair', '--accept-data-loss', '--dry-run', directory]);
    expect(planned.stdout).toContain('Would do: sets 00000000000000000000.log aside');
    expect(readdirSync(partition).some((name) => name.includes('damaged'))).toBe(false);
    expect((await cli.run(['log', 'repair', '--accept-data-loss', directory])).code).toBe(0);
    expect(readdirSync(partition)).toContain('00000000000000000000.log.given-up');
    expect((await cli.run(['log', 'verify', directory])).code).toBe(0);
    const broker = await startBroker({ port: 0, storage: 'disk', dataDir: directory });
    const again = new CommandLine(`127.0.0.1:${broker.port}`);
    await again.text(['produce', 'orders'], { input: 'six\n' });
    expect(await again.text(['consume', 'orders', '--from', 'start', '--until', 'end'])).toBe('six\n');
    await broker.close();
  });
});

describe('a path that cannot be inspected', () => {
  it.each([
    [['log', 'verify', join(directory, 'nowhere')], 2, /does not exist/],
    [['log', 'dump', tmpdir()], 2, /neither a data directory nor the directory of a partition/],
    [['log', 'dump', import.meta.filename], 2, /neither a directory nor a file of a log/],
    [['log', 'repair', segment], 1, /is one file: repair its directory/],
    [['log', 'dump', '--max-bytes', 'many', directory], 2, /--max-bytes must be a whole number/],
    [['log', 'dump', '--offsets-decoder', '--cluster-metadata-decoder', directory], 2, /Only one decoder/],
    [['log', 'verify'], 2, /missing required argument/],
  ] as const)('%j: a sentence', async (args, code, sentence) => {
    const outcome = await cli.run(args);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).toMatch(sentence);
  });
});
