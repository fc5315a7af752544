/** Several nodes whose clusters share one metadata log in memory, and ask each other over a network that a test drives. */
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { Cluster } from '../../../broker/cluster/cluster.ts';
import type { ClusterOptions } from '../../../broker/cluster/cluster-options.ts';
import { ReplicaMetadataLog } from '../../../broker/cluster/metadata/replica-metadata-log.ts';
import { PeerError } from '../../../broker/peers/peer-requests.ts';
import type { PeerRequests } from '../../../broker/peers/peer-requests.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { uuid } from './cluster-fixtures.ts';
import { MemoryReplicaHost, settle } from './memory-cluster.ts';
import { MemoryGroup, directoryOf } from './memory-group.ts';
import type { MemoryReplica } from './memory-group.ts';

/** A question or an answer on its way. */
interface Message {
  readonly from: number;
  readonly to: number;
  readonly kind: string;
  deliver(): void;
  /** It is lost; who asked hears so. */
  lose(): void;
}

export interface FleetNode {
  readonly id: number;
  readonly cluster: Cluster;
  readonly log: ReplicaMetadataLog;
  readonly replica: MemoryReplica;
  readonly host: MemoryReplicaHost;
  readonly expelled: string[];
  /** Where it was told that joining nodes are. */
  readonly addresses: string[];
}

export class MemoryFleet {
  readonly clock = new ManualClock();
  readonly group: MemoryGroup;
  readonly nodes: FleetNode[];
  readonly messages: Message[] = [];
  /** Errors that nobody should have met. */
  readonly failures: unknown[] = [];
  readonly #services = new Map<number, Cluster['services']>();
  #ids = 0;

  constructor(
    nodeIds: readonly number[],
    {
      voterIds,
      settings = {},
    }: { voterIds?: readonly number[]; settings?: Readonly<Record<string, string>> } = {},
  ) {
    this.group = new MemoryGroup(nodeIds, voterIds);
    this.nodes = nodeIds.map((id) => this.#node(id, settings));
  }

  node(id: number): FleetNode {
    return this.nodes.find((node) => node.id === id)!;
  }

  /** What is on its way to and from the controller, heartbeats aside; it is then the caller's. */
  takeOperations(): Message[] {
    const taken = this.messages.filter(({ kind }) => kind === 'controller');
    const others = this.messages.filter(({ kind }) => kind !== 'controller');
    this.messages.splice(0, this.messages.length, ...others);
    return taken;
  }

  /** Questions from this node; they wait until the test delivers or loses them. */
  peersOf(from: number): PeerRequests {
    return {
      request: (to, kind, payload, { timeoutMs }) =>
        new Promise((resolve, reject) => {
          const lost = (wasSent: boolean) => () => {
            timer.cancel();
            reject(new PeerError('unreachable', 'lost', { wasSent }));
          };
          const timer = this.clock.after(timeoutMs, () => reject(new PeerError('timed-out', 'no answer')));
          const answer = (deliver: () => void): void => {
            this.messages.push({ from: to, to: from, kind, deliver, lose: lost(true) });
          };
          const serve = (): void => {
            const service = this.#services.get(to)?.get(kind);
            if (service === undefined) {
              answer(() => reject(new PeerError('unsupported', 'no service')));
              return;
            }
            service({ from, payload: Buffer.concat(payload) }).then(
              (parts) =>
                answer(() => {
                  timer.cancel();
                  resolve(Buffer.concat(parts));
                }),
              (error: unknown) => {
                this.failures.push(error);
                answer(() => reject(new PeerError('failed', String(error))));
              },
            );
          };
          this.messages.push({ from, to, kind, deliver: serve, lose: lost(false) });
        }),
    };
  }

  /** One leader for all, who hears everything and is heard by everybody, until nothing more happens. */
  async heal(rounds = 40): Promise<void> {
    const all = [...this.group.replicas.values()];
    const best = all.find((candidate) => this.group.elect(candidate, all));
    if (best === undefined) throw new Error('a whole group has somebody to elect');
    for (let round = 0; round < rounds; round++) await this.flow();
  }

  /** Lets things happen until all images have come equally far. */
  async agree(): Promise<void> {
    const ends = (): number => new Set(this.nodes.map(({ cluster }) => cluster.image.endOffset)).size;
    for (let round = 0; round < 100 && (round < 3 || ends() > 1); round++) await this.flow();
    if (ends() > 1) throw new Error('nodes that hear each other come equally far');
  }

  /** Everything that is on its way arrives. */
  async flow(): Promise<void> {
    const { leader } = this.group;
    const all = [...this.group.replicas.values()];
    if (leader !== undefined) {
      for (const replica of all) this.group.replicate(leader, replica, Infinity);
      this.group.confirm(leader, all);
    }
    for (const message of this.messages.splice(0)) message.deliver();
    await settle();
  }

  /** So much time passes, and everything that is sent meanwhile arrives, but to and from these nodes. */
  async pass(ms: number, silent: readonly number[] = []): Promise<void> {
    const isSilent = (id: number): boolean => silent.includes(id);
    for (let passed = 0; passed < ms; passed += 250) {
      this.clock.advance(250);
      await settle();
      for (let round = 0; round < 4; round++) {
        const { leader } = this.group;
        const heard = [...this.group.replicas.values()].filter(({ nodeId }) => !isSilent(nodeId));
        for (const replica of heard)
          if (leader !== undefined) this.group.replicate(leader, replica, Infinity);
        if (leader !== undefined) this.group.confirm(leader, heard);
        for (const message of this.messages.splice(0)) {
          if (isSilent(message.from) || isSilent(message.to)) message.lose();
          else message.deliver();
        }
        await settle();
      }
    }
  }

  /** Lets things happen until the promise settles. */
  async run<Result>(promise: Promise<Result>): Promise<Result> {
    const state = { isSettled: false };
    const done = (): void => {
      state.isSettled = true;
    };
    promise.then(done, done);
    for (let round = 0; round < 500 && !state.isSettled; round++) {
      await this.flow();
      if (!state.isSettled) this.clock.advance(20);
    }
    if (!state.isSettled) throw new Error('what was waited for does not come');
    return promise;
  }

  registration(id: number, incarnation = 0) {
    return {
      nodeId: id,
      incarnationId: uuid(9_000 + id * 100 + incarnation),
      endpoints: [
        { name: 'PLAINTEXT', host: `host-${id}`, port: 9092, securityProtocol: 0 },
        { name: 'INTERNAL', host: `host-${id}`, port: 9093, securityProtocol: 0 },
      ],
      rack: null,
      host: `machine-${id}`,
      logDirectories: [directoryOf(id)],
    };
  }

  /** A leader, every node started and registered. */
  async form(): Promise<void> {
    const all = [...this.group.replicas.values()];
    this.group.elect(all[0]!, all);
    await this.run(Promise.all(this.nodes.map(({ cluster }) => cluster.start())));
    for (const { id, cluster } of this.nodes) await this.run(cluster.register(this.registration(id)));
  }

  async close(): Promise<void> {
    await this.run(Promise.all(this.nodes.map(({ cluster }) => cluster.close())));
  }

  #node(id: number, settings: Readonly<Record<string, string>>): FleetNode {
    const replica = this.group.replicas.get(id)!;
    const host = new MemoryReplicaHost();
    const log = new ReplicaMetadataLog(replica, this.clock);
    const expelled: string[] = [];
    const addresses: string[] = [];
    const options: ClusterOptions = {
      nodeId: id,
      log,
      clock: this.clock,
      ids: { uuid: () => uuid(++this.#ids) },
      config: new BrokerConfig(new Map(Object.entries(settings))),
      replicas: host,
      peers: this.peersOf(id),
      group: replica,
      onAddress: ({ nodeId, host: name, port }) => addresses.push(`${nodeId} ${name}:${port}`),
      onReplicaFailure: (topic, error) => this.failures.push([topic, error]),
      onFailure: (error) => this.failures.push(error),
      onExpelled: (reason) => expelled.push(reason),
    };
    const cluster = new Cluster(options);
    this.#services.set(id, cluster.services);
    return { id, cluster, log, replica, host, expelled, addresses };
  }
}
