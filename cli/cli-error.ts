import { ExitCode } from './exit-codes.ts';

/**
 * What a command tells its user when it cannot go on: one sentence (with what to do, where that is known), a stable code
 * for `-o json`, and the exit code. Everything else that is thrown in cli/ is either a KafkaError or a bug.
 */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'CliError';
    this.code = code;
    this.exitCode = options.exitCode ?? ExitCode.error;
  }
}

/** The command line asks for something that cannot be; nothing was done. */
export function usageError(message: string, cause?: unknown): CliError {
  return new CliError('USAGE', message, { exitCode: ExitCode.usage, cause });
}

export interface DescribedError {
  readonly code: string;
  readonly message: string;
  readonly retriable: boolean;
  readonly exitCode: ExitCode;
}

const notFoundCodes = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'GROUP_ID_NOT_FOUND',
  'RESOURCE_NOT_FOUND',
  'UNKNOWN_PARTITION',
  'UNKNOWN_DESTINATION',
]);
const usageCodes = new Set(['EMPTY_RANGE', 'INVALID_OPTION', 'INVALID_ARGUMENT', 'OWN_SOURCE']);
const timeoutCodes = new Set(['TIMED_OUT', 'REQUEST_TIMED_OUT', 'DELIVERY_TIMEOUT', 'CONNECTION_TIMED_OUT']);

/** Puts any failure into words. An error without a code of its own is a bug or an error of the system, told as it is. */
export function describeError(error: unknown): DescribedError {
  if (error instanceof CliError) {
    return { code: error.code, message: error.message, retriable: false, exitCode: error.exitCode };
  }
  if (!(error instanceof Error)) {
    return { code: 'ERROR', message: String(error), retriable: false, exitCode: ExitCode.error };
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ERROR';
  const retriable = 'retriable' in error && error.retriable === true;
  return { code, message: error.message, retriable, exitCode: exitCodeOf(code) };
}

function exitCodeOf(code: string): ExitCode {
  if (notFoundCodes.has(code)) return ExitCode.notFound;
  if (timeoutCodes.has(code)) return ExitCode.timeout;
  if (usageCodes.has(code)) return ExitCode.usage;
  return ExitCode.error;
}
