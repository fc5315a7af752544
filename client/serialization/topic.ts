/** Topics whose keys and values have types: what goes in is serialized, what comes out is what it was. */
import type { Consumer } from '../consumer/consumer.ts';
import { invalidArgument, KafkaError } from '../errors.ts';
import type { Message, MessageInput, ProducerRecord, RecordMetadata } from '../messages.ts';
import type { CallOptions } from '../options.ts';
import type { Producer } from '../producer/producer.ts';
import type { Serde } from './serde.ts';

export interface TypedInput<Key, Value> extends Omit<MessageInput, 'key' | 'value'> {
  readonly key?: Key | null;
  /** Null deletes: a tombstone. */
  readonly value: Value | null;
}

export interface TypedMessage<Key, Value> extends Omit<Message, 'key' | 'value'> {
  readonly key: Key | null;
  readonly value: Value | null;
  /** As it was read: what `consumer.commit` takes. */
  readonly raw: Message;
}

export interface TypedMessagesOptions extends CallOptions {
  /**
   * Told of each message whose bytes cannot be read, which is passed over when this has settled: write it to a dead-letter topic, say.
   * Without it the iteration ends with the error, and the message is not finished with.
   */
  readonly onUndecodable?: (error: UndecodableError) => void | Promise<void>;
}

/** `code` is SERIALIZATION_FAILED; `cause` what the serde has thrown. */
export class UndecodableError extends KafkaError {
  /** Whose bytes they are. */
  readonly raw: Message;

  constructor(raw: Message, part: 'key' | 'value', cause: unknown) {
    const { topic, partition, offset } = raw;
    super(
      'SERIALIZATION_FAILED',
      `The ${part} of ${topic}-${partition} at offset ${offset} cannot be read: ${reasonOf(cause)}. ` +
        'Pass `onUndecodable` to go on without such messages.',
      { cause },
    );
    this.name = 'UndecodableError';
    this.raw = raw;
  }
}

export interface TopicSerdes<KeyRead, KeyWritten, ValueRead, ValueWritten> {
  readonly key: Serde<KeyRead, KeyWritten>;
  readonly value: Serde<ValueRead, ValueWritten>;
}

/** A topic of any cluster: it knows its name and how its keys and values are written, nothing else. */
export class Topic<KeyRead, ValueRead, KeyWritten = KeyRead, ValueWritten = ValueRead> {
  readonly name: string;
  readonly #key: Serde<KeyRead, KeyWritten>;
  readonly #value: Serde<ValueRead, ValueWritten>;

  constructor(name: string, { key, value }: TopicSerdes<KeyRead, KeyWritten, ValueRead, ValueWritten>) {
    this.name = name;
    this.#key = key;
    this.#value = value;
  }

  /** As `producer.send`. Rejects with SERIALIZATION_FAILED where a serde refuses the key or the value: nothing is sent then. */
  async send(
    producer: Producer,
    message: TypedInput<KeyWritten, ValueWritten>,
    options: CallOptions = {},
  ): Promise<RecordMetadata> {
    return producer.send(await this.record(message), options);
  }

  /** The record for `producer.add` or `producer.send`. */
  async record(message: TypedInput<KeyWritten, ValueWritten>): Promise<ProducerRecord> {
    const { key = null, value } = message;
    return {
      ...message,
      topic: this.name,
      key: key === null ? null : await this.#serialize(this.#key, key, true),
      value: value === null ? null : await this.#serialize(this.#value, value, false),
    };
  }

  /** Rejects with an UndecodableError. Throws INVALID_ARGUMENT for a message of another topic. */
  async decode(raw: Message): Promise<TypedMessage<KeyRead, ValueRead>> {
    const { name: topic } = this;
    if (raw.topic !== topic) {
      throw invalidArgument(`A message of the topic ${raw.topic} is not one of ${topic}.`);
    }
    const read = async <T>(part: 'key' | 'value', serde: Serde<T, never>): Promise<T | null> => {
      const bytes = raw[part];
      if (bytes === null) return null;
      try {
        return await serde.deserialize(bytes, { topic, isKey: part === 'key' });
      } catch (error) {
        throw new UndecodableError(raw, part, error);
      }
    };
    return { ...raw, key: await read('key', this.#key), value: await read('value', this.#value), raw };
  }

  /** As `consumer.messages`, of a consumer that reads this topic alone; what is finished with, and committed, is the same. */
  async *messages(
    consumer: Consumer,
    { onUndecodable, ...options }: TypedMessagesOptions = {},
  ): AsyncGenerator<TypedMessage<KeyRead, ValueRead>, undefined> {
    for await (const raw of consumer.messages(options)) {
      let message: TypedMessage<KeyRead, ValueRead>;
      try {
        message = await this.decode(raw);
      } catch (error) {
        if (onUndecodable === undefined || !(error instanceof UndecodableError)) throw error;
        await onUndecodable(error);
        continue;
      }
      yield message;
    }
    return undefined;
  }

  async #serialize<Written>(serde: Serde<unknown, Written>, value: Written, isKey: boolean) {
    try {
      return await serde.serialize(value, { topic: this.name, isKey });
    } catch (error) {
      const part = isKey ? 'key' : 'value';
      throw new KafkaError(
        'SERIALIZATION_FAILED',
        `A ${part} for the topic ${this.name} cannot be written: ${reasonOf(error)}.`,
        { cause: error },
      );
    }
  }
}

/** A topic with typed keys and values: `topic('orders', { key: serde.string, value: serde.json(Order) })`. */
export function topic<KeyRead, KeyWritten, ValueRead, ValueWritten>(
  name: string,
  serdes: TopicSerdes<KeyRead, KeyWritten, ValueRead, ValueWritten>,
): Topic<KeyRead, ValueRead, KeyWritten, ValueWritten> {
  return new Topic(name, serdes);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
