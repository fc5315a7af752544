/** A broker as a process of its own, as a user would start it: it can be killed without warning and started again. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const launcher = fileURLToPath(new URL('../bin/kappalog.js', import.meta.url));

export class BrokerProcess {
  readonly #dataDirectory: string;
  #process: ChildProcess | undefined;
  #port = 0;
  /** This end is asked for. */
  #isEnding = false;

  constructor(dataDirectory: string) {
    this.#dataDirectory = dataDirectory;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Starts it, on a free port the first time and on the same one ever after; resolves with the milliseconds until it was ready. */
  async start(): Promise<number> {
    const began = performance.now();
    const child = spawn(
      process.execPath,
      [
        launcher,
        'start',
        '--port',
        String(this.#port),
        '--http-port',
        'off',
        '--data-dir',
        this.#dataDirectory,
        '--log-level',
        'warn',
        '-o',
        'json',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#process = child;
    this.#isEnding = false;
    child.once('exit', (code, signal) => {
      if (!this.#isEnding) process.stderr.write(`The broker ended by itself (${signal ?? code}).\n`);
    });
    const ended = new Promise<never>((_, reject) => {
      child.once('exit', (code, signal) =>
        reject(new Error(`The broker ended while it started (${signal ?? code}).`)),
      );
    });
    const ready = new Promise<number>((resolve) => {
      createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line).port));
    });
    this.#port = await Promise.race([ready, ended]);
    ended.catch(() => undefined);
    return performance.now() - began;
  }

  /** kill -9: no warning, nothing flushed; resolves when it is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Asks it to stop in order; resolves when it has. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#isEnding = true;
    child.kill(signal);
    await gone;
  }
}
