/**
 * Owns every process that a harness starts: whatever happens to the harness (an error, Ctrl-C, a plain exit), no child
 * outlives it. Children are ended by their own handle, never by name. Used by the conformance, process, fuzz and bench
 * programs; not by unit tests.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Standard output and standard error are appended to this file. */
  readonly logFile: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Written to standard input, which is then closed. */
  readonly input?: string | Buffer;
  /** The command is killed after this long, and counts as failed. */
  readonly timeoutMs?: number;
}

export interface Finished {
  /** null where a signal ended it. */
  readonly code: number | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that failed where success was expected; the message holds what it wrote. */
export class CommandError extends Error {
  readonly finished: Finished;

  constructor(command: string, finished: Finished) {
    const why = finished.timedOut ? 'timed out' : `ended with ${finished.code ?? 'a signal'}`;
    super(`${command} ${why}: ${tail(finished.stderr) || tail(finished.stdout) || 'it wrote nothing'}`);
    this.name = 'CommandError';
    this.finished = finished;
  }
}

export class ChildProcesses {
  readonly #live = new Set<ChildProcess>();

  constructor() {
    process.on('exit', () => this.killAll());
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.once(signal, () => {
        this.killAll();
        process.exit(code);
      });
    }
  }

  /** Starts a long-running process; `ended` resolves with its exit code (null for a signal), never rejects. */
  start(
    command: string,
    args: readonly string[],
    options: StartOptions,
  ): { child: ChildProcess; ended: Promise<number | null> } {
    const log = openSync(options.logFile, 'a');
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#live.add(child);
    const ended = new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(127));
      child.once('exit', (code) => resolve(code));
    }).finally(() => this.#live.delete(child));
    return { child, ended };
  }

  /** Starts a process that is talked to by its standard input and output. */
  converse(command: string, args: readonly string[]): ChildProcessWithoutNullStreams {
    const child = spawn(command, args, { stdio: 'pipe' });
    this.#live.add(child);
    child.once('close', () => this.#live.delete(child));
    // What it cannot take because it has ended shows by its end.
    child.stdin.on('error', () => child.stdin.destroy());
    return child;
  }

  /** Runs a command to its end and gives back what it wrote, whatever its exit code. */
  run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: 'pipe' });
      this.#live.add(child);
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, options.timeoutMs ?? 60_000);
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      // A command may end without reading its input; its exit code then tells the story.
      child.stdin.on('error', () => child.stdin.destroy());
      child.stdin.end(options.input ?? '');
      child.once('error', (error) => {
        clearTimeout(timer);
        this.#live.delete(child);
        reject(error);
      });
      child.once('close', (code) => {
        clearTimeout(timer);
        this.#live.delete(child);
        resolve({
          code,
          timedOut,
          stdout: Buffer.concat(stdout).toString(),
          stderr: Buffer.concat(stderr).toString(),
        });
      });
    });
  }

  /** As `run`, but rejects with CommandError unless the command ends with 0. */
  async mustRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const finished = await this.run(command, args, options);
    if (finished.code !== 0) throw new CommandError(`${command} ${args.slice(0, 6).join(' ')}`, finished);
    return finished;
  }

  killAll(): void {
    for (const child of this.#live) child.kill('SIGKILL');
    this.#live.clear();
  }
}

function tail(text: string): string {
  return text.trim().slice(-1500);
}
