/**
 * A node's part in the replicated metadata: follows the log, applies what is committed, asks the controller or is it, and keeps up
 * its session. `cluster.ts` is what others see of it.
 */
import type { PeerService } from '../peers/peer-requests.ts';
import { Admission, admissionKind } from './nodes/admission.ts';
import type { JoiningNode } from './nodes/admission.ts';
import { AppliedMetadata } from './metadata/applied-metadata.ts';
import type { ChangesListener } from './metadata/applied-metadata.ts';
import type { ClusterOptions } from './cluster-options.ts';
import { drainedNodes } from './controller/drained-nodes.ts';
import { defaultLimits } from './controller/controller.ts';
import type { ControllerState } from './controller/controller.ts';
import { heartbeatKind } from './nodes/heartbeats.ts';
import type { Heartbeat } from './nodes/heartbeats.ts';
import type { MetadataImage } from './metadata/metadata-image.ts';
import { MetadataLogError } from './metadata/metadata-log.ts';
import { encodeMetadataRecord } from './metadata/metadata-record.ts';
import { MetadataMembership } from './nodes/metadata-membership.ts';
import { NodeSessions } from './nodes/node-sessions.ts';
import { OperationCaller, controllerKind } from './controller/operation-caller.ts';
import { OperationTurns } from './controller/operation-turns.ts';
import type { Asked, Done, OperationName } from './controller/operations.ts';
import { OwnRegistration } from './nodes/own-registration.ts';
import { OwnSession } from './nodes/own-session.ts';
import { fromJson, toJson } from './peer-json.ts';
import { Quorum, quorumKind } from './nodes/quorum.ts';
import { internalListener } from './controller/registration.ts';
import type { RegistrationChange } from './controller/registration.ts';
import { Signal, bounded } from './signal.ts';

/** How long a node that stops waits for what it has begun, and to be heard. */
const endMsMax = 1_000;
/** Several signs of life between nodes have not come. */
const silentMsMin = 250;

export class MetadataNode {
  readonly session: OwnSession;
  readonly registration: OwnRegistration;
  /** Undefined where the group's members cannot be changed from here. */
  readonly admission: Admission | undefined;
  /** The same. */
  readonly quorum: Quorum | undefined;
  readonly #options: ClusterOptions;
  readonly #applied: AppliedMetadata;
  readonly #turns: OperationTurns;
  readonly #caller: OperationCaller;
  readonly #sessions: NodeSessions;
  readonly #membership: MetadataMembership | undefined;
  /** Raised when something was applied, or who leads may have changed. */
  readonly #moved: Signal;
  /** Changes of registrations that are under way, by node: one at a time. */
  /** Nodes whose registration is being changed, with what is to be changed after that. */
  readonly #changing = new Map<number, RegistrationChange | undefined>();
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
      onStale: (stale) => this.registration.stale(stale),
    });
    this.#turns = new OperationTurns({
      log,
      state: () => this.#state(),
      whenMoved: () => this.#moved.whenRaised(),
      measure: () => this.session.measure(),
      onWarning: (message) => options.onWarning?.(message),
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
    this.registration = new OwnRegistration({
      nodeId,
      clock,
      config,
      applied: this.#applied,
      caller: this.#caller,
      session: this.session,
      moved: this.#moved,
      isClosed: () => this.#isClosed,
      onExpelled: (reason) => options.onExpelled?.(reason),
    });
    const { group } = options;
    const isLeading = (): boolean => this.isController;
    if (group === undefined) return;
    const membership = new MetadataMembership({ nodeId, group, clock, image, isLeading });
    const onAddress = (node: JoiningNode): void => options.onAddress?.(node);
    this.#membership = membership;
    this.quorum = new Quorum({ nodeId, clock, log, group, peers, moved: this.#moved });
    this.admission = new Admission({
      nodeId,
      clock,
      log,
      peers,
      membership,
      isLeading,
      image,
      onAddress,
      moved: this.#moved,
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
    const { admission, quorum } = this;
    return new Map<string, PeerService>([
      ...(admission === undefined ? [] : ([[admissionKind, admission.service]] as const)),
      ...(quorum === undefined ? [] : ([[quorumKind, quorum.service]] as const)),
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
      snapshot: () => [...this.image.records()].map((record) => encodeMetadataRecord(record)),
      moved: () => this.#look(),
      failed: (error) => this.#options.onFailure?.(error),
    });
    this.#look();
    if (!(await this.becomeCurrent())) throw new MetadataLogError('closed', 'this node stops');
    this.#isStarted = true;
  }

  /** Has the operation carried out by the controller. Rejects with a MetadataLogError. */
  call<Name extends OperationName>(asked: Asked<Name>, timeoutMs?: number): Promise<Done<Name>> {
    return this.#caller.call(asked, timeoutMs);
  }

  whenReached(endOffset: number, timeoutMs?: number): Promise<boolean> {
    return this.#applied.whenReached(endOffset, timeoutMs);
  }

  /** Resolves with true when the image holds all that was committed before this call; false where this node stops. */
  becomeCurrent(): Promise<boolean> {
    return Promise.race([this.#becomeCurrent(), this.#ending]);
  }

  /** Nobody waits for this node to become current any more. */
  end(): void {
    this.#end(false);
  }

  /** Says that this node is gone. No operation is begun any more. */
  async close(): Promise<void> {
    const { clock, log } = this.#options;
    await bounded(clock, this.#turns.settled(), endMsMax);
    await this.registration.leave(endMsMax);
    this.session.close();
    this.#isClosed = true;
    this.#applied.close();
    await log.close();
    this.#moved.raise();
    await this.#turns.settled();
    this.#sessions.close();
    this.#membership?.close();
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
    this.#membership?.review();
    this.#moved.raise();
  }

  #state(): ControllerState {
    const { config, limits, ids, log, nodeId, silentMs = () => 0 } = this.#options;
    const nodes = new Set([...this.image.brokers.keys(), ...log.memberNodes]);
    const drained = drainedNodes(this.image);
    return {
      image: this.image,
      config,
      limits: limits ?? defaultLimits,
      newTopicId: () => ids.uuid(),
      reports: this.#sessions.reports,
      aliveNodes: this.#sessions.aliveNodes,
      silentNodes: new Set([...nodes].filter((id) => id !== nodeId && silentMs(id) > silentMsMin)),
      nodeCount: [...nodes].filter((id) => !drained.has(id)).length,
    };
  }

  /**
   * One at a time for each node, and after it the last that came meanwhile: who has stopped does not say so again. Heartbeats and checks ask
   * again where it comes to nothing.
   */
  #change(change: RegistrationChange): void {
    const { nodeId } = change;
    if (this.#isClosed) return;
    if (this.#changing.has(nodeId)) {
      this.#changing.set(nodeId, change);
      return;
    }
    this.#changing.set(nodeId, undefined);
    const done = (): void => {
      const next = this.#changing.get(nodeId);
      this.#changing.delete(nodeId);
      if (next !== undefined) this.#change(next);
    };
    this.#turns
      .run({ name: 'changeRegistration', request: change, validateOnly: false })
      .then(done, (error: unknown) => {
        done();
        if (!(error instanceof MetadataLogError)) this.#options.onFailure?.(error);
      });
  }
}
