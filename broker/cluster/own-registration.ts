/** This node's registration: has it made, says when the node is ready, and notices when it does not hold any more. */
import type { Clock } from '../../platform/clock.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { AppliedMetadata } from './applied-metadata.ts';
import type { Refusal } from './controller.ts';
import type { OperationCaller } from './operation-caller.ts';
import type { OwnSession } from './own-session.ts';
import type { NodeRegistration } from './registration.ts';
import { bounded } from './signal.ts';
import type { Signal } from './signal.ts';

/** The cluster does not take this node. */
export class RegistrationError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'RegistrationError';
    this.refusal = refusal;
  }
}

/** 'superseded': another process has registered as this node. 'unregistered': it was taken out of the cluster for good. */
export type ExpulsionReason = 'superseded' | 'unregistered';

const pauseMs = 50;

export interface OwnRegistrationOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly config: BrokerConfig;
  readonly applied: AppliedMetadata;
  readonly caller: OperationCaller;
  readonly session: OwnSession;
  readonly moved: Signal;
  readonly isClosed: () => boolean;
  readonly onExpelled: (reason: ExpulsionReason) => void;
}

export class OwnRegistration {
  readonly #options: OwnRegistrationOptions;
  #isExpelled = false;

  constructor(options: OwnRegistrationOptions) {
    this.#options = options;
  }

  /** Rejects with a RegistrationError, or a MetadataLogError. */
  async register(node: NodeRegistration): Promise<void> {
    const { config, clock, applied, caller, session, moved, isClosed } = this.#options;
    // The session of a process that died without a word ends by itself.
    const untilMs = clock.monotonicMs() + 2 * config.brokerSessionTimeoutMs;
    for (;;) {
      const asked = { name: 'register', request: node, validateOnly: false } as const;
      const { result, endOffset } = await caller.call(asked);
      if (result.kind === 'registered') {
        await applied.whenReached(endOffset);
        session.begin(result.epoch, node.fenced === true ? 'starting' : 'serve');
        return;
      }
      const mayEnd = result.error === 'DUPLICATE_BROKER_REGISTRATION' && clock.monotonicMs() < untilMs;
      if (!mayEnd || isClosed()) throw new RegistrationError(result);
      await moved.whenRaised(config.brokerHeartbeatIntervalMs);
    }
  }

  /** Resolves when the cluster counts this node in. */
  async serve(): Promise<void> {
    const { config, nodeId, applied, session, moved, isClosed } = this.#options;
    await session.say('serve');
    while (!isClosed() && applied.image.brokers.get(nodeId)?.fenced !== false) {
      await moved.whenRaised(config.brokerHeartbeatIntervalMs);
    }
  }

  /** Says that this node is gone, within this time: if leadership is just going elsewhere, to the next controller. */
  async leave(withinMs: number): Promise<void> {
    const { clock, session, moved } = this.#options;
    const untilMs = clock.monotonicMs() + withinMs;
    for (let leftMs = withinMs; leftMs > 0; leftMs = untilMs - clock.monotonicMs()) {
      const isHeard = await bounded(clock, session.say('stopped'), leftMs);
      if (isHeard !== false) return;
      await moved.whenRaised(pauseMs);
    }
  }

  /** The controller knew, at this offset, of something else than this registration; this node may have yet to hear of it. */
  async stale(endOffset: number): Promise<void> {
    const { nodeId, applied, session, isClosed, onExpelled } = this.#options;
    if (!(await applied.whenReached(endOffset))) return;
    const { epoch } = session;
    const known = applied.image.brokers.get(nodeId);
    if (epoch === undefined || known?.epoch === epoch || isClosed() || this.#isExpelled) return;
    this.#isExpelled = true;
    session.close();
    onExpelled(known === undefined ? 'unregistered' : 'superseded');
  }
}
