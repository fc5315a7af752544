/**
 * What goes wrong with processes and disks beyond that they die. Drawn apart from the other steps, on top of them, so that a history
 * without these is what it would have been.
 */
import type { Random } from '../../../platform/random.ts';
import { beginDirectoryMove } from './directory-mover.ts';
import type { NodesSimulation } from './nodes-simulation.ts';

const usualMachineWeights = {
  /** The process does nothing for a while, as by SIGSTOP. */
  freeze: 4,
  /** Power is lost at a moment at which the disk has bytes that were not synced. */
  'power-loss-unsynced': 3,
  /** A replica is to lie in another data directory of its node. */
  'move-directory': 4,
} as const;

export type MachineStep = keyof typeof usualMachineWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const machineSteps = Object.keys(usualMachineWeights) as readonly MachineStep[];

const dataDirectories: readonly string[] = ['/data', '/more-data'];

/** Averages, where they are slower than the rest of the disk: more is unsynced then at any moment. */
const slowSyncMs = [undefined, undefined, 5, 15, 50] as const;

/** So long a loss of power waits for bytes to take. */
const looksMax = 1_000;
const lookEveryMs = 0.7;

/** All that was drawn in this file can be left out by these. */
export const machineKinds: readonly string[] = [...machineSteps, 'slow-syncs'];

/** From less than any patience to more than the metadata's. */
const frozenMs = [200, 1_000, 5_000, 15_000, 40_000] as const;

export interface MachineOptions {
  /** One step in so many comes with one of these faults, too; 0: none does. */
  readonly machineStepOneIn: number;
  /** Data directories of each node, on one disk; the metadata are in the first. */
  readonly directories: readonly string[];
  /** How long a sync takes on average; undefined: as the rest of the disk. */
  readonly syncMs: number | undefined;
  readonly machineWeights: Readonly<Record<MachineStep, number>>;
}

export function drawMachineOptions(random: Random, without: ReadonlySet<string>): MachineOptions {
  const machineWeights: Record<MachineStep, number> = { ...usualMachineWeights };
  for (const step of machineSteps) machineWeights[step] *= 1 + random.below(3);
  const hasTwo = random.below(2) === 0 && !without.has('move-directory');
  const machineStepOneIn = [0, 2, 4, 8][random.below(4)]!;
  const syncMs = slowSyncMs[random.below(slowSyncMs.length)];
  return {
    machineStepOneIn,
    machineWeights,
    directories: hasTwo ? dataDirectories : dataDirectories.slice(0, 1),
    syncMs: without.has('slow-syncs') ? undefined : syncMs,
  };
}

export const machineStepActions: Readonly<
  Record<MachineStep, (simulation: NodesSimulation, random: Random) => void>
> = {
  freeze: ({ machines }, random) => {
    const machine = machines[random.below(machines.length)]!;
    const mostMs = frozenMs[random.below(frozenMs.length)]!;
    machine.freeze(Math.ceil((mostMs * (1 + random.below(1000))) / 1000));
  },
  'power-loss-unsynced': (simulation, random) => {
    const { machines, clock } = simulation;
    const machine = machines[random.below(machines.length)]!;
    let looks = looksMax;
    const look = (): void => {
      if (simulation.haveFaultsEnded) return;
      if (machine.disk.hasUnsyncedBytes) machine.losePower();
      else if (--looks > 0) clock.after(lookEveryMs, look);
    };
    clock.after(random.below(1000), look);
  },
  'move-directory': ({ mover, options }, random) => {
    if (options.directories.length > 1) beginDirectoryMove(mover, random);
  },
};
