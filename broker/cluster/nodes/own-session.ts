/**
 * This node's side of its session with the controller: says every `broker.heartbeat.interval.ms` that it is there, what its
 * directories have free and what it wishes. While it is alone in the cluster it says nothing, and has no timer.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests } from '../../peers/peer-requests.ts';
import type { Heartbeat, HeartbeatAnswer, StaleRegistration } from './heartbeats.ts';
import { heartbeatKind } from './heartbeats.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { MetadataLog } from '../metadata/metadata-log.ts';
import type { DirectoryReport, NodeWish } from './node-reports.ts';
import { fromJson, toJson } from '../peer-json.ts';

export interface OwnSessionOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly log: MetadataLog;
  readonly image: () => MetadataImage;
  readonly peers: PeerRequests | undefined;
  /** Live. */
  readonly intervalMs: () => number;
  readonly directories: () => Promise<readonly DirectoryReport[]>;
  /** The controller's side, for when this node is that. */
  readonly heard: (heartbeat: Heartbeat) => HeartbeatAnswer;
  /** The controller does not know this start of the node: it was unregistered, or another one registered. */
  readonly onStale: (stale: StaleRegistration) => void;
}

export class OwnSession {
  readonly #options: OwnSessionOptions;
  /** Undefined until this node is registered. */
  #epoch: number | undefined;
  #wish: NodeWish = 'starting';
  #timer: Timer | undefined;
  #beating: Promise<boolean> | undefined;
  #closed = false;
  /** When the last heartbeat was sent that the controller has answered, or heartbeats began to be needed. */
  #heardAtMs = 0;
  #wasNeeded = false;

  constructor(options: OwnSessionOptions) {
    this.#options = options;
  }

  get epoch(): number | undefined {
    return this.#epoch;
  }

  /** For how long no controller has heard this node; 0 where none has to. */
  get unheardMs(): number {
    return this.#isNeeded ? this.#options.clock.monotonicMs() - this.#heardAtMs : 0;
  }

  get wish(): NodeWish {
    return this.#wish;
  }

  /** This node is registered under this epoch, from now on. */
  begin(epoch: number, wish: NodeWish): void {
    this.#epoch = epoch;
    this.#wish = wish;
    this.review();
  }

  /** Says so at once; whether the controller has heard it. */
  async say(wish: NodeWish): Promise<boolean> {
    this.#wish = wish;
    if (!this.#isNeeded) return true;
    await this.#beating;
    return this.#beat();
  }

  /** Others may have come, so that heartbeats are needed now. */
  review(): void {
    const wasNeeded = this.#wasNeeded;
    this.#wasNeeded = this.#isNeeded;
    if (!wasNeeded) this.#heardAtMs = this.#options.clock.monotonicMs();
    if (!this.#isNeeded || this.#timer !== undefined || this.#beating !== undefined) return;
    void this.#beat();
  }

  /** Also where no heartbeats are needed: the controller, which is this node, looks at its own disks. */
  async measure(): Promise<void> {
    const heartbeat = await this.#heartbeat();
    if (heartbeat !== undefined) this.#options.heard(heartbeat);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  get #isNeeded(): boolean {
    if (this.#closed || this.#epoch === undefined) return false;
    const { image, nodeId, log } = this.#options;
    const { brokers } = image();
    return brokers.size > 1 || !brokers.has(nodeId) || !log.isLeader;
  }

  #beat(): Promise<boolean> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#beating = this.#beatOnce().finally(() => {
      this.#beating = undefined;
      if (!this.#isNeeded) return;
      this.#timer = this.#options.clock.after(this.#options.intervalMs(), () => {
        this.#timer = undefined;
        this.review();
      });
    });
    return this.#beating;
  }

  /** Whether the controller has heard it. */
  async #beatOnce(): Promise<boolean> {
    const heartbeat = await this.#heartbeat();
    if (heartbeat === undefined || this.#closed) return false;
    const sentAtMs = this.#options.clock.monotonicMs();
    const answer = await this.#send(heartbeat);
    if (answer?.kind === 'heard') this.#heardAtMs = sentAtMs;
    if (answer?.kind === 'stale' && heartbeat.epoch === this.#epoch) this.#options.onStale(answer);
    return answer?.kind === 'heard';
  }

  async #heartbeat(): Promise<Heartbeat | undefined> {
    const { nodeId, directories, image } = this.#options;
    const measured = await directories();
    if (this.#epoch === undefined) return undefined;
    const report = { wish: this.#wish, directories: measured, endOffset: image().endOffset };
    return { nodeId, epoch: this.#epoch, report };
  }

  /**
   * Undefined where nobody answers: the next heartbeat is soon. A node that was taken out of the cluster does not hear who leads any
   * more, so where that is not known all are asked.
   */
  async #send(heartbeat: Heartbeat): Promise<HeartbeatAnswer | undefined> {
    const { log, nodeId, heard, image } = this.#options;
    const { leaderNode } = log;
    if (leaderNode === nodeId) return heard(heartbeat);
    if (leaderNode !== undefined) return this.#ask(leaderNode, heartbeat);
    const others = [...image().brokers.keys()].filter((id) => id !== nodeId);
    const answers = await Promise.all(others.map((id) => this.#ask(id, heartbeat)));
    return answers.find((answer) => answer !== undefined && answer.kind !== 'not-leader');
  }

  async #ask(other: number, heartbeat: Heartbeat): Promise<HeartbeatAnswer | undefined> {
    const { peers, intervalMs } = this.#options;
    if (peers === undefined) return undefined;
    const question = toJson(heartbeat);
    const options = { timeoutMs: intervalMs() };
    return peers.request(other, heartbeatKind, [question], options).then(
      (answer) => fromJson<HeartbeatAnswer>(answer),
      (error: unknown) => {
        if (error instanceof PeerError) return undefined;
        throw error;
      },
    );
  }
}
