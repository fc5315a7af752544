import { CliError, usageError } from '../cli-error.ts';
import { startOptions, type ConfigurationLayer } from './start-options.ts';

const optionNames: ReadonlySet<string> = new Set(
  startOptions.filter((each) => each.inFile).map((each) => each.name),
);

/**
 * Reads a config file's text: a JSON object, or lines of `key=value` with `#` before comments. Keys that are start options
 * are taken as such; all others are broker settings, which the broker checks. In JSON, settings may also stand in an
 * object named `settings`. Throws a usage error that names the file and, where there is one, the line.
 */
export function parseConfigFile(text: string, file: string): ConfigurationLayer {
  const entries = text.trimStart().startsWith('{') ? jsonEntries(text, file) : lineEntries(text, file);
  const options = new Map<string, string>();
  const settings = new Map<string, string>();
  for (const [key, value] of entries) (optionNames.has(key) ? options : settings).set(key, value);
  return { options, settings, origin: file };
}

/** Reads the file; throws a CliError where that fails. */
export async function readConfigFile(file: string): Promise<ConfigurationLayer> {
  const { readFile } = await import('node:fs/promises');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('CONFIG_FILE', `The config file ${file} could not be read (${reason}).`, { cause });
  }
  return parseConfigFile(text, file);
}

function jsonEntries(text: string, file: string): [string, string][] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw usageError(
      `${file} is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
  if (!isRecord(document)) throw usageError(`${file} must hold a JSON object.`);
  const { settings, ...rest } = document;
  if (settings !== undefined && !isRecord(settings))
    throw usageError(`"settings" in ${file} must be an object.`);
  return [...Object.entries(rest), ...Object.entries(settings ?? {})].map(([key, value]) => [
    key,
    scalarText(key, value, file),
  ]);
}

function lineEntries(text: string, file: string): [string, string][] {
  return text.split('\n').flatMap((line, index): [string, string][] => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) return [];
    const equals = trimmed.indexOf('=');
    if (equals <= 0) throw usageError(`Line ${index + 1} of ${file} must be key=value, not "${trimmed}".`);
    return [[trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim()]];
  });
}

function scalarText(key: string, value: unknown, file: string): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  throw usageError(`"${key}" in ${file} must be text, a number or true or false.`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
