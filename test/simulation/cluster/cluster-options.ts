/**
 * What a seed draws before anything happens: how large the cluster is, how slow its disks and links are, what goes wrong how often.
 * Every kind of fault can be left out by its name, which changes nothing else of the seed: so a failing history is cut down.
 */
import type { RaftSettings } from '../../../broker/raft/raft.ts';
import type { Random } from '../../../platform/random.ts';
import type { DiskBehaviour } from '../simulated-disk.ts';

export interface ClusterOptions {
  readonly nodes: number;
  readonly groups: number;
  /** Of these groups what is written counts as if it were durable. */
  readonly cachingGroups: ReadonlySet<number>;
  readonly steps: number;
  /** Between one step and the next. */
  readonly ticksPerStepMax: number;
  readonly tickMs: number;
  readonly settings: RaftSettings;
  readonly segmentBytes: number;
  readonly retentionBytes: number;
  /** Of caching groups. */
  readonly flushMs: number;
  readonly tailBytes: number;
  readonly syncsMax: number;
  readonly journalBytes: number;
  readonly valueBytesMax: number;
  readonly disk: DiskBehaviour;
  readonly links: LinkBehaviour;
  /** Monotonic clocks run at rates in [1 - drift, 1 + drift]. */
  readonly drift: number;
  /** Members that lack what is gone copy their leader's log. */
  readonly copies: boolean;
  readonly weights: Readonly<Record<ClusterStep, number>>;
}

export interface LinkBehaviour {
  readonly delayMs: number;
  /** Of a thousand frames. */
  readonly lossPerMille: number;
  readonly repeatPerMille: number;
}

/** With the weights that they usually have. */
const usualWeights = {
  append: 40,
  wait: 30,
  restart: 8,
  heal: 5,
  /** Processes and machines. */
  kill: 2,
  'power-loss': 3,
  reboot: 3,
  blackout: 1,
  'old-configuration': 2,
  /** Links. */
  cut: 4,
  isolate: 3,
  split: 2,
  mute: 2,
  /** Disks. */
  'io-error': 3,
  'full-disk': 1,
  'slow-disk': 2,
  rot: 2,
  'lost-directory': 1,
  /** Clocks. */
  'wall-jump': 1,
  drift: 2,
  /** What users and operators do. */
  transfer: 2,
  change: 3,
  'delete-records': 2,
  retention: 2,
  /** A link that fails just when a leader hands over. */
  usurp: 2,
} as const;

export type ClusterStep = keyof typeof usualWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const clusterSteps = Object.keys(usualWeights) as readonly ClusterStep[];

const indispensable: ReadonlySet<ClusterStep> = new Set(['append', 'wait', 'restart', 'heal']);

/** Those of a step and, besides, those that are always there. */
export const faultKinds: readonly string[] = [
  ...clusterSteps.filter((step) => !indispensable.has(step)),
  'lost-frames',
  'repeated-frames',
  'latency-spikes',
  'short-reads',
  'write-caching',
  'copies',
];

/** Disks lose what was durable: where no logs are copied, what replaces them needs the whole log. */
const harming: readonly ClusterStep[] = ['rot', 'lost-directory'];
/** Logs lose their beginning. */
const shortening: readonly ClusterStep[] = ['delete-records', 'retention'];

export function drawClusterOptions(
  random: Random,
  without: ReadonlySet<string>,
  focus?: string,
): ClusterOptions {
  const oneOf = <T>(...values: readonly T[]): T => values[random.below(values.length)]!;
  const unless = <T>(kind: string, value: T, instead: T): T => (without.has(kind) ? instead : value);
  const weights: Record<ClusterStep, number> = { ...usualWeights };
  for (const step of clusterSteps) {
    weights[step] *= indispensable.has(step) ? oneOf(1, 2) : oneOf(0, 0, 1, 1, 3);
  }
  // Without them, what is deleted and what is lost exclude each other.
  const copies = unless('copies', focus === 'copies' || random.fork('copies').below(3) > 0, false);
  const absent = oneOf(harming, shortening);
  if (!copies) for (const step of absent) weights[step] = 0;
  const groups = oneOf(1, 1, 2, 4);
  const caching = Array.from({ length: groups }, (_, group) => group).filter(
    () => oneOf(0, 0, 0, 0, 1) === 1,
  );
  const leases = oneOf(undefined, { driftTicks: 1 }, { driftTicks: 3 });
  const electionTicks = 10;
  return {
    nodes: oneOf(3, 3, 3, 5),
    groups,
    cachingGroups: new Set(unless('write-caching', caching, [])),
    steps: 60 + random.below(oneOf(40, 100, 200)),
    ticksPerStepMax: oneOf(3, 8, 20),
    tickMs: 10,
    settings: {
      timing: { heartbeatTicks: 2, electionTicks, rankTicks: 4 },
      inflightBytesMax: oneOf(1000, 4000, 20_000),
      inflightMessagesMax: oneOf(1, 3, 16),
      messageBytesMax: oneOf(200, 1000, 5000),
      chunkBytes: 1000,
      leases,
    },
    segmentBytes: oneOf(500, 1500, 8000),
    retentionBytes: oneOf(500, 3000),
    flushMs: oneOf(20, 500, Number.MAX_SAFE_INTEGER),
    tailBytes: oneOf(0, 1000, 100_000),
    syncsMax: 1 + random.below(3),
    journalBytes: oneOf(0, 0, 64 * 1024),
    valueBytesMax: oneOf(20, 100, 600),
    disk: {
      latencyMs: oneOf(0.05, 0.5, 4, 12),
      spikeOneIn: unless('latency-spikes', oneOf(0, 0, 300), 0),
      shortReadOneIn: unless('short-reads', oneOf(0, 0, 5), 0),
      evicts: true,
    },
    links: {
      delayMs: oneOf(0.1, 1, 15),
      lossPerMille: unless('lost-frames', oneOf(0, 0, 10, 100), 0),
      repeatPerMille: unless('repeated-frames', oneOf(0, 0, 50), 0),
    },
    drift: unless('drift', driftWithin(leases, electionTicks), 0),
    copies,
    weights,
  };
}

/** Leases rely on clocks that differ by no more than they say. */
function driftWithin(leases: RaftSettings['leases'], electionTicks: number): number {
  if (leases === undefined) return 0.1;
  const ratio = electionTicks / (electionTicks - leases.driftTicks);
  return Math.min(0.1, ((ratio - 1) / (ratio + 1)) * 0.9);
}
