/**
 * Bits that rot in a full segment of one replica, below its recovery point, so that it is known to have been durable. A node that checks
 * its segments may say so; after a while its operator stops it, finds what is wrong with `kappalog log verify`, takes the partition's
 * directory away, and starts it again: the others bring it up. Until then nothing that the node reads is relied upon.
 *
 * The leader's epoch in a batch's prefix is left alone: no CRC covers it, and it may pass for another one.
 */
import { noCounts } from '../../../broker/inspect/findings.ts';
import { findTarget } from '../../../broker/inspect/inspected-files.ts';
import { verifyTarget } from '../../../broker/inspect/verify.ts';
import { decodeReplicaState } from '../../../broker/log/recovery/replica-state-file.ts';
import { segmentPath } from '../../../broker/log/segments/segment.ts';
import type { Random } from '../../../platform/random.ts';
import { batchField, batchHeaderBytes } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';
import type { SimulatedDisk } from '../simulated-disk.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesSimulation } from './nodes-simulation.ts';

const undetectedMs = [1_000, 20_000, 60_000] as const;
const lookEveryMs = 500;
/** Where the epoch of the leader is in a batch. */
const epochBytes = { from: 12, to: 16 } as const;

interface Rot {
  readonly path: string;
  /** Of the partition's directory. */
  readonly name: string;
  readonly position: number;
  readonly bit: number;
}

export function rotSegment(simulation: NodesSimulation, random: Random): void {
  const { present, operator, tally } = simulation;
  const machine = present[random.below(present.length)]!;
  const hidesMs = random.below(undetectedMs[random.below(undetectedMs.length)]!);
  const ending = random.below(2);
  const rot = drawRot(simulation, machine, random);
  if (rot === undefined || machine.hasToBegin || machine.isInRepair) return;
  tally.count('disks', 'rotted');
  simulation.say(`byte ${rot.position} of ${rot.path} rots on node ${machine.nodeId}`);
  machine.isSpoilt = true;
  machine.mayFindDamage = true;
  machine.hasFoundDamage = false;
  machine.disk.flipBit(rot.path, rot.position, rot.bit);
  operator.harm(machine, async () => {
    await whileHidden(simulation, machine, hidesMs);
    if (machine.isRetired) return;
    if (ending === 0) machine.kill();
    else machine.losePower();
    machine.isInRepair = true;
    await takeAway(simulation, machine, rot);
    machine.isInRepair = false;
    machine.isSpoilt = false;
    machine.start();
  });
}

/** Until the node says so itself, or somebody looks. */
async function whileHidden(
  simulation: NodesSimulation,
  machine: NodeMachine,
  hidesMs: number,
): Promise<void> {
  const { clock, tally, context } = simulation;
  const untilMs = clock.monotonicMs() + hidesMs;
  while (!machine.hasFoundDamage && !simulation.haveFaultsEnded && clock.monotonicMs() < untilMs)
    await context.client.pause(lookEveryMs);
  tally.count('disks', machine.hasFoundDamage ? 'rot found by the node' : 'rot that the node did not find');
}

function drawRot({ options }: NodesSimulation, { disk }: NodeMachine, random: Random): Rot | undefined {
  const batches: {
    readonly path: string;
    readonly name: string;
    readonly from: number;
    readonly sizeBytes: number;
  }[] = [];
  for (const parent of options.directories) {
    for (const name of disk.namesIn(parent).filter((each) => /^topic-\d+-\d+$/.test(each))) {
      const directory = `${parent}/${name}`;
      const state = decodeReplicaState(disk.contentOf(`${directory}/replica-state`) ?? Buffer.alloc(0));
      for (const { baseOffset, sizeBytes: segmentBytes } of state?.segments ?? []) {
        const path = segmentPath(directory, baseOffset, 'log');
        const content = disk.contentOf(path);
        if (content?.length !== segmentBytes) continue;
        for (let from = 0; from + batchHeaderBytes <= segmentBytes;) {
          const sizeBytes = batchField.sizeBytes(content, from);
          batches.push({ path, name, from, sizeBytes });
          from += sizeBytes;
        }
      }
    }
  }
  const batch = batches[random.below(Math.max(1, batches.length))];
  if (batch === undefined) return undefined;
  const { path, name, from, sizeBytes } = batch;
  const inside = random.below(random.below(2) === 0 ? epochBytes.from : sizeBytes);
  const isEpoch = inside >= epochBytes.from && inside < epochBytes.to;
  return { path, name, position: from + (isEpoch ? epochBytes.to : inside), bit: random.below(8) };
}

/** The process has ended. */
async function takeAway(
  { options, tally, say }: NodesSimulation,
  { nodeId, disk }: NodeMachine,
  { path, name }: Rot,
): Promise<void> {
  disk.repair();
  const found: string[] = [];
  const life = disk.boot();
  for (const directory of options.directories) {
    const target = await findTarget(life, directory);
    if (typeof target === 'string') continue;
    await verifyTarget(life, target, noCounts(), ({ kind, file }) => {
      if (kind === 'damage') found.push(file);
    });
  }
  // The log may have been repaired by a peer, moved, or removed with its topic.
  check(
    found.every((file) => file.includes(`/${name}`)),
    () => `what is damaged on node ${nodeId} is ${found.join(', ')}, and not only ${path}`,
  );
  tally.count('disks', found.includes(path) ? 'rot found by verify' : 'rot gone by then');
  disk.kill();
  const copies = copiesOf(disk, options.directories, name);
  for (const directory of options.directories) {
    for (const doomed of copies) {
      if (!disk.namesIn(directory).includes(doomed)) continue;
      say(`${directory}/${doomed} is taken away from node ${nodeId}`);
      disk.loseFile(`${directory}/${doomed}`);
    }
  }
}

/** Names that a partition's directory, and a copy that is to lie in another one, may have. */
function copiesOf(disk: SimulatedDisk, directories: readonly string[], name: string): string[] {
  const future: string[] = [];
  const partition = name.slice(name.lastIndexOf('-') + 1);
  for (const directory of directories) {
    const metadata = disk.contentOf(`${directory}/${name}/partition.metadata`)?.toString() ?? '';
    const [, topicId] = /topic_id: (\S+)/.exec(metadata) ?? [];
    if (topicId !== undefined) future.push(`${topicId}-${partition}-future`);
  }
  return [...future, name];
}
