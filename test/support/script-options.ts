/** The options of the project's own scripts: `--help` prints their usage, and so does an option that there is not. */
import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';

/** As `parseArgs`. Ends the process with code 0 after `--help`, and with 2 where the options cannot be understood. */
export function scriptOptions<Config extends ParseArgsConfig>(
  usage: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  const args = config.args ?? process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    process.stderr.write(`${error.message}\n\n${usage}\n`);
    return process.exit(2);
  }
}
