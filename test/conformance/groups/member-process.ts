/** A member of a group as a process: what it owns, telling it to leave, killing it. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { ChildProcesses } from '../../support/child-processes.ts';
import type { Journal } from './journal.ts';
import type { MemberCommand, MemberConfig, MemberEvent } from './line-protocol.ts';

/** A kind of consumer that members are made of. */
export interface MemberClient {
  readonly name: string;
  /** Whether it commits when it likes and does not tell: then nobody knows where others have to begin. */
  readonly isSilent?: boolean;
  /** Whether it may drop, and yet commit, a record that comes just as it is told to end: then nothing must come. */
  readonly losesLast?: boolean;
  /** Whether it may hand out, and commit, what it owns no more; then only contents are compared, and that nothing is passed over. */
  readonly readsOn?: boolean;
  /** Whether an assignor of its own may leave shares uneven. */
  readonly isUneven?: boolean;
  /** Of a member that was told to leave or stop; 0 where absent. */
  readonly exitCode?: string;
  command(config: MemberConfig): readonly [command: string, args: readonly string[]];
  /** For programs that do not speak the line protocol: what they write, as events. `leave` and `stop` are then SIGTERM. */
  readonly translate?: () => Translator;
}

export interface Translator {
  stdout(line: string): MemberEvent[];
  stderr(line: string): MemberEvent[];
}

const keptErrors = 30;

export class MemberProcess {
  readonly name: string;
  readonly client: MemberClient;
  readonly config: MemberConfig;
  /** By `topic/partition`. */
  owned: Set<string> = new Set();
  /** How often what it owns has changed. */
  changes = 0;
  hasEnded = false;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<string>;
  readonly #errors: string[] = [];
  readonly #journal: Journal;
  #failure: string | undefined;
  #isToEnd = false;

  constructor(
    children: ChildProcesses,
    journal: Journal,
    of: { readonly client: MemberClient; readonly name: string; readonly config: MemberConfig },
  ) {
    const { client, name, config } = of;
    this.#journal = journal;
    this.name = name;
    this.client = client;
    this.config = config;
    this.#child = children.converse(...client.command(config));
    const translator = client.translate?.();
    const onLine = (line: string): void => {
      if (translator !== undefined) for (const event of translator.stdout(line)) this.#take(event);
      else if (line !== '') this.#take(parse(line));
    };
    createInterface({ input: this.#child.stdout }).on('line', onLine);
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      for (const event of translator?.stderr(line) ?? []) this.#take(event);
      this.#errors.push(line);
      if (this.#errors.length > keptErrors) this.#errors.shift();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (code, signal) => resolve(`${code ?? signal}`));
    });
    void this.#ended.then((how) => {
      this.hasEnded = true;
      this.owned = new Set();
      if (!this.#isToEnd) this.#failure ??= `it ended by itself with ${how}`;
      journal.touch();
    });
  }

  /** Throws where it has failed, or has ended untold. */
  check(): void {
    if (this.#failure !== undefined)
      throw new Error(`Member ${this.name} failed: ${this.#failure}\n${this.errors}`);
  }

  /** The last lines of its standard error. */
  get errors(): string {
    return this.#errors.join('\n');
  }

  /** It commits, leaves the group and ends; resolves when it has ended. */
  leave(timeoutMs: number): Promise<void> {
    return this.#finish('leave', timeoutMs);
  }

  /** It commits and ends as a static member that comes back. */
  stop(timeoutMs: number): Promise<void> {
    return this.#finish('stop', timeoutMs);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#isToEnd = true;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async #finish(command: MemberCommand['command'], timeoutMs: number): Promise<void> {
    this.#isToEnd = true;
    if (this.client.translate === undefined) this.#child.stdin.write(`${JSON.stringify({ command })}\n`);
    else this.#child.kill('SIGTERM');
    await this.#journal.until(`${this.name} is to ${command}`, timeoutMs, () =>
      this.hasEnded ? undefined : `it still runs; ${this.errors}`,
    );
    const how = await this.#ended;
    if (how !== (this.client.exitCode ?? '0')) this.#failure ??= `told to ${command}, it ended with ${how}`;
    this.check();
  }

  #take(event: MemberEvent): void {
    if (event.event === 'owns') {
      const lists = Object.entries(event.partitions);
      const owned = new Set(
        lists.flatMap(([topic, list]) => list.map((partition) => `${topic}/${partition}`)),
      );
      if (owned.symmetricDifference(this.owned).size > 0) this.changes += 1;
      this.owned = owned;
    }
    if (event.event === 'failed') this.#failure = event.error;
    this.#journal.add({ member: this.name, event });
  }
}

function parse(line: string): MemberEvent {
  try {
    const event: MemberEvent = JSON.parse(line);
    return event;
  } catch {
    return { event: 'failed', at: 0, error: `it wrote '${line}', which is not of the line protocol` };
  }
}
