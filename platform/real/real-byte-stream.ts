import { Socket } from 'node:net';
import type { OnReadOpts } from 'node:net';
import { deliver } from '../network.ts';
import type { Address, ByteReceiver, ByteStream } from '../network.ts';
import { networkError } from './network-error.ts';

/** `write` returns false above this many unsent bytes; `onDrain` runs below the low mark. */
const highMarkBytes = 1024 * 1024;
const lowMarkBytes = 256 * 1024;

const empty = Buffer.alloc(0);

/** One connected socket, plain or TLS. Made by RealNetwork only. */
export class RealByteStream implements ByteStream {
  readonly local: Address;
  readonly remote: Address;
  readonly #socket: Socket;
  /** Where bytes land for which there is no receiver's memory yet; taken from it before the next read. */
  readonly #landing: Buffer | undefined;
  #onClose: ((error?: Error) => void) | undefined;
  #onDrain: (() => void) | undefined;
  /** Why the stream ended, where it was not by agreement. */
  #error: Error | undefined;
  /** A `write` has returned false and `onDrain` has not run since. */
  #isBlocked = false;
  #hasEnded = false;
  #receiver: ByteReceiver | undefined;
  #onData: ((chunk: Buffer) => void) | undefined;
  /** Where the next bytes go; undefined: where they land. */
  #target: Buffer | undefined;

  /**
   * A connection that a listener has accepted and not begun to read. Node gives the memory of a socket's reads into its
   * user's hands (`onread`) for sockets that connect, not for those that are accepted; so the accepted connection gets a
   * socket of its own here. One read then fills as much of a request as has arrived, and no garbage is made for it.
   */
  static accept(accepted: Socket, landing: Buffer): RealByteStream {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Node's types leave out the handle below a socket.
    const owner = accepted as unknown as { _handle: unknown };
    const handle = owner._handle;
    if (handle === null || handle === undefined) return new RealByteStream(accepted);
    owner._handle = null;
    let stream: RealByteStream | undefined;
    const options = { handle, onread: RealByteStream.reading(landing, () => stream) };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nor do they know that a socket can be given one.
    const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
    socket.setNoDelay(true);
    stream = new RealByteStream(socket, landing);
    return stream;
  }

  /** For a socket that is still to be made: its reads go where its stream says, and land where there is none yet. */
  static reading(landing: Buffer, streamOf: () => RealByteStream | undefined): OnReadOpts {
    return {
      buffer: () => streamOf()?.nextTarget() ?? landing,
      callback: (count) => {
        streamOf()!.landed(count);
        return true;
      },
    };
  }

  constructor(socket: Socket, landing?: Buffer) {
    this.#socket = socket;
    this.#landing = landing;
    this.local = { host: socket.localAddress ?? '', port: socket.localPort ?? 0 };
    this.remote = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    socket.on('error', (error) => {
      this.#error ??= networkError(
        error,
        `go on with the connection to ${this.remote.host}:${this.remote.port}`,
      );
    });
    socket.on('close', () => this.#onClose?.(this.#error));
  }

  onData(handler: (chunk: Buffer) => void): void {
    if (this.#landing === undefined) {
      this.#socket.on('data', (chunk: Buffer) => {
        if (!this.#hasEnded) handler(chunk);
      });
    } else {
      this.#onData = handler;
    }
  }

  onBytes(receiver: ByteReceiver): void {
    if (this.#landing === undefined) this.onData((chunk) => deliver(chunk, receiver));
    else this.#receiver = receiver;
  }

  /** For the socket of `accept`: it asks after each read, and once before there is a receiver. */
  nextTarget(): Buffer {
    this.#target = this.#receiver?.target() ?? this.#landing!;
    return this.#target;
  }

  landed(count: number): void {
    if (this.#hasEnded) return;
    const landing = this.#landing!;
    if (this.#onData !== undefined) this.#onData(Buffer.from(landing.subarray(0, count)));
    else if (this.#receiver !== undefined) {
      if (this.#target === undefined || this.#target === landing)
        deliver(landing.subarray(0, count), this.#receiver);
      else this.#receiver.received(count);
    }
  }

  onClose(handler: (error?: Error) => void): void {
    this.#onClose = handler;
  }

  onDrain(handler: () => void): void {
    this.#onDrain = handler;
  }

  write(parts: readonly Buffer[], onSent?: () => void): boolean {
    const socket = this.#socket;
    const last = parts.length - 1;
    // Corking hands all the parts to the socket's writev together.
    socket.cork();
    for (let index = 0; index < last; index++) socket.write(parts[index]!);
    socket.write(parts[last] ?? empty, () => {
      onSent?.();
      this.#maybeDrain();
    });
    socket.uncork();
    if (socket.writableLength > highMarkBytes) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#hasEnded) this.#socket.resume();
  }

  end(): void {
    this.#hasEnded = true;
    this.#socket.end();
    // A paused socket would never see the peer's end.
    this.#socket.resume();
  }

  destroy(error?: Error): void {
    if (error !== undefined) this.#error ??= error;
    this.#socket.destroy();
  }

  #maybeDrain(): void {
    if (!this.#isBlocked || this.#socket.destroyed || this.#socket.writableLength > lowMarkBytes) return;
    this.#isBlocked = false;
    this.#onDrain?.();
  }
}
