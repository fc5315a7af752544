import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { CommandLine, type RunningCommand } from './support.ts';

const shell = new CommandLine('127.0.0.1:1');
const launcher = fileURLToPath(new URL('../../bin/kappalog.js', import.meta.url));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kappalog-start-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Ready {
  readonly port: number;
  readonly httpPort: number | null;
  readonly dataDir: string;
}

/** Starts a broker and waits until it says that it is ready. */
async function start(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ command: RunningCommand; ready: Ready }> {
  const command = shell.start(
    ['start', '--port', '0', '-o', 'json', '--log-level', 'warn', ...args],
    environment,
  );
  const ready: Ready = JSON.parse(await command.stdoutMatching(/\n/));
  return { command, ready };
}

describe('kappalog start', () => {
  it('says where it listens, serves HTTP, keeps what it was given, and stops cleanly', async () => {
    const data = join(directory, 'kept');
    const first = await start(['--data-dir', data, '--http-port', '0', '--set', 'num.partitions=5']);
    expect(first.ready).toMatchObject({ ready: true, host: '127.0.0.1', dataDir: data });
    const health = await fetch(`http://127.0.0.1:${first.ready.httpPort}/health/ready`);
    expect(health.status).toBe(200);
    const cli = new CommandLine(`127.0.0.1:${first.ready.port}`);
    expect(await cli.text(['topic', 'create', 'kept'])).toContain('with 5 partitions');
    await cli.text(['produce', 'kept', '-p', '3'], { input: 'a\nb\n' });
    expect(await first.command.signal('SIGTERM')).toMatchObject({ code: 0, stderr: '' });

    const second = await start(['--http-port', 'off'], { KAPPALOG_DATA_DIR: data });
    expect(second.ready.httpPort).toBeNull();
    const again = new CommandLine(`127.0.0.1:${second.ready.port}`);
    expect(await again.text(['consume', 'kept', '--until', 'end'])).toBe('a\nb\n');
    expect(await second.command.signal('SIGINT')).toMatchObject({ code: 0 });
  });

  it('tells people in words', async () => {
    const command = shell.start([
      'start',
      '--port',
      '0',
      '--http-port',
      '0',
      '--data-dir',
      join(directory, 'words'),
      '--advertised-host',
      'kafka.example:9999',
      '--log-level',
      'warn',
    ]);
    const text = await command.stdoutMatching(/stop/);
    expect(text).toMatch(
      /^Kappalog is ready \(\d+ ms\)\.\n {2}Kafka clients {3}127\.0\.0\.1:\d+\n {2}they are told {3}kafka\.example:9999\n {2}HTTP {12}http:/,
    );
    await command.signal('SIGTERM');
  });

  it.each([
    ['waits for the other voters', '--voters', /missing/],
    ['waits to be let into a cluster', '--join', /cannot be joined yet/],
  ])('ends when it is told to while it %s', async (_, option, said) => {
    const port = await freePort();
    const others = option === '--join' ? '127.0.0.1:1' : `1@127.0.0.1:${port},2@127.0.0.1:2,3@127.0.0.1:3`;
    const ports = ['--port', '0', '--http-port', 'off', '--internal-port', `${port}`];
    const data = ['--data-dir', join(directory, `waits${option}`)];
    const command = shell.start(['start', ...ports, ...data, option, others]);
    await command.stderrMatching(said);
    const { code, stdout, stderr } = await command.signal('SIGTERM');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/Stopped on SIGTERM, before it was ready\./);
  });

  it('takes a config file', async () => {
    const file = join(directory, 'kappalog.properties');
    await writeFile(file, `data-dir=${join(directory, 'from-file')}\nhttp-port=off\nnum.partitions=7\n`);
    const { command, ready } = await start(['--config', file]);
    expect(ready).toMatchObject({ httpPort: null, dataDir: join(directory, 'from-file') });
    expect(await new CommandLine(`127.0.0.1:${ready.port}`).text(['topic', 'create', 't'])).toContain(
      'with 7 partitions',
    );
    await command.signal('SIGTERM');
  });
});

describe('a broker whose first data directory fails while it runs', () => {
  it('says so in one sentence and ends with exit code 1, whatever that disk still takes', async () => {
    const [first, second] = [join(directory, 'failing'), join(directory, 'whole')];
    const { command, ready } = await start(['--data-dir', `${first},${second}`, '--http-port', 'off']);
    await rm(first, { recursive: true });
    const cli = new CommandLine(`127.0.0.1:${ready.port}`);
    await cli.run(['topic', 'create', 'lost', '--timeout', '1s']);
    const { code, stderr } = await command.ended;
    expect(code).toBe(1);
    const sentence = `The data directory ${first}, which holds the metadata log, has failed: Could not `;
    expect(stderr.trimEnd().split('\n').at(-1)).toContain(sentence);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('kappalog start refuses, in one sentence and with exit code 1,', () => {
  const refusal = async (args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await shell.run(['start', '--port', '0', '--http-port', 'off', ...args]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^error: [A-Z"/].*\.\n$/);
    return stderr;
  };

  it('a port in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const message = await refusal(['--port', String(port), '--data-dir', join(directory, 'port')]);
    expect(message).toContain(`127.0.0.1:${port} is in use`);
    expect(await refusal(['--http-port', String(port), '--data-dir', join(directory, 'port')])).toContain(
      '--http-port',
    );
    server.close();
  });

  it("a directory that holds something else's files", async () => {
    const foreign = join(directory, 'foreign');
    await mkdir(foreign);
    await writeFile(join(foreign, 'thesis.doc'), 'precious');
    expect(await refusal(['--data-dir', foreign])).toContain('thesis.doc');
  });

  it('a directory that is a file, or cannot be made', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    expect(await refusal(['--data-dir', file])).toContain(file);
    expect(await refusal(['--data-dir', join(file, 'below')])).toContain(join(file, 'below'));
  });

  it('a directory of a newer format', async () => {
    const newer = join(directory, 'newer');
    await mkdir(newer);
    await writeFile(
      join(newer, 'meta.properties'),
      'version=1\nkappalog.format=99\ncluster.id=x\nnode.id=1\ndirectory.id=y\n',
    );
    expect(await refusal(['--data-dir', newer])).toContain('format 99');
  });

  it('a directory that another broker has', async () => {
    const shared = join(directory, 'shared');
    const { command } = await start(['--http-port', 'off', '--data-dir', shared]);
    expect(await refusal(['--data-dir', shared])).toContain(shared);
    await command.signal('SIGTERM');
  });

  it('a setting that is not honoured, does not exist, or has a wrong value, by name', async () => {
    const data = ['--data-dir', join(directory, 'settings')];
    expect(await refusal([...data, '--set', 'num.io.threads=8'])).toContain('num.io.threads');
    expect(await refusal([...data, '--set', 'no.such.setting=1'])).toContain('no.such.setting');
    expect(await refusal([...data, '--set', 'num.partitions=many'])).toContain('num.partitions');
  });

  it('a config file that is not there', async () => {
    expect(await refusal(['--config', join(directory, 'absent.json')])).toContain(
      'absent.json could not be read',
    );
  });

  it('an address that no client could use', async () => {
    expect(
      await refusal(['--data-dir', join(directory, 'advertised'), '--advertised-host', 'a b']),
    ).toContain('"a b"');
  });
});

describe('a Node that is too old', () => {
  const old = ((): string | undefined => {
    for (const candidate of ['/usr/bin/node', '/usr/local/bin/node']) {
      try {
        const version = execFileSync(candidate, ['--version'], { encoding: 'utf8' });
        if (Number(/^v(\d+)/.exec(version)?.[1]) < 24) return candidate;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      }
    }
    return undefined;
  })();

  it.skipIf(old === undefined)("runs the command with the repository's own Node", () => {
    expect(execFileSync(old!, [launcher, '--version'], { encoding: 'utf8' })).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.skipIf(old === undefined)('is told in a sentence where there is no other', async () => {
    const bin = join(directory, 'elsewhere', 'bin');
    await mkdir(bin, { recursive: true });
    await writeFile(join(directory, 'elsewhere', 'package.json'), '{ "type": "module" }');
    const copy = join(bin, 'kappalog.js');
    await writeFile(copy, execFileSync('cat', [launcher]));
    const failure = ((): { status: number; stderr: string } => {
      try {
        execFileSync(old!, [copy, 'start'], { encoding: 'utf8', stdio: 'pipe' });
      } catch (error) {
        if (error instanceof Error && 'status' in error && 'stderr' in error) {
          return { status: Number(error.status), stderr: String(error.stderr) };
        }
        throw error;
      }
      throw new Error('It started.');
    })();
    expect(failure.status).toBe(1);
    expect(failure.stderr).toMatch(
      /^kappalog needs Node 24 or newer and this is Node \d+\.\d+\.\d+: install .*\n$/,
    );
  });
});
