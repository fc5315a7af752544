/** Producers' states of a log, from the newest snapshot on disk that can be read and the batches after it. */
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { CommitLog } from '../log/commit-log.ts';
import { readSnapshot } from './producer-snapshots.ts';
import { ProducerStates } from './producer-state.ts';

export interface RestoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly expirationMs: () => number;
}

/** `snapshots` are the offsets of those at or below the log's end, newest first. Rejects with a DiskError. */
export async function restoreProducers(
  options: RestoreOptions,
  log: CommitLog,
  snapshots: readonly number[],
): Promise<ProducerStates> {
  const { disk, clock, expirationMs } = options;
  let states: ProducerStates | undefined;
  let fromOffset = log.logStartOffset;
  for (const offset of snapshots) {
    const { bytes } = await readSnapshot(disk, log.directory, offset);
    states = ProducerStates.restore(bytes, { clock, expirationMs });
    if (states === undefined) continue;
    fromOffset = Math.max(offset, fromOffset);
    break;
  }
  states ??= new ProducerStates({ clock, expirationMs });
  if (fromOffset < log.logEndOffset) {
    await log.scanHeaders(fromOffset, (header) => {
      if (header.producerId >= 0 && header.recordCount > 0) states.append(header, header.baseOffset);
    });
  }
  return states;
}
