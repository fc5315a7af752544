/** What a seed of a simulation of whole nodes draws before anything happens. */
import type { Random } from '../../../platform/random.ts';
import type { DiskBehaviour } from '../simulated-disk.ts';

/** With the weights that they usually have. */
const usualWeights = {
  wait: 24,
  restart: 14,
  heal: 8,
  create: 6,
  /** What users and operators do. */
  delete: 2,
  configure: 4,
  elect: 3,
  reassign: 5,
  stop: 2,
  'add-node': 2,
  /** Processes and machines. */
  kill: 4,
  'power-loss': 4,
  pair: 2,
  blackout: 1,
  /** Links. */
  cut: 4,
  'cut-one-way': 3,
  isolate: 3,
  slow: 2,
  /** Disks and clocks. */
  'slow-disk': 2,
  'wall-jump': 1,
  drift: 1,
} as const;

export type NodesStep = keyof typeof usualWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const nodesSteps = Object.keys(usualWeights) as readonly NodesStep[];

const indispensable: ReadonlySet<NodesStep> = new Set(['wait', 'restart', 'heal', 'create']);

/** What can be left out, by name. */
export const nodesFaultKinds: readonly string[] = [
  ...nodesSteps.filter((step) => !indispensable.has(step)),
  'latency-spikes',
  'short-reads',
];

export interface NodesOptions {
  readonly voters: number;
  readonly steps: number;
  readonly pauseMsMax: number;
  readonly producers: number;
  readonly readers: number;
  readonly topicsMax: number;
  readonly partitionsMax: number;
  readonly latencyMs: number;
  readonly disk: DiskBehaviour;
  readonly settings: Readonly<Record<string, string>>;
  readonly weights: Readonly<Record<NodesStep, number>>;
}

export function drawNodesOptions(random: Random, without: ReadonlySet<string>): NodesOptions {
  const oneOf = <T>(...values: readonly T[]): T => values[random.below(values.length)]!;
  const unless = <T>(kind: string, value: T, instead: T): T => (without.has(kind) ? instead : value);
  const weights: Record<NodesStep, number> = { ...usualWeights };
  for (const step of nodesSteps) {
    weights[step] *= indispensable.has(step) ? oneOf(1, 2) : oneOf(0, 1, 1, 2);
  }
  return {
    voters: oneOf(3, 3, 3, 3, 5),
    steps: 15 + random.below(25),
    pauseMsMax: oneOf(500, 2_000, 4_000),
    producers: oneOf(1, 2, 3),
    readers: 1,
    topicsMax: oneOf(2, 4),
    partitionsMax: oneOf(1, 3, 5),
    latencyMs: oneOf(0.2, 1, 5),
    disk: {
      latencyMs: oneOf(0.1, 1, 4),
      spikeOneIn: unless('latency-spikes', oneOf(0, 0, 20_000), 0),
      shortReadOneIn: unless('short-reads', oneOf(0, 20), 0),
      evicts: false,
    },
    settings: {},
    weights,
  };
}
