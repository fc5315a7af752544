/**
 * What nodes say of themselves with each heartbeat, as the controller has heard it. Soft state: not in the log, lost with
 * leadership, and heard anew from each node within a heartbeat's interval. Decisions may use it for choices, never for safety.
 */

export interface DirectoryReport {
  readonly id: string;
  /** Bytes that new replicas could use; undefined where that cannot be told. */
  readonly usableBytes: number | undefined;
  readonly totalBytes: number | undefined;
  /** Replicas that lie in it. */
  readonly replicas: number;
}

/**
 * 'starting': it is not ready for clients. 'stop': it is about to stop, and its leaderships are to go elsewhere. 'stopped': it has
 * stopped.
 */
export type NodeWish = 'starting' | 'serve' | 'stop' | 'stopped';

export interface NodeReport {
  readonly wish: NodeWish;
  /** Online data directories. */
  readonly directories: readonly DirectoryReport[];
  /** One past the last metadata record that it has applied. */
  readonly endOffset: number;
}

/** By node id; a node that has not been heard since this node became controller is missing. */
export type NodeReports = ReadonlyMap<number, NodeReport>;
