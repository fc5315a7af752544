/** What there is with one other node: a connection for each lane, as far as it is used. */
import type { Address } from '../../platform/network.ts';
import { ConsensusLink } from './consensus-link.ts';
import type { PeerStart } from './peer-handshake.ts';
import type { PeerLane } from './peer-requests.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';
import { QuestionLink } from './question-link.ts';

export interface PeerNodeOptions {
  readonly nodeId: number;
  /** A connection to it has been welcomed. */
  readonly onWelcome: (incarnation: number) => void;
  readonly onConnected: () => void;
  /** A connection has ended, or the machine there says that nobody listens: that once, until the node is there again. */
  readonly onDisconnected: () => void;
}

export class PeerNode {
  readonly consensus: ConsensusLink;
  readonly #options: PeerNodeOptions;
  readonly lanes: Readonly<Record<PeerLane, QuestionLink>>;
  readonly #streams = new Set<PeerStream>();
  /** Of connections that have ended. */
  #heardMs = -Infinity;
  /** Has been told of as not there, and was not heard since. */
  #isGone = false;
  /** That was connected to last. */
  #start: PeerStart | undefined;

  constructor(services: PeerServices, options: PeerNodeOptions) {
    this.#options = options;
    const { nodeId } = options;
    const heardMs = (): number => this.heardMs();
    this.consensus = new ConsensusLink(services, {
      nodeId,
      heardMs,
      onConnected: (start) => {
        this.#welcomed(start);
        options.onConnected();
      },
      onDisconnected: () => this.lost(),
      onGone: () => {
        if (!this.#isGone) this.lost();
      },
    });
    const lane = (lane: PeerLane): QuestionLink =>
      new QuestionLink(services, {
        nodeId,
        lane,
        heardMs,
        onUp: (peer, start) => {
          this.heardOn(peer);
          this.#welcomed(start);
        },
        onDown: (peer) => this.ended(peer),
      });
    this.lanes = { control: lane('control'), bulk: lane('bulk') };
  }

  /** That the open connections to it lead to; undefined where there are none. */
  get start(): PeerStart | undefined {
    return this.consensus.isUp || this.lanes.control.isUp || this.lanes.bulk.isUp ? this.#start : undefined;
  }

  /** When anything last came from it, on any connection. */
  heardMs(): number {
    let heardMs = this.#heardMs;
    for (const peer of this.#streams) heardMs = Math.max(heardMs, peer.heardMs);
    return heardMs;
  }

  /** Something may come from the node on this connection, too. */
  heardOn(peer: PeerStream): void {
    this.#isGone = false;
    this.#streams.add(peer);
  }

  ended(peer: PeerStream): void {
    if (this.#streams.delete(peer)) this.#heardMs = Math.max(this.#heardMs, peer.heardMs);
  }

  /** A connection for consensus with it has ended, whoever made it. */
  lost(): void {
    this.#isGone = true;
    this.#options.onDisconnected();
  }

  setAddress(address: Address | undefined): void {
    for (const link of this.#links()) link.setAddress(address);
  }

  /** The node is there: what waits to be dialed is dialed. */
  poke(): void {
    for (const link of this.#links()) link.poke();
  }

  /** What is connected to an earlier start of the node is dead. */
  endBefore(incarnation: number): void {
    for (const link of this.#links()) link.endBefore(incarnation);
  }

  /** This node has become somebody else: connections are made anew for what is asked from now on. */
  renew(): void {
    this.lanes.control.renew();
    this.lanes.bulk.renew();
    this.poke();
  }

  #welcomed(start: PeerStart): void {
    this.#start = start;
    this.#isGone = false;
    this.endBefore(start.incarnation);
    this.#options.onWelcome(start.incarnation);
  }

  #links(): readonly (ConsensusLink | QuestionLink)[] {
    return [this.consensus, this.lanes.control, this.lanes.bulk];
  }
}
