/**
 * The network between simulated nodes: frames take their time, overtake each other, get lost or come twice; links can be cut, each
 * way. What is asked of other nodes beside consensus (`PeerRequests`) belongs here, too: on the same links, with the same faults.
 */
import { lend } from '../../support/lent-memory.ts';
import { decodeFrame } from '../../../broker/raft/frame-codec.ts';
import type { GroupMessage } from '../../../broker/raft/frame-codec.ts';
import type { Transport, TransportEvents } from '../../../broker/peers/transport.ts';
import { PeerError } from '../../../broker/peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../../broker/peers/peer-requests.ts';
import type { Random } from '../../../platform/random.ts';
import type { SimulatedClock } from '../simulated-clock.ts';
import type { Trace } from '../trace.ts';
import type { LinkBehaviour } from './cluster-options.ts';

/** After so long without a sign a connection counts as lost. */
const connectionLossMs = 300;

export interface SimulatedLinksOptions {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly behaviour: LinkBehaviour;
  readonly trace: Trace;
  /** Each message between members, as it leaves. */
  readonly onMessage: (message: GroupMessage) => void;
}

export class SimulatedLinks {
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #behaviour: LinkBehaviour;
  readonly #endpoints = new Map<number, TransportEvents>();
  readonly #services = new Map<number, ReadonlyMap<string, PeerService>>();
  readonly #cut = new Set<string>();
  /** Questions that the process on a node is answering: they end with it, as its connections do. */
  readonly #unanswered = new Map<number, Set<() => void>>();
  #isFaultless = false;
  readonly #onMessage: (message: GroupMessage) => void;
  readonly #trace: Trace;
  readonly counts = { sent: 0, 'group messages': 0, lost: 0, repeated: 0, 'cut links': 0, questions: 0 };

  constructor(options: SimulatedLinksOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#behaviour = options.behaviour;
    this.#onMessage = options.onMessage;
    this.#trace = options.trace;
  }

  /** The process on this node is there to hear; undefined: it has ended, and the others' connections to it with it. */
  attach(nodeId: number, events: TransportEvents | undefined): void {
    if (events !== undefined) {
      this.#endpoints.set(nodeId, events);
      return;
    }
    this.#services.delete(nodeId);
    if (!this.#endpoints.delete(nodeId)) return;
    for (const fail of this.#unanswered.get(nodeId) ?? []) this.#clock.after(this.#delayMs(), fail);
    this.#unanswered.delete(nodeId);
    for (const [other, endpoint] of this.#endpoints) {
      if (this.isCut(nodeId, other)) continue;
      this.#clock.after(this.#delayMs(), () => {
        if (this.#endpoints.get(other) === endpoint && !this.#endpoints.has(nodeId)) {
          endpoint.disconnected(nodeId);
        }
      });
    }
  }

  transportOf(from: number): Transport {
    return {
      send: (to, frame, release) => {
        const bytes = Buffer.concat(frame);
        release();
        this.#send(from, to, bytes);
      },
    };
  }

  /** What the process on this node answers, by kind of question, until it ends. */
  serve(nodeId: number, services: ReadonlyMap<string, PeerService>): void {
    this.#services.set(nodeId, services);
  }

  /** Of a process: nothing is answered to one that has ended. */
  requestsOf(from: number, hasEnded: () => boolean): PeerRequests {
    return {
      request: (to, kind, payload, { timeoutMs }) =>
        new Promise((resolve, reject) => {
          this.counts.questions++;
          let isOver = false;
          const end = (action: () => void): void => {
            if (isOver || hasEnded()) return;
            isOver = true;
            action();
          };
          this.#clock.after(timeoutMs, () => end(() => reject(new PeerError('timed-out', 'no answer'))));
          const question = { from, payload: Buffer.concat(payload) };
          const fail = (): void =>
            end(() => reject(new PeerError('unreachable', 'the connection has ended')));
          const carry = (one: number, other: number, arrive: () => void): void =>
            this.#carry(one, other, arrive, fail);
          carry(from, to, () => {
            const service = this.#services.get(to)?.get(kind);
            if (service === undefined) {
              carry(to, from, fail);
              return;
            }
            const unanswered = this.#unanswered.get(to) ?? new Set();
            this.#unanswered.set(to, unanswered.add(fail));
            const answered = service(question).finally(() => unanswered.delete(fail));
            answered.then(
              (answer) => {
                const bytes = Buffer.concat(answer);
                carry(to, from, () => end(() => resolve(bytes)));
              },
              (error: unknown) => {
                const text = error instanceof Error ? error.message : String(error);
                carry(to, from, () => end(() => reject(new PeerError('failed', text))));
              },
            );
          });
        }),
    };
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  cut(from: number, to: number): void {
    this.#cut.add(`${from}>${to}`);
    this.counts['cut links']++;
  }

  heal(): void {
    this.#cut.clear();
  }

  /** From now on everything arrives, once. */
  becomeFaultless(): void {
    this.heal();
    this.#isFaultless = true;
  }

  #send(from: number, to: number, bytes: Buffer): void {
    this.counts.sent++;
    const { groupMessages } = decodeFrame(bytes);
    this.counts['group messages'] += groupMessages.length;
    for (const message of groupMessages) this.#onMessage(message);
    this.#trace.note(this.#clock.monotonicMs(), 'frame', 'links', from * 1000 + to, bytes.length);
    if (this.isCut(from, to)) return;
    const { lossPerMille, repeatPerMille } = this.#behaviour;
    const isLost = this.#random.below(1000) < lossPerMille;
    const isRepeated = this.#random.below(1000) < repeatPerMille;
    if (isLost && !this.#isFaultless) {
      this.counts.lost++;
      return;
    }
    this.#deliver(from, to, bytes);
    if (!isRepeated || this.#isFaultless) return;
    this.counts.repeated++;
    this.#deliver(from, to, Buffer.from(bytes));
  }

  /** One way of a question or of its answer. Where it is lost the connection is, which shows after a while. */
  #carry(from: number, to: number, arrive: () => void, fail: () => void): void {
    const isLost = this.#random.below(1000) < this.#behaviour.lossPerMille && !this.#isFaultless;
    this.#clock.after(this.#delayMs(), () => {
      if (isLost || this.isCut(from, to)) {
        this.#clock.after(connectionLossMs, fail);
        return;
      }
      this.#trace.note(this.#clock.monotonicMs(), 'question', 'links', from * 1000 + to);
      arrive();
    });
  }

  #deliver(from: number, to: number, bytes: Buffer): void {
    this.#clock.after(this.#delayMs(), () => {
      if (this.isCut(from, to)) return;
      this.#trace.note(this.#clock.monotonicMs(), 'arrives', 'links', from * 1000 + to, bytes.length);
      const isRead = lend(bytes, (frame, lease) => this.#endpoints.get(to)?.received(frame, lease));
      if (isRead === false) throw new Error(`node ${to} cannot read what node ${from} has sent`);
    });
  }

  #delayMs(): number {
    return (this.#behaviour.delayMs * (1 + this.#random.below(1000))) / 500;
  }
}
