/**
 * The end of some histories: a bit that was durable, and by the floor known to be, flips while no process runs. The next opening
 * has to say so, and where; what is before the damage can be read.
 */
import { decodeReplicaState } from '../../../broker/log/recovery/replica-state-file.ts';
import { segmentPath } from '../../../broker/log/segments/segment.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import { SeenBatches } from './batch-checks.ts';
import { logDirectory } from './log-life.ts';
import type { LogModel } from './log-model.ts';
import type { LogSimulation } from './log-simulation.ts';

/** Base offset, length and leader epoch of a batch. */
const prefixBytes = 16;

/** False where there is no such bit: nothing has been done then. */
export async function endWithRot(simulation: LogSimulation): Promise<boolean> {
  const { random, disk, options } = simulation;
  // The journal would write the bytes anew.
  if (options.journalBytes > 0) return false;
  for (const model of simulation.models) {
    if (simulation.logOf(model).failure === undefined) simulation.logOf(model).requestSync();
  }
  await simulation.rest();
  disk.repair();
  const model = simulation.drawModel();
  const log = simulation.logOf(model);
  const isDurable = log.failure === undefined && log.flushedEndIndex === model.endIndex;
  if (!isDurable || simulation.isFaulty) return false;
  await simulation.settle(simulation.floors.flush());
  const range = unvouched(simulation, model);
  if (range === undefined) return false;
  // The first bytes of a batch matter most, as its CRC does not cover them.
  const start = range.entries[random.below(range.entries.length)]!.position;
  const position =
    random.below(2) === 0
      ? start + random.below(prefixBytes)
      : range.from + random.below(range.to - range.from);
  const life = await simulation.reopenUnchecked(() => {
    disk.flipBit(range.path, position, random.below(8));
    simulation.say(`byte ${position} of ${range.path} rots`);
  });
  const { log: damaged, recovery } = life.opened.get(model.name)!;
  checkEqual(recovery.kind, 'damaged', () => `${model.name}: what the opening says`);
  const { damage } = recovery;
  const hit = range.entries.find((entry) => entry.position + entry.sizeBytes > position)!;
  checkEqual(
    [damage?.file, damage?.position, damage?.validEndIndex, damaged.endIndex],
    [range.path, hit.position, hit.index, hit.index],
    () => `${model.name}: where the damage is`,
  );
  check(damaged.failure?.kind === 'damage', () => `${model.name}: takes appends though it is damaged`);
  await simulation.settle(readUpTo(life.opened.get(model.name)!.log, model));
  return true;
}

async function readUpTo(log: ReturnType<LogSimulation['logOf']>, model: LogModel): Promise<void> {
  const { logStartOffset, logEndOffset } = log;
  const seen = new SeenBatches(model, `${model.name}, read up to its damage`, () => logStartOffset);
  for (let offset = logStartOffset; offset < logEndOffset;) {
    const read = await log.read({ offset, endOffset: logEndOffset, maxBytes: 1000, minOneBatch: true });
    const bytes = Buffer.concat(read.parts);
    read.release();
    const expected = model.batchesIn(offset, logEndOffset);
    const place = seen.compare(bytes, expected);
    if (bytes.length === 0) break;
    offset = expected[place - 1]!.endOffset;
  }
}

interface UnvouchedRange {
  readonly path: string;
  readonly from: number;
  readonly to: number;
  readonly entries: readonly {
    readonly index: number;
    readonly position: number;
    readonly sizeBytes: number;
  }[];
}

/** What lies between the recovery point, before which nothing is read at a start, and the floor, which is at the end. */
function unvouched({ disk }: LogSimulation, model: LogModel): UnvouchedRange | undefined {
  const directory = logDirectory(model.name);
  const bytes = disk.contentOf(`${directory}/replica-state`);
  const state = bytes === undefined ? undefined : decodeReplicaState(bytes);
  if (state === undefined) return undefined;
  const { point } = state;
  const path = segmentPath(directory, point.segmentBaseOffset, 'log');
  const to = disk.contentOf(path)?.length ?? 0;
  let { position } = point;
  const entries = model.entries
    .filter(({ index }) => index >= point.endIndex)
    .map(({ index, bytes: batch }) => {
      const sizeBytes = batch.length;
      position += sizeBytes;
      return { index, position: position - sizeBytes, sizeBytes };
    });
  return to > point.position && position === to ? { path, from: point.position, to, entries } : undefined;
}
