/** Checks one partition's directory: its segments, the files beside them, and how far the log was once durable. */
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import { readFloors } from '../log/sync/durable-floors.ts';
import type { Floor } from '../log/sync/durable-floors.ts';
import { replacementName } from '../log/log-replacement.ts';
import type { OrderStart } from '../log/recovery/order-check.ts';
import { kafkaEpochFile } from '../log/recovery/recovery-leftovers.ts';
import { readReplicaState, stateFileName } from '../log/recovery/replica-state-file.ts';
import type { ReplicaState } from '../log/recovery/replica-state-file.ts';
import { readSnapshotFile } from '../partition/consensus/catch-up/snapshot-format.ts';
import { readBootFile } from '../partition/boot-file.ts';
import { DamagedRepairFloor, readRepairFloor } from '../partition/repair-floor.ts';
import { DamagedConfiguration, readConfigurationFile } from '../partition/consensus/configuration-file.ts';
import { readPartitionMetadata } from '../partition/partition-metadata.ts';
import { snapshotFault } from './dump-indexes.ts';
import { advices } from './findings.ts';
import type { Finding, VerifiedCounts } from './findings.ts';
import { offsetOfName, parentOf } from './inspected-files.ts';
import type { InspectedPartition } from './inspected-files.ts';
import { checkLog, positionOfEntry } from './verify-segments.ts';
import type { CheckedLog, CheckedSegment } from './verify-segments.ts';

export interface PartitionSurroundings {
  readonly disk: Disk;
  readonly counts: VerifiedCounts;
  readonly writer: 'kappalog' | 'kafka';
  /** The data directory's journal holds writes that its next start brings into the segments. */
  readonly isJournalInUse: boolean;
}

/** All that verifying a partition tells; repairing goes by it. */
export interface VerifiedPartition {
  readonly partition: InspectedPartition;
  readonly state: ReplicaState | 'none' | 'corrupt';
  readonly floor: Floor | undefined;
  readonly topicId: string | undefined;
  readonly log: CheckedLog;
  readonly findings: readonly Finding[];
  /** The end of what is sound lies below what was once durable, or a start has found it so and set files aside. */
  readonly isDamaged: boolean;
  /** Damaged only in that: by the state and the floor, all that was durable is there again. */
  readonly isRestored: boolean;
}

const leftoverPattern = /\.(tmp|cleaned|valid)$/;

export async function verifyPartition(
  partition: InspectedPartition,
  surroundings: PartitionSurroundings,
): Promise<VerifiedPartition> {
  return new PartitionVerification(partition, surroundings).run();
}

class PartitionVerification {
  readonly #partition: InspectedPartition;
  readonly #surroundings: PartitionSurroundings;
  readonly #findings: Finding[] = [];
  readonly #advice: { readonly restore: string; readonly startsAnew: string; readonly repair: string };

  constructor(partition: InspectedPartition, surroundings: PartitionSurroundings) {
    this.#partition = partition;
    this.#surroundings = surroundings;
    const { kafka } = advices;
    this.#advice =
      surroundings.writer === 'kafka' ? { restore: kafka, startsAnew: kafka, repair: kafka } : advices;
  }

  async run(): Promise<VerifiedPartition> {
    const { path, names } = this.#partition;
    const { disk, counts, writer } = this.#surroundings;
    counts.partitions++;
    const topicId = await this.#topicId();
    const isReplaced = names.includes(replacementName);
    if (isReplaced) {
      const cause =
        "another node's copy of the log has taken its place, and not all files have their names yet";
      this.#find('repairable', replacementName, cause, 'the next start of the broker finishes that');
    }
    const hasState = names.includes(stateFileName) && !isReplaced;
    const state = hasState ? await readReplicaState(disk, path) : 'none';
    if (state === 'corrupt')
      this.#find('repairable', 'replica-state', 'it is damaged', this.#advice.startsAnew, { position: 0 });
    const floor = isReplaced ? undefined : await this.#floor(topicId);
    // What is there may be of either log.
    const logNames = isReplaced ? [] : names;
    const bases = logNames.filter((name) => /^\d{20}\.log$/.test(name)).map(offsetOfName);
    const known = typeof state === 'object' ? state : undefined;
    const log = await checkLog({
      disk,
      directory: path,
      bases,
      // What the state knows ends at the recovery point, so that batches are held against each other instead.
      rules: { writer: names.includes(kafkaEpochFile) ? 'kafka' : writer },
      start: startOf(known, bases[0]),
      counts,
    });
    // What was set aside stays damage until it is given up, even where nothing tells any more how much there was.
    const isShort = this.#verifyLog(log, known, floor);
    const hasSetAside = names.some((name) => /^(\d{20}\.log|log-replacement)\.damaged/.test(name));
    const isRestored = hasSetAside && !isShort && known !== undefined && floor !== undefined;
    this.#verifySetAside({ isShort, isRestored });
    await this.#verifyOthers();
    return {
      partition: this.#partition,
      state,
      floor,
      topicId,
      log,
      findings: this.#findings,
      isDamaged: isShort || hasSetAside,
      isRestored,
    };
  }

  async #topicId(): Promise<string | undefined> {
    try {
      return await readPartitionMetadata(this.#surroundings.disk, this.#partition.path);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('partition.metadata')) throw error;
      this.#find('damage', 'partition.metadata', 'it does not name a topic', 'restore it from a backup');
      return undefined;
    }
  }

  async #floor(topicId: string | undefined): Promise<Floor | undefined> {
    const { disk } = this.#surroundings;
    const path = `${parentOf(this.#partition.path)}/floors`;
    if (topicId === undefined || !(await disk.exists(path))) return undefined;
    const number = Number(/-(\d+)(\..*)?$/.exec(this.#partition.name)?.[1]);
    const { floors } = readFloors(await readWholeFile(disk, path));
    return floors.find(({ group }) => group.topicId === topicId && group.partition === number)?.floor;
  }

  /** True: durable entries are missing. */
  #verifyLog(log: CheckedLog, state: ReplicaState | undefined, floor: Floor | undefined): boolean {
    const durableEnd = Math.max(floor?.endIndex ?? 0, state?.point.endIndex ?? 0);
    for (const checked of log.segments) this.#verifyIndexes(checked);
    const last = log.segments.at(-1);
    const endIndex = last?.validEndIndex ?? 0;
    const isBelow = endIndex < durableEnd && !this.#surroundings.isJournalInUse;
    if (last?.fault !== undefined) {
      this.#tellFault(last, log, isBelow);
      return isBelow || this.#isCertainDamage(last, log);
    }
    if (isBelow)
      this.#find(
        'damage',
        last === undefined ? '' : nameOfSegment(last),
        `the log ends at index ${endIndex}, and was once durable up to ${durableEnd}`,
        this.#advice.restore,
        { offset: log.order.nextOffset },
      );
    return isBelow;
  }

  /** A tear can only be at the end of the newest segment. */
  #isCertainDamage({ fault }: CheckedSegment, log: CheckedLog): boolean {
    return log.unread.length > 0 || fault?.isUnreadable === true;
  }

  #tellFault(checked: CheckedSegment, log: CheckedLog, isBelowDurable: boolean): void {
    const { fault, sizeBytes, validBytes } = checked;
    if (fault === undefined) return;
    const name = nameOfSegment(checked);
    const place = { position: fault.position, offset: fault.offset };
    const rest = sizeBytes - validBytes;
    if (isBelowDurable || this.#isCertainDamage(checked, log)) {
      const later =
        log.unread.length === 0 ? '' : ` (${log.unread.length} later segments have not been read)`;
      this.#find('damage', name, `${fault.reason}${later}`, this.#advice.restore, place);
    } else if (fault.isZeros) {
      this.#find('note', name, `${rest} bytes of zeros follow that were never written`, advices.none, place);
    } else {
      const cause = `${fault.reason}: a torn end of ${rest} bytes that were never durable`;
      this.#find('repairable', name, cause, this.#advice.startsAnew, place);
    }
  }

  #verifyIndexes(checked: CheckedSegment): void {
    const { segment, indexFaults, transactionFault } = checked;
    const base = nameOfSegment(checked).slice(0, 20);
    for (const fault of indexFaults) {
      const cause = `entry ${fault.entry}: ${fault.reason}`;
      this.#find('repairable', `${base}.${fault.index}`, cause, this.#advice.repair, {
        position: positionOfEntry(fault),
        offset: segment.baseOffset,
      });
    }
    if (transactionFault !== undefined)
      this.#find('repairable', `${base}.txnindex`, transactionFault, this.#advice.repair);
  }

  async #verifyOthers(): Promise<void> {
    const { path, names } = this.#partition;
    const { disk, counts } = this.#surroundings;
    counts.files += names.length;
    for (const name of names) {
      if (/^\d{20}\.snapshot$/.test(name)) {
        const fault = snapshotFault(await readWholeFile(disk, `${path}/${name}`));
        if (fault !== undefined) this.#find('repairable', name, fault, this.#advice.startsAnew);
      } else if (name.endsWith('.deleted')) {
        this.#find('note', name, 'it was deleted, and goes after file.delete.delay.ms', advices.none);
      } else if (leftoverPattern.test(name)) {
        this.#find('note', name, 'a leftover of something that was interrupted', this.#advice.startsAnew);
      } else if (name === 'catch-up') {
        const cause = "files of another node's log that are being copied";
        this.#find('note', name, cause, 'the copying goes on when the broker runs');
      } else if (/^\d{20}-\d{10}\.checkpoint$/.test(name) && this.#surroundings.writer === 'kappalog') {
        await this.#verifyCheckpoint(name);
      } else if (name === 'raft-configuration' || name === 'boot' || name === 'repair-floor') {
        await this.#verifyMember(name);
      } else if (name.endsWith('.swap')) {
        this.#find('note', name, 'a cleaned segment on its way into the log', this.#advice.startsAnew);
      }
    }
  }

  /** What the replica knows of its group, of its memory, and of what it has lost. */
  async #verifyMember(name: 'raft-configuration' | 'boot' | 'repair-floor'): Promise<void> {
    const { path } = this.#partition;
    const { disk } = this.#surroundings;
    if (name === 'boot') {
      if ((await readBootFile(disk, path)).kind !== 'damaged') return;
      const cause =
        'it is not known in which run of the machine the replica acknowledged what was not synced';
      this.#find('repairable', name, cause, 'the replica waits for its leader when the broker starts');
      return;
    }
    try {
      if (name === 'repair-floor') {
        if ((await readRepairFloor(disk, path)) === undefined) return;
        const cause = 'the log was damaged, and does not reach as far as it once did';
        this.#find('note', name, cause, 'the leader of the partition brings it up when the broker runs');
        return;
      }
      await readConfigurationFile(disk, path);
    } catch (error) {
      if (error instanceof DamagedRepairFloor) {
        const advice = 'where others hold the partition, remove its directory; else the file';
        this.#find('damage', name, 'it is not known how much of the log is missing', advice);
        return;
      }
      if (!(error instanceof DamagedConfiguration)) throw error;
      const advice =
        'where others hold the partition, remove its directory; else restore the file from a backup';
      this.#find('damage', name, 'it is not known who replicates this partition', advice);
    }
  }

  async #verifyCheckpoint(name: string): Promise<void> {
    const file = await this.#surroundings.disk.open(`${this.#partition.path}/${name}`, 'read');
    try {
      if ((await readSnapshotFile(file)) !== undefined) return;
      const cause = 'the snapshot is not whole; the one before it counts, or one of another node';
      this.#find('damage', name, cause, 'the next start of the broker sets it aside');
    } finally {
      await file.close();
    }
  }

  /** Where the end is missing, that is told already; where all is there again, only these names keep the log from writes. */
  #verifySetAside({
    isShort,
    isRestored,
  }: {
    readonly isShort: boolean;
    readonly isRestored: boolean;
  }): void {
    for (const name of this.#partition.names.filter((each) => /\.damaged(\.\d+)?$/.test(each))) {
      if (isShort || !name.includes('.log.')) {
        this.#find(
          'note',
          name,
          'set aside because it was damaged',
          'keep it until it is not needed any more',
        );
      } else if (isRestored) {
        const cause =
          'set aside because it was damaged; the log is whole again, and takes writes once it is repaired';
        this.#find('repairable', name, cause, this.#advice.repair);
      } else {
        const cause = 'set aside because it was damaged, and nothing tells how far the log went';
        this.#find('damage', name, cause, this.#advice.restore);
      }
    }
  }

  #find(
    kind: Finding['kind'],
    name: string,
    cause: string,
    advice: string,
    place: { readonly position?: number; readonly offset?: number } = {},
  ): void {
    const { path } = this.#partition;
    this.#findings.push({ kind, file: name === '' ? path : `${path}/${name}`, cause, advice, ...place });
  }
}

function startOf(state: ReplicaState | undefined, offset = 0): OrderStart {
  const start = state?.table.start;
  if (start?.offset !== offset) return { offset };
  return { offset, index: start.index, ...(start.term > 0 ? { term: start.term } : {}) };
}

function nameOfSegment({ segment }: CheckedSegment): string {
  return `${String(segment.baseOffset).padStart(20, '0')}.log`;
}
