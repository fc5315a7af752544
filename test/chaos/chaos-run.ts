/**
 * A cluster under load to which one thing after the other happens; each time it has to recover by itself. In the end all that was
 * acknowledged is compared with all that is there, and what readers saw on the way with itself. Kinds of faults, victims and moments
 * come from the seed; what happens between them is the operating system's.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Kappalog } from '../../client/index.ts';
import type { Admin } from '../../client/index.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { startChangeLoad } from '../process/change-load.ts';
import { Journal } from '../process/journal.ts';
import { loadPartitions, loadTopic, patienceMs, startRecordLoad } from '../process/record-load.ts';
import { verify } from '../process/verify.ts';
import type { Verdict } from '../process/verify.ts';
import { WriteGaps } from '../process/write-gaps.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import { ChaosNodes, nodeIds } from './chaos-nodes.ts';
import { faults } from './faults.ts';
import { NetworkLab } from './network-lab.ts';
import { startReaders } from './readers.ts';

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Of `faults`; each is as likely as the others. */
  readonly kinds: readonly string[];
  readonly directory: string;
  readonly children: ChildProcesses;
  readonly log: (line: string) => void;
}

export interface ChaosResult extends Verdict {
  readonly acknowledged: number;
  readonly commits: number;
  readonly changes: number;
  readonly recordsRead: number;
  readonly readWhileItWent: number;
  /** By kind: of each fault, the longest time that a partition took no writes, and until all replicas were in sync again, in milliseconds. */
  readonly effects: ReadonlyMap<string, readonly FaultEffect[]>;
}

export interface FaultEffect {
  readonly writeGapMs: number;
  readonly recoveryMs: number;
}

/** All replicas are in sync again within this, or the run has failed. */
const recoveryMsMax = 120_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { directory, children, seed } = options;
  mkdirSync(directory, { recursive: true });
  const random = new SeededRandom(`chaos ${seed}`);
  const journal = new Journal(join(directory, 'journal'));
  const lab = new NetworkLab(nodeIds);
  lab.open();
  const nodes = new ChaosNodes(lab, directory, children);
  try {
    nodes.disk.open();
    await nodes.start(...nodeIds);
    await using kappalog = new Kappalog({
      brokers: nodes.brokers,
      retry: { timeoutMs: patienceMs, backoffMs: 10, backoffMaxMs: 100 },
    });
    await using admin = kappalog.admin();
    const configs = { 'segment.bytes': '4194304', 'retention.ms': '-1', 'min.insync.replicas': '2' };
    await admin.createTopics([
      { name: loadTopic, partitions: loadPartitions, replicationFactor: 3, configs },
    ]);
    await whenWhole(admin);
    const gaps = new WriteGaps();
    const records = startRecordLoad(kappalog, journal, random.fork('records'), 1, gaps);
    const changes = startChangeLoad(kappalog, journal, random.fork('changes'), 1);
    const readers = startReaders(kappalog);
    await using _stopped = { [Symbol.asyncDispose]: () => readers.stop() };
    const failures = (): string[] =>
      [...records.failures, ...changes.failures, ...readers.failures].slice(0, 5);
    const effects = new Map<string, FaultEffect[]>();
    const moments = random.fork('moments');
    const untilMs = performance.now() + options.minutes * 60_000;
    while (performance.now() < untilMs && failures().length === 0) {
      await pause(500 + moments.below(2_500));
      const kind = options.kinds[moments.below(options.kinds.length)]!;
      const leader = (await leadersOf(admin))[moments.below(loadPartitions)];
      options.log(`${clockTime()} ${kind} (${journal.acknowledged} records acknowledged)`);
      gaps.takeLongestMs();
      const beginMs = performance.now();
      await faults[kind]!({ nodes, random: moments, leader });
      await whenWhole(admin);
      const recoveryMs = performance.now() - beginMs;
      await pause(1_000);
      const writeGapMs = gaps.takeLongestMs();
      effects.set(kind, [...(effects.get(kind) ?? []), { writeGapMs, recoveryMs }]);
    }
    await Promise.all([records.stop(), changes.stop()]);
    await readers.stop();
    const failed = failures();
    const verdict =
      failed.length > 0
        ? { differences: [], recordsRead: 0, unacknowledged: 0 }
        : await verify(kappalog, journal);
    const readWhileItWent = readers.counts.records;
    await nodes.stop();
    return {
      ...verdict,
      differences: [...failed, ...verdict.differences],
      acknowledged: journal.acknowledged,
      ...changes.counts,
      readWhileItWent,
      effects,
    };
  } finally {
    journal.write();
    children.killAll();
    nodes.disk.close();
    lab.close();
  }
}

/** Resolves when every partition has a leader and all of its replicas in sync, and every node votes on the metadata again. */
async function whenWhole(admin: Admin): Promise<void> {
  const untilMs = performance.now() + recoveryMsMax;
  let left = '';
  while (performance.now() < untilMs) {
    const [topic] = await admin.describeTopics([loadTopic]);
    const missing = topic!.partitions.filter(
      ({ leader, inSyncReplicas }) => leader < 0 || inSyncReplicas.length < nodeIds.length,
    );
    const { voters } = await admin.describeQuorum();
    if (missing.length === 0 && voters.length === nodeIds.length) return;
    left = [
      ...missing.map(
        ({ partition, leader, inSyncReplicas }) => `${partition}: ${leader} [${inSyncReplicas.join()}]`,
      ),
      `voters on the metadata: ${voters.map(({ id }) => id).join()}`,
    ].join('; ');
    await pause(50);
  }
  throw new Error(`After ${recoveryMsMax / 1000} s without a fault, not all is whole: ${left}`);
}

async function leadersOf(admin: Admin): Promise<number[]> {
  const [topic] = await admin.describeTopics([loadTopic]);
  return topic!.partitions.map(({ leader }) => leader);
}

function clockTime(): string {
  return new Date().toISOString().slice(11, 19);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
