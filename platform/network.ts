/** Ordered byte streams between addresses. Broker and client use the same interface; the simulator replaces it. */
export interface Network {
  /**
   * Rejects with a NetworkError ('address-in-use', 'permission', 'address-not-available'; 'tls' where a certificate or key
   * cannot be used). Port 0 takes a free one. With `tls` a connection is handed over once its TLS stands.
   */
  listen(
    address: Address,
    onConnection: (stream: ByteStream) => void,
    tls?: ListenTlsOptions,
  ): Promise<Listener>;
  /** Rejects with a NetworkError ('refused', 'timeout', 'unreachable', 'name-not-found'). */
  connect(address: Address, options: ConnectOptions): Promise<ByteStream>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectOptions {
  readonly timeoutMs: number;
  /** Nobody wants the connection any more: it rejects as soon as that can be, and leaves nothing behind. */
  readonly signal?: AbortSignal;
  /** TLS with these options; the real network hands them to node:tls. */
  readonly tls?: TlsOptions;
  /** `onBytes` will be used rather than `onData`: bytes then need no chunks, where the network can do without them. */
  readonly byBytes?: boolean;
}

export interface TlsOptions {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface ListenTlsOptions {
  /** PEM: the certificate shown to who connects, with those between it and its authority, and its key. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** With it (PEM) who connects has to show a certificate that one of these authorities has signed. */
  readonly clientCa?: string | Buffer;
}

export interface Listener {
  readonly address: Address;
  /** A connection that could not be taken (too many open files, no TLS, say); the listener goes on. Set at most once. */
  onFailure(handler: (error: NetworkError) => void): void;
  /** Stops taking connections; those already open live on. */
  close(): Promise<void>;
}

/**
 * One connection. Handlers are set once, before the next macrotask. After `onClose` has run nothing else does.
 */
export interface ByteStream {
  readonly local: Address;
  readonly remote: Address;
  /** Chunks in order; the callee may keep them. */
  onData(handler: (chunk: Buffer) => void): void;
  /** In place of `onData`: bytes go straight into memory that the receiver gives, without a chunk made for them. */
  onBytes(receiver: ByteReceiver): void;
  /** Runs once, when no more bytes will come or go; `error` where it did not end by agreement. */
  onClose(handler: (error?: Error) => void): void;
  /** Runs when the unsent bytes have fallen below the low mark after a `write` that returned false. */
  onDrain(handler: () => void): void;
  /**
   * Sends the parts in order, in one system call where it can; they must not change until `onSent` has run (also run
   * when the stream closes before). Returns false when more than the high mark is waiting: stop until `onDrain`.
   */
  write(parts: readonly Buffer[], onSent?: () => void): boolean;
  readonly unsentBytes: number;
  /** Stops and restarts reading from the peer: back-pressure. */
  pause(): void;
  resume(): void;
  /** Sends what is waiting, then ends; nothing more is handed to `onData`. A peer that never ends its side holds it open. */
  end(): void;
  /** Ends at once; unsent bytes are lost. */
  destroy(error?: Error): void;
}

/** Takes a stream's bytes into memory of its own. */
export interface ByteReceiver {
  /** Where the next bytes go, at least one; asked again after each `received`. */
  target(): Buffer;
  /** So many bytes now stand at the start of the target that was given last. */
  received(count: number): void;
}

/** Hands a chunk to a receiver: for streams that cannot read into its memory. */
export function deliver(chunk: Buffer, receiver: ByteReceiver): void {
  for (let position = 0; position < chunk.length;) {
    const count = chunk.copy(receiver.target(), 0, position);
    position += count;
    receiver.received(count);
  }
}

export type NetworkErrorCode =
  | 'refused'
  | 'timeout'
  | 'unreachable'
  | 'name-not-found'
  | 'address-in-use'
  | 'address-not-available'
  | 'permission'
  | 'too-many-open-files'
  | 'reset'
  | 'tls'
  | 'io';

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NetworkError';
    this.code = code;
  }
}
