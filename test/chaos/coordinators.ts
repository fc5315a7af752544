/**
 * Groups whose coordinators go away every few seconds: killed, stopped, or frozen until another has taken over. Two groups of ten members
 * each, one of either protocol, read all the while; each time both have to go on by themselves. In the end what their members have read
 * and committed is compared, by content, with what was written. Needs no networks of its own: three nodes on loopback.
 */
import { mkdirSync } from 'node:fs';
import { Kappalog } from '../../client/index.ts';
import type { Admin } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { ownClient } from '../conformance/groups/clients.ts';
import { GroupRun } from '../conformance/groups/group-run.ts';
import type { GroupSpec } from '../conformance/groups/group-run.ts';
import { BrokerCluster } from '../support/broker-cluster.ts';
import type { ChildProcesses } from '../support/child-processes.ts';

export interface CoordinatorChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Nine ports from here on. */
  readonly port: number;
  readonly directory: string;
  readonly children: ChildProcesses;
  readonly log: (line: string) => void;
}

export interface CoordinatorChaosResult {
  /** By kind of fault: how long until, in milliseconds. */
  readonly effects: ReadonlyMap<FaultKind, readonly Effect[]>;
  readonly records: number;
  readonly repeated: number;
  readonly commits: number;
  /** How often members had to give up partitions, though nothing had happened to them. */
  readonly reassignments: number;
}

export interface Effect {
  /** Of every partition of both groups its owner had read and committed something more; the coordinator has taken it. */
  readonly committedMs: number;
  /** Both groups were stable, with all of their members, and each partition with one of them. */
  readonly stableMs: number;
}

export type FaultKind = 'killed' | 'stopped' | 'frozen';

const kinds: readonly FaultKind[] = ['killed', 'killed', 'stopped', 'frozen'];
const membersEach = 10;
/** Longer than it takes until another node leads. */
const frozenMs = 6_000;
/** A fault that costs a group more than this is one too many. */
const effectMsMax = 15_000;

const specs: readonly GroupSpec[] = [
  { name: 'classic', protocol: 'classic', assignor: 'cooperative-sticky', partitionsEach: 6 },
  { name: 'consumer', protocol: 'consumer', assignor: 'uniform', partitionsEach: 6 },
];

/** Throws with the first thing that is wrong. */
export async function runCoordinatorChaos(options: CoordinatorChaosOptions): Promise<CoordinatorChaosResult> {
  const { directory, children, port } = options;
  mkdirSync(directory, { recursive: true });
  const settings = { 'offsets.topic.num.partitions': '4', 'group.initial.rebalance.delay.ms': '500' };
  const cluster = await BrokerCluster.start('kappalog', children, { port, directory, settings });
  await using kappalog = new Kappalog({ brokers: cluster.address });
  await using admin = kappalog.admin();
  const suite = { children, kappalog, brokers: cluster.address, replicationFactor: 3, directory };
  const runs: GroupRun[] = [];
  try {
    for (const spec of specs) runs.push(await GroupRun.begin(suite, spec));
    for (const run of runs) for (let count = 0; count < membersEach; count++) run.start(ownClient);
    await Promise.all(runs.map((run) => run.untilShared('after ten have joined')));
    const before = changesOf(runs);
    const effects = await disturb(options, { cluster, admin, runs });
    const reassignments = changesOf(runs) - before;
    const [first, second] = await Promise.all(runs.map((run) => run.finish()));
    return {
      effects,
      records: first!.records + second!.records,
      repeated: first!.repeated + second!.repeated,
      commits: first!.commits + second!.commits,
      reassignments,
    };
  } catch (error) {
    for (const run of runs) await run.abandon();
    throw error;
  } finally {
    await cluster.kill();
  }
}

interface Scene {
  readonly cluster: BrokerCluster;
  readonly admin: Admin;
  readonly runs: readonly GroupRun[];
}

async function disturb(
  { seed, minutes, log }: CoordinatorChaosOptions,
  { cluster, admin, runs }: Scene,
): Promise<ReadonlyMap<FaultKind, readonly Effect[]>> {
  const random = new SeededRandom(`chaos of coordinators ${seed}`);
  const effects = new Map<FaultKind, Effect[]>();
  const untilMs = performance.now() + minutes * 60_000;
  while (performance.now() < untilMs) {
    await pause(500 + random.below(2_500));
    const kind = oneOf(random, kinds);
    const { name } = oneOf(random, runs).spec;
    const nodeId = (await groupOf(admin, name)).coordinator;
    const beginMs = performance.now();
    const { gone, back } = takeAway(cluster, nodeId, kind);
    await gone;
    const after = `after node ${nodeId} was ${kind}`;
    const sinceBegin = (): number => performance.now() - beginMs;
    const [committedMs, stableMs] = await Promise.all([
      Promise.all(runs.map((run) => run.untilCommitted(after))).then(sinceBegin),
      Promise.all(runs.map((run) => untilStable(admin, run))).then(sinceBegin),
    ]);
    effects.set(kind, [...(effects.get(kind) ?? []), { committedMs, stableMs }]);
    log(
      `node ${nodeId}, of ${name}, was ${kind}: all commit again after ${Math.round(committedMs)} ms, stable after ${Math.round(stableMs)} ms`,
    );
    if (Math.max(committedMs, stableMs) > effectMsMax) {
      throw new Error(`The groups took more than ${effectMsMax / 1000} s ${after}.`);
    }
    // What members were told is committed, whoever coordinates their group now has.
    for (const run of runs) await run.checkCommitted(admin);
    await back;
    await cluster.untilComplete();
    await Promise.all(runs.map((run) => untilStable(admin, run)));
  }
  return effects;
}

interface Absence {
  /** Resolves when it does nothing any more. */
  readonly gone: Promise<void>;
  /** Resolves when it is there again. */
  readonly back: Promise<void>;
}

function takeAway(cluster: BrokerCluster, nodeId: number, kind: FaultKind): Absence {
  if (kind === 'frozen') {
    const { pid } = cluster.node(nodeId);
    process.kill(pid, 'SIGSTOP');
    const back = pause(frozenMs).then(() => void process.kill(pid, 'SIGCONT'));
    return { gone: Promise.resolve(), back };
  }
  const gone = kind === 'killed' ? cluster.killNode(nodeId) : cluster.stopNode(nodeId).then(() => {});
  return { gone, back: gone.then(() => cluster.startNode(nodeId)) };
}

async function untilStable(admin: Admin, run: GroupRun): Promise<void> {
  const limitMs = performance.now() + 60_000;
  for (;;) {
    const { state, members } = await groupOf(admin, run.spec.name);
    const isWhole = state === 'Stable' && members.length === membersEach;
    if (isWhole && run.unshared() === undefined) return;
    if (performance.now() > limitMs) {
      throw new Error(`${run.spec.name} is ${state} with ${members.length} members after 60 s.`);
    }
    await pause(50);
  }
}

async function groupOf(admin: Admin, name: string) {
  const [group] = await admin.describeGroups([name]);
  if (group === undefined) throw new Error(`${name} is not described.`);
  return group;
}

function changesOf(runs: readonly GroupRun[]): number {
  return runs.flatMap(({ members }) => members).reduce((sum, { changes }) => sum + changes, 0);
}

function oneOf<Value>(random: Random, values: readonly Value[]): Value {
  return values[random.below(values.length)]!;
}

function pause(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs));
}
