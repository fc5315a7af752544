/**
 * What goes wrong with the disks of whole nodes: one is full for a while, one operation fails, a data directory gives nothing, bits that
 * were durable rot, a whole directory is lost. Afterwards an operator does what docs/operations.md says: makes room or repairs the disk, and starts the node again; or
 * takes the spoilt copy away. Drawn apart from the other steps, on top of them, so that a history without these is what it would have been.
 *
 * All but rot loses nothing that was synced, and may strike any number of nodes with one data directory. A replica that is made while one of
 * two fails goes to the other one, and is another member of its group then: that counts as a loss of the replica, and so does rot.
 */
import type { DiskErrorCode } from '../../../platform/disk.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import type { SimulatedOperation } from '../life-disk.ts';
import type { SimulatedDisk } from '../simulated-disk.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesSimulation } from './nodes-simulation.ts';
import { rotSegment } from './rot.ts';

const usualDiskWeights = {
  'disk-full': 3,
  /** One operation fails, whichever comes. */
  'disk-error': 5,
  /** Nothing below one data directory can be read or written. */
  'directory-fails': 3,
  /** One of several data directories is lost with all in it, and replaced by an empty one. */
  'replace-directory': 5,
  /** A bit flips in a full segment. */
  rot: 8,
} as const;

export type DiskStep = keyof typeof usualDiskWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const diskSteps = Object.keys(usualDiskWeights) as readonly DiskStep[];

/** All that was drawn in this file can be left out by these. */
export const diskKinds: readonly string[] = [...diskSteps, 'small-segments'];

export interface DiskOptions {
  /** One step in so many comes with one of these faults, too; 0: none does. */
  readonly diskStepOneIn: number;
  readonly diskWeights: Readonly<Record<DiskStep, number>>;
  /** At which the topics' segments are full; undefined: as by default, which is never. */
  readonly segmentBytes: number | undefined;
  /** Of the nodes, by name. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Topics get small segments, which are checked soon, where there is something to find in them. */
export function drawDiskOptions(
  random: Random,
  { without, isFocus }: { readonly without: ReadonlySet<string>; readonly isFocus: boolean },
): DiskOptions {
  const diskWeights: Record<DiskStep, number> = { ...usualDiskWeights };
  for (const step of diskSteps) diskWeights[step] *= 1 + random.below(3);
  const drawnOneIn = [0, 0, 2, 4, 8][random.below(5)]!;
  const drawnBytes = [undefined, 500, 1_000, 4_000][random.below(4)];
  const firstCheckMs = [1_000, 10_000, 30_000][random.below(3)]!;
  const diskStepOneIn = isFocus ? 1 : drawnOneIn;
  const isSmall = diskStepOneIn > 0 && !without.has('small-segments');
  return {
    diskStepOneIn,
    diskWeights,
    segmentBytes: isSmall ? drawnBytes : undefined,
    settings: isSmall ? { 'log.initial.task.delay.ms': String(firstCheckMs) } : {},
  };
}

/** Whether a node that answers this may have been failed by its disk. What it was asked for may have happened. */
export function isByDisk({ diskStepOneIn }: DiskOptions, errorCode: number): boolean {
  return diskStepOneIn > 0 && errorCode === ErrorCode.KAFKA_STORAGE_ERROR;
}

const injectable: readonly (readonly [SimulatedOperation, readonly DiskErrorCode[]])[] = [
  ['write', ['io', 'no-space']],
  ['sync', ['io', 'no-space']],
  ['sync', ['io']],
  ['read', ['io']],
  ['open', ['io', 'too-many-open-files', 'no-space']],
  ['truncate', ['io']],
  ['rename', ['io']],
  ['remove', ['io']],
  ['list', ['io']],
  ['sync-directory', ['io']],
];

const freeBytesMax = [1, 2_000, 20_000] as const;
/** So long a fault lasts, at most: from less than anybody's patience to more than the metadata's. */
const lastingMs = [500, 3_000, 15_000, 40_000] as const;

export const diskStepActions: Readonly<
  Record<DiskStep, (simulation: NodesSimulation, random: Random) => void>
> = {
  'disk-full': (simulation, random) => {
    const freeBytes = random.below(freeBytesMax[random.below(freeBytesMax.length)]!);
    failFor(simulation, random, {
      kind: 'full',
      what: `its disk has room for ${freeBytes} bytes`,
      fail: (disk) => disk.limitSpace(freeBytes),
    });
  },
  'disk-error': (simulation, random) => {
    const [operation, codes] = injectable[random.below(injectable.length)]!;
    const fault = { operation, code: codes[random.below(codes.length)]!, skip: random.below(8) };
    failFor(simulation, random, {
      kind: 'errors',
      what: `${operation} will fail with ${fault.code} after ${fault.skip} more`,
      fail: (disk) => disk.arm(fault),
    });
  },
  'directory-fails': (simulation, random) => {
    const { directories } = simulation.options;
    const directory = directories[random.below(directories.length)]!;
    failFor(simulation, random, {
      kind: 'directories that fail',
      what: `${directory} gives and takes nothing`,
      fail: (disk) => disk.breakBelow(directory),
    });
  },
  'replace-directory': (simulation, random) => {
    const { operator, options, present, tally } = simulation;
    const machine = present[random.below(present.length)]!;
    const { directories } = options;
    const directory = directories[random.below(directories.length)]!;
    if (directories.length === 1 || !operator.mayHarm || machine.hasToBegin) return;
    tally.count(
      'disks',
      directory === directories[0] ? 'first directories replaced' : 'other directories replaced',
    );
    machine.loseOneDirectory(directory, simulation.memberFor(machine.nodeId));
    operator.doubt(machine, Promise.resolve());
  },
  rot: (simulation, random) => {
    if (simulation.operator.mayHarm) rotSegment(simulation, random);
  },
};

interface PassingFault {
  readonly kind: string;
  readonly what: string;
  readonly fail: (disk: SimulatedDisk) => void;
}

/** Something is wrong with one of the disks that are well, until an operator has put it right and ended the process. */
function failFor(simulation: NodesSimulation, random: Random, { kind, what, fail }: PassingFault): void {
  const { machines, clock, tally, operator, options } = simulation;
  const machine = machines[random.below(machines.length)]!;
  const mostMs = lastingMs[random.below(lastingMs.length)]!;
  const how = random.below(4);
  if (machine.disk.isFaulty || machine.isRetired || machine.isInRepair) return;
  const isLoss = options.directories.length > 1;
  if (isLoss && !operator.mayHarm) return;
  tally.count('disks', kind);
  machine.failDisk(what, fail);
  const mended = new Promise<void>((resolve) => {
    clock.after((mostMs * (1 + random.below(1000))) / 1000, () => {
      resolve();
      if (simulation.haveFaultsEnded || machine.isInRepair) return;
      machine.disk.repair();
      simulation.say(`the disk of node ${machine.nodeId} is as it was`);
      if (machine.needsRestart) restart(machine, how);
    });
  });
  if (isLoss) operator.doubt(machine, mended);
}

function restart(machine: NodeMachine, how: number): void {
  // Started again by and by.
  if (how === 0) return machine.stop();
  if (how === 1) machine.losePower();
  else machine.kill();
  machine.start();
}
