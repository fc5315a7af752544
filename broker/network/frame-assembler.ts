/**
 * Cuts a connection's byte stream into Kafka's frames: INT32 size, then that many bytes.
 *
 * A frame's bytes are copied once, into a buffer of its own, because batches in it live on in the log's write queue and
 * tail cache long after the socket's chunk. Memory follows what has arrived, never what a size claims.
 */
export class FrameAssembler {
  readonly #frameBytesMax: number;
  readonly #sizeBytes = Buffer.alloc(4);
  #sizeFilled = 0;
  #frame: Buffer | undefined;
  #frameSize = 0;
  #filled = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes held for a frame that is not complete. */
  get partialBytes(): number {
    return this.#frame?.length ?? 0;
  }

  /** Takes a chunk and hands out each frame that it completes, in order. Throws a FrameError for a size that cannot be. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#frame === undefined) {
        position = this.#readSize(chunk, position);
        if (this.#frame === undefined) return;
      }
      position = this.#fill(chunk, position);
      if (this.#filled === this.#frameSize) {
        const frame: Buffer = this.#frame!;
        this.#frame = undefined;
        onFrame(frame);
      }
    }
  }

  #readSize(chunk: Buffer, start: number): number {
    let position = start;
    if (this.#sizeFilled === 0 && chunk.length - position >= 4) {
      this.#begin(chunk.readInt32BE(position));
      return position + 4;
    }
    while (this.#sizeFilled < 4 && position < chunk.length) {
      this.#sizeBytes[this.#sizeFilled++] = chunk[position++]!;
    }
    if (this.#sizeFilled === 4) this.#begin(this.#sizeBytes.readInt32BE(0));
    return position;
  }

  #begin(size: number): void {
    this.#sizeFilled = 0;
    if (size < 8 || size > this.#frameBytesMax) throw new FrameError(size, this.#frameBytesMax);
    this.#frameSize = size;
    this.#filled = 0;
    this.#frame = Buffer.allocUnsafe(Math.min(size, firstAllocationBytes));
  }

  #fill(chunk: Buffer, start: number): number {
    const taken = Math.min(chunk.length - start, this.#frameSize - this.#filled);
    const needed = this.#filled + taken;
    if (needed > this.#frame!.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#frameSize, Math.max(needed, this.#frame!.length * 2)));
      this.#frame!.copy(larger, 0, 0, this.#filled);
      this.#frame = larger;
    }
    chunk.copy(this.#frame!, this.#filled, start, start + taken);
    this.#filled = needed;
    return start + taken;
  }
}

/** Large enough that the usual largest Produce request (a batch of 1 MiB for some partitions) never moves. */
const firstAllocationBytes = 2 * 1024 * 1024;

/** A size that no Kafka request has. What the four bytes look like says what the peer probably speaks. */
export class FrameError extends Error {
  constructor(size: number, frameBytesMax: number) {
    super(describeSize(size, frameBytesMax));
    this.name = 'FrameError';
  }
}

function describeSize(size: number, frameBytesMax: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(size);
  const text = bytes.toString('latin1');
  if (/^(GET |POST|PUT |HEAD|DELE|OPTI|PATC|CONN|PRI )$/.test(text)) {
    return 'the peer speaks HTTP on the Kafka port; the HTTP interface has a port of its own (--http-port)';
  }
  if (bytes[0] === 0x16 && bytes[1] === 0x03) {
    return 'the peer speaks TLS on a plaintext listener; set security.protocol=PLAINTEXT in the client';
  }
  if (size < 8) return `the peer announced a request of ${size} bytes; no Kafka request is shorter than 8`;
  return `the peer announced a request of ${size} bytes; socket.request.max.bytes is ${frameBytesMax}`;
}
