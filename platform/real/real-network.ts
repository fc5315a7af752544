import net from 'node:net';
import tls from 'node:tls';
import {
  NetworkError,
  type Address,
  type ByteStream,
  type ConnectOptions,
  type Listener,
  type ListenTlsOptions,
  type Network,
} from '../network.ts';
import { toError } from '../to-error.ts';
import { connectionDescriptorLimit } from './open-files-limit.ts';
import { networkError } from './network-error.ts';
import { RealByteStream } from './real-byte-stream.ts';

/** A connection whose TLS does not stand by then is ended. */
const tlsHandshakeMs = 10_000;
/** Of the memory in which connections' first bytes land. */
const landingBytes = 64 * 1024;

/** TCP and TLS of the machine. */
export class RealNetwork implements Network {
  /** Of connections made by this network, whose bytes go into a receiver's memory. */
  #connectedLanding: Buffer | undefined;

  listen(
    address: Address,
    onConnection: (stream: ByteStream) => void,
    tlsOptions?: ListenTlsOptions,
  ): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => reject(networkError(error, `listen on ${show(address)}`));
      let server: net.Server;
      try {
        server = tlsOptions === undefined ? plainServer(onConnection) : tlsServer(tlsOptions, onConnection);
      } catch (error) {
        onError(toError(error));
        return;
      }
      server.once('error', onError);
      server.listen({ host: address.host, port: address.port, backlog: 511 }, () => {
        server.removeListener('error', onError);
        resolve(new RealListener(server, address.host));
      });
    });
  }

  connect(address: Address, options: ConnectOptions): Promise<ByteStream> {
    return new Promise((resolve, reject) => {
      let stream: RealByteStream | undefined;
      const landing = options.byBytes === true && options.tls === undefined ? this.#landing() : undefined;
      const socket =
        options.tls === undefined
          ? openPlain(
              address,
              landing === undefined ? undefined : RealByteStream.reading(landing, () => stream),
            )
          : openTls(address, options.tls);
      const goal = `connect to ${show(address)}`;
      const timer = setTimeout(() => {
        const text = `Could not ${goal}: no answer within ${options.timeoutMs} ms.`;
        socket.destroy(new NetworkError('timeout', text));
      }, options.timeoutMs);
      const onAbort = (): void => {
        socket.destroy(new NetworkError('reset', `Could not ${goal}: nobody wants it any more.`));
      };
      options.signal?.addEventListener('abort', onAbort, { once: true });
      if (options.signal?.aborted === true) onAbort();
      // A TLS socket that the peer hangs up on in the handshake may close without an error.
      const onClose = (): void => reject(new NetworkError('reset', `Could not ${goal}: the peer hung up.`));
      const onError = (error: Error): void => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        reject(networkError(error, goal));
      };
      socket.once('error', onError);
      socket.once('close', onClose);
      socket.once(options.tls === undefined ? 'connect' : 'secureConnect', () => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        socket.removeListener('error', onError);
        socket.removeListener('close', onClose);
        stream = new RealByteStream(socket, landing);
        resolve(stream);
      });
    });
  }

  #landing(): Buffer {
    this.#connectedLanding ??= Buffer.allocUnsafeSlow(landingBytes);
    return this.#connectedLanding;
  }
}

function plainServer(onConnection: (stream: ByteStream) => void): net.Server {
  const landing = Buffer.allocUnsafeSlow(landingBytes);
  const descriptorLimit = connectionDescriptorLimit();
  const server = net.createServer({ keepAlive: true, pauseOnConnect: true }, (socket) => {
    if (descriptorOf(socket) >= descriptorLimit) refuseForDescriptors(server, socket);
    else onConnection(RealByteStream.accept(socket, landing));
  });
  return server;
}

/** Throws where a certificate or key cannot be used. */
function tlsServer(
  { cert, key, clientCa }: ListenTlsOptions,
  onConnection: (stream: ByteStream) => void,
): tls.Server {
  const descriptorLimit = connectionDescriptorLimit();
  const asked = { requestCert: clientCa !== undefined, rejectUnauthorized: clientCa !== undefined };
  const server = tls.createServer({
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    ...asked,
    keepAlive: true,
    noDelay: true,
    handshakeTimeout: tlsHandshakeMs,
  });
  server.on('connection', (socket: net.Socket) => {
    if (descriptorOf(socket) >= descriptorLimit) refuseForDescriptors(server, socket);
  });
  server.on('secureConnection', (socket) => onConnection(new RealByteStream(socket)));
  server.on('tlsClientError', (cause, socket) => {
    // Where Node has ended it already, it does not know the address any more.
    const from = socket.remoteAddress === undefined ? '' : ` from ${socket.remoteAddress}`;
    socket.destroy();
    // A certificate that is not accepted looks like this too.
    const reason =
      networkError(cause, '').code === 'reset'
        ? 'it hung up, or has no certificate that is accepted here'
        : cause.message;
    const text = `Could not take a connection${from}: ${reason}.`;
    server.emit('error', new NetworkError('tls', text, { cause }));
  });
  return server;
}

function refuseForDescriptors(server: net.Server, socket: net.Socket): void {
  socket.destroy();
  server.emit('error', Object.assign(new Error('too many open files'), { code: 'EMFILE' }));
}

class RealListener implements Listener {
  readonly address: Address;
  readonly #server: net.Server;
  #onFailure: ((error: NetworkError) => void) | undefined;

  constructor(server: net.Server, host: string) {
    this.#server = server;
    const bound = server.address();
    this.address = { host, port: bound === null || typeof bound === 'string' ? 0 : bound.port };
    server.on('error', (error) => this.#onFailure?.(networkError(error, 'take a connection')));
  }

  onFailure(handler: (error: NetworkError) => void): void {
    this.#onFailure = handler;
  }

  /** The port is free at once; Node's callback would wait for the open connections too. */
  close(): Promise<void> {
    this.#server.close();
    return Promise.resolve();
  }
}

/** Descriptors are given out from the lowest that is free: a high one says how many are in use. */
function descriptorOf(socket: net.Socket): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Node's types leave out the handle below a socket.
  const { _handle: handle } = socket as unknown as { _handle: { fd?: number } | null };
  return handle?.fd ?? -1;
}

function openPlain(address: Address, onread: net.OnReadOpts | undefined): net.Socket {
  return net.connect({
    host: address.host,
    port: address.port,
    noDelay: true,
    keepAlive: true,
    ...(onread === undefined ? {} : { onread }),
  });
}

function openTls(address: Address, options: NonNullable<ConnectOptions['tls']>): tls.TLSSocket {
  const serverName = options.serverName ?? (net.isIP(address.host) === 0 ? address.host : undefined);
  const socket = tls.connect({
    host: address.host,
    port: address.port,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: options.rejectUnauthorized ?? true,
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  return socket;
}

function show(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
