/** The one error of this folder: input that breaks the protocol, or a value that the protocol cannot carry. */

export type ProtocolErrorCode =
  /** The input ends before what it announces. */
  | 'short'
  | 'negative-length'
  /** A length or count above a fixed limit, or above what the remaining bytes could hold. */
  | 'too-large'
  | 'trailing-bytes'
  | 'bad-varint'
  /** Tags out of order or given twice. */
  | 'bad-tag'
  | 'unknown-message'
  | 'unsupported-version'
  /** A value is set in a field that the version lacks and may not drop. */
  | 'unsupported-field'
  | 'unsafe-integer'
  | 'null-not-allowed'
  | 'out-of-range'
  /** A value of another type than the field's. */
  | 'bad-value'
  | 'bad-batch'
  | 'bad-record'
  | 'bad-crc'
  | 'bad-compression'
  | 'unsupported-magic'
  | 'decompressed-too-large';

/** Thrown for every malformed input; nothing else is thrown because of what the input holds. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProtocolError';
    this.code = code;
  }
}
