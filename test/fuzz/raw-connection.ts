/** A connection that sends any bytes and splits what comes back into frames; it knows nothing of requests. */
import { type Socket, connect } from 'node:net';

export type Outcome = 'answered' | 'closed' | 'silent';

export class RawConnection {
  readonly #socket: Socket;
  /** Frames of responses not yet taken, without their sizes. */
  #frames: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // A reset ends the connection as a close does, and 'close' follows it.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** Rejects where nobody listens: the broker is down. */
  static open(host: string, port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawConnection(socket));
      });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Buffer): void {
    if (!this.#closed) this.#socket.write(bytes);
  }

  /** Sends the bytes and a FIN, without waiting for what the broker makes of them. */
  sendAndEnd(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) resolve();
      else this.#socket.end(bytes, () => resolve());
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Waits until `count` frames have come, the connection has ended, or nothing has come for `patienceMs`; then takes all
   * frames that are there.
   */
  async take(count: number, patienceMs: number): Promise<{ frames: Buffer[]; outcome: Outcome }> {
    let outcome: Outcome = 'answered';
    while (this.#frames.length < count) {
      if (this.#closed) {
        outcome = 'closed';
        break;
      }
      const before = this.#frames.length;
      if (!(await this.#change(patienceMs)) && this.#frames.length === before) {
        outcome = 'silent';
        break;
      }
    }
    const frames = this.#frames;
    this.#frames = [];
    return { frames, outcome };
  }

  /** False when nothing happened in time. */
  #change(patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        resolve(false);
      }, patienceMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(true);
      };
    });
  }

  #receive(chunk: Buffer): void {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0);
      if (rest.length < end) break;
      this.#frames.push(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    this.#wake?.();
  }
}
