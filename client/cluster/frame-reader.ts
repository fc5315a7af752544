/** Cuts the bytes of one connection into frames: INT32 size, then that many bytes. Memory grows only as bytes arrive. */
import { KafkaError } from '../errors.ts';

/** Larger answers are taken for something that is not Kafka's protocol: TLS and text read as far larger sizes. */
const frameBytesMax = 256 * 1024 * 1024;
const sizeBytes = 4;

export class FrameReader {
  readonly #onFrame: (frame: Buffer) => void;
  /** Bytes that belong to the frame under way, or to a size that is still incomplete. */
  #chunks: Buffer[] = [];
  #chunkedBytes = 0;
  /** Bytes of the frame under way with its size; undefined while that size is incomplete. */
  #wantedBytes: number | undefined;

  /** `onFrame` gets each frame without its size; it is a slice of what came in, or a fresh buffer. */
  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  /** Takes the next chunk; throws BAD_RESPONSE for a size that cannot be. */
  push(chunk: Buffer): void {
    if (this.#chunkedBytes > 0) {
      this.#chunks.push(chunk);
      this.#chunkedBytes += chunk.length;
      if (this.#chunkedBytes < (this.#wantedBytes ?? sizeBytes)) return;
      chunk = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#chunkedBytes);
      this.#chunks = [];
      this.#chunkedBytes = 0;
    }
    this.#cut(chunk);
  }

  #cut(bytes: Buffer): void {
    let position = 0;
    this.#wantedBytes = undefined;
    while (bytes.length - position >= sizeBytes) {
      const size = bytes.readInt32BE(position);
      if (size < sizeBytes || size > frameBytesMax) throw badSize(bytes, position, size);
      if (bytes.length - position < size + sizeBytes) {
        this.#wantedBytes = size + sizeBytes;
        break;
      }
      const end = position + sizeBytes + size;
      this.#onFrame(bytes.subarray(position + sizeBytes, end));
      position = end;
    }
    if (position < bytes.length) {
      this.#chunks.push(bytes.subarray(position));
      this.#chunkedBytes = bytes.length - position;
    }
  }
}

function badSize(bytes: Buffer, position: number, size: number): KafkaError {
  const start = bytes.subarray(position, position + 16);
  const guess = start.toString('latin1').startsWith('HTTP')
    ? 'It answers in HTTP: this is not the port for Kafka clients.'
    : start[0] === 0x15 || start[0] === 0x16
      ? 'It answers in TLS: set the `tls` option.'
      : 'Check that the address is that of a Kafka port.';
  return new KafkaError('BAD_RESPONSE', `The peer sent a frame of ${size} bytes, which cannot be. ${guess}`);
}
