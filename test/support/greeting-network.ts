/** The machine's network as a node of another release has it: the greeting that a connection between nodes begins with is another one. */
import { greetingMagic, greetingPrefixBytes } from '../../broker/peers/peer-handshake.ts';
import type { Address, ByteReceiver, ByteStream, Listener, Network } from '../../platform/network.ts';

/** Makes the other release's greeting of this one's; both without magic and size. */
export interface GreetingChanges {
  hello(body: Buffer): Buffer;
  answer(body: Buffer): Buffer;
}

export class GreetingNetwork implements Network {
  readonly #inner: Network;
  readonly #changes: GreetingChanges;
  /** Greetings that were changed so far. */
  readonly counts = { hellos: 0, answers: 0 };

  constructor(inner: Network, changes: GreetingChanges) {
    this.#inner = inner;
    this.#changes = changes;
  }

  listen(
    address: Address,
    onConnection: (stream: ByteStream) => void,
    tls?: Parameters<Network['listen']>[2],
  ): Promise<Listener> {
    const change = (body: Buffer): Buffer => {
      this.counts.answers++;
      return this.#changes.answer(body);
    };
    return this.#inner.listen(address, (stream) => onConnection(new GreetingStream(stream, change)), tls);
  }

  async connect(...to: Parameters<Network['connect']>): Promise<ByteStream> {
    return new GreetingStream(await this.#inner.connect(...to), (body) => {
      this.counts.hellos++;
      return this.#changes.hello(body);
    });
  }
}

class GreetingStream implements ByteStream {
  readonly #inner: ByteStream;
  readonly #change: (body: Buffer) => Buffer;
  #isFirst = true;

  constructor(inner: ByteStream, change: (body: Buffer) => Buffer) {
    this.#inner = inner;
    this.#change = change;
  }

  get local(): Address {
    return this.#inner.local;
  }

  get remote(): Address {
    return this.#inner.remote;
  }

  get unsentBytes(): number {
    return this.#inner.unsentBytes;
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#inner.onData(handler);
  }

  onBytes(receiver: ByteReceiver): void {
    this.#inner.onBytes(receiver);
  }

  onClose(handler: (error?: Error) => void): void {
    this.#inner.onClose(handler);
  }

  onDrain(handler: () => void): void {
    this.#inner.onDrain(handler);
  }

  write(parts: readonly Buffer[], onSent?: () => void): boolean {
    if (!this.#isFirst) return this.#inner.write(parts, onSent);
    this.#isFirst = false;
    const bytes = Buffer.concat(parts);
    if (bytes.length < greetingPrefixBytes || bytes.readUInt32BE(0) !== greetingMagic) {
      return this.#inner.write(parts, onSent);
    }
    const endPosition = greetingPrefixBytes + bytes.readUInt16BE(4);
    const body = this.#change(bytes.subarray(greetingPrefixBytes, endPosition));
    const prefix = Buffer.from(bytes.subarray(0, greetingPrefixBytes));
    prefix.writeUInt16BE(body.length, 4);
    return this.#inner.write([prefix, body, bytes.subarray(endPosition)], onSent);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(error?: Error): void {
    this.#inner.destroy(error);
  }
}
