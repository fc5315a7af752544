/** Serdes of single values, byte for byte those of Kafka's own serializers (org.apache.kafka.common.serialization). */
import type { Serde } from './serde.ts';

/** UTF-8. Bytes that are none are an error, and nothing is replaced. */
export const string: Serde<string> = {
  serialize: (value) => {
    if (typeof value !== 'string') throw new TypeError(`a string is wanted, not ${typeof value}`);
    return value;
  },
  deserialize: (bytes) => utf8.decode(bytes),
};

/** As they are. */
export const bytes: Serde<Buffer, Buffer | Uint8Array> = {
  serialize: (value) => value,
  deserialize: (value) => value,
};

/** 4 bytes, big-endian (IntegerSerializer). */
export const int32: Serde<number> = {
  serialize: (value) => {
    const written = Buffer.alloc(4);
    written.writeInt32BE(value);
    return written;
  },
  deserialize: (read) => sized(read, 4).readInt32BE(),
};

/** 8 bytes, big-endian (LongSerializer), of whole numbers that a `number` holds exactly: within 2^53 of zero. */
export const int64: Serde<number> = {
  serialize: (value) => {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no whole number within 2^53 of zero`);
    const written = Buffer.alloc(8);
    written.writeBigInt64BE(BigInt(value));
    return written;
  },
  deserialize: (read) => {
    const value = sized(read, 8).readBigInt64BE();
    if (!Number.isSafeInteger(Number(value)))
      throw new RangeError(`${value} is beyond 2^53: read it as bytes`);
    return Number(value);
  },
};

/** 8 bytes of IEEE 754, big-endian (DoubleSerializer). */
export const float64: Serde<number> = {
  serialize: (value) => {
    const written = Buffer.alloc(8);
    written.writeDoubleBE(value);
    return written;
  },
  deserialize: (read) => sized(read, 8).readDoubleBE(),
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function sized(read: Buffer, sizeBytes: number): Buffer {
  if (read.length !== sizeBytes) throw new RangeError(`${sizeBytes} bytes are wanted, not ${read.length}`);
  return read;
}
