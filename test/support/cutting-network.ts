/** The machine's network, except that connections may be cut after a number of bytes: so answers get lost that were due. */
import type {
  Address,
  ByteReceiver,
  ByteStream,
  ConnectOptions,
  Listener,
  ListenTlsOptions,
  Network,
} from '../../platform/network.ts';

export class CuttingNetwork implements Network {
  readonly #inner: Network;
  /** Bytes that the next connection may receive before it is cut; undefined: not cut. */
  readonly #receivedBytesMax: () => number | undefined;
  /** Connections that were cut so far. */
  cuts = 0;
  readonly #open = new Set<CuttableStream>();
  /** While set, connecting fails as if nobody listened. */
  isDown = false;

  constructor(inner: Network, receivedBytesMax: () => number | undefined = () => undefined) {
    this.#inner = inner;
    this.#receivedBytesMax = receivedBytesMax;
  }

  listen(
    address: Address,
    onConnection: (stream: ByteStream) => void,
    tls?: ListenTlsOptions,
  ): Promise<Listener> {
    return this.#inner.listen(address, onConnection, tls);
  }

  async connect(address: Address, options: ConnectOptions): Promise<ByteStream> {
    if (this.isDown) return this.#inner.connect({ host: address.host, port: 1 }, options);
    const stream = new CuttableStream(
      await this.#inner.connect(address, options),
      this.#receivedBytesMax(),
      () => {
        this.cuts++;
        this.#open.delete(stream);
      },
    );
    this.#open.add(stream);
    return stream;
  }

  /** Cuts all connections. */
  cutAll(): void {
    for (const stream of this.#open) stream.cut();
  }

  /** From now on, open connections neither give nor take a byte, and do not end: a peer that was unplugged. */
  freezeAll(): void {
    for (const stream of this.#open) stream.isFrozen = true;
  }
}

class CuttableStream implements ByteStream {
  readonly #inner: ByteStream;
  readonly #onCut: () => void;
  #bytesLeft: number;
  #isCut = false;
  isFrozen = false;

  constructor(inner: ByteStream, receivedBytesMax: number | undefined, onCut: () => void) {
    this.#inner = inner;
    this.#bytesLeft = receivedBytesMax ?? Infinity;
    this.#onCut = onCut;
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
    this.#inner.onData((chunk) => {
      if (this.isFrozen || this.#isCut) return;
      const part = chunk.subarray(0, this.#bytesLeft);
      this.#bytesLeft -= chunk.length;
      if (part.length > 0) handler(part);
      if (this.#bytesLeft <= 0) this.cut();
    });
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
    if (this.isFrozen) return true;
    return this.#inner.write(parts, onSent);
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

  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#onCut();
    this.#inner.destroy(new Error('cut by the test'));
  }
}
