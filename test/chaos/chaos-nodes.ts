/** Three nodes, each in a namespace of the lab, and a proxy before each for its clients. One has a disk of its own. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntilAnswering } from '../support/api-versions-probe.ts';
import { spawnBroker } from '../support/broker-process.ts';
import type { BrokerProcess, BrokerSpec } from '../support/broker-process.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import { ClientProxy } from './client-proxy.ts';
import type { NetworkLab } from './network-lab.ts';
import { SmallDisk } from './small-disk.ts';
import { WallClocks } from './wall-clocks.ts';

export const nodeIds = [1, 2, 3];
/** The node whose disk can be full. */
export const smallNodeId = 3;
const clientPort = 9092;
const internalPort = 9093;
const startMsMax = 60_000;

type Running = Omit<BrokerProcess, 'readyMs'>;

export class ChaosNodes {
  readonly lab: NetworkLab;
  readonly clocks: WallClocks;
  /** Of `smallNodeId`. */
  readonly disk: SmallDisk;
  readonly #directory: string;
  readonly #children: ChildProcesses;
  readonly #proxies = new Map<number, ClientProxy>();
  readonly #running = new Map<number, Running>();

  constructor(lab: NetworkLab, directory: string, children: ChildProcesses) {
    this.lab = lab;
    this.#directory = directory;
    this.#children = children;
    this.clocks = new WallClocks(directory);
    this.disk = new SmallDisk(this.#dataOf(smallNodeId));
    for (const nodeId of nodeIds) {
      const listen = { host: lab.harnessAddress, port: this.#proxyPort(nodeId) };
      this.#proxies.set(nodeId, new ClientProxy(listen, { host: lab.addressOf(nodeId), port: clientPort }));
    }
  }

  /** Where clients connect. */
  get brokers(): string[] {
    return nodeIds.map((nodeId) => `${this.lab.harnessAddress}:${this.#proxyPort(nodeId)}`);
  }

  proxy(nodeId: number): ClientProxy {
    return this.#proxies.get(nodeId)!;
  }

  pid(nodeId: number): number {
    return this.#running.get(nodeId)!.pid;
  }

  /** Resolves when all of these answer. */
  async start(...ids: readonly number[]): Promise<void> {
    const begun = ids.map((nodeId) => ({
      nodeId,
      node: spawnBroker('kappalog', this.#children, this.#specOf(nodeId)),
    }));
    for (const { nodeId, node } of begun) this.#running.set(nodeId, node);
    await Promise.all(
      begun.map(({ nodeId, node }) =>
        waitUntilAnswering({ host: this.lab.addressOf(nodeId), port: clientPort }, startMsMax, node.ended),
      ),
    );
  }

  async kill(...ids: readonly number[]): Promise<void> {
    await Promise.all(ids.map((nodeId) => this.#running.get(nodeId)!.kill()));
  }

  async stop(): Promise<void> {
    for (const node of this.#running.values()) await node.stop();
    for (const proxy of this.#proxies.values()) proxy.close();
    this.disk.close();
  }

  /** All that a killed node had on its disk is gone. */
  loseDisk(nodeId: number): void {
    const directory = this.#dataOf(nodeId);
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
  }

  #dataOf(nodeId: number): string {
    return join(this.#directory, `node-${nodeId}`, 'data');
  }

  #proxyPort(nodeId: number): number {
    return 9_100 + nodeId;
  }

  #specOf(nodeId: number): BrokerSpec {
    const { lab } = this;
    const voters = nodeIds.map((id) => `${id}@${lab.addressOf(id)}:${internalPort}`).join(',');
    return {
      host: lab.addressOf(nodeId),
      namespace: lab.namespaceOf(nodeId),
      port: clientPort,
      httpPort: 8080,
      directory: join(this.#directory, `node-${nodeId}`),
      environment: this.clocks.environmentOf(nodeId),
      settings: { 'default.replication.factor': '2', 'min.insync.replicas': '2' },
      arguments: [
        '--node-id',
        String(nodeId),
        '--internal-port',
        String(internalPort),
        '--voters',
        voters,
        '--advertised-host',
        `${lab.harnessAddress}:${this.#proxyPort(nodeId)}`,
      ],
    };
  }
}
