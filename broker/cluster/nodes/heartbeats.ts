/** What a node says to the controller with each heartbeat, and what it is told (KIP-631); as JSON between nodes. */
import type { NodeReport } from './node-reports.ts';

export const heartbeatKind = 'broker-heartbeat';

export interface Heartbeat {
  readonly nodeId: number;
  /** Of its registration. */
  readonly epoch: number;
  readonly report: NodeReport;
}

/** What the controller knows of a node in whose name an older registration spoke. */
export interface StaleRegistration {
  /** Where its image ended. */
  readonly endOffset: number;
  /** Under another epoch. */
  readonly isRegistered: boolean;
}

/**
 * 'stale': another start of this node has registered since, or the node was unregistered. 'not-leader': the one asked does not lead
 * the metadata log, or is not ready yet.
 */
export type HeartbeatAnswer =
  | { readonly kind: 'heard'; readonly fenced: boolean }
  | ({ readonly kind: 'stale' } & StaleRegistration)
  | { readonly kind: 'not-leader' };
