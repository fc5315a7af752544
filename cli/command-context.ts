import type { Interruption } from './interruption.ts';
import type { Output } from './output.ts';

/** What a command is given to work with; main makes one for the command that runs. */
export interface CommandContext {
  readonly output: Output;
  readonly interruption: Interruption;
  readonly stdin: NodeJS.ReadStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the Unix epoch when the command began: what `now` and `-2h` mean in it. */
  readonly nowMs: number;
}

/** Options of every command that talks to a broker. */
export interface ClientOptions {
  readonly brokers: string;
  readonly output: 'table' | 'json';
  readonly quiet?: boolean;
  readonly timeout: string;
  /** Of those that read records: the rack to read in. */
  readonly rack?: string;
}
