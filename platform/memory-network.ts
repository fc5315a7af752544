/**
 * A network in memory: for tests and simulation. Bytes arrive in order, after a while, cut into pieces by chance where a source
 * of chance is given; a peer that does not read exerts back-pressure, as a full socket does. Everything happens in events of
 * the Clock, never within the caller's turn. Of TLS there is only whether both ends want it, and show certificates where these are asked for.
 */
import type { Clock } from './clock.ts';
import { MemoryByteStream, linkStreams } from './memory-byte-stream.ts';
import {
  NetworkError,
  type Address,
  type ByteStream,
  type ConnectOptions,
  type Listener,
  type ListenTlsOptions,
  type Network,
  type TlsOptions,
} from './network.ts';
import type { Random } from './random.ts';

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  /** How long bytes, connections and their ends travel; 0 unless told. */
  readonly latencyMs?: () => number;
  /** Cuts what is sent into pieces of any size; without it pieces are as they were sent. */
  readonly random?: Random;
}

const firstFreePort = 49152;

export class MemoryNetwork implements Network {
  readonly #options: MemoryNetworkOptions;
  readonly #listeners = new Map<string, MemoryListener>();
  #nextPort = firstFreePort;

  constructor(options: MemoryNetworkOptions) {
    this.#options = options;
  }

  listen(
    address: Address,
    onConnection: (stream: ByteStream) => void,
    tls?: ListenTlsOptions,
  ): Promise<Listener> {
    const port = address.port === 0 ? this.#nextPort++ : address.port;
    const key = keyOf({ host: address.host, port });
    if (this.#listeners.has(key)) {
      const text = `Could not listen on ${key}: another listener does.`;
      return Promise.reject(new NetworkError('address-in-use', text));
    }
    const onClose = (): void => {
      this.#listeners.delete(key);
    };
    const listener = new MemoryListener({ host: address.host, port }, { accept: onConnection, tls, onClose });
    this.#listeners.set(key, listener);
    return Promise.resolve(listener);
  }

  connect(address: Address, options: ConnectOptions): Promise<ByteStream> {
    const goal = `connect to ${keyOf(address)}`;
    return new Promise((resolve, reject) => {
      const latencyMs = this.#latencyMs();
      if (latencyMs > options.timeoutMs) {
        const text = `Could not ${goal}: no answer within ${options.timeoutMs} ms.`;
        this.#options.clock.after(options.timeoutMs, () => reject(new NetworkError('timeout', text)));
        return;
      }
      this.#options.clock.after(latencyMs, () => {
        const listener =
          this.#listeners.get(keyOf(address)) ?? this.#listeners.get(`0.0.0.0:${address.port}`);
        if (listener === undefined) {
          reject(new NetworkError('refused', `Could not ${goal}: nobody listens there.`));
          return;
        }
        const tlsFault = tlsFaultOf(listener.tls, options.tls);
        if (tlsFault !== undefined) {
          reject(new NetworkError('tls', `Could not ${goal}: ${tlsFault}.`));
          return;
        }
        const local = { host: '127.0.0.1', port: this.#nextPort++ };
        const link = {
          clock: this.#options.clock,
          latencyMs: () => this.#latencyMs(),
          random: this.#options.random,
        };
        const near = new MemoryByteStream(link, local, address);
        const far = new MemoryByteStream(link, address, local);
        linkStreams(near, far);
        listener.accept(far);
        resolve(near);
      });
    });
  }

  #latencyMs(): number {
    return this.#options.latencyMs?.() ?? 0;
  }
}

interface MemoryListenerOptions {
  readonly accept: (stream: ByteStream) => void;
  readonly tls: ListenTlsOptions | undefined;
  readonly onClose: () => void;
}

class MemoryListener implements Listener {
  readonly address: Address;
  readonly accept: (stream: ByteStream) => void;
  readonly tls: ListenTlsOptions | undefined;
  readonly #onClose: () => void;

  constructor(address: Address, options: MemoryListenerOptions) {
    this.address = address;
    this.accept = options.accept;
    this.tls = options.tls;
    this.#onClose = options.onClose;
  }

  /** Taking a connection never fails here. */
  onFailure(): void {}

  close(): Promise<void> {
    this.#onClose();
    return Promise.resolve();
  }
}

function tlsFaultOf(here: ListenTlsOptions | undefined, there: TlsOptions | undefined): string | undefined {
  if (here === undefined) return there === undefined ? undefined : 'the listener has no TLS';
  if (there === undefined) return 'the listener wants TLS';
  return here.clientCa !== undefined && there.cert === undefined
    ? 'the listener wants a certificate'
    : undefined;
}

function keyOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
