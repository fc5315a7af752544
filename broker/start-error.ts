/** Why a node could not start, as one sentence that says what to do; the command line prints it and ends with 1. */
export type StartErrorCode =
  | 'address-in-use'
  | 'bad-address'
  | 'bad-setting'
  /** Its cluster does not take it, or cannot be formed. */
  | 'cluster'
  | 'damaged'
  | 'directory-locked'
  | 'directory-not-usable'
  | 'foreign-directory'
  | 'newer-format'
  /** It was told to, before it was ready. */
  | 'stopped';

export class StartError extends Error {
  readonly code: StartErrorCode;

  constructor(code: StartErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StartError';
    this.code = code;
  }
}
