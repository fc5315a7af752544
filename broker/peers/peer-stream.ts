/**
 * One connection between two nodes, from its first byte: a greeting, then frames. Whatever cannot be read ends it, and it alone.
 */
import type { BufferPool, Lease } from '../../platform/buffer-pool.ts';
import type { Clock } from '../../platform/clock.ts';
import { FrameCutter } from '../../platform/frame-cutter.ts';
import type { ByteReceiver, ByteStream } from '../../platform/network.ts';
import type { PeerTraffic } from './peer-traffic.ts';
import { GreetingReader, NoGreeting } from './greeting-reader.ts';
import { ProtocolError } from '../../protocol/index.ts';

/** What came is no frame that a node sends. */
export class MalformedFrame extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedFrame';
  }
}

/** The lease's one reference is the receiver's. */
export type FrameReceiver = (frame: Buffer, lease: Lease) => void;

/** From this size on the memory of a frame comes from a pool, where there is one. */
const pooledBytesMin = 64 * 1024;

export interface PeerStreamOptions {
  readonly clock: Clock;
  /** Shared by all connections; see FrameCutter. */
  readonly scratch: Buffer;
  /** May throw NoGreeting or ProtocolError, as `onFrame` may ProtocolError or MalformedFrame. */
  readonly onGreeting: (body: Buffer) => void;
  /** Runs once; MalformedFrame, NoGreeting or ProtocolError where the other side sent what cannot be read. */
  readonly onEnd: (error: Error | undefined) => void;
}

export class PeerStream {
  readonly stream: ByteStream;
  /** Of the node at the other end, once it is known. */
  traffic: PeerTraffic | undefined;
  readonly #options: PeerStreamOptions;
  /** undefined: no bytes are expected. */
  #receiver: ByteReceiver | undefined;
  #onFrame: FrameReceiver | undefined;
  #cutter: FrameCutter | undefined;
  /** When bytes last came; the start where none have. */
  heardMs: number;
  #isEnding = false;
  #hasEnded = false;
  #onDrain: (() => void) | undefined;

  /** Takes the stream over. To be called in the macrotask in which it came to be. */
  constructor(stream: ByteStream, options: PeerStreamOptions) {
    this.stream = stream;
    this.#options = options;
    this.heardMs = options.clock.monotonicMs();
    this.#receiver = new GreetingReader((body) => {
      this.#receiver = undefined;
      options.onGreeting(body);
    });
    stream.onBytes({
      target: () => this.#receiver?.target() ?? options.scratch,
      received: (count) => this.#received(count),
    });
    stream.onDrain(() => this.#onDrain?.());
    stream.onClose((error) => this.#end(error));
  }

  /** Nothing more can be written. */
  get hasEnded(): boolean {
    return this.#hasEnded || this.#isEnding;
  }

  get address(): string {
    return `${this.stream.remote.host}:${this.stream.remote.port}`;
  }

  /**
   * Frames of at most `frameBytesMax` come from here on. To be called when the greeting has come. Large ones lie in memory of the
   * pool; without one each frame is the receiver's for good.
   */
  expectFrames(frameBytesMax: number, onFrame: FrameReceiver, pool?: BufferPool): void {
    this.#onFrame = onFrame;
    this.#cutter = new FrameCutter({
      scratch: this.#options.scratch,
      checkSize: (sizeBytes) => {
        if (sizeBytes < 1 || sizeBytes > frameBytesMax) {
          throw new MalformedFrame(`a frame of ${sizeBytes} bytes, where ${frameBytesMax} are the most`);
        }
      },
      memory: {
        first: (sizeBytes) =>
          pool !== undefined && sizeBytes >= pooledBytesMin ? pool.take(sizeBytes) : ownMemory(sizeBytes),
        more: (sizeBytes, before) =>
          pool === undefined || Buffer.isBuffer(before) ? ownMemory(sizeBytes) : pool.take(sizeBytes),
      },
      onFrame: (frame, lease) => {
        if (this.#hasEnded) {
          lease.release();
          return;
        }
        if (this.traffic !== undefined) this.traffic.receivedFrames++;
        this.#onFrame!(frame, lease);
      },
    });
    this.#receiver = this.#cutter;
  }

  onDrain(handler: () => void): void {
    this.#onDrain = handler;
  }

  /** The parts as one frame, without a copy; see ByteStream.write. */
  writeFrame(parts: readonly Buffer[], sizeBytes: number, onSent?: () => void): boolean {
    const sizeField = Buffer.allocUnsafe(4);
    sizeField.writeInt32BE(sizeBytes);
    if (this.traffic !== undefined) {
      this.traffic.sentFrames++;
      this.traffic.sentBytes += sizeField.length + sizeBytes;
    }
    return this.stream.write([sizeField, ...parts], onSent);
  }

  /** Sends what is waiting, then ends. */
  end(): void {
    if (this.hasEnded) return;
    this.#isEnding = true;
    this.stream.end();
  }

  /** Ends at once, and says so at once. */
  destroy(error?: Error): void {
    this.stream.destroy(error);
    this.#end(error);
  }

  #received(count: number): void {
    if (this.#hasEnded) return;
    this.heardMs = this.#options.clock.monotonicMs();
    if (this.traffic !== undefined) this.traffic.receivedBytes += count;
    try {
      if (this.#receiver === undefined) throw new MalformedFrame('bytes where none are expected');
      this.#receiver.received(count);
    } catch (error) {
      if (!isMalformed(error)) throw error;
      this.destroy(error);
    }
  }

  #end(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#cutter?.abandon();
    this.#receiver = undefined;
    this.#options.onEnd(error);
  }
}

/** A small frame that is kept, as its entries may be for long, must not keep memory of others. */
function ownMemory(sizeBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(sizeBytes);
}

/** Whether the other side sent what no node of a version that we speak sends. */
export function isMalformed(error: unknown): error is Error {
  return error instanceof MalformedFrame || error instanceof NoGreeting || error instanceof ProtocolError;
}
