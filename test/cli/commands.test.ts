import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { CommandLine, jsonLines } from './support.ts';

let broker: Broker;
let cli: CommandLine;

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  cli = new CommandLine(`127.0.0.1:${broker.port}`);
});
afterAll(() => broker.close());

describe('topics', () => {
  it('are created, listed, described, altered and deleted', async () => {
    expect(await cli.text(['topic', 'create', 'life', '-p', '2', '-c', 'retention.ms=-1'])).toBe(
      'Created topic life with 2 partitions, 1 replica each.\n',
    );
    expect(await cli.text(['topic', 'list'])).toMatch(/^life +2 +1$/m);
    await cli.text([
      'topic',
      'alter',
      'life',
      '-p',
      '3',
      '-c',
      'max.message.bytes=5000',
      '--delete-config',
      'retention.ms',
    ]);
    expect(await cli.json(['topic', 'describe', 'life'])).toMatchObject({
      topics: [
        {
          name: 'life',
          partitions: [0, 1, 2].map((partition) => ({ partition, startOffset: 0, endOffset: 0 })),
          configs: [{ name: 'max.message.bytes', value: '5000', source: 'topic' }],
        },
      ],
    });
    const refused = await cli.run(['topic', 'delete', 'life']);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('This deletes life (0 records) for good. Add --yes');
    expect(await cli.json(['topic', 'delete', 'life', '--yes'])).toEqual({ deleted: ['life'] });
    expect((await cli.run(['topic', 'describe', 'life'])).code).toBe(3);
  });

  it('say what is there when the second of two cannot be created', async () => {
    const { code, stderr } = await cli.run(['topic', 'create', 'first-of-two', 'bad name']);
    expect(code).toBe(5);
    expect(stderr).toMatch(/INVALID_TOPIC_EXCEPTION.*Created before that: first-of-two\./);
  });

  it('give up their oldest records, once somebody has said yes', async () => {
    await cli.text(['topic', 'create', 'old', '-p', '2']);
    await cli.run(['produce', 'old', '-p', '1', '--timestamp', '2026-11-22'], { input: 'a\nb\nc\nd\n' });
    const refused = await cli.run(['topic', 'delete-records', 'old', '--before', '-1']);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('This deletes 3 records of old for good. Add --yes');
    const deleted = (...more: string[]) => cli.json(['topic', 'delete-records', 'old', '--yes', ...more]);
    expect(await deleted('--before', '1')).toEqual({
      partitions: [
        { partition: 0, startOffset: 0, endOffset: 0, deleted: 0 },
        { partition: 1, startOffset: 1, endOffset: 4, deleted: 1 },
      ],
    });
    expect(await deleted('--before', '-1', '-p', '1')).toMatchObject({
      partitions: [{ partition: 1, startOffset: 3, deleted: 2 }],
    });
    expect(await deleted('--before', '2026-11-22')).toMatchObject({ partitions: [{}, { startOffset: 3 }] });
    expect(await deleted('--before', '2026-11-23')).toMatchObject({ partitions: [{}, { startOffset: 4 }] });
    expect(await cli.text(['consume', 'old', '--until', 'end'])).toBe('');
    expect((await cli.run(['topic', 'delete-records', 'old', '--before', 'end', '-p', '2', '-y'])).code).toBe(
      3,
    );
  });

  it('take space in data directories', async () => {
    await cli.text(['topic', 'create', 'sized', '-p', '2']);
    expect(await cli.text(['log-dirs', 'sized', '--partitions'])).toMatch(
      /^\/kappalog on broker 1: 2 partitions with [\d,]+ bytes, [\d,]+ of [\d,]+ bytes free\n\n.*\nsized +0 +\d+ +current\nsized +1 +\d+ +current\n$/,
    );
    expect(await cli.json(['log-dirs', 'sized'])).toMatchObject({
      directories: [
        { broker: 1, path: '/kappalog', error: null, partitions: [{ topic: 'sized' }, { partition: 1 }] },
      ],
    });
    expect((await cli.run(['log-dirs', 'no-such-topic'])).code).toBe(3);
  });

  it('are not created by a dry run', async () => {
    expect(await cli.text(['topic', 'create', 'dry', '--dry-run'])).toContain('Could create topic dry');
    expect((await cli.run(['topic', 'describe', 'dry'])).code).toBe(3);
  });
});

describe('records', () => {
  it('go in as lines and come out as they went in', async () => {
    await cli.text(['topic', 'create', 'lines', '-p', '1']);
    const produced = await cli.run(
      ['produce', 'lines', '-K', ':', '-H', 'a=1', '--timestamp', '2026-11-22'],
      {
        input: 'k1:v1\nk2:v:2\n:\n',
      },
    );
    expect(produced).toEqual({ code: 0, stdout: '', stderr: 'Wrote 3 records to lines.\n' });
    expect(await cli.text(['consume', 'lines', '--until', 'end'])).toBe('v1\nv:2\n\n');
    expect(await cli.text(['consume', 'lines', '--until', 'end', '-f', '%p@%o %T %k=%v [%h]\\n'])).toBe(
      '0@0 2026-11-22T00:00:00.000Z k1=v1 [a=1]\n0@1 2026-11-22T00:00:00.000Z k2=v:2 [a=1]\n0@2 2026-11-22T00:00:00.000Z = [a=1]\n',
    );
  });

  it('go through JSON lines with every byte, compressed', async () => {
    await cli.text(['topic', 'create', 'json-in', 'json-out', '-p', '1']);
    const records = [
      {
        key: 'a',
        value: 'x',
        headers: [
          ['h', 'one'],
          ['h', null],
        ],
        timestamp: 1_000_000_000_000,
      },
      { key: null, value: { base64: '/wD+' }, headers: [], timestamp: 1_000_000_000_001 },
      {
        key: { base64: '/w==' },
        value: null,
        headers: [['b', { base64: '/g==' }]],
        timestamp: 1_000_000_000_002,
      },
    ];
    const input = records.map((record) => `${JSON.stringify(record)}\n`).join('');
    const written = await cli.json(['produce', 'json-in', '--format', 'json', '-z', 'zstd'], { input });
    expect(written).toEqual({
      topic: 'json-in',
      records: 3,
      partitions: [{ partition: 0, records: 3, firstOffset: 0, lastOffset: 2 }],
      invalid: [],
    });
    const lines = await cli.text(['consume', 'json-in', '--until', 'end', '-o', 'json']);
    expect(jsonLines(lines)).toEqual(
      records.map((record, offset) => ({ topic: 'json-in', partition: 0, offset, ...record })),
    );
    await cli.text(['produce', 'json-out', '--format', 'json'], { input: lines });
    const again = await cli.text(['consume', 'json-out', '--until', 'end', '-o', 'json']);
    expect(again.replaceAll('json-out', 'json-in')).toBe(lines);
  });

  it('are read from offsets, the last ones, times, and up to them', async () => {
    await cli.text(['topic', 'create', 'range', '-p', '1']);
    const start = Date.UTC(2026, 0, 1);
    const input = Array.from({ length: 10 }, (_, hour) =>
      JSON.stringify({ value: `v${hour}`, timestamp: start + hour * 3_600_000 }),
    ).join('\n');
    await cli.text(['produce', 'range', '--format', 'json'], { input });
    const read = async (...args: string[]) =>
      (await cli.text(['consume', 'range', ...args])).split('\n').filter(Boolean).join(' ');
    const found = await Promise.all([
      read('--from', '7', '--until', 'end'),
      read('--from', '-2', '--until', 'end'),
      read('--from', '2026-01-01T03:00:00Z', '--until', '2026-01-01T07:00:00+02:00'),
      read('--from', '2026-01-01T08:30', '--until', 'end'),
      read('--from', '3', '--until', '5'),
      read('--from', `@${start + 3_600_000}`, '--count', '2'),
      read('--from', '2027-01-01', '--until', 'end'),
    ]);
    expect(found).toEqual(['v7 v8 v9', 'v8 v9', 'v3 v4', 'v9', 'v3 v4', 'v1 v2', '']);
  });

  it('are read from some partitions only', async () => {
    await cli.text(['topic', 'create', 'parts', '-p', '3']);
    await Promise.all(
      [0, 1, 2].map((partition) =>
        cli.text(['produce', 'parts', '-p', String(partition)], { input: `p${partition}\n` }),
      ),
    );
    const text = await cli.text(['consume', 'parts', '-p', '0,2', '--until', 'end']);
    expect(text.split('\n').sort()).toEqual(['', 'p0', 'p2']);
    expect((await cli.run(['consume', 'parts', '-p', '3', '--until', 'end'])).stderr).toContain(
      'has 3 partitions and no partition 3',
    );
    expect(await cli.run(['produce', 'parts', '-p', '3'], { input: 'x\n' })).toMatchObject({ code: 3 });
  });

  it('that come later are printed as they come, until Ctrl-C, which is a clean end', async () => {
    await cli.text(['topic', 'create', 'live', '-p', '1']);
    await cli.text(['produce', 'live'], { input: 'old\n' });
    const consume = cli.start(['consume', 'live', '--from', 'end']);
    const whole = cli.start(['consume', 'live']);
    await whole.stdoutMatching(/old\n/);
    // Where the end is, is settled by the first record that is seen; so records are written until one is.
    let written = 0;
    const seen = consume.stdoutMatching(/new\n/).then(() => true);
    while (!(await Promise.race([seen, cli.text(['produce', 'live'], { input: 'new\n' }).then(() => false)])))
      written += 1;
    expect(written).toBeLessThan(50);
    await whole.stdoutMatching(/old\nnew\n/);
    expect(await consume.signal('SIGINT')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^(new\n)+$/),
    });
    expect(await whole.signal('SIGTERM')).toMatchObject({ code: 0 });
  });
});

describe('groups', () => {
  it('go on where they were, and show their lag', async () => {
    await cli.text(['topic', 'create', 'jobs', '-p', '1']);
    await cli.text(['produce', 'jobs'], { input: '1\n2\n3\n' });
    expect(await cli.text(['consume', 'jobs', '-g', 'workers', '-n', '2'])).toBe('1\n2\n');
    expect(await cli.json(['group', 'describe', 'workers'])).toMatchObject({
      groups: [
        {
          groupId: 'workers',
          state: 'Empty',
          lag: 1,
          partitions: [{ topic: 'jobs', partition: 0, committed: 2, end: 3, lag: 1 }],
        },
      ],
    });
    expect(await cli.text(['consume', 'jobs', '-g', 'workers', '-n', '1'])).toBe('3\n');
    expect(await cli.text(['group', 'list'])).toMatch(/^workers +Empty/m);
    expect((await cli.run(['group', 'describe', 'worker'])).stderr).toContain('Did you mean "workers"?');
    await cli.text(['group', 'delete', 'workers', '-y']);
    expect((await cli.run(['group', 'describe', 'workers'])).code).toBe(3);
  });
});
