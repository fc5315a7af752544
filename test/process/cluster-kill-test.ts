/**
 * Three nodes on loopback, killed with -9 and started again at random under load; then all that was acknowledged is compared
 * with what is there. The victims, the moments and the load's shapes come from the seed (the interleaving is the operating
 * system's). Mostly one node is down at a time; now and then a second one goes too, and nothing can be written for a while.
 *
 * A gentle run stops them cleanly, one after the other, and is a rolling restart. On the way it measures how long partitions are without a leader after their leader's kill, as a surviving node's Metadata
 * says, and the longest time that a partition took no writes, as the producers see it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Kappalog } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { spawnBroker, startBroker } from '../support/broker-process.ts';
import type { BrokerProcess, BrokerSpec } from '../support/broker-process.ts';
import { waitUntilAnswering } from '../support/api-versions-probe.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import { startChangeLoad } from './change-load.ts';
import { Journal } from './journal.ts';
import { LeaderWatch } from './leader-watch.ts';
import { loadPartitions, loadTopic, patienceMs, startRecordLoad } from './record-load.ts';
import { type Verdict, verify } from './verify.ts';
import { WriteGaps } from './write-gaps.ts';

export interface ClusterKillOptions {
  readonly minutes: number;
  /** Nodes are stopped cleanly instead of killed, one at a time: a rolling restart. */
  readonly isGentle: boolean;
  readonly seed: number;
  readonly directory: string;
  /** Three ports for each node from here on: Kafka's, HTTP, internal. */
  readonly port: number;
  readonly children: ChildProcesses;
  readonly log: (line: string) => void;
}

export interface ClusterKillResult extends Verdict {
  readonly kills: number;
  /** Kills of a second node while one was down. */
  readonly majorityLosses: number;
  readonly acknowledged: number;
  readonly commits: number;
  readonly changes: number;
  /** Milliseconds, one for each partition that a killed node led while both others were up. */
  readonly leaderlessMs: readonly number[];
  /** Milliseconds, one for each kill that left a majority. */
  readonly writeGapsMs: readonly number[];
}

type Running = Omit<BrokerProcess, 'readyMs'>;

const nodeIds = [1, 2, 3];
const host = '127.0.0.1';

export async function runClusterKillTest(options: ClusterKillOptions): Promise<ClusterKillResult> {
  const { directory, children, seed } = options;
  mkdirSync(directory, { recursive: true });
  const random = new SeededRandom(`cluster ${seed}`);
  const journal = new Journal(join(directory, 'journal'));
  const nodes = new Map<number, Running>();
  const started = await Promise.all(
    nodeIds.map((nodeId) => startBroker('kappalog', children, specOf(options, nodeId))),
  );
  for (const [place, nodeId] of nodeIds.entries()) nodes.set(nodeId, started[place]!);
  await using kappalog = new Kappalog({
    brokers: nodeIds.map((nodeId) => `${host}:${portOf(options, nodeId)}`),
    retry: { timeoutMs: patienceMs, backoffMs: 10, backoffMaxMs: 100 },
  });
  await using admin = kappalog.admin();
  await admin.createTopics([
    {
      name: loadTopic,
      partitions: loadPartitions,
      replicationFactor: 3,
      configs: { 'segment.bytes': '1048576', 'retention.ms': '-1', 'min.insync.replicas': '2' },
    },
  ]);
  const gaps = new WriteGaps();
  const records = startRecordLoad(kappalog, journal, random.fork('records'), 1, gaps);
  const changes = startChangeLoad(kappalog, journal, random.fork('changes'), 1);
  const kills = new Kills({ options, nodes, gaps, random: random.fork('moments') });
  const untilMs = performance.now() + options.minutes * 60_000;
  while (performance.now() < untilMs && records.failures.length + changes.failures.length === 0) {
    await kills.once();
    if (kills.count % 10 === 0) {
      options.log(`${kills.count} kills, ${journal.acknowledged} records acknowledged`);
    }
  }
  await Promise.all([records.stop(), changes.stop()]);
  const failures = [...records.failures, ...changes.failures].slice(0, 5);
  const verdict =
    failures.length > 0
      ? { differences: [], recordsRead: 0, unacknowledged: 0 }
      : await verify(kappalog, journal);
  for (const node of nodes.values()) await node.stop();
  return {
    ...verdict,
    differences: [...failures, ...verdict.differences],
    kills: kills.count,
    majorityLosses: kills.majorityLosses,
    leaderlessMs: kills.leaderlessMs,
    writeGapsMs: kills.writeGapsMs,
    acknowledged: journal.acknowledged,
    ...changes.counts,
  };
}

interface KillParts {
  readonly options: ClusterKillOptions;
  readonly nodes: Map<number, Running>;
  readonly gaps: WriteGaps;
  readonly random: Random;
}

class Kills {
  count = 0;
  majorityLosses = 0;
  readonly leaderlessMs: number[] = [];
  readonly writeGapsMs: number[] = [];
  readonly #parts: KillParts;

  constructor(parts: KillParts) {
    this.#parts = parts;
  }

  /** Kills a node, sometimes a second one, and starts them again; all are up when it resolves. */
  async once(): Promise<void> {
    const { random, gaps } = this.#parts;
    await pause(500 + random.below(2500));
    const leader = random.below(4) === 0 ? undefined : await this.#someLeader();
    const [victim, second] = leader === undefined ? shuffled(nodeIds, random) : this.#first(leader);
    gaps.takeLongestMs();
    await this.#killAndWatch(victim!, second!);
    if (random.below(8) === 0 && !this.#parts.options.isGentle) {
      await pause(random.below(500));
      await this.#parts.nodes.get(second!)!.kill();
      this.count++;
      this.majorityLosses++;
      await pause(random.below(1000));
      await Promise.all([this.#start(victim!), this.#start(second!)]);
      return;
    }
    await pause(random.below(2000));
    await this.#start(victim!);
    await pause(1000);
    this.writeGapsMs.push(gaps.takeLongestMs());
  }

  /** A node that leads something; most kills are of such a one. */
  async #someLeader(): Promise<number | undefined> {
    const { options, random } = this.#parts;
    await using watch = await LeaderWatch.open(portOf(options, 1 + random.below(3)), loadTopic);
    const leader = (await watch.leaders())[random.below(loadPartitions)] ?? -1;
    return leader < 0 ? undefined : leader;
  }

  #first(nodeId: number): number[] {
    const others = nodeIds.filter((id) => id !== nodeId);
    return [nodeId, ...shuffled(others, this.#parts.random)];
  }

  async #killAndWatch(victim: number, survivor: number): Promise<void> {
    const { options, nodes } = this.#parts;
    await using watch = await LeaderWatch.open(portOf(options, survivor), loadTopic);
    const before = await watch.leaders();
    const led = [...before.keys()].filter((partition) => before[partition] === victim);
    const sinceMs = performance.now();
    const node = nodes.get(victim)!;
    const killed = options.isGentle ? node.stop() : node.kill();
    this.leaderlessMs.push(
      ...(await watch.timesWithoutLeader(led, { node: victim, sinceMs, withinMs: 30_000 })),
    );
    await killed;
    this.count++;
  }

  async #start(nodeId: number): Promise<void> {
    const { options, nodes } = this.#parts;
    const node = spawnBroker('kappalog', options.children, specOf(options, nodeId));
    nodes.set(nodeId, node);
    await waitUntilAnswering({ host, port: node.port }, 60_000, node.ended);
  }
}

function portOf(options: ClusterKillOptions, nodeId: number): number {
  return options.port + 3 * (nodeId - 1);
}

function specOf(options: ClusterKillOptions, nodeId: number): BrokerSpec {
  const port = portOf(options, nodeId);
  const voters = nodeIds.map((id) => `${id}@${host}:${portOf(options, id) + 2}`).join(',');
  return {
    port,
    httpPort: port + 1,
    directory: join(options.directory, `node-${nodeId}`),
    arguments: ['--node-id', String(nodeId), '--internal-port', String(port + 2), '--voters', voters],
  };
}

function shuffled(values: readonly number[], random: Random): number[] {
  const left = [...values];
  const drawn: number[] = [];
  while (left.length > 0) drawn.push(...left.splice(random.below(left.length), 1));
  return drawn;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
