/** Kafka's error codes, from protocol/configs/error-codes.json. */
import { errorCodes, errors } from './catalogue.ts';
import type { ErrorInfo } from './catalogue.ts';
import type { ErrorCodes } from './generated/messages.js';

/** Codes by name: `ErrorCode.NOT_LEADER_OR_FOLLOWER`. */
export const ErrorCode: ErrorCodes = errorCodes;
export type ErrorCode = ErrorCodes[keyof ErrorCodes];
export type ErrorName = keyof ErrorCodes;

const infoByCode = new Map(errors.map((error) => [error.code, error]));

/** What is known of a code. One that is not known is not retriable. */
export function errorInfo(code: number): ErrorInfo {
  return (
    infoByCode.get(code) ?? { code, name: `UNKNOWN_ERROR_${code}`, retriable: false, refreshMetadata: false }
  );
}

export function errorName(code: number): string {
  return errorInfo(code).name;
}
