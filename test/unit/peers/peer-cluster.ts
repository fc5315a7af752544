/** Nodes' networks in one process, on a manual clock, or on real sockets; with what each of them was told. */
import { PeerNetwork } from '../../../broker/peers/peer-network.ts';
import type { PeerNetworkOptions } from '../../../broker/peers/peer-network.ts';
import type { PeerNotice } from '../../../broker/peers/peer-settings.ts';
import type { TransportEvents } from '../../../broker/peers/transport.ts';
import type { Clock } from '../../../platform/clock.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../platform/memory-network.ts';
import type { Network } from '../../../platform/network.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

/** Of all nodes, unless told. */
export const testClusterId = 'kappalogTestClusterAAA';

/** What a node sees of the others. */
export class Seen implements TransportEvents {
  readonly frames: Buffer[] = [];
  readonly events: string[] = [];
  readonly notices: PeerNotice[] = [];
  isReadable = true;
  #waiting: (() => void)[] = [];

  received(frame: Buffer): boolean {
    this.frames.push(frame);
    this.wake();
    return this.isReadable;
  }

  connected(nodeId: number): void {
    this.events.push(`+${nodeId}`);
    this.wake();
  }

  disconnected(nodeId: number): void {
    this.events.push(`-${nodeId}`);
    this.wake();
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}

export interface TestNode {
  readonly peers: PeerNetwork;
  readonly seen: Seen;
}

export type NodeChanges = Partial<Omit<PeerNetworkOptions, 'identity'>> & {
  readonly incarnation?: number;
  readonly seed?: number;
  readonly clusterId?: string;
  readonly usesLeases?: boolean;
};

export async function openNode(
  nodeId: number,
  platform: { readonly network: Network; readonly clock: Clock },
  changes: NodeChanges = {},
): Promise<TestNode> {
  const {
    incarnation = 1,
    seed = 100 * nodeId + incarnation + 200,
    clusterId = testClusterId,
    usesLeases = false,
    ...others
  } = changes;
  const seen = new Seen();
  const peers = await PeerNetwork.open({
    ...platform,
    random: new SeededRandom(seed),
    address: { host: '127.0.0.1', port: 0 },
    identity: { nodeId, incarnation, clusterId, softwareVersion: '1.2.3', usesLeases },
    onNotice: (notice) => {
      seen.notices.push(notice);
      seen.wake();
    },
    ...others,
  });
  peers.deliverTo(seen);
  return { peers, seen };
}

/** Each knows where all are. */
export function introduce(nodes: readonly TestNode[]): void {
  for (const { peers } of nodes) {
    for (const { peers: other } of nodes) peers.setAddress(other.identity.nodeId, other.address);
  }
}

/** Nodes on a clock that stands still; bytes are cut into pieces of any size. */
export class PeerCluster {
  readonly clock = new ManualClock();
  readonly network: MemoryNetwork;
  readonly #opened: TestNode[] = [];

  constructor(latencyMs = 1) {
    const random = new SeededRandom(5);
    this.network = new MemoryNetwork({ clock: this.clock, latencyMs: () => latencyMs, random });
  }

  async open(nodeId: number, changes: NodeChanges = {}): Promise<TestNode> {
    const node = await openNode(nodeId, this, changes);
    this.#opened.push(node);
    return node;
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  /** The outcome of a promise, while the clock goes on for as long as that takes. */
  async settle<Value>(promise: Promise<Value>, withinMs = 60_000): Promise<Value> {
    let isSettled = false;
    const done = promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    if (!(await this.clock.runUntil(() => isSettled, withinMs))) throw new Error('it did not settle in time');
    await done;
    return promise;
  }

  /** Ends all; whatever still runs after that is left over. */
  async close(): Promise<number> {
    for (const { peers } of this.#opened) await this.settle(peers.close());
    await this.pass(10);
    return this.clock.pendingTimers;
  }
}
