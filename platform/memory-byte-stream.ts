import type { Clock } from './clock.ts';
import { NetworkError, deliver, type Address, type ByteReceiver, type ByteStream } from './network.ts';
import type { Random } from './random.ts';

/** As with real sockets: what a peer that does not read takes before the sender has to wait. */
const windowBytes = 256 * 1024;
/** `write` returns false above this many unsent bytes; `onDrain` runs below the low mark. */
const highMarkBytes = 1024 * 1024;
const lowMarkBytes = 256 * 1024;

export interface MemoryLink {
  readonly clock: Clock;
  readonly latencyMs: () => number;
  readonly random: Random | undefined;
}

interface Sending {
  readonly bytes: Buffer;
  position: number;
  readonly onSent: (() => void) | undefined;
}

/** One end of a connection of MemoryNetwork. Bytes go from `sending` to the peer's `arrived` and from there to its handler. */
export class MemoryByteStream implements ByteStream {
  readonly local: Address;
  readonly remote: Address;
  readonly #link: MemoryLink;
  #peer: MemoryByteStream | undefined;
  #receive: ((chunk: Buffer) => void) | undefined;
  #onClose: ((error?: Error) => void) | undefined;
  #onDrain: (() => void) | undefined;
  readonly #sending: Sending[] = [];
  #unsentBytes = 0;
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #isPaused = false;
  #isBlocked = false;
  #isTransferring = false;
  #isDelivering = false;
  #hasEnded = false;
  #peerHasEnded = false;
  #isClosed = false;

  constructor(link: MemoryLink, local: Address, remote: Address) {
    this.#link = link;
    this.local = local;
    this.remote = remote;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Nothing will come of it any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#receive = handler;
    this.#deliverSoon();
  }

  onBytes(receiver: ByteReceiver): void {
    this.onData((chunk) => deliver(chunk, receiver));
  }

  onClose(handler: (error?: Error) => void): void {
    this.#onClose = handler;
  }

  onDrain(handler: () => void): void {
    this.#onDrain = handler;
  }

  write(parts: readonly Buffer[], onSent?: () => void): boolean {
    const bytes = Buffer.concat(parts);
    if (this.#isClosed || this.#hasEnded) {
      this.#link.clock.after(0, () => onSent?.());
      return false;
    }
    this.#sending.push({ bytes, position: 0, onSent });
    this.#unsentBytes += bytes.length;
    this.#transferSoon();
    if (this.#unsentBytes > highMarkBytes) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliverSoon();
  }

  end(): void {
    this.#hasEnded = true;
    this.#isPaused = false;
    this.#receive = () => undefined;
    this.#deliverSoon();
    this.#transferSoon();
  }

  destroy(error?: Error): void {
    if (this.#isClosed) return;
    this.#close(error);
    const peer = this.#peer;
    const text = `The connection to ${this.local.host}:${this.local.port} was reset.`;
    this.#link.clock.after(this.#link.latencyMs(), () => peer?.reset(new NetworkError('reset', text)));
  }

  /** For linkStreams. */
  meet(peer: MemoryByteStream): void {
    this.#peer = peer;
  }

  /** The peer has destroyed its end. */
  reset(error: Error): void {
    if (!this.#isClosed) this.#close(error);
  }

  /** Takes a piece from the peer, which is this one's from then on, or only a part of it; says how much. */
  take(piece: Buffer): number {
    if (this.#isClosed) return piece.length;
    const count = Math.max(0, Math.min(piece.length, windowBytes - this.#arrivedBytes));
    if (count > 0) {
      this.#arrived.push(piece.subarray(0, count));
      this.#arrivedBytes += count;
      this.#deliverSoon();
    }
    return count;
  }

  /** Nothing more will come from the peer. Without half-open connections, this end ends too. */
  peerEnded(): void {
    this.#peerHasEnded = true;
    this.#deliverSoon();
  }

  #transferSoon(): void {
    if (this.#isTransferring || this.#isClosed) return;
    this.#isTransferring = true;
    this.#link.clock.after(this.#link.latencyMs(), () => {
      this.#isTransferring = false;
      if (!this.#isClosed) this.#transfer();
    });
  }

  #transfer(): void {
    const peer = this.#peer!;
    for (let next = this.#sending[0]; next !== undefined; next = this.#sending[0]) {
      const rest = next.bytes.subarray(next.position);
      const taken = peer.take(rest.subarray(0, this.#pieceBytes(rest.length)));
      next.position += taken;
      this.#unsentBytes -= taken;
      if (next.position < next.bytes.length) {
        // The peer asks for more when it has read; a piece that was cut by chance goes on in an event of its own.
        if (taken > 0) this.#transferSoon();
        return;
      }
      this.#sending.shift();
      next.onSent?.();
      this.#maybeDrain();
      if (this.#isClosed) return;
    }
    if (this.#hasEnded) peer.peerEnded();
  }

  #pieceBytes(restBytes: number): number {
    const { random } = this.#link;
    return random === undefined || restBytes === 0 ? restBytes : 1 + random.below(restBytes);
  }

  #deliverSoon(): void {
    if (this.#isDelivering || this.#isClosed) return;
    this.#isDelivering = true;
    this.#link.clock.after(0, () => {
      this.#isDelivering = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#isPaused && !this.#isClosed && this.#receive !== undefined) {
      const chunk = this.#arrived.shift();
      if (chunk === undefined) break;
      this.#arrivedBytes -= chunk.length;
      this.#peer!.#transferSoon();
      this.#receive(chunk);
    }
    if (this.#isClosed || !this.#peerHasEnded || this.#isPaused || this.#arrived.length > 0) return;
    if (!this.#hasEnded) this.end();
    if (this.#sending.length > 0) return;
    const peer = this.#peer!;
    this.#close(undefined);
    peer.peerEnded();
  }

  #maybeDrain(): void {
    if (!this.#isBlocked || this.#isClosed || this.#unsentBytes > lowMarkBytes) return;
    this.#isBlocked = false;
    this.#onDrain?.();
  }

  #close(error: Error | undefined): void {
    this.#isClosed = true;
    this.#link.clock.after(0, () => {
      for (const { onSent } of this.#sending.splice(0)) onSent?.();
      this.#unsentBytes = 0;
      this.#onClose?.(error);
    });
  }
}

/** Makes two ends one connection. */
export function linkStreams(one: MemoryByteStream, other: MemoryByteStream): void {
  one.meet(other);
  other.meet(one);
}
