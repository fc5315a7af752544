/**
 * Opens a partition's log and makes its producers' states, which go together: the log takes what its recovery point vouches for as it
 * is, the replay of the producers reads some of that. Where that shows rot, the log is opened again without relying on the segment,
 * which makes it damaged like any other: what is bad is set aside, what is valid before it can be read, and a peer can repair it.
 */
import { CommitLog } from '../log/commit-log.ts';
import { DamagedSegment } from '../log/reading/header-scan.ts';
import type { LogDamage, LogOptions, RecoveryReport } from '../log/log-types.ts';
import { LogProducers } from './log-producers.ts';
import type { LogProducersOptions } from './log-producers.ts';
import type { RepairFloor } from './repair-floor.ts';

export interface OpenedLog {
  readonly log: CommitLog;
  readonly recovery: RecoveryReport;
  readonly producers: LogProducers;
  /** How far a damaged log once reached. */
  readonly floor: RepairFloor | undefined;
}

/** `doubtedOffset`: from the segment with it on all is read and checked. Rejects with a DiskError, or with a DamagedSegment where the disk gives other bytes each time. */
export async function openLog(
  options: LogOptions,
  producersOptions: Omit<LogProducersOptions, 'disk' | 'clock'>,
  doubtedOffset?: number,
): Promise<OpenedLog> {
  const { disk, clock } = options;
  let doubted = doubtedOffset;
  for (;;) {
    const { log, recovery } = await CommitLog.open(options, doubted);
    try {
      const producers = await LogProducers.open({ ...producersOptions, disk, clock }, log);
      return { log, recovery, producers, floor: floorBy(recovery.damage) };
    } catch (error) {
      // Only damage that lies further and further ahead can be found again and again.
      const isNew = error instanceof DamagedSegment && error.segmentBaseOffset < (doubted ?? Infinity);
      await log.flushAndClose();
      if (!isNew) throw error;
      doubted = error.segmentBaseOffset;
    }
  }
}

/** It votes by what it once held. */
function floorBy(damage: LogDamage | undefined): RepairFloor | undefined {
  return damage && { term: damage.floorTerm, index: damage.floorEndIndex - 1 };
}
