/**
 * A node's part in the replicated metadata: follows the log, applies what is committed, asks the controller or is it, and keeps up
 * its session. `cluster.ts` is what others see of it.
 */
import type { PeerService } from '../peers/peer-requests.ts';
import { AppliedMetadata } from './applied-metadata.ts';
import type { ChangesListener } from './applied-metadata.ts';
import type { ClusterOptions } from './cluster.ts';
import { defaultLimits } from './controller.ts';
import type { ControllerState, Refusal } from './controller.ts';
import { heartbeatKind } from './heartbeats.ts';
import type { Heartbeat } from './heartbeats.ts';
import type { MetadataImage } from './metadata-image.ts';
import { MetadataLogError } from './metadata-log.ts';
import { NodeSessions } from './node-sessions.ts';
import { OperationCaller, controllerKind } from './operation-caller.ts';
import { OperationTurns } from './operation-turns.ts';
import type { Asked, Done, OperationName } from './operations.ts';
import { OwnSession } from './own-session.ts';
import { fromJson, toJson } from './peer-json.ts';
import { internalListener } from './registration.ts';
import type { NodeRegistration, RegistrationChange } from './registration.ts';
import { Signal, bounded } from './signal.ts';

/** The cluster does not take this node. */
export class RegistrationError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'RegistrationError';
    this.refusal = refusal;
  }
}

/** How long a node that stops waits for what it has begun, and to be heard. */
const endMsMax = 1_000;

export class MetadataNode {
  readonly session: OwnSession;
  readonly #options: ClusterOptions;
  readonly #applied: AppliedMetadata;
  readonly #turns: OperationTurns;
  readonly #caller: OperationCaller;
  readonly #sessions: NodeSessions;
  /** Raised when something was applied, or who leads may have changed. */
  readonly #moved: Signal;
  /** Changes of registrations that are under way, by node: one at a time. */
  readonly #changing = new Set<number>();
  #isStarted = false;
  #isClosed = false;
  #end: (isCurrent: false) => void = () => {};
  readonly #ending: Promise<false>;
  #term = -1;

  constructor(options: ClusterOptions) {
    const { nodeId, clock, log, config, peers, directories } = options;
    this.#options = options;
    this.#ending = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#applied = new AppliedMetadata(clock);
    this.#moved = new Signal(clock);
    const image = (): MetadataImage => this.image;
    this.#sessions = new NodeSessions({
      nodeId,
      clock,
      image,
      ownEpoch: () => this.session.epoch,
      sessionTimeoutMs: () => config.brokerSessionTimeoutMs,
      change: (change) => this.#change(change),
    });
    this.session = new OwnSession({
      nodeId,
      clock,
      log,
      image,
      peers,
      intervalMs: () => config.brokerHeartbeatIntervalMs,
      directories: directories ?? (() => Promise.resolve([])),
      heard: (heartbeat) => this.#sessions.heard(heartbeat),
      onStale: (endOffset) => void this.#expelled(endOffset),
    });
    this.#turns = new OperationTurns({
      log,
      state: () => this.#state(),
      whenMoved: () => this.#moved.whenRaised(),
      measure: () => this.session.measure(),
    });
    this.#caller = new OperationCaller({
      nodeId,
      log,
      turns: this.#turns,
      clock,
      peers,
      whenMoved: (timeoutMs) => this.#moved.whenRaised(timeoutMs),
      isClosed: () => this.#isClosed,
    });
  }

  get image(): MetadataImage {
    return this.#applied.image;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  get isController(): boolean {
    return this.#sessions.isLeading;
  }

  get addresses(): ReadonlyMap<number, { readonly host: string; readonly port: number }> {
    const addresses = new Map<number, { readonly host: string; readonly port: number }>();
    for (const { id, endpoints } of this.image.brokers.values()) {
      const internal = endpoints.find(({ name }) => name === internalListener);
      if (internal !== undefined) addresses.set(id, { host: internal.host, port: internal.port });
    }
    return addresses;
  }

  get services(): ReadonlyMap<string, PeerService> {
    return new Map<string, PeerService>([
      [controllerKind, ({ payload }) => this.#caller.serve(payload)],
      [
        heartbeatKind,
        ({ payload }) => {
          const answer = this.#sessions.heard(fromJson<Heartbeat>(payload));
          return Promise.resolve([toJson(answer)]);
        },
      ],
    ]);
  }

  onChanges(listener: ChangesListener): void {
    this.#applied.onChanges(listener);
  }

  async start(): Promise<void> {
    await this.#options.log.start({
      committed: (batch) => {
        this.#applied.apply(batch);
        this.#look();
      },
      installed: (snapshot) => {
        this.#applied.install(snapshot);
        this.#look();
      },
      moved: () => this.#look(),
      failed: (error) => this.#options.onFailure?.(error),
    });
    this.#look();
    if (!(await this.becomeCurrent())) throw new MetadataLogError('closed', 'this node stops');
    this.#isStarted = true;
  }

  /** Has the operation carried out by the controller. Rejects with a MetadataLogError. */
  call<Name extends OperationName>(asked: Asked<Name>): Promise<Done<Name>> {
    return this.#caller.call(asked);
  }

  whenReached(endOffset: number, timeoutMs?: number): Promise<boolean> {
    return this.#applied.whenReached(endOffset, timeoutMs);
  }

  /** Resolves with true when the image holds all that was committed before this call; false where this node stops. */
  becomeCurrent(): Promise<boolean> {
    return Promise.race([this.#becomeCurrent(), this.#ending]);
  }

  async register(node: NodeRegistration): Promise<void> {
    const { config, clock, nodeId } = this.#options;
    const untilMs = clock.monotonicMs() + 2 * config.brokerSessionTimeoutMs;
    for (;;) {
      const isAlone = [...this.image.brokers.keys()].every((id) => id === nodeId);
      const request = { ...node, fenced: node.fenced === true && !isAlone };
      const { result, endOffset } = await this.call({ name: 'register', request, validateOnly: false });
      if (result.kind === 'registered') {
        await this.#applied.whenReached(endOffset);
        this.session.begin(result.epoch, node.fenced === true ? 'starting' : 'serve');
        this.#sessions.imageChanged();
        return;
      }
      // The session of a process that died without a word ends by itself.
      const mayEnd = result.error === 'DUPLICATE_BROKER_REGISTRATION' && clock.monotonicMs() < untilMs;
      if (!mayEnd || this.#isClosed) throw new RegistrationError(result);
      await this.#moved.whenRaised(config.brokerHeartbeatIntervalMs);
    }
  }

  async serve(): Promise<void> {
    const { config, nodeId } = this.#options;
    await this.session.say('serve');
    while (!this.#isClosed && this.image.brokers.get(nodeId)?.fenced !== false) {
      await this.#moved.whenRaised(config.brokerHeartbeatIntervalMs);
    }
  }

  /** Nobody waits for this node to become current any more. */
  end(): void {
    this.#end(false);
  }

  /** Says that this node is gone. No operation is begun any more. */
  async close(): Promise<void> {
    const { clock, log } = this.#options;
    await bounded(clock, this.#turns.settled(), endMsMax);
    await bounded(clock, this.session.say('stopped'), endMsMax);
    this.session.close();
    this.#isClosed = true;
    this.#applied.close();
    await log.close();
    this.#moved.raise();
    await this.#turns.settled();
    this.#sessions.close();
  }

  async #becomeCurrent(): Promise<boolean> {
    while (!this.#isClosed) {
      try {
        const { endOffset } = await this.call({ name: 'catchUp', request: null, validateOnly: false });
        return await this.#applied.whenReached(endOffset);
      } catch (error) {
        const isFinal = !(error instanceof MetadataLogError) || error.code === 'failed';
        if (isFinal) throw error;
      }
    }
    return false;
  }

  /** After every move of the log. */
  #look(): void {
    const { log } = this.#options;
    // The first look at a term counts when the image holds all that the leader's log does.
    const isKnown = this.#term === log.term && this.#sessions.isLeading;
    const isLeading = log.isReady && (isKnown || this.image.endOffset >= log.endOffset);
    if (this.#term !== log.term) this.#sessions.setLeading(false);
    this.#term = log.term;
    this.#sessions.setLeading(isLeading);
    this.#sessions.imageChanged();
    this.session.review();
    this.#moved.raise();
  }

  #state(): ControllerState {
    const { config, limits, ids, log } = this.#options;
    const nodes = new Set([...this.image.brokers.keys(), ...log.memberNodes]);
    return {
      image: this.image,
      config,
      limits: limits ?? defaultLimits,
      newTopicId: () => ids.uuid(),
      reports: this.#sessions.reports,
      aliveNodes: this.#sessions.aliveNodes,
      nodeCount: nodes.size,
    };
  }

  /** Heartbeats and checks ask again where it comes to nothing. */
  #change(change: RegistrationChange): void {
    if (this.#changing.has(change.nodeId) || this.#isClosed) return;
    this.#changing.add(change.nodeId);
    const done = (): void => {
      this.#changing.delete(change.nodeId);
    };
    this.#turns
      .run({ name: 'changeRegistration', request: change, validateOnly: false })
      .then(done, (error: unknown) => {
        done();
        if (!(error instanceof MetadataLogError)) this.#options.onFailure?.(error);
      });
  }

  /** The controller knew of something at this offset that this node may have yet to hear. */
  async #expelled(endOffset: number): Promise<void> {
    const { nodeId, onExpelled } = this.#options;
    if (!(await this.#applied.whenReached(endOffset))) return;
    const { epoch } = this.session;
    const known = this.image.brokers.get(nodeId);
    if (epoch === undefined || known?.epoch === epoch || this.#isClosed) return;
    onExpelled?.(known === undefined ? 'unregistered' : 'superseded');
  }
}
