/** How keys or values of one kind become the bytes of records, and come back from them. */
import type { Content } from '../messages.ts';

/** Which bytes of which record these are. */
export interface SerdeContext {
  readonly topic: string;
  readonly isKey: boolean;
}

/** `Read` comes out of a record, `Written` goes in. What either throws, or rejects with, becomes the cause of a SERIALIZATION_FAILED. */
export interface Serde<Read, Written = Read> {
  /** Never null: that is a record without a key, or a tombstone, which no serde is asked about. */
  serialize(value: Written, context: SerdeContext): NonNullable<Content> | Promise<NonNullable<Content>>;
  /** `bytes` are a slice of what came from the broker: copy what lives long. */
  deserialize(bytes: Buffer, context: SerdeContext): Read | Promise<Read>;
}
