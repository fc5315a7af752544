/** What the bench and its nodes, each a process of its own, say to each other. */

export interface NodeStart {
  readonly nodeId: number;
  readonly directory: string;
}

export type Command =
  /** Where the other nodes listen. */
  | { readonly kind: 'connect'; readonly ports: Readonly<Record<number, number>> }
  /** Opens its replicas of new groups, with all three nodes as voters. */
  | { readonly kind: 'open'; readonly topic: string; readonly groups: number }
  | { readonly kind: 'load'; readonly load: Load }
  | { readonly kind: 'figures'; readonly topic: string }
  /** What lives in memory when all garbage is gone. */
  | { readonly kind: 'memory' }
  | { readonly kind: 'stop' };

/** In each group that a node leads: so many batches on their way at any time, each waited for. */
export interface Load {
  readonly topic: string;
  readonly perGroup: number;
  readonly batchBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface LoadResult {
  readonly commits: number;
  /** Batches on their way that ended with a leadership, as on a machine that stands still for an election timeout. */
  readonly lost: number;
  /** From the append to the acknowledgement by a majority, as a sorted sample. */
  readonly latenciesMs: readonly number[];
}

export interface Figures {
  readonly led: number;
  /** Groups that are led by somebody who is known here. */
  readonly placed: number;
  readonly ticking: number;
  readonly framesSent: number;
  readonly framesReceived: number;
}

export type Answer =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'loaded'; readonly result: LoadResult }
  | { readonly kind: 'figures'; readonly figures: Figures }
  | { readonly kind: 'memory'; readonly liveBytes: number }
  | { readonly kind: 'failed'; readonly text: string };
