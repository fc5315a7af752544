/**
 * The records that applications hand over and get back. Keys, values and headers are bytes on the wire; text is
 * taken as UTF-8. `null` is a value of its own (a tombstone) and differs from an empty one.
 */

/** Bytes of a key, a value or a header: text is written as UTF-8. */
export type Content = string | Buffer | Uint8Array | null;

/** Headers to send: an object, or a list of pairs, which keeps order and repeated keys. */
export type HeadersInput =
  | Readonly<Record<string, Content>>
  | readonly (readonly [key: string, value: Content])[];

/** What is sent, without its topic. */
export interface MessageInput {
  readonly key?: Content;
  readonly value: Content;
  readonly headers?: HeadersInput;
  /** Milliseconds since the Unix epoch; the client's wall clock where absent. */
  readonly timestamp?: number;
  /** By the key's murmur2 hash where absent, as Java's client does; without a key, whole batches go to one partition after another. */
  readonly partition?: number;
}

export interface ProducerRecord extends MessageInput {
  readonly topic: string;
}

/** Where a record was stored. `offset` is -1 with `acks: 0`, which asks for no answer. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The record's timestamp: the time of append where the topic says `message.timestamp.type=LogAppendTime`. */
  readonly timestamp: number;
}

/** A header as read: pairs in the order in which they were written, repeated keys included. */
export type Header = readonly [key: string, value: Buffer | null];

/** A record as read. `key` and `value` are slices of what came from the broker: copy those that live long. */
export interface Message {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the Unix epoch; -1 where the producer gave none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
  /** The epoch of the leader that wrote it; -1 where unknown. */
  readonly leaderEpoch: number;
}

/** Consecutive messages of one partition. */
export interface MessageBatch {
  readonly topic: string;
  readonly partition: number;
  /** In order of offset; never empty. */
  readonly messages: readonly Message[];
  /** The partition's end, as its leader knew it when it answered. */
  readonly highWatermark: number;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}
