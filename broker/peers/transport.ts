import type { Lease } from '../../platform/buffer-pool.ts';

/**
 * How nodes reach each other, as consensus needs it: whole frames, which may be lost, and which nodes are there. A connection of
 * its own for each pair of nodes and direction gives order; nothing relies on that but the speed of roll calls.
 */
export interface Transport {
  /**
   * Sends the parts as one frame, or drops it where the node cannot be reached, or is behind by more than is kept for it.
   * `release` is called once, when the bytes are not needed any more.
   */
  send(nodeId: number, frame: readonly Buffer[], release: () => void): void;
}

export interface TransportEvents {
  /**
   * Returns false where it is no frame that can be read: the connection is to be ended. The bytes lie in memory that is used again:
   * what the receiver keeps beyond this call, it retains or copies. Without a lease they are the receiver's.
   */
  received(frame: Buffer, lease?: Lease): boolean;
  connected(nodeId: number): void;
  /** The connection has ended, as the process there has, or the way to it. */
  disconnected(nodeId: number): void;
}
