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
  /** A replica is to lie in another data directory of its node. */
  'move-directory': 4,
} as const;

export type MachineStep = keyof typeof usualMachineWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const machineSteps = Object.keys(usualMachineWeights) as readonly MachineStep[];

const dataDirectories: readonly string[] = ['/data', '/more-data'];

/** From less than any patience to more than the metadata's. */
const frozenMs = [200, 1_000, 5_000, 15_000, 40_000] as const;

export interface MachineOptions {
  /** One step in so many comes with one of these faults, too; 0: none does. */
  readonly machineStepOneIn: number;
  /** Data directories of each node, on one disk; the metadata are in the first. */
  readonly directories: readonly string[];
  readonly machineWeights: Readonly<Record<MachineStep, number>>;
}

export function drawMachineOptions(random: Random, without: ReadonlySet<string>): MachineOptions {
  const machineWeights: Record<MachineStep, number> = { ...usualMachineWeights };
  for (const step of machineSteps) machineWeights[step] *= 1 + random.below(3);
  const hasTwo = random.below(2) === 0 && !without.has('move-directory');
  return {
    machineStepOneIn: [0, 2, 4, 8][random.below(4)]!,
    machineWeights,
    directories: hasTwo ? dataDirectories : dataDirectories.slice(0, 1),
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
  'move-directory': ({ mover, options }, random) => {
    if (options.directories.length > 1) beginDirectoryMove(mover, random);
  },
};
