/**
 * The controller's side of the sessions of nodes (KIP-631): who was heard when, and what they said. A node that is not heard for
 * `broker.session.timeout.ms` is fenced; one that is heard, is ready and has applied its own registration is fenced no longer.
 *
 * Soft state of the leader of the metadata log. A new leader gives every node that is not fenced a whole timeout from when it took the
 * lead. Time is needed only while there are other nodes: a node alone has no timer.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { Heartbeat, HeartbeatAnswer } from './heartbeats.ts';
import type { BrokerImage, MetadataImage } from '../metadata/metadata-image.ts';
import type { NodeReport, NodeReports } from './node-reports.ts';
import type { RegistrationChange } from '../controller/registration.ts';

export interface NodeSessionsOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly image: () => MetadataImage;
  /** Under which this node is registered in this run; undefined: not yet. */
  readonly ownEpoch: () => number | undefined;
  /** Live. */
  readonly sessionTimeoutMs: () => number;
  /** Asks for a change of a registration; it is asked for again with the next heartbeat or check where it came to nothing. */
  readonly change: (change: RegistrationChange) => void;
}

interface Session {
  readonly epoch: number;
  heardMs: number;
  report: NodeReport | undefined;
}

export class NodeSessions {
  readonly #options: NodeSessionsOptions;
  readonly #sessions = new Map<number, Session>();
  #isLeading = false;
  #timer: Timer | undefined;

  constructor(options: NodeSessionsOptions) {
    this.#options = options;
  }

  get isLeading(): boolean {
    return this.#isLeading;
  }

  /** This node leads the metadata log and is ready, or no longer. */
  setLeading(isLeading: boolean): void {
    if (isLeading === this.#isLeading) return;
    this.#isLeading = isLeading;
    this.#sessions.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.imageChanged();
  }

  /** What nodes have reported to this leader. */
  get reports(): NodeReports {
    const reports = new Map<number, NodeReport>();
    for (const [nodeId, { report }] of this.#sessions) {
      if (report !== undefined && this.#sessionOf(nodeId) !== undefined) reports.set(nodeId, report);
    }
    return reports;
  }

  /** Nodes that are registered and have been heard within the timeout. */
  get aliveNodes(): ReadonlySet<number> {
    const { image, clock, nodeId, ownEpoch, sessionTimeoutMs } = this.#options;
    const sinceMs = clock.monotonicMs() - sessionTimeoutMs();
    const alive = new Set<number>();
    for (const { id, epoch } of image().brokers.values()) {
      const session = this.#sessionOf(id);
      const isHeard =
        session !== undefined && session.heardMs > sinceMs && session.report?.wish !== 'stopped';
      if (id === nodeId ? ownEpoch() === epoch : isHeard) alive.add(id);
    }
    return alive;
  }

  /** Takes a heartbeat, this node's own among them. */
  heard({ nodeId, epoch, report }: Heartbeat): HeartbeatAnswer {
    if (!this.#isLeading) return { kind: 'not-leader' };
    const { image, clock, change } = this.#options;
    const broker = image().brokers.get(nodeId);
    if (broker?.epoch !== epoch) {
      return { kind: 'stale', endOffset: image().endOffset, isRegistered: broker !== undefined };
    }
    this.#sessions.set(nodeId, { epoch, heardMs: clock.monotonicMs(), report });
    const wanted = wantedChange(broker, report);
    if (wanted !== undefined) change(wanted);
    this.#schedule();
    return { kind: 'heard', fenced: broker.fenced };
  }

  /** A node that is not fenced has a session from when this node leads or the node registered. */
  imageChanged(): void {
    if (!this.#isLeading) return;
    const { image, clock } = this.#options;
    for (const { id, epoch, fenced } of image().brokers.values()) {
      if (this.#sessions.get(id)?.epoch === epoch) continue;
      this.#sessions.delete(id);
      if (!fenced) this.#sessions.set(id, { epoch, heardMs: clock.monotonicMs(), report: undefined });
    }
    for (const id of this.#sessions.keys()) if (!image().brokers.has(id)) this.#sessions.delete(id);
    this.#schedule();
  }

  close(): void {
    this.setLeading(false);
  }

  #sessionOf(nodeId: number): Session | undefined {
    const session = this.#sessions.get(nodeId);
    return session?.epoch === this.#options.image().brokers.get(nodeId)?.epoch ? session : undefined;
  }

  /** Nodes other than this one that could fall silent. */
  #others(): { broker: BrokerImage; session: Session }[] {
    const { image, nodeId } = this.#options;
    return [...image().brokers.values()].flatMap((broker) => {
      const session = this.#sessionOf(broker.id);
      return broker.id === nodeId || broker.fenced || session === undefined ? [] : [{ broker, session }];
    });
  }

  #schedule(): void {
    if (this.#timer !== undefined || !this.#isLeading) return;
    const others = this.#others();
    if (others.length === 0) return;
    const { clock, sessionTimeoutMs } = this.#options;
    const firstMs = Math.min(...others.map(({ session }) => session.heardMs));
    const delayMs = Math.max(firstMs + sessionTimeoutMs() - clock.monotonicMs(), checkMsMin);
    this.#timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#check();
      this.#schedule();
    });
  }

  #check(): void {
    const { clock, sessionTimeoutMs, change } = this.#options;
    const sinceMs = clock.monotonicMs() - sessionTimeoutMs();
    for (const { broker, session } of this.#others()) {
      if (session.heardMs <= sinceMs) change({ nodeId: broker.id, epoch: broker.epoch, fenced: true });
    }
  }
}

/** Between two looks at who has fallen silent, where fencing them takes its time. */
const checkMsMin = 100;

/** What a node's report makes of its registration. */
function wantedChange(broker: BrokerImage, report: NodeReport): RegistrationChange | undefined {
  const { id: nodeId, epoch } = broker;
  switch (report.wish) {
    case 'starting':
      return undefined;
    case 'stop':
      return broker.inControlledShutdown ? undefined : { nodeId, epoch, inControlledShutdown: true };
    case 'stopped':
      return broker.fenced ? undefined : { nodeId, epoch, fenced: true };
    default:
      return broker.fenced && report.endOffset > epoch ? { nodeId, epoch, fenced: false } : undefined;
  }
}
