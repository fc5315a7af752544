/** Three embedded nodes that are one cluster, each on a disk in memory that outlives it. */
import type { Address } from '../../platform/network.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { freePort } from '../support/free-port.ts';
import type { BrokerOptions } from '../../broker/index.ts';
import { embed } from './embedded.ts';
import type { Embedded } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const host = '127.0.0.1';
const nodeIds = [1, 2, 3];

type OwnOptions = (nodeId: number) => BrokerOptions;

export class EmbeddedCluster implements AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly #voters: ReadonlyMap<number, Address>;
  readonly #disks: Map<number, MemoryDisk>;
  readonly #nodes = new Map<number, Embedded>();
  readonly #own: OwnOptions;

  private constructor(
    options: BrokerOptions,
    voters: ReadonlyMap<number, Address>,
    disks: ReadonlyMap<number, MemoryDisk>,
    own: OwnOptions,
  ) {
    this.#options = options;
    this.#own = own;
    this.#voters = voters;
    this.#disks = new Map(disks);
  }

  /** `disks`: of those that are to have a certain one. `own`: what a node has besides what all have. */
  static async start(
    options: BrokerOptions = {},
    disks: ReadonlyMap<number, MemoryDisk> = new Map(),
    own: OwnOptions = () => ({}),
  ): Promise<EmbeddedCluster> {
    const voters = new Map<number, Address>();
    for (const id of nodeIds) voters.set(id, { host, port: await freePort() });
    const cluster = new EmbeddedCluster(options, voters, disks, own);
    await Promise.all(nodeIds.map((id) => cluster.startNode(id)));
    return cluster;
  }

  node(id: number): Embedded {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`node ${id} is not running`);
    return node;
  }

  get running(): readonly number[] {
    return [...this.#nodes.keys()];
  }

  /** On the disk that it had, or on an empty one; always with the same list of voters. */
  async startNode(id: number, options: BrokerOptions = {}): Promise<Embedded> {
    const disk = this.#disks.get(id) ?? new MemoryDisk();
    this.#disks.set(id, disk);
    const internalPort = this.#voters.get(id)!.port;
    const own = { nodeId: id, disk, internalPort, voters: this.#voters, machine: `machine ${id}` };
    const node = await embed({ ...this.#options, ...this.#own(id), ...own, ...options });
    this.#nodes.set(id, node);
    return node;
  }

  async stopNode(id: number): Promise<void> {
    const node = this.node(id);
    this.#nodes.delete(id);
    await node[Symbol.asyncDispose]();
  }

  /** One more, which is no voter of the list; it may not be started again. */
  async joinNode(id: number, options: BrokerOptions = {}): Promise<Embedded> {
    const join = this.#voters.get(this.running[0]!)!;
    const own = { nodeId: id, internalPort: await freePort(), join, machine: `machine ${id}` };
    const node = await embed({ ...this.#options, ...own, ...options });
    this.#nodes.set(id, node);
    return node;
  }

  /** Where other nodes reach this one. */
  internalAddress(id: number): Address {
    return this.#voters.get(id)!;
  }

  /** Where clients reach them. */
  get addresses(): string {
    return this.running.map((id) => `${host}:${this.node(id).broker.port}`).join();
  }

  /** What a node of the first three has. */
  diskOf(id: number): MemoryDisk {
    return this.#disks.get(id)!;
  }

  /** All that a stopped node had is gone. */
  loseDisk(id: number): void {
    this.#disks.delete(id);
  }

  connect(id: number): Promise<WireConnection> {
    return this.node(id).connect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running.map((id) => this.stopNode(id)));
  }
}
