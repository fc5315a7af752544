/**
 * Makes a log of what lies in `catch-up/`, ready to take the place of the one beside it: opens it as a log, which checks every batch,
 * its order and all positions, makes the indexes and syncs them; compares it with what it should be; closes it cleanly.
 */
import type { Disk } from '../../../../platform/disk.ts';
import type { CommitLog } from '../../../log/commit-log.ts';
import { stagingDirectory } from '../../../log/log-replacement.ts';
import type { LogReplacement } from '../../../log/log-replacement.ts';
import type { PositionTable } from '../../../log/segments/position-table.ts';
import { writeReplicaState } from '../../../log/recovery/replica-state-file.ts';
import type { ReplicaState } from '../../../log/recovery/replica-state-file.ts';
import type { PlacedConfiguration } from '../../../raft/configuration.ts';
import { writeConfigurationFile } from '../configuration-file.ts';

export interface StagedLog extends ExpectedLog {
  readonly replacement: LogReplacement;
}

export interface ExpectedLog {
  /** Its start and table; it vouches for no bytes. */
  readonly state: ReplicaState;
  readonly endIndex: number;
  readonly configuration: PlacedConfiguration;
}

/** What makes the copy, and stays behind. */
export const manifestName = 'manifest';

/**
 * The files of the log are in `catch-up/` beside `log`, synced. Returns what is wrong with them where they are not that log; they
 * are of no use then. Rejects with a DiskError.
 */
export async function finishStaging(
  disk: Disk,
  log: CommitLog,
  expected: ExpectedLog,
): Promise<StagedLog | string> {
  const { state, endIndex, configuration } = expected;
  const staging = stagingDirectory(log.directory);
  const table = state.table.upTo(state.table.start.index);
  await writeReplicaState(disk, staging, { ...state, table });
  const { log: staged, recovery } = await log.openStaged();
  let fault: string | undefined;
  try {
    if (recovery.damage !== undefined) fault = recovery.damage.reason;
    else if (recovery.tornBytes + recovery.zeroBytes > 0) fault = recovery.tornReason ?? 'it ends in zeros';
    else fault = differenceOf(staged, state.table, endIndex);
    if (staged.logStartOffset !== state.logStartOffset) fault ??= 'it starts elsewhere';
  } finally {
    await staged.flushAndClose();
  }
  if (fault !== undefined) return fault;
  await writeConfigurationFile(disk, staging, configuration);
  const names = await disk.list(staging);
  return {
    replacement: {
      files: names.filter((name) => name !== manifestName && !name.endsWith('.tmp')),
      floor: { term: state.table.lastTerm, endIndex },
    },
    state,
    endIndex,
    configuration,
  };
}

function differenceOf(log: CommitLog, table: PositionTable, endIndex: number): string | undefined {
  if (log.endIndex !== endIndex) return `it ends at index ${log.endIndex}, not at ${endIndex}`;
  const entries = log.raftOnlyEntries();
  const expected = table.raftOnlyEntries;
  const isSame =
    entries.length === expected.length &&
    entries.every((entry, place) => {
      const other = expected[place]!;
      return (
        entry.index === other.index &&
        entry.offset === other.offset &&
        entry.term === other.term &&
        entry.kind === other.kind &&
        entry.payload.equals(other.payload)
      );
    });
  if (!isSame) return "its entries of Raft's are not those that it should have";
  return log.lastTerm === table.lastTerm ? undefined : 'its last term is another';
}
