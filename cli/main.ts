/**
 * The command's entry: parses the command line, runs one command, and turns its outcome into an exit code. Commands are
 * loaded when they run, as loading the client or the broker takes longer than most commands.
 */
import { CommanderError } from 'commander';
import { describeError } from './cli-error.ts';
import type { CommandContext } from './command-context.ts';
import { ExitCode } from './exit-codes.ts';
import { Interruption } from './interruption.ts';
import { Output, type OutputFormat } from './output.ts';
import { buildProgram } from './program.ts';

/** Runs the command line, sets the process's exit code and ends the process. Never rejects. */
export async function main(args: readonly string[]): Promise<void> {
  const interruption = new Interruption();
  interruption.listen(process);
  const output = new Output(process, {
    format: formatOf(args),
    quiet: args.includes('--quiet') || args.includes('-q'),
  });
  const context: CommandContext = {
    output,
    interruption,
    stdin: process.stdin,
    environment: process.env,
    nowMs: Date.now(),
  };
  const exitCode = await run(args, context);
  await output.flush();
  process.exit(exitCode);
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const program = buildProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return commandLineOutcome(error, context.output);
    // After `| head` has left, an error is only the echo of that; and who pressed Ctrl-C knows it.
    if (context.interruption.reason === 'closed-output') return ExitCode.ok;
    if (isAbort(error) && context.interruption.reason !== undefined) return ExitCode.interrupted;
    const described = describeError(error);
    context.output.error(described);
    return described.exitCode;
  }
}

/** Help and version are no errors; commander has printed them. A wrong command line is told once, in our form. */
function commandLineOutcome(error: CommanderError, output: Output): ExitCode {
  if (error.exitCode === 0) return ExitCode.ok;
  // Asked for a group of commands without naming one: commander has printed its help.
  if (error.code === 'commander.help') return ExitCode.usage;
  const message = error.message.replace(/^error: /, '');
  output.error({ code: 'USAGE', message, retriable: false, exitCode: ExitCode.usage });
  return ExitCode.usage;
}

function isAbort(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && (error.code === 'ABORTED' || error.code === 'ABORT_ERR')
  );
}

/** Known before the command line is parsed, so that errors in it come in the form asked for. */
function formatOf(args: readonly string[]): OutputFormat {
  return /(^| )((-o ?|--output[ =])json|--json)( |$)/.test(args.join(' ')) ? 'json' : 'table';
}
