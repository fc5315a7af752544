/**
 * The address where other nodes connect. Who connects has to say in time who it is; nothing it sends before is trusted, and
 * no more is held for it than a greeting.
 */
import type { Timer } from '../../platform/clock.ts';
import type { Address, ByteStream, Listener, NetworkError } from '../../platform/network.ts';
import { decodeHello, encodeAnswer, judgeHello } from './peer-handshake.ts';
import type { Hello, PeerStart } from './peer-handshake.ts';
import type { PeerServices } from './peer-settings.ts';
import { isMalformed, PeerStream } from './peer-stream.ts';

/** Another node's connection to this one. */
export interface Incoming {
  readonly peer: PeerStream;
  readonly hello: Hello;
}

export interface PeerListenerOptions {
  readonly address: Address;
  /** In the turn in which the greeting came: frames may follow at once. */
  readonly onUp: (incoming: Incoming) => void;
  readonly onDown: (incoming: Incoming) => void;
  /** Among the node's connections that are open here, its own to us and ours to it. */
  readonly newest: (nodeId: number) => PeerStart | undefined;
}

interface Unknown {
  readonly peer: PeerStream;
  readonly timer: Timer;
}

export class PeerListener {
  readonly #services: PeerServices;
  readonly #options: PeerListenerOptions;
  readonly #unknown = new Map<ByteStream, Unknown>();
  readonly #known = new Map<PeerStream, Incoming>();
  #listener: Listener | undefined;
  #onEmpty: (() => void) | undefined;

  private constructor(services: PeerServices, options: PeerListenerOptions) {
    this.#services = services;
    this.#options = options;
  }

  /** Rejects with a NetworkError where the address cannot be bound, or the TLS certificate not be used. */
  static async open(services: PeerServices, options: PeerListenerOptions): Promise<PeerListener> {
    const listener = new PeerListener(services, options);
    const { tls } = services;
    listener.#listener = await services.network.listen(
      options.address,
      (stream) => listener.#accept(stream),
      tls === undefined ? undefined : { cert: tls.cert, key: tls.key, clientCa: tls.ca },
    );
    listener.#listener.onFailure((error) => listener.#failed(error));
    return listener;
  }

  get address(): Address {
    return this.#listener!.address;
  }

  /** Those of a node. */
  *from(nodeId: number): Iterable<Incoming> {
    for (const incoming of this.#known.values()) {
      if (incoming.hello.identity.nodeId === nodeId) yield incoming;
    }
  }

  /** Ends what an earlier start of the node has left. */
  endBefore(nodeId: number, incarnation: number): void {
    for (const { peer, hello } of this.from(nodeId)) {
      if (hello.identity.incarnation < incarnation) peer.destroy();
    }
  }

  /**
   * Ends what earlier starts of the node have left, and the connection that this one stands for: a node has one for each lane,
   * and one whose end could not get through would stay for hours. Questions to an address have connections of their own.
   */
  replaceWith({ peer, hello }: Incoming): void {
    const { nodeId, incarnation, clusterId } = hello.identity;
    this.endBefore(nodeId, incarnation);
    if (hello.goal === -1) return;
    for (const { peer: other, hello: earlier } of this.from(nodeId)) {
      const isSame = earlier.goal !== -1 && earlier.identity.clusterId === clusterId;
      if (other !== peer && earlier.lane === hello.lane && isSame) other.destroy();
    }
  }

  /** Takes no more connections, and ends those that there are when their answers are sent; resolves when they have ended. */
  async end(): Promise<void> {
    const closed = this.#listener!.close();
    for (const { peer } of this.#unknown.values()) peer.destroy();
    for (const peer of this.#known.keys()) peer.end();
    if (this.#known.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    await closed;
  }

  destroy(): void {
    for (const peer of this.#known.keys()) peer.destroy();
  }

  #accept(stream: ByteStream): void {
    const { clock, scratch, limits } = this.#services;
    const isTooMany =
      this.#unknown.size >= limits.unknownMax || this.#known.size + this.#unknown.size >= limits.incomingMax;
    if (isTooMany || this.#services.isClosing()) {
      stream.onClose(() => undefined);
      stream.destroy();
      return;
    }
    const peer = new PeerStream(stream, {
      clock,
      scratch,
      onGreeting: (body) => this.#greeted(peer, decodeHello(body)),
      onEnd: (error) => this.#ended(peer, error),
    });
    const timer = clock.after(limits.handshakeTimeoutMs, () => {
      this.#tellStranger(peer, `it did not say who it is within ${limits.handshakeTimeoutMs} ms`);
      peer.destroy();
    });
    this.#unknown.set(stream, { peer, timer });
  }

  #greeted(peer: PeerStream, hello: Hello): void {
    this.#know(peer);
    const { identity } = hello;
    const answer = judgeHello(hello, {
      own: this.#services.identity(),
      spoken: this.#services.spokenVersions,
      newest: identity.nodeId === -1 ? undefined : this.#options.newest(identity.nodeId),
    });
    peer.stream.write([encodeAnswer(answer)]);
    if (answer.kind === 'refusal') {
      this.#services.counters.refusals++;
      if (answer.code !== 'not-formed') {
        const who = identity.nodeId === -1 ? 'A node' : `Node ${identity.nodeId}`;
        this.#services.notice(`refusing ${peer.stream.remote.host} ${identity.nodeId} ${answer.code}`, {
          kind: 'refusing',
          message: `${who} at ${peer.stream.remote.host} was refused by this node: ${answer.reason}.`,
          nodeId: identity.nodeId === -1 ? undefined : identity.nodeId,
          address: peer.stream.remote.host,
        });
      }
      peer.end();
      return;
    }
    const incoming = { peer, hello };
    this.#known.set(peer, incoming);
    this.#services.passed(`refusing ${peer.stream.remote.host} ${identity.nodeId} `);
    this.#options.onUp(incoming);
  }

  /** It has said who it is, or has ended. False where that was so already. */
  #know(peer: PeerStream): boolean {
    const unknown = this.#unknown.get(peer.stream);
    if (unknown === undefined) return false;
    unknown.timer.cancel();
    return this.#unknown.delete(peer.stream);
  }

  #ended(peer: PeerStream, error: Error | undefined): void {
    const wasUnknown = this.#know(peer);
    const incoming = this.#known.get(peer);
    this.#known.delete(peer);
    if (isMalformed(error)) {
      if (incoming === undefined) {
        if (wasUnknown) this.#tellStranger(peer, error.message);
      } else {
        this.#tellMalformed(incoming, error);
      }
    }
    if (incoming !== undefined) this.#options.onDown(incoming);
    if (this.#known.size === 0) this.#onEmpty?.();
  }

  #tellStranger(peer: PeerStream, reason: string): void {
    const { host } = peer.stream.remote;
    this.#services.counters.strangers++;
    this.#services.notice(`stranger ${host}`, {
      kind: 'stranger',
      message: `A connection from ${host} to the port for other nodes was ended: ${reason}.`,
      nodeId: undefined,
      address: host,
    });
  }

  #tellMalformed({ peer, hello }: Incoming, error: Error): void {
    const { nodeId } = hello.identity;
    this.#services.counters.malformed++;
    this.#services.notice(`malformed ${peer.stream.remote.host} ${nodeId}`, {
      kind: 'malformed',
      message: `The connection of node ${nodeId} at ${peer.address} was ended: ${error.message}.`,
      nodeId,
      address: peer.address,
    });
  }

  #failed(error: NetworkError): void {
    this.#services.notice(`listener ${error.code}`, {
      kind: 'listener',
      message: error.message,
      nodeId: undefined,
      address: '',
    });
  }
}
