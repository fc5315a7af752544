/** What goes to and comes from each other node, on all connections with it, since this one started. Counted as it goes. */

export interface PeerTraffic {
  /** As the network takes and gives them, before encryption; sent: once they are handed over. */
  sentBytes: number;
  receivedBytes: number;
  sentFrames: number;
  receivedFrames: number;
}

export class PeerTraffics {
  readonly #byNode = new Map<number, PeerTraffic>();

  of(nodeId: number): PeerTraffic {
    const known = this.#byNode.get(nodeId);
    if (known !== undefined) return known;
    const traffic = { sentBytes: 0, receivedBytes: 0, sentFrames: 0, receivedFrames: 0 };
    this.#byNode.set(nodeId, traffic);
    return traffic;
  }

  /** The node is not one of the cluster any more. */
  forget(nodeId: number): void {
    this.#byNode.delete(nodeId);
  }

  all(): ReadonlyMap<number, PeerTraffic> {
    return this.#byNode;
  }
}
