/** This node's registration: has it made, says when the node is ready, and notices when it does not hold any more. */
import type { Clock } from '../../../platform/clock.ts';
import type { BrokerConfig } from '../../config/broker-config.ts';
import type { AppliedMetadata } from '../metadata/applied-metadata.ts';
import type { Refusal } from '../controller/controller.ts';
import { servedFeatures } from '../controller/features.ts';
import type { StaleRegistration } from './heartbeats.ts';
import type { OperationCaller } from '../controller/operation-caller.ts';
import type { OwnSession } from './own-session.ts';
import type { NodeRegistration } from '../controller/registration.ts';
import { bounded } from '../signal.ts';
import type { Signal } from '../signal.ts';

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

  /** Waits for a controller for as long as there is none. Rejects with a RegistrationError, or a MetadataLogError. */
  async register(node: NodeRegistration): Promise<void> {
    const { config, clock, applied, caller, session, moved, isClosed } = this.#options;
    // The session of a process that died without a word ends by itself.
    const untilMs = clock.monotonicMs() + 2 * config.brokerSessionTimeoutMs;
    for (;;) {
      const asked = {
        name: 'register',
        request: { ...node, features: servedFeatures() },
        validateOnly: false,
      } as const;
      const { result, endOffset } = await caller.call(asked, Infinity);
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

  /**
   * The controller knew of something else than this registration. A controller whose image is behind may have yet to hear of this
   * node; one that is ahead has it right, and is not waited for: who is out of the cluster gets no more of its log.
   */
  stale({ endOffset, isRegistered }: StaleRegistration): void {
    const { nodeId, applied, session, isClosed, onExpelled } = this.#options;
    const { epoch } = session;
    const known = applied.image.brokers.get(nodeId);
    const isAhead = endOffset > applied.image.endOffset;
    const holds = known?.epoch === epoch && !isAhead;
    if (epoch === undefined || holds || isClosed() || this.#isExpelled) return;
    this.#isExpelled = true;
    session.close();
    const isKnown = isAhead ? isRegistered : known !== undefined;
    onExpelled(isKnown ? 'superseded' : 'unregistered');
  }
}
