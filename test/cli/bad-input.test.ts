import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { CommandLine, jsonLines } from './support.ts';

let broker: Broker;
let cli: CommandLine;

beforeAll(async () => {
  broker = await startBroker({ port: 0, storage: 'memory' });
  cli = new CommandLine(`127.0.0.1:${broker.port}`);
  await cli.text(['topic', 'create', 'orders', '-p', '2']);
  await cli.text(['produce', 'orders'], { input: '1\n2\n3\n4\n5\n' });
});
afterAll(() => broker.close());

describe('a time that cannot be parsed', () => {
  it.each([
    ['consume', 'orders', '--from', 'yesterday'],
    ['consume', 'orders', '--until', '2026-02-30'],
    ['replay', 'orders', '--from', 'last week'],
    ['produce', 'orders', '--timestamp', 'noon'],
  ])('%s %s %s %s: a sentence with examples, exit code 2', async (...args) => {
    const { code, stdout, stderr } = await cli.run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/write (one like|start, end).*2026-11-22T14:30:00Z/);
  });
});

describe('a typo in the name of a topic', () => {
  it.each([
    [['consume', 'oders']],
    [['produce', 'oders']],
    [['replay', 'oders']],
    [['replay', 'orders', '--to', 'oders']],
    [['topic', 'alter', 'oders', '-p', '3']],
    [['topic', 'describe', 'oders']],
  ])('in %j creates nothing, suggests the name, exit code 3', async (args) => {
    const { code, stdout, stderr } = await cli.run(args, { input: 'x\n' });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toBe(
      'error: There is no topic "oders", and nothing was created. Did you mean "orders"?\n',
    );
  });

  afterAll(async () => {
    expect(await cli.json(['topic', 'list'])).toMatchObject({ topics: [{ name: 'orders' }] });
  });
});

describe('an invalid JSON line', () => {
  it('is told with its number, and what became of the rest', async () => {
    await cli.text(['topic', 'create', 'invalid', '-p', '1']);
    const input = '{"value":"one"}\n{"value":"two"}\n{"value":\n{"value":"four"}\n';
    const { code, stderr } = await cli.run(['produce', 'invalid', '--format', 'json'], { input });
    expect(code).toBe(5);
    expect(stderr).toMatch(
      /^error: Line 3 could not be read: .*The lines before it were written \(2 records to invalid\); this one and all after it were not\.\n$/,
    );
    expect(await cli.text(['consume', 'invalid', '--until', 'end'])).toBe('one\ntwo\n');
  });

  it('is left out and counted with --on-error skip', async () => {
    await cli.text(['topic', 'create', 'skipped', '-p', '1']);
    const input = '{"value":"one"}\n[]\n{"value":"three"}\n';
    const { code, stdout, stderr } = await cli.run(
      ['produce', 'skipped', '--format', 'json', '--on-error', 'skip', '-o', 'json'],
      { input },
    );
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ records: 2, invalid: [{ line: 2 }] });
    expect(jsonLines(stderr)).toMatchObject([{ warning: expect.stringContaining('Line 2 was left out') }]);
    expect(await cli.text(['consume', 'skipped', '--until', 'end'])).toBe('one\nthree\n');
  });
});

describe('a wrong command line', () => {
  it.each([
    [[], /Usage: kappalog/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['topic', 'crate', 'x'], /Did you mean create/],
    [['consume'], /missing required argument 'topic'/],
    [['consume', 'orders', '--nope'], /unknown option '--nope'/],
    [['consume', 'orders', '-o', 'xml'], /Allowed choices are table, json/],
    [['consume', 'orders', '-n', 'many'], /--count must be a whole number from 1, not "many"/],
    [['consume', 'orders', '-f', '%q'], /%q, which means nothing/],
    [['consume', 'orders', '-g', 'g', '--until', 'end'], /reading without a group/],
    [['consume', 'orders', '--from', 'end', '--until', 'end'], /ends before it starts/],
    [['produce', 'orders', '-k', 'a', '-K', ':'], /--key or --key-separator, not both/],
    [['produce', 'orders', '--acks', '2'], /Allowed choices are all, 1, 0/],
    [['topic', 'create', 'x', '-p', '0'], /--partitions must be a whole number from 1/],
    [['topic', 'create', 'x', '-c', 'nonsense'], /--config takes KEY=VALUE/],
    [['replay', 'orders', '--filter', 'message.'], /--filter is not a JavaScript expression/],
    [['replay', 'orders', '--speed', 'fast'], /--speed must be a positive number/],
    [['replay', 'orders', '--restart'], /--restart needs --id/],
    [['consume', 'orders', '--timeout', 'soon'], /is not a length of time/],
  ])('%j says what is wrong, exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await cli.run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it('is told in JSON with -o json', async () => {
    const { code, stderr } = await cli.run(['consume', 'orders', '--from', 'noon', '-o', 'json']);
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'USAGE', retriable: false } });
  });
});

describe('no broker', () => {
  it('is told at once, with what to do', async () => {
    const began = performance.now();
    const { code, stderr } = await new CommandLine('127.0.0.1:1').run(['topic', 'list']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: No broker listens at 127\.0\.0\.1:1 \(connection refused\)\. Start one with "kappalog start"/,
    );
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('consume | head', () => {
  const shell = async (command: string): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const child = spawn('bash', ['-c', command], {
      env: { ...process.env, KAPPALOG_BROKERS: `127.0.0.1:${broker.port}` },
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const [code] = await once(child, 'close');
    return { code: Number(code), stdout, stderr };
  };
  const kappalog = `${process.execPath} bin/kappalog.js`;

  it('ends quietly with exit code 0, though no further record comes', async () => {
    const { stdout, stderr } = await shell(
      `${kappalog} consume orders -p 0,1 -q | head -2; echo "codes \${PIPESTATUS[*]}"`,
    );
    expect(stdout).toMatch(/^\d\n\d\ncodes 0 0\n$/);
    expect(stderr).toBe('');
  });

  it('ends so in the middle of many records', async () => {
    await cli.text(['topic', 'create', 'many', '-p', '1']);
    await cli.text(['produce', 'many'], {
      input: Array.from({ length: 200_000 }, (_, index) => `record ${index}\n`).join(''),
    });
    const { stdout, stderr } = await shell(
      `${kappalog} consume many -o json | head -3 | wc -l; echo "codes \${PIPESTATUS[*]}"`,
    );
    expect(stdout).toMatch(/^3\n/);
    expect(stderr).toBe('');
  });
});

describe('Ctrl-C', () => {
  it('while producing keeps what was read, says how much, and ends with 130', async () => {
    await cli.text(['topic', 'create', 'half', '-p', '1']);
    const produce = cli.start(['produce', 'half']);
    produce.process.stdin.write('one\ntwo\nthr');
    const watching = cli.start(['consume', 'half', '-n', '2']);
    expect(await watching.stdoutMatching(/one\ntwo\n/)).toBe('one\ntwo\n');
    expect(await produce.signal('SIGINT')).toEqual({
      code: 130,
      stdout: '',
      stderr: 'Wrote 2 records to half.\n',
    });
    expect((await watching.ended).code).toBe(0);
  });

  it('twice ends a command at once', async () => {
    const consume = cli.start(['consume', 'orders', '-g', 'twice']);
    await consume.stdoutMatching(/\d/);
    consume.process.kill('SIGINT');
    const { code } = await consume.signal('SIGINT');
    expect([0, 130]).toContain(code);
  });
});
