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
  /** Returns false where it is no frame that can be read: the connection is to be ended. The bytes are the receiver's from now on. */
  received(frame: Buffer): boolean;
  connected(nodeId: number): void;
  /** The connection has ended, as the process there has, or the way to it. */
  disconnected(nodeId: number): void;
}
