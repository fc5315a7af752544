/** What a seed of a simulation of whole nodes draws before anything happens. */
import type { Random } from '../../../platform/random.ts';
import { check } from '../simulation-failure.ts';
import type { DiskBehaviour } from '../simulated-disk.ts';
import { diskKinds, drawDiskOptions } from './disk-faults.ts';
import type { DiskOptions } from './disk-faults.ts';
import { drawManyGroups, manyGroupsKind } from './many-groups.ts';
import { drawMachineOptions, machineKinds } from './machine-faults.ts';
import type { MachineOptions } from './machine-faults.ts';

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

/**
 * Who belongs to the cluster changes: these come on top of the steps above and are drawn apart from them, so that a history without them
 * is what it would have been.
 */
const usualMemberWeights = {
  join: 5,
  drain: 3,
  undrain: 2,
  decommission: 4,
  /** A machine is gone for good. */
  'lose-node': 2,
  'lose-directory': 4,
} as const;

export type MemberStep = keyof typeof usualMemberWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const memberSteps = Object.keys(usualMemberWeights) as readonly MemberStep[];

const indispensable: ReadonlySet<NodesStep> = new Set(['wait', 'restart', 'heal', 'create']);

/** What can be left out, by name. */
export const nodesFaultKinds: readonly string[] = [
  ...nodesSteps.filter((step) => !indispensable.has(step)),
  ...memberSteps,
  ...machineKinds,
  ...diskKinds,
  manyGroupsKind,
  'latency-spikes',
  'short-reads',
];

const focuses: readonly string[] = ['members', 'disks', 'groups'];

export interface NodesOptions extends MachineOptions, DiskOptions {
  readonly voters: number;
  readonly steps: number;
  readonly pauseMsMax: number;
  readonly producers: number;
  readonly readers: number;
  readonly topicsMax: number;
  readonly partitionsMax: number;
  readonly latencyMs: number;
  readonly disk: DiskBehaviour;
  /** Partitions of one topic that come at the end; 0: none do. */
  readonly manyGroups: number;
  readonly weights: Readonly<Record<NodesStep, number>>;
  /** One step in so many changes who belongs to the cluster, too; 0: none does. */
  readonly memberStepOneIn: number;
  readonly memberWeights: Readonly<Record<MemberStep, number>>;
}

/** With the focus on members every step changes who belongs to the cluster, as far as that can be; on disks, one of these fails; on groups, there are many in the end. */
export function drawNodesOptions(
  random: Random,
  without: ReadonlySet<string>,
  focus: string | undefined,
): NodesOptions {
  check(focus === undefined || focuses.includes(focus), () => `there is no focus ${focus}`);
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
    weights,
    ...drawMemberOptions(random.fork('members')),
    ...drawMachineOptions(random.fork('machines'), without),
    ...drawDiskOptions(random.fork('disks'), { without, isFocus: focus === 'disks' }),
    manyGroups: drawManyGroups(random.fork('many groups'), { without, isFocus: focus === 'groups' }),
    ...(focus === 'members' ? { memberStepOneIn: 1 } : {}),
  };
}

function drawMemberOptions(random: Random): Pick<NodesOptions, 'memberStepOneIn' | 'memberWeights'> {
  const memberWeights: Record<MemberStep, number> = { ...usualMemberWeights };
  for (const step of memberSteps) memberWeights[step] *= random.below(3);
  // One at least, or there is nothing to draw from.
  memberWeights.join ||= 1;
  return { memberStepOneIn: [0, 2, 4, 8][random.below(4)]!, memberWeights };
}

/** One of several, each as often as its weight says. */
export function drawWeighted<Name extends string>(
  names: readonly Name[],
  weights: Readonly<Record<Name, number>>,
  random: Random,
): Name {
  let total = 0;
  for (const name of names) total += weights[name];
  let drawn = random.below(total);
  for (const name of names) {
    drawn -= weights[name];
    if (drawn < 0) return name;
  }
  throw new Error('Weights that add up leave nothing over.');
}
