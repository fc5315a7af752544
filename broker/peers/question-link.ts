/**
 * Questions for one other node, on one lane. They wait while a connection comes to be, and fail together when it does not:
 * who asks decides whether to ask again.
 */
import { NetworkError } from '../../platform/network.ts';
import type { Address } from '../../platform/network.ts';
import { PendingQuestion } from './pending-question.ts';
import type { AskedQuestion } from './pending-question.ts';
import type { PeerLane } from './peer-requests.ts';
import type { PeerStart } from './peer-handshake.ts';
import type { PeerServices } from './peer-settings.ts';
import type { PeerStream } from './peer-stream.ts';
import { QuestionChannel } from './question-channel.ts';
import { Redial } from './redial.ts';
import { SilenceWatch } from './silence-watch.ts';

export interface QuestionLinkOptions {
  readonly nodeId: number;
  readonly lane: PeerLane;
  /** When anything last came from the node, on any connection. */
  readonly heardMs: () => number;
  readonly onUp: (peer: PeerStream, start: PeerStart) => void;
  readonly onDown: (peer: PeerStream) => void;
}

const waitingMax = 1024;

export class QuestionLink {
  readonly #services: PeerServices;
  readonly #options: QuestionLinkOptions;
  readonly #redial: Redial;
  readonly #waiting = new Set<PendingQuestion>();
  readonly #silence: SilenceWatch;
  #hasAddress = false;
  /** Where new questions go. */
  #channel: QuestionChannel | undefined;
  #incarnation = -1;
  /** The one above, and those that end with their last answer. */
  readonly #channels = new Map<PeerStream, QuestionChannel>();

  constructor(services: PeerServices, options: QuestionLinkOptions) {
    this.#services = services;
    this.#options = options;
    this.#silence = new SilenceWatch(services.limits.silenceMsMax);
    this.#redial = new Redial(services, options, {
      onUp: ({ peer, welcome }) => this.#up(peer, welcome.identity),
      onDown: (peer, error) => this.#down(peer, error),
      onFailure: (error) => this.#failWaiting('unreachable', error.message),
      isWanted: () => this.#waiting.size > 0,
    });
  }

  get isUp(): boolean {
    return this.#channel !== undefined;
  }

  setAddress(address: Address | undefined): void {
    this.#hasAddress = address !== undefined;
    if (address === undefined) this.#failWaiting('unreachable', this.#noAddress());
    this.#redial.setAddress(address);
  }

  /** Rejects with a PeerError. */
  ask(asked: AskedQuestion): Promise<Buffer> {
    const { clock } = this.#services;
    const question = new PendingQuestion(asked, clock);
    question.onTimeout = () => this.#checkSilence();
    this.#silence.spoke(clock.monotonicMs(), this.#options.heardMs());
    if (this.#channel !== undefined) this.#channel.ask(question);
    else if (!this.#hasAddress) question.fail('unreachable', this.#noAddress());
    else if (this.#waiting.size >= waitingMax) {
      question.fail('unreachable', `${asked.who} is not connected, and ${waitingMax} questions wait for it.`);
    } else {
      this.#waiting.add(question);
      question.onSettled = () => this.#waiting.delete(question);
      this.#redial.want();
    }
    return question.answer;
  }

  poke(): void {
    this.#redial.poke();
  }

  /** The node has started anew: what is connected to its earlier start is dead. */
  endBefore(incarnation: number): void {
    if (this.#channel !== undefined && this.#incarnation < incarnation) this.#channel.peer.destroy();
  }

  /** New questions go on a new connection; those that were asked are still answered on the old one. */
  renew(): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    this.#channel = undefined;
    this.#redial.release();
    channel.retire();
  }

  /** Every question fails, every connection ends. */
  close(): void {
    const message = 'This node is closing.';
    this.#failWaiting('closed', message);
    for (const channel of this.#channels.values()) {
      channel.fail('closed', message);
      channel.peer.destroy();
    }
    this.#redial.stop();
  }

  #up(peer: PeerStream, start: PeerStart): void {
    const channel = new QuestionChannel(peer, this.#services);
    this.#channels.set(peer, channel);
    this.#channel = channel;
    this.#incarnation = start.incarnation;
    this.#options.onUp(peer, start);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const question of waiting) channel.ask(question);
  }

  #down(peer: PeerStream, error: Error | undefined): void {
    const channel = this.#channels.get(peer);
    this.#channels.delete(peer);
    if (this.#channel === channel) this.#channel = undefined;
    this.#options.onDown(peer);
    const why = error === undefined ? 'it hung up' : error.message;
    channel?.fail('unreachable', `Lost the connection to node ${this.#options.nodeId}: ${why}`);
  }

  #failWaiting(code: 'unreachable' | 'closed', message: string): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const question of waiting) question.fail(code, message);
  }

  #checkSilence(): void {
    const { clock } = this.#services;
    if (this.#channel === undefined) return;
    if (!this.#silence.spoke(clock.monotonicMs(), this.#options.heardMs())) return;
    this.#channel.peer.destroy(new NetworkError('timeout', `Node ${this.#options.nodeId} is silent.`));
  }

  #noAddress(): string {
    return `No address of node ${this.#options.nodeId} is known.`;
  }
}
