/**
 * Frames of consensus for one other node, on a connection of their own on which nothing comes back. A frame that cannot go is
 * dropped: the sender has ways to find out, and what is late is of no use.
 */
import { NetworkError } from '../../platform/network.ts';
import type { Address } from '../../platform/network.ts';
import type { DialError } from './dial.ts';
import type { PeerStart } from './peer-handshake.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';
import { Redial } from './redial.ts';
import { SilenceWatch } from './silence-watch.ts';

export interface ConsensusLinkOptions {
  readonly nodeId: number;
  /** When anything last came from the node, on any connection. */
  readonly heardMs: () => number;
  readonly onConnected: (start: PeerStart) => void;
  readonly onDisconnected: () => void;
  /** The machine there says that nobody listens. */
  readonly onGone: () => void;
}

interface Waiting {
  readonly parts: readonly Buffer[];
  readonly sizeBytes: number;
  readonly release: () => void;
}

/** A node that nothing was sent to for so long is not dialed again. */
const wantedMs = 30_000;

export class ConsensusLink {
  readonly #services: PeerServices;
  readonly #options: ConsensusLinkOptions;
  readonly #redial: Redial;
  #peer: PeerStream | undefined;
  #incarnation = -1;
  /** Frames of the time in which a connection comes to be: bounded as those are that the network has not taken. */
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #lastSendMs = -Infinity;
  #silence: SilenceWatch;
  #onEnded: (() => void) | undefined;

  constructor(services: PeerServices, options: ConsensusLinkOptions) {
    this.#services = services;
    this.#options = options;
    this.#silence = new SilenceWatch(services.limits.silenceMsMax);
    this.#redial = new Redial(
      services,
      { nodeId: options.nodeId, lane: 'consensus' },
      {
        onUp: ({ peer, welcome }) => this.#up(peer, welcome.identity),
        onDown: (peer) => this.#down(peer),
        onFailure: (error) => this.#failed(error),
        isWanted: () => this.#isWanted(),
      },
    );
  }

  get isUp(): boolean {
    return this.#peer !== undefined;
  }

  setAddress(address: Address | undefined): void {
    this.#redial.setAddress(address);
  }

  /** See Transport.send. */
  send(parts: readonly Buffer[], release: () => void): void {
    const nowMs = this.#services.clock.monotonicMs();
    this.#lastSendMs = nowMs;
    let sizeBytes = 0;
    for (const part of parts) sizeBytes += part.length;
    const { consensusFrameBytesMax } = this.#services.limits;
    this.#checkSilence(nowMs);
    if (this.#peer === undefined) this.#redial.want();
    if (sizeBytes === 0 || sizeBytes > consensusFrameBytesMax) this.#drop(release);
    else if (this.#peer !== undefined) this.#write(this.#peer, { parts, sizeBytes, release });
    else if (this.#redial.isDialing) this.#wait({ parts, sizeBytes, release });
    else this.#drop(release);
  }

  /** The node is there. */
  poke(): void {
    this.#redial.poke();
  }

  /** The node has started anew: what is connected to its earlier start is dead. */
  endBefore(incarnation: number): void {
    if (this.#peer !== undefined && this.#incarnation < incarnation) this.#peer.destroy();
  }

  /** Sends what the network has not taken yet, and ends; resolves when it has ended. */
  end(): Promise<void> {
    const peer = this.#peer;
    if (peer === undefined) {
      this.#redial.stop();
      return Promise.resolve();
    }
    peer.end();
    return new Promise((resolve) => {
      this.#onEnded = resolve;
    });
  }

  destroy(): void {
    this.#peer?.destroy();
  }

  #up(peer: PeerStream, start: PeerStart): void {
    this.#peer = peer;
    this.#incarnation = start.incarnation;
    this.#silence = new SilenceWatch(this.#services.limits.silenceMsMax);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const frame of waiting) this.#write(peer, frame);
    this.#options.onConnected(start);
  }

  #down(peer: PeerStream): void {
    if (peer !== this.#peer) return;
    this.#peer = undefined;
    this.#onEnded?.();
    this.#options.onDisconnected();
  }

  #failed(error: DialError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { release } of waiting) this.#drop(release);
    if (error.code === 'gone') this.#options.onGone();
  }

  #write(peer: PeerStream, { parts, sizeBytes, release }: Waiting): void {
    const { unsentBytes } = peer.stream;
    if (
      peer.hasEnded ||
      (unsentBytes > 0 && unsentBytes + sizeBytes > this.#services.limits.unsentBytesMax)
    ) {
      this.#drop(release);
      return;
    }
    this.#services.counters.framesSent++;
    peer.writeFrame(parts, sizeBytes, release);
  }

  #wait(frame: Waiting): void {
    if (
      this.#waitingBytes > 0 &&
      this.#waitingBytes + frame.sizeBytes > this.#services.limits.unsentBytesMax
    ) {
      this.#drop(frame.release);
      return;
    }
    this.#waiting.push(frame);
    this.#waitingBytes += frame.sizeBytes;
  }

  #drop(release: () => void): void {
    this.#services.counters.framesDropped++;
    release();
  }

  #isWanted(): boolean {
    return this.#services.clock.monotonicMs() - this.#lastSendMs < wantedMs;
  }

  #checkSilence(nowMs: number): void {
    const peer = this.#peer;
    if (peer === undefined || !this.#silence.spoke(nowMs, this.#options.heardMs())) return;
    const silent = new NetworkError('timeout', `Node ${this.#options.nodeId} is silent.`);
    // Who sends is not to be told of the end within its call.
    queueMicrotask(() => peer.destroy(silent));
  }
}
