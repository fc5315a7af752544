/** Makes a log that begins after a snapshot, empty, out of a snapshot that has been received. */
import type { Clock } from '../../../../platform/clock.ts';
import type { Disk } from '../../../../platform/disk.ts';
import type { CommitLog } from '../../../log/commit-log.ts';
import { stagingDirectory } from '../../../log/log-replacement.ts';
import { PositionTable } from '../../../log/segments/position-table.ts';
import { beginningState } from '../../../log/recovery/replica-state-file.ts';
import type { Snapshot } from '../../../raft/messages.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { finishStaging } from './staged-log.ts';
import type { StagedLog } from './staged-log.ts';

export interface SnapshotStaging {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: CommitLog;
  readonly snapshots: SnapshotStore;
}

/** Undefined, and nothing kept, where the snapshot is not what was announced. Rejects with a DiskError. */
export async function stageSnapshot(
  { disk, clock, log, snapshots }: SnapshotStaging,
  snapshot: Snapshot,
): Promise<StagedLog | undefined> {
  const stored = await snapshots.complete(snapshot);
  if (stored === undefined) return undefined;
  const { endOffset, lastIndex, lastTerm, configuration } = stored;
  const table = new PositionTable({ offset: endOffset, index: lastIndex + 1, term: lastTerm });
  const positions = { logStartOffset: endOffset, cleanedEndOffset: endOffset };
  const state = beginningState(table, positions, clock.wallMs());
  const staged = await finishStaging(disk, log, { state, endIndex: lastIndex + 1, configuration });
  if (typeof staged !== 'string') return staged;
  await disk.removeDirectory(stagingDirectory(log.directory));
  return undefined;
}
