/**
 * Keeps a connection to one node, for one lane, while somebody wants it: dials, and dials again after a while that grows from
 * failure to failure. Nothing runs where nobody wants the connection.
 */
import type { Timer } from '../../platform/clock.ts';
import type { Address } from '../../platform/network.ts';
import { dial } from './dial.ts';
import type { Dialed, DialError } from './dial.ts';
import type { ConnectionLane } from './peer-handshake.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';

export interface RedialHandlers {
  /** In the turn in which the welcome came. */
  readonly onUp: (dialed: Dialed) => void;
  /** The connection that was up has ended. */
  readonly onDown: (peer: PeerStream, error: Error | undefined) => void;
  readonly onFailure: (error: DialError) => void;
  /** Whether to go on by itself after a failure or an end. */
  readonly isWanted: () => boolean;
}

export interface RedialGoal {
  readonly nodeId: number;
  readonly lane: ConnectionLane;
}

const firstDelayMs = 50;
const delayMsMax = 1000;
/** A connection that lived for less is no success: the next failure counts on. */
const steadyMs = 1000;

export class Redial {
  readonly #services: PeerServices;
  readonly #goal: RedialGoal;
  readonly #handlers: RedialHandlers;
  #address: Address | undefined;
  /** Ends the attempt that is under way. */
  #cancel: (() => void) | undefined;
  #peer: PeerStream | undefined;
  #upSinceMs = 0;
  #timer: Timer | undefined;
  #failures = 0;
  /** No attempt before then. */
  #notBeforeMs = 0;

  constructor(services: PeerServices, goal: RedialGoal, handlers: RedialHandlers) {
    this.#services = services;
    this.#goal = goal;
    this.#handlers = handlers;
  }

  /** An attempt is under way. */
  get isDialing(): boolean {
    return this.#cancel !== undefined;
  }

  /** A changed address ends what was connected to the one before. */
  setAddress(address: Address | undefined): void {
    if (this.#address?.host === address?.host && this.#address?.port === address?.port) return;
    // Without an address nothing is dialed while what there is ends.
    this.#address = undefined;
    this.stop();
    this.#address = address;
    this.#failures = 0;
    this.#notBeforeMs = 0;
    if (address !== undefined && this.#handlers.isWanted()) this.want();
  }

  /** Dials, unless that is done already; where an attempt has just failed, after a while. */
  want(): void {
    if (this.#peer !== undefined || this.#cancel !== undefined || this.#timer !== undefined) return;
    if (this.#address === undefined || this.#services.isClosing()) return;
    const waitMs = this.#notBeforeMs - this.#services.clock.monotonicMs();
    if (waitMs <= 0) {
      this.#dial(this.#address);
      return;
    }
    this.#timer = this.#services.clock.after(waitMs, () => {
      this.#timer = undefined;
      if (this.#handlers.isWanted()) this.want();
    });
  }

  /** The node has shown that it is there: no reason to wait. */
  poke(): void {
    this.#failures = 0;
    this.#notBeforeMs = 0;
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.want();
  }

  /** Forgets the connection, which goes on in the hands of who has it; the next want dials. */
  release(): void {
    this.#peer = undefined;
  }

  /** Ends the attempt and the connection. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#cancel?.();
    this.#peer?.destroy();
  }

  #dial(address: Address): void {
    this.#cancel = dial(
      this.#services,
      { address, ...this.#goal },
      {
        onUp: (dialed) => {
          this.#cancel = undefined;
          this.#peer = dialed.peer;
          dialed.peer.traffic = this.#services.traffics.of(this.#goal.nodeId);
          this.#upSinceMs = this.#services.clock.monotonicMs();
          this.#handlers.onUp(dialed);
        },
        onEnd: (peer, error) => this.#ended(peer, error),
        onFailure: (error) => {
          this.#cancel = undefined;
          this.#failed();
          this.#handlers.onFailure(error);
          if (this.#handlers.isWanted()) this.want();
        },
      },
    );
  }

  #ended(peer: PeerStream, error: Error | undefined): void {
    const isCurrent = peer === this.#peer;
    if (isCurrent) {
      this.#peer = undefined;
      if (this.#services.clock.monotonicMs() - this.#upSinceMs >= steadyMs) this.#failures = 0;
      this.#failed();
    }
    this.#handlers.onDown(peer, error);
    if (isCurrent && this.#handlers.isWanted()) this.want();
  }

  #failed(): void {
    const { clock, random } = this.#services;
    const delayMs = Math.min(delayMsMax, firstDelayMs * 2 ** Math.min(this.#failures, 10));
    this.#failures++;
    const half = Math.ceil(delayMs / 2);
    this.#notBeforeMs = clock.monotonicMs() + half + random.below(half + 1);
  }
}
