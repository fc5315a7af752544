/**
 * The text of a setting turned into its value, by Kafka's rules for types and allowed values. Pure; a bad value is an
 * answer (`ConfigFault`), not an exception, as it comes from users.
 *
 * Integers are parsed exactly: a LONG beyond 2^53 (Kafka's "unlimited" is 2^63 - 1) keeps its digits in `text`, and its
 * `value` is the nearest double.
 */
import { assert } from '../../platform/assert.ts';
import type { ConfigDefinition, ConfigType, ListRules } from './config-definition.ts';

export type ConfigValue = boolean | number | string | readonly string[] | null;

export interface ParsedConfig {
  readonly kind: 'value';
  readonly value: ConfigValue;
  /** The canonical text, as Kafka shows it: trimmed, `true` for `TRUE`, `7` for `007`. */
  readonly text: string;
}

export interface ConfigFault {
  readonly kind: 'fault';
  /** What is wrong with the value and what would be right, as a clause: "must be at least 1". */
  readonly reason: string;
}

const integerRanges: Readonly<Partial<Record<ConfigType, readonly [bigint, bigint]>>> = {
  SHORT: [-(2n ** 15n), 2n ** 15n - 1n],
  INT: [-(2n ** 31n), 2n ** 31n - 1n],
  LONG: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** Parses and checks one value against its definition. */
export function parseConfigValue(definition: ConfigDefinition, text: string): ParsedConfig | ConfigFault {
  const trimmed = text.trim();
  const parsed = parseByType(definition, trimmed);
  if (parsed.kind === 'fault') return parsed;
  const reason = definition.valid === undefined ? undefined : checkAllowed(definition.valid, parsed);
  return reason === undefined ? parsed : fault(reason);
}

/** The value of a setting that is known to be a number. */
export function numberOf(name: string, parsed: ParsedConfig | undefined): number {
  const value = parsed?.value;
  assert(typeof value === 'number', `${name} is a number`);
  return value;
}

/** The value of a setting that is known to be a truth value. */
export function booleanOf(name: string, parsed: ParsedConfig | undefined): boolean {
  const value = parsed?.value;
  assert(typeof value === 'boolean', `${name} is true or false`);
  return value;
}

function parseByType(definition: ConfigDefinition, text: string): ParsedConfig | ConfigFault {
  switch (definition.type) {
    case 'BOOLEAN':
      return parseBoolean(text);
    case 'SHORT':
    case 'INT':
    case 'LONG':
      return parseInteger(definition.type, text);
    case 'DOUBLE':
      return parseDouble(text);
    case 'LIST':
      return parseList(definition.list, text);
    default:
      return { kind: 'value', value: text, text };
  }
}

function parseBoolean(text: string): ParsedConfig | ConfigFault {
  const lower = text.toLowerCase();
  if (lower !== 'true' && lower !== 'false') return fault('must be either true or false');
  return { kind: 'value', value: lower === 'true', text: lower };
}

function parseInteger(type: 'SHORT' | 'INT' | 'LONG', text: string): ParsedConfig | ConfigFault {
  const [low, high] = integerRanges[type] ?? [0n, 0n];
  if (!/^[+-]?\d{1,20}$/.test(text)) return fault(`is not a number of type ${type}`);
  const exact = BigInt(text.startsWith('+') ? text.slice(1) : text);
  if (exact < low || exact > high) return fault(`is not a number of type ${type} (${low} to ${high})`);
  return { kind: 'value', value: Number(exact), text: exact.toString() };
}

function parseDouble(text: string): ParsedConfig | ConfigFault {
  const value = Number(text);
  if (text === '' || Number.isNaN(value)) return fault('is not a number of type DOUBLE');
  return { kind: 'value', value, text: Number.isInteger(value) ? value.toFixed(1) : String(value) };
}

function parseList(rules: ListRules | undefined, text: string): ParsedConfig | ConfigFault {
  const values = text === '' ? [] : text.split(',').map((part) => part.trim());
  if (rules !== undefined) {
    if (values.length === 0 && !rules.emptyAllowed) return fault('must not be empty');
    if (values.includes('')) return fault('must not hold empty entries');
    if (rules.distinct && new Set(values).size !== values.length)
      return fault('must not hold an entry twice');
    const foreign = values.find((value) => rules.of !== undefined && !rules.of.includes(value));
    if (foreign !== undefined)
      return fault(`must hold only ${rules.of?.join(', ')}, and "${foreign}" is not one`);
  }
  return { kind: 'value', value: values, text: values.join(',') };
}

/** Returns what is wrong, if anything, by the small language of the `valid` column. */
function checkAllowed(valid: string, parsed: ParsedConfig): string | undefined {
  if (valid.startsWith('[partitionId]')) return checkThrottledReplicas(parsed);
  if (valid.startsWith('non-empty')) return parsed.text === '' ? 'must not be empty' : undefined;
  const orElse = / or (-?\d+)$/.exec(valid);
  if (orElse !== null && parsed.text === orElse[1]) return undefined;
  const range = /^\[(-?[\d.]+),\.\.\.(?:,(-?[\d.]+))?\]/.exec(valid);
  if (range !== null) return checkRange(range[1] ?? '', range[2], parsed);
  const choice = /^(\(case insensitive\) )?\[([^\]]*)\]$/.exec(valid);
  if (choice !== null) return checkChoice((choice[2] ?? '').split(', '), choice[1] !== undefined, parsed);
  return undefined;
}

function checkRange(low: string, high: string | undefined, parsed: ParsedConfig): string | undefined {
  const value = Number(parsed.value);
  if (value < Number(low)) return `must be at least ${low}`;
  if (high !== undefined && value > Number(high)) return `must be no more than ${high}`;
  return undefined;
}

function checkChoice(choices: readonly string[], anyCase: boolean, parsed: ParsedConfig): string | undefined {
  const allowed = anyCase
    ? choices.some((choice) => choice.toLowerCase() === parsed.text.toLowerCase())
    : choices.includes(parsed.text);
  return allowed ? undefined : `must be one of ${choices.join(', ')}`;
}

function checkThrottledReplicas(parsed: ParsedConfig): string | undefined {
  if (parsed.text === '' || parsed.text === '*') return undefined;
  if (/^\d+:\d+(,\d+:\d+)*$/.test(parsed.text)) return undefined;
  return 'must be "*" or a list of the form partition:broker,partition:broker';
}

function fault(reason: string): ConfigFault {
  return { kind: 'fault', reason };
}
