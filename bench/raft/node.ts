/**
 * One node of the bench, as a process: real disk, clock and network; data directory, consensus and replicas as a broker has them,
 * without its Kafka listener and its metadata. What is appended is appended here, in the process of the leader.
 */
import { mkdirSync } from 'node:fs';
import { ReadPool } from '../../broker/log/reading/read-pool.ts';
import { TailCache } from '../../broker/log/reading/tail-cache.ts';
import { WriteFiles } from '../../broker/log/write-files.ts';
import { ConsensusNode } from '../../broker/partition/consensus/consensus-node.ts';
import { LogDirectory } from '../../broker/partition/log-directory.ts';
import { Partitions } from '../../broker/partition/partitions.ts';
import type { PartitionEvents } from '../../broker/partition/partitions.ts';
import { raftSettings, raftTickMs } from '../../broker/partition/raft-settings.ts';
import type { Replica } from '../../broker/partition/replica.ts';
import { ReplicaVotes } from '../../broker/partition/replica-votes.ts';
import { PeerNetwork } from '../../broker/peers/peer-network.ts';
import { memberId } from '../../broker/raft/member.ts';
import { RandomIds } from '../../platform/random-ids.ts';
import { RealClock } from '../../platform/real/real-clock.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { RealNetwork } from '../../platform/real/real-network.ts';
import { RealRandom } from '../../platform/real/real-random.ts';
import { logConfigDefaults } from '../../test/support/log-config.ts';
import { runLoad } from './load.ts';
import type { Answer, Command, Figures, NodeStart } from './messages.ts';

const nodeIds = [1, 2, 3];

function directoryIdOf(nodeId: number): string {
  return Buffer.alloc(16, nodeId).toString('base64url');
}

class BenchNode {
  readonly #peers: PeerNetwork;
  readonly #consensus: ConsensusNode;
  readonly #partitions: Partitions;
  readonly #topics = new Map<string, number>();

  private constructor(peers: PeerNetwork, consensus: ConsensusNode, partitions: Partitions) {
    this.#peers = peers;
    this.#consensus = consensus;
    this.#partitions = partitions;
  }

  static async start({ nodeId, directory }: NodeStart): Promise<BenchNode> {
    mkdirSync(directory, { recursive: true });
    const [clock, disk, random] = [new RealClock(), new RealDisk(), new RealRandom()];
    const peers = await PeerNetwork.open({
      network: new RealNetwork(),
      clock,
      random: random.fork('peers'),
      address: { host: '127.0.0.1', port: 0 },
      identity: { nodeId, incarnation: 1, clusterId: 'bench', softwareVersion: 'bench' },
      onNotice: (notice) => console.error(`node ${nodeId}: ${JSON.stringify(notice)}`),
    });
    const home = await LogDirectory.open({
      disk,
      clock,
      path: directory,
      id: directoryIdOf(nodeId),
      syncsMax: 4,
      writeFiles: new WriteFiles(),
      random: random.fork('journal'),
    });
    const votes = new ReplicaVotes();
    const consensus = new ConsensusNode({
      nodeId,
      incarnation: 1,
      clock,
      settings: raftSettings,
      tickMs: raftTickMs,
      transport: peers,
      persist: (group, state) => votes.put(group, state),
      onPersistFailure: (group, error) => votes.failed(group, error),
    });
    peers.deliverTo(consensus);
    const partitions = new Partitions({
      nodeId,
      directories: [home],
      clock,
      disk,
      ids: new RandomIds(random.fork('ids')),
      boot: { id: undefined },
      tailCache: new TailCache({ maxBytes: 128 * 2 ** 20 }),
      readPool: new ReadPool({ disk, maxBytes: 64 * 2 ** 20, openFilesMax: 256 }),
      random: random.fork('elections'),
      consensus,
      raftSettings,
      votes,
      copying: undefined,
      keepsSnapshots: false,
      logConfig: () => logConfigDefaults,
      producerExpirationMs: () => 86_400_000,
      minInSyncReplicas: () => 1,
      lagMsMax: () => 30_000,
      serviceEpoch: () => 0,
      events: failing,
    });
    return new BenchNode(peers, consensus, partitions);
  }

  /** Where the other nodes reach this one. */
  get port(): number {
    return this.#peers.address.port;
  }

  async obey(command: Command): Promise<Answer> {
    switch (command.kind) {
      case 'connect':
        for (const [nodeId, port] of Object.entries(command.ports)) {
          this.#peers.setAddress(Number(nodeId), { host: '127.0.0.1', port });
          if (Number(nodeId) !== this.#peers.identity.nodeId) this.#consensus.meet(Number(nodeId));
        }
        return { kind: 'done' };
      case 'open':
        await this.#open(command.topic, command.groups);
        return { kind: 'done' };
      case 'load': {
        const led = this.#replicas(command.load.topic).filter(({ isLeader }) => isLeader);
        return { kind: 'loaded', result: await runLoad(led, command.load) };
      }
      case 'figures':
        return { kind: 'figures', figures: this.#figures(command.topic) };
      case 'memory': {
        globalThis.gc!();
        const { heapUsed, external } = process.memoryUsage();
        return { kind: 'memory', liveBytes: heapUsed + external };
      }
      case 'stop':
        break;
    }
    this.#consensus.stop();
    await this.#partitions.close();
    await this.#peers.close();
    return { kind: 'done' };
  }

  /** The leaderships are spread: whoever comes first among the members campaigns. */
  async #open(topic: string, groups: number): Promise<void> {
    const topicId = Buffer.alloc(16, this.#topics.size + 7).toString('base64url');
    this.#topics.set(topic, groups);
    const wanted = Array.from({ length: groups }, (_, partition) => {
      const members = nodeIds.map((_, place) => nodeIds[(partition + place) % nodeIds.length]!);
      return {
        topic,
        topicId,
        partition,
        intended: { members: members.map((id) => memberId(id, directoryIdOf(id))), revision: 0 },
      };
    });
    await this.#partitions.open(wanted);
  }

  #replicas(topic: string): Replica[] {
    const groups = this.#topics.get(topic) ?? 0;
    return Array.from({ length: groups }, (_, partition) => this.#partitions.replica(topic, partition)!);
  }

  #figures(topic: string): Figures {
    const replicas = this.#replicas(topic);
    const { framesSent, framesReceived } = this.#peers.counters;
    return {
      led: replicas.filter(({ isLeader, ready }) => isLeader && ready).length,
      placed: replicas.filter(({ leaderNode }) => leaderNode !== undefined).length,
      ticking: this.#consensus.tickingGroups,
      framesSent,
      framesReceived,
    };
  }
}

function fail(what: string): (...parts: unknown[]) => void {
  return (...parts) => {
    const error = parts.find((part) => part instanceof Error);
    send({ kind: 'failed', text: `${what}: ${error?.stack ?? '?'}` });
  };
}

const failing: PartitionEvents = {
  failed: fail('a replica failed'),
  offline: fail('a replica is offline'),
  readFailed: fail('a read failed'),
  closeFailed: fail('a replica could not be closed'),
  snapshotFailed: fail('a snapshot of producers failed'),
  maintenanceFailed: fail('maintenance failed'),
  damaged: fail('a log is damaged'),
  setAside: fail('a log was set aside'),
  dataLost: fail('data was lost'),
  memoryLost: fail('memory was lost'),
  catchUpFailed: fail('a member was not brought up'),
};

function send(answer: Answer): void {
  process.send!(answer);
}

let node: BenchNode | undefined;
process.on('message', (message: NodeStart | Command) => {
  const done = 'kind' in message ? node!.obey(message) : start(message);
  done.then(
    (answer) => {
      send(answer);
      if ('kind' in message && message.kind === 'stop') process.disconnect();
    },
    (error: unknown) => fail('a command failed')(error),
  );
});

async function start(options: NodeStart): Promise<Answer> {
  node = await BenchNode.start(options);
  return { kind: 'listening', port: node.port };
}
