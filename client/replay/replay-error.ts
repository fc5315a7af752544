export type ReplayErrorCode =
  | 'UNKNOWN_PARTITION'
  | 'EMPTY_RANGE'
  | 'OWN_SOURCE'
  | 'INVALID_OPTION'
  | 'UNKNOWN_DESTINATION'
  | 'SOURCE_RECREATED'
  | 'DEFINITION_CHANGED'
  | 'RECORDS_DELETED'
  | 'RECORD_FAILED';

/** Which record a filter, a transform or a handler failed at. */
export interface RecordCoordinates {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Why a replay cannot start or go on. The message says what to do; none of these goes away by trying again. */
export class ReplayError extends Error {
  readonly code: ReplayErrorCode;
  readonly retriable = false;
  readonly record: RecordCoordinates | undefined;

  constructor(
    code: ReplayErrorCode,
    message: string,
    options: { cause?: unknown; record?: RecordCoordinates } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'ReplayError';
    this.code = code;
    this.record = options.record;
  }
}
