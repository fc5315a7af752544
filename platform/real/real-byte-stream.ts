import type { Socket } from 'node:net';
import type { Address, ByteStream } from '../network.ts';
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
  #onClose: ((error?: Error) => void) | undefined;
  #onDrain: (() => void) | undefined;
  /** Why the stream ended, where it was not by agreement. */
  #error: Error | undefined;
  /** A `write` has returned false and `onDrain` has not run since. */
  #isBlocked = false;
  #hasEnded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
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
    this.#socket.on('data', (chunk: Buffer) => {
      if (!this.#hasEnded) handler(chunk);
    });
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
