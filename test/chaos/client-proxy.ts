/**
 * What stands between the clients and one node: passes bytes on at once, or late, or a few at a time, or not at all, without a
 * connection that ends. Each node tells clients this address for its own.
 */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export type ProxyMode =
  | { readonly kind: 'clear' }
  /** All bytes come so much later. */
  | { readonly kind: 'late'; readonly delayMs: number }
  /** So many bytes of each direction, a hundred times a second. */
  | { readonly kind: 'drip'; readonly bytes: number }
  | { readonly kind: 'silent' };

const turnMs = 10;

export class ClientProxy {
  readonly #server: Server;
  readonly #pipes = new Set<Pipe>();
  #mode: ProxyMode = { kind: 'clear' };

  constructor(listen: { readonly host: string; readonly port: number }, to: { host: string; port: number }) {
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client, to));
    this.#server.listen(listen);
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode;
    for (const pipe of this.#pipes) pipe.wake();
  }

  close(): void {
    this.#server.close();
    for (const pipe of this.#pipes) pipe.end();
  }

  #accept(client: Socket, to: { host: string; port: number }): void {
    const node = connect({ ...to, noDelay: true });
    const mode = (): ProxyMode => this.#mode;
    const both = [new Pipe(client, node, mode), new Pipe(node, client, mode)];
    for (const pipe of both) {
      this.#pipes.add(pipe);
      pipe.onEnd = () => {
        for (const each of both) {
          this.#pipes.delete(each);
          each.end();
        }
      };
    }
  }
}

/** One direction. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #mode: () => ProxyMode;
  /** What has come, and when it may go on. */
  readonly #held: { bytes: Buffer; readonly dueMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;
  onEnd: () => void = () => {};

  constructor(from: Socket, to: Socket, mode: () => ProxyMode) {
    this.#from = from;
    this.#to = to;
    this.#mode = mode;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    to.on('drain', () => from.resume());
    for (const socket of [from, to]) {
      // 'close' follows, which ends both directions.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.onEnd());
    }
  }

  wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pass();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    this.#from.destroy();
    this.#to.destroy();
  }

  #take(bytes: Buffer): void {
    const mode = this.#mode();
    const delayMs = mode.kind === 'late' ? mode.delayMs : 0;
    this.#held.push({ bytes, dueMs: performance.now() + delayMs });
    // The sender is to feel it.
    if (mode.kind !== 'clear') this.#from.pause();
    if (this.#timer === undefined) this.#pass();
  }

  #pass(): void {
    const mode = this.#mode();
    this.#timer = undefined;
    if (this.#hasEnded || mode.kind === 'silent') return;
    let left = mode.kind === 'drip' ? mode.bytes : Infinity;
    for (let next = this.#held[0]; next !== undefined && left > 0; next = this.#held[0]) {
      const waitMs = mode.kind === 'late' ? next.dueMs - performance.now() : 0;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pass(), waitMs);
        return;
      }
      const piece = next.bytes.subarray(0, left);
      left -= piece.length;
      if (piece.length === next.bytes.length) this.#held.shift();
      else next.bytes = next.bytes.subarray(piece.length);
      if (!this.#to.write(piece)) this.#from.pause();
    }
    if (this.#held.length > 0) this.#timer = setTimeout(() => this.#pass(), turnMs);
    else if (!this.#to.writableNeedDrain) this.#from.resume();
  }
}
