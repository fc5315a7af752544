/** Runs the command line as its users do: as a process, with real pipes and signals. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const launcher = fileURLToPath(new URL('../../bin/kappalog.js', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What stdin holds; nothing where absent. */
  readonly input?: string | Buffer;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The command line of one broker. */
export class CommandLine {
  readonly #brokers: string;

  constructor(brokers: string) {
    this.#brokers = brokers;
  }

  /** Runs to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const child = this.start(args, options.environment);
    child.process.stdin.end(options.input ?? '');
    return child.ended;
  }

  /** Runs to its end, which must be a success, and gives stdout. */
  async text(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`kappalog ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** As `text` with -o json, parsed. */
  async json(args: readonly string[], options: RunOptions = {}): Promise<unknown> {
    return JSON.parse(await this.text([...args, '-o', 'json'], options));
  }

  /** Starts a command that goes on until something ends it. */
  start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): RunningCommand {
    return new RunningCommand(
      spawn(process.execPath, [launcher, ...args], {
        env: { ...process.env, KAPPALOG_BROKERS: this.#brokers, NO_COLOR: '1', ...environment },
      }),
    );
  }
}

export class RunningCommand {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Outcome>;
  #stdout = '';
  #stderr = '';
  #onOutput: (() => void)[] = [];

  constructor(child: ChildProcessWithoutNullStreams) {
    this.process = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#grow(() => (this.#stdout += text)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#grow(() => (this.#stderr += text)));
    // A command that ends early leaves nobody to read what it is given.
    child.stdin.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
        this.#grow(() => undefined);
      });
    });
  }

  /** Resolves with all of stdout so far as soon as it matches. */
  async stdoutMatching(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#stdout)) await this.#nextOutput();
    return this.#stdout;
  }

  async stderrMatching(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#stderr)) await this.#nextOutput();
    return this.#stderr;
  }

  /** Sends a signal and waits for the end. */
  async signal(signal: NodeJS.Signals): Promise<Outcome> {
    this.process.kill(signal);
    return this.ended;
  }

  #nextOutput(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) {
      throw new Error(`The command has ended. stdout: ${this.#stdout} stderr: ${this.#stderr}`);
    }
    return new Promise((resolve) => this.#onOutput.push(resolve));
  }

  #grow(add: () => unknown): void {
    add();
    const waiting = this.#onOutput;
    this.#onOutput = [];
    for (const wake of waiting) wake();
  }
}

/** A record as the command line prints it. */
export interface RecordLine {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string;
  readonly value: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** The lines of JSON in a text; the caller asserts what is in them. */
export function jsonLines<T = RecordLine>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): T => JSON.parse(line));
}
