/** What a seed draws before anything happens: how large the cluster is, how slow its disks and links are, what goes wrong how often. */
import type { RaftSettings } from '../../../broker/raft/raft.ts';
import type { Random } from '../../../platform/random.ts';
import type { DiskBehaviour } from '../simulated-disk.ts';

export interface ClusterOptions {
  readonly nodes: number;
  readonly groups: number;
  readonly steps: number;
  /** Between one step and the next. */
  readonly ticksPerStepMax: number;
  readonly tickMs: number;
  readonly settings: RaftSettings;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  readonly syncsMax: number;
  readonly journalBytes: number;
  readonly valueBytesMax: number;
  readonly disk: DiskBehaviour;
  readonly links: LinkBehaviour;
  readonly weights: Readonly<Record<ClusterStep, number>>;
}

export interface LinkBehaviour {
  readonly delayMs: number;
  /** Of a thousand frames. */
  readonly lossPerMille: number;
  readonly repeatPerMille: number;
}

export const clusterSteps = [
  'append',
  'wait',
  'kill',
  'power-loss',
  'restart',
  'cut',
  'heal',
  'transfer',
  'isolate',
  'reboot',
  'blackout',
  'change',
] as const;

export type ClusterStep = (typeof clusterSteps)[number];

const usualWeights: Readonly<Record<ClusterStep, number>> = {
  append: 40,
  wait: 30,
  kill: 2,
  'power-loss': 3,
  restart: 8,
  cut: 4,
  heal: 4,
  transfer: 2,
  isolate: 3,
  reboot: 3,
  blackout: 1,
  change: 3,
};

const optional: ReadonlySet<ClusterStep> = new Set([
  'kill',
  'power-loss',
  'cut',
  'transfer',
  'isolate',
  'reboot',
  'blackout',
  'change',
]);

export function drawClusterOptions(random: Random): ClusterOptions {
  const oneOf = <T>(...values: readonly T[]): T => values[random.below(values.length)]!;
  const weights = { ...usualWeights };
  for (const step of clusterSteps) weights[step] *= optional.has(step) ? oneOf(0, 1, 1, 4) : oneOf(1, 2);
  return {
    nodes: oneOf(3, 3, 3, 5),
    groups: oneOf(1, 1, 2, 4),
    steps: 60 + random.below(oneOf(40, 100, 200)),
    ticksPerStepMax: oneOf(3, 8, 20),
    tickMs: 10,
    settings: {
      timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
      inflightBytesMax: oneOf(1000, 4000, 20_000),
      inflightMessagesMax: oneOf(1, 3, 16),
      messageBytesMax: oneOf(200, 1000, 5000),
      chunkBytes: 1000,
      leases: oneOf(undefined, { driftTicks: 1 }),
    },
    segmentBytes: oneOf(500, 1500, 8000),
    tailBytes: oneOf(0, 1000, 100_000),
    syncsMax: 1 + random.below(3),
    journalBytes: oneOf(0, 0, 64 * 1024),
    valueBytesMax: oneOf(20, 100, 600),
    disk: {
      latencyMs: oneOf(0.05, 0.5, 4, 12),
      spikeOneIn: oneOf(0, 0, 300),
      shortReadOneIn: oneOf(0, 0, 5),
      evicts: true,
    },
    links: {
      delayMs: oneOf(0.1, 1, 15),
      lossPerMille: oneOf(0, 0, 10, 100),
      repeatPerMille: oneOf(0, 0, 50),
    },
    weights,
  };
}
