/** What goes wrong with a machine's disk: errors that pass, and losses of what was durable, where the cluster has to survive them. */
import { readFloors } from '../../../broker/log/sync/durable-floors.ts';
import { isRaftOnly } from '../../../broker/log/raft-only.ts';
import { decodeReplicaState } from '../../../broker/log/recovery/replica-state-file.ts';
import { readVotes, votesHeader } from '../../../broker/partition/vote-records.ts';
import type { DiskErrorCode } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { batchField, batchHeaderBytes } from '../../../protocol/index.ts';
import type { SimulatedOperation } from '../life-disk.ts';
import { dataDirectory, logDirectory } from './cluster-life.ts';
import type { StepContext } from './cluster-steps.ts';
import type { ClusterWorld, Machine } from './machine.ts';

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

/** Base offset, length and leader epoch of a batch, which its CRC does not cover. */
const prefixBytes = 16;

export function injectDiskFault({ world, machine, random }: StepContext): void {
  if (random.below(10) === 0) {
    world.say(`the disk of node ${machine.nodeId} becomes read-only`);
    machine.disk.becomeReadOnly();
    return;
  }
  const [operation, codes] = injectable[random.below(injectable.length)]!;
  const fault = { operation, code: codes[random.below(codes.length)]!, skip: random.below(8) };
  world.say(`node ${machine.nodeId}: ${operation} will fail with ${fault.code} after ${fault.skip} more`);
  machine.disk.arm(fault);
}

/** The data directory is lost with all that it holds. One that is spoilt is replaced rather than another. */
export function loseDirectory({ world, machine, machines, random }: StepContext): void {
  const spoilt = machines.find(({ isSpoilt }) => isSpoilt);
  const victim = spoilt !== undefined && random.below(4) > 0 ? spoilt : machine;
  if (!mayHarmAll(world, victim)) return;
  victim.end(random.below(2) === 0 ? 'kill' : 'power-loss');
  replace(world, victim);
  if (random.below(2) === 0) victim.start();
}

/** The machine takes part anew, from an empty directory; no process runs there. */
export function replace(world: ClusterWorld, machine: Machine): void {
  for (const group of world.fairness.groups) world.fairness.harm(group, machine.member);
  machine.replaceDirectory();
}

/** A bit flips that was durable, and by the floor is known to be: mostly while no process runs, as one that runs reads little again. */
export function rot(context: StepContext): void {
  const { world, machine, random } = context;
  if (random.fork('when').below(4) > 0) machine.end('kill');
  // Its whole directory will have to be replaced.
  if (mayHarmAll(world, machine)) {
    if (random.below(5) === 0) rotVotes(context);
    else rotLog(world, machine, random);
  }
  if (random.below(2) === 0) machine.start();
}

function rotVotes({ world, machine, random }: StepContext): void {
  const path = `${dataDirectory}/votes`;
  const bytes = machine.disk.contentOf(path) ?? Buffer.alloc(0);
  // What is bad in the last round passes for a torn append: that its votes are lost nobody could tell.
  const limit = readVotes(bytes).lastRoundPosition;
  if (limit <= votesHeader.length) return;
  flip(world, machine, { path, position: random.below(limit), bit: random.below(8) });
}

function rotLog(world: ClusterWorld, machine: Machine, random: Random): void {
  const batches = belowFloor(machine, random.below(world.options.groups));
  const batch = batches[random.below(Math.max(1, batches.length))];
  if (batch === undefined) return;
  // What no CRC covers more often than its size would have it.
  const position = batch.position + random.below(random.below(2) === 0 ? prefixBytes : batch.sizeBytes);
  flip(world, machine, { path: batch.path, position, bit: random.below(8) });
}

function flip(
  world: ClusterWorld,
  machine: Machine,
  { path, position, bit }: { readonly path: string; readonly position: number; readonly bit: number },
): void {
  world.say(`byte ${position} of ${path} rots on node ${machine.nodeId}`);
  machine.disk.flipBit(path, position, bit);
  machine.isSpoilt = true;
  for (const group of world.fairness.groups) world.fairness.harm(group, machine.member);
}

function mayHarmAll({ fairness }: ClusterWorld, { member }: Machine): boolean {
  return fairness.groups.every((group) => fairness.mayHarm(group, member));
}

interface PlacedBatch {
  readonly path: string;
  readonly position: number;
  readonly sizeBytes: number;
}

/**
 * The batches that the durable floor covers: what rots above it looks torn after a crash (storage-format.md, "Damage"). Where the
 * floor is behind what the member may have acknowledged, one bit: what follows the damage tells where the log ended, but not
 * which entries two bad batches had.
 */
function belowFloor(machine: Machine, group: number): PlacedBatch[] {
  const { disk } = machine;
  const bytes = disk.contentOf(`${dataDirectory}/floors`);
  const floors = bytes === undefined ? [] : readFloors(bytes).floors;
  const floor = floors.find((each) => each.group.partition === group)?.floor;
  if (floor === undefined) return [];
  if (machine.isSpoilt && floor.endIndex < machine.held(group).ackedEndIndex) return [];
  const directory = logDirectory(group);
  const names = disk.namesIn(directory).filter((name) => /^\d{20}\.log$/.test(name));
  const state = decodeReplicaState(disk.contentOf(`${directory}/replica-state`) ?? Buffer.alloc(0));
  const batches: PlacedBatch[] = [];
  // Of a log that has lost its beginning.
  let index = state?.table.start.index ?? 1;
  for (const name of names) {
    const path = `${directory}/${name}`;
    const content = disk.contentOf(path)!;
    for (let position = 0; position + batchHeaderBytes <= content.length && index < floor.endIndex;) {
      const sizeBytes = batchField.sizeBytes(content, position);
      if (sizeBytes < batchHeaderBytes || position + sizeBytes > content.length) return batches;
      batches.push({ path, position, sizeBytes });
      index += isRaftOnly(content, position) ? 1 : batchField.lastOffsetDelta(content, position) + 1;
      position += sizeBytes;
    }
  }
  return batches;
}
