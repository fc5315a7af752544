/**
 * Repairs one partition's directory, step by step in an order in which a crash anywhere leaves a log that the broker opens no
 * worse than before, and that a second run repairs to the end. The broker must not run: the caller holds the directory's lock.
 *
 * Giving up what follows on damage: first files are set aside, as recovery does; then `replica-state` steps back to the segment
 * that is left last, then the durable floor to the end of what is valid; and only when nothing calls for the lost entries any
 * more, the files set aside get names that say so. A log with such files in their first names is damaged, whatever its end.
 */
import type { Disk } from '../../platform/disk.ts';
import { replaceFile } from '../../platform/whole-files.ts';
import {
  encodeAbortedTransactions,
  decodeAbortedTransactions,
} from '../log/segments/aborted-transactions.ts';
import { scanBatches } from '../log/reading/batch-scan.ts';
import { pointAtEnd } from '../log/recovery/checkpoints.ts';
import type { DurableFloors } from '../log/sync/durable-floors.ts';
import { setAside } from '../log/recovery/recovery-damage.ts';
import { writeReplicaState } from '../log/recovery/replica-state-file.ts';
import { accountFor } from '../log/segments/segment-files.ts';
import { Segment } from '../log/segments/segment.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import { removeRepairFloor } from '../partition/repair-floor.ts';
import { baseName } from './inspected-files.ts';
import { snapshotFault } from './dump-indexes.ts';
import type { VerifiedPartition } from './verify-partition.ts';
import type { CheckedSegment } from './verify-segments.ts';

/** One thing to be done; `run` may be called again after it was interrupted. */
export interface RepairStep {
  readonly what: string;
  readonly run: () => Promise<void>;
}

export interface PlannedRepair {
  readonly steps: readonly RepairStep[];
  /** Why not everything is repaired; one sentence each, without its full stop. */
  readonly refusals: readonly string[];
}

export interface RepairContext {
  readonly disk: Disk;
  readonly acceptDataLoss: boolean;
  /** `index.interval.bytes` of indexes that are made again. */
  readonly indexIntervalBytes: number;
  readonly floors: () => Promise<DurableFloors>;
}

const scanChunkBytes = 1024 * 1024;

export function planRepair(verified: VerifiedPartition, context: RepairContext): PlannedRepair {
  return new RepairPlan(verified, context).plan();
}

class RepairPlan {
  readonly #verified: VerifiedPartition;
  readonly #context: RepairContext;
  readonly #steps: RepairStep[] = [];
  readonly #refusals: string[] = [];

  constructor(verified: VerifiedPartition, context: RepairContext) {
    this.#verified = verified;
    this.#context = context;
  }

  plan(): PlannedRepair {
    const { partition, isDamaged, isRestored, log } = this.#verified;
    if (isDamaged && !isRestored) this.#planLoss();
    else this.#planTail(log.segments.at(-1));
    if (isRestored) this.#planGiveUp('the log is whole again, ');
    for (const checked of log.segments) this.#planIndexes(checked);
    for (const name of partition.names.filter((each) => /^\d{20}\.snapshot$/.test(each)))
      this.#planSnapshot(name);
    return { steps: this.#steps, refusals: this.#refusals };
  }

  #planTail(checked: CheckedSegment | undefined): void {
    if (checked?.fault === undefined) return;
    const { segment, sizeBytes, validBytes, fault } = checked;
    const what = fault.isZeros ? 'zeros that were never written' : `a torn end (${fault.reason})`;
    this.#step(`cuts ${sizeBytes - validBytes} bytes from the end of ${segment.path}: ${what}`, async () => {
      const file = await this.#context.disk.open(segment.path, 'write');
      try {
        await file.truncate(validBytes);
        await file.sync();
      } finally {
        await file.close();
      }
    });
  }

  #planLoss(): void {
    const { log, partition, floor, topicId } = this.#verified;
    const last = log.segments.at(-1);
    const { endOffset, endIndex } = this.#validEnd(last);
    const loss = `the offsets from ${endOffset} on${this.#knownEnd(endOffset)} are lost`;
    if (!this.#context.acceptDataLoss) {
      this.#refusals.push(
        `${partition.path} is damaged, and ${loss} without another copy; --accept-data-loss gives them up and lets the log go on from there`,
      );
      return;
    }
    const { disk } = this.#context;
    const { path } = partition;
    if (last?.fault !== undefined) {
      const { segment, validBytes } = last;
      const files = [segment, ...log.unread].map((each) => baseName(each.path)).join(', ');
      const isBetween = validBytes === 0 && log.segments.length > 1;
      this.#step(`sets ${files} aside in ${path}, names ending in .damaged: ${loss}`, async () => {
        const done = await setAside(disk, path, {
          cut: isBetween ? undefined : { segment, validBytes },
          later: isBetween ? [segment, ...log.unread] : log.unread,
        });
        if (!done)
          throw new Error(`there is no space in ${path} for a copy of the beginning of ${segment.path}`);
      });
    }
    this.#step(`lets the log of ${path} end at offset ${endOffset}`, () =>
      this.#stepBack(endOffset, endIndex),
    );
    if (topicId !== undefined && floor !== undefined && floor.endIndex > endIndex) {
      const partitionNumber = Number(/-(\d+)$/.exec(partition.name)?.[1]);
      this.#step(
        `lowers the durable floor of ${path} from index ${floor.endIndex} to ${endIndex}`,
        async () => {
          const floors = await this.#context.floors();
          const term = log.order.term ?? floor.term;
          await floors.floor({ topicId, partition: partitionNumber }).lower({ term, endIndex });
        },
      );
    }
    if (partition.names.includes('repair-floor')) {
      this.#step(`forgets how far the log of ${path} once reached`, () => removeRepairFloor(disk, path));
    }
    this.#planGiveUp('');
  }

  #planGiveUp(reason: string): void {
    const { path } = this.#verified.partition;
    const what = `renames what was set aside in ${path}: ${reason}.damaged becomes .given-up`;
    this.#step(what, () => this.#giveUp());
  }

  #validEnd(last: CheckedSegment | undefined): { readonly endOffset: number; readonly endIndex: number } {
    const { state } = this.#verified;
    const start = typeof state === 'object' ? state.table.start : { offset: 0, index: 1 };
    const endOffset = last?.validEndOffset ?? start.offset;
    return { endOffset, endIndex: last?.validEndIndex ?? start.index + endOffset - start.offset };
  }

  /** How far the lost offsets are known to reach. */
  #knownEnd(validEndOffset: number): string {
    const { state, log } = this.#verified;
    const known = Math.max(
      typeof state === 'object' ? state.point.endOffset : 0,
      log.unread.at(-1)?.baseOffset ?? 0,
    );
    return known > validEndOffset ? ` (${known - validEndOffset} or more)` : '';
  }

  /** The state steps back to the beginning of the last segment that is left, which the next start then checks from there on. */
  async #stepBack(endOffset: number, endIndex: number): Promise<void> {
    const { state, partition, log } = this.#verified;
    if (typeof state !== 'object') return;
    const { disk } = this.#context;
    const bases = (await disk.list(partition.path))
      .filter((name) => /^\d{20}\.log$/.test(name))
      .map((name) => Number(name.slice(0, 20)));
    const base = bases.at(-1) ?? endOffset;
    const checked = log.segments.find(({ segment }) => segment.baseOffset === base);
    const segment = new Segment(partition.path, base, state.point.totals.createdMs);
    segment.startIndex = checked?.startIndex ?? endIndex;
    await writeReplicaState(disk, partition.path, {
      table: state.table.upTo(segment.startIndex),
      logStartOffset: Math.min(state.logStartOffset, endOffset),
      cleanedEndOffset: Math.min(state.cleanedEndOffset, base),
      segments: state.segments.filter(({ baseOffset }) => baseOffset < base),
      point: pointAtEnd(segment, segment.startIndex),
      isClosed: false,
    });
  }

  async #giveUp(): Promise<void> {
    const { disk } = this.#context;
    const { path } = this.#verified.partition;
    for (const name of await disk.list(path)) {
      if (!/\.damaged(\.\d+)?$/.test(name)) continue;
      let wanted = name.replace('.damaged', '.given-up');
      for (let number = 2; await disk.exists(`${path}/${wanted}`); number++)
        wanted = `${name.replace(/\.damaged.*$/, '')}.given-up.${number}`;
      await disk.rename(`${path}/${name}`, `${path}/${wanted}`);
    }
    await disk.syncDirectory(path);
  }

  #planIndexes(checked: CheckedSegment): void {
    const { segment, indexFaults, transactionFault, validBytes, aborted, abortMarkers } = checked;
    if (indexFaults.length > 0) {
      const files = indexFaults.map(({ index }) => `.${index}`).join(' and ');
      this.#step(`makes ${files} of ${segment.path} again from its batches`, () =>
        this.#rebuildIndexes(segment, validBytes),
      );
    }
    if (transactionFault === undefined) return;
    const path = segment.transactionIndexPath;
    this.#step(`makes ${path} again from the segment's batches`, async () => {
      const { disk } = this.#context;
      const bytes = (await disk.exists(path)) ? await readWholeFile(disk, path) : Buffer.alloc(0);
      // Of transactions whose batches are gone only the file knows.
      const known = decodeAbortedTransactions(bytes, segment).entries.filter(({ lastOffset }) =>
        abortMarkers.has(lastOffset),
      );
      const byMarker = new Map([...known, ...aborted].map((entry) => [entry.lastOffset, entry]));
      const entries = [...byMarker.values()].sort((a, b) => a.lastOffset - b.lastOffset);
      await replaceFile(disk, segment.directory, baseName(path), encodeAbortedTransactions(entries));
    });
  }

  async #rebuildIndexes(segment: Segment, validBytes: number): Promise<void> {
    const { disk, indexIntervalBytes } = this.#context;
    const made = new Segment(segment.directory, segment.baseOffset, 0);
    const file = await disk.open(segment.path, 'read');
    try {
      const range = { from: 0, to: validBytes, chunkBytes: scanChunkBytes };
      await scanBatches(file, range, (batch) => {
        accountFor(made, batch, indexIntervalBytes);
        return undefined;
      });
    } finally {
      await file.close();
    }
    made.completeTimeIndex();
    const { directory } = segment;
    await replaceFile(disk, directory, baseName(segment.offsetIndexPath), made.offsetIndex.bytes());
    await replaceFile(disk, directory, baseName(segment.timeIndexPath), made.timeIndex.bytes());
  }

  #planSnapshot(name: string): void {
    const { disk } = this.#context;
    const { partition, findings } = this.#verified;
    const path = `${partition.path}/${name}`;
    if (!findings.some(({ file }) => file === path)) return;
    this.#step(`removes ${path}, which is damaged: the log tells the same`, async () => {
      if (!(await disk.exists(path)) || snapshotFault(await readWholeFile(disk, path)) === undefined) return;
      await disk.remove(path);
      await disk.syncDirectory(partition.path);
    });
  }

  #step(what: string, run: () => Promise<void>): void {
    this.#steps.push({ what, run });
  }
}
