/**
 * What a node knows of the nodes around it, once for all the groups that they share: the view that a group takes of
 * NodeHeartbeats, so that groups at rest need neither messages nor timers of their own.
 *
 * Time is the count of ticks that this node has been given. A tick is a fixed span of its monotonic clock, and the shell gives all
 * that are due before it gives anything else: after a pause of the process a lease must not seem younger than it is.
 */
export interface Peers {
  readonly now: number;
  /** The tick when anything was last heard of the node; -Infinity if never in this run. */
  heardAt(nodeId: number): number;
  /**
   * The latest tick such that the node has answered a heartbeat that this node sent then, and follows in all groups that this
   * node leads with it; -Infinity if never. What leases and check-quorum count.
   */
  confirmedAt(nodeId: number): number;
}

/** Spans in ticks, the same on all nodes. */
export interface Timing {
  /** How often what is unanswered is asked again. */
  readonly heartbeatTicks: number;
  /** A leader that has not been heard for this long is given up, and protected from others' elections until then. */
  readonly electionTicks: number;
  /** How much later each voter in order of preference campaigns than the one before it. */
  readonly rankTicks: number;
}

export function isSilent(peers: Peers, timing: Timing, nodeId: number): boolean {
  return peers.now - peers.heardAt(nodeId) >= timing.electionTicks;
}
