/** Opens logs on a disk in memory and speaks about their contents in offsets and values. */
import { CommitLog } from '../../../broker/log/commit-log.ts';
import type { LogConfig, LogRead, RecoveryReport } from '../../../broker/log/commit-log.ts';
import type { DurableFloor } from '../../../broker/log/sync/durable-floors.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import type { Disk } from '../../../platform/disk.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { decodeBatch, encodeBatch, iterateBatches } from '../../../protocol/index.ts';
import { logConfigDefaults } from '../../support/log-config.ts';

export const directory = '/data/t-0';

export interface HarnessOptions {
  readonly disk: Disk;
  readonly config?: Partial<LogConfig>;
  /** 0: every read is a cold one. */
  readonly tailBytes?: number;
  readonly blockBytes?: number;
  readonly poolBytes?: number;
  readonly clock?: ManualClock;
  readonly floor?: DurableFloor;
  /** The one log's own where they are not given. */
  readonly directory?: string;
  readonly syncer?: Syncer;
  /** The segment with this base offset is checked, and all after it. */
  readonly doubtedOffset?: number;
}

export interface Opened {
  readonly log: CommitLog;
  readonly recovery: RecoveryReport;
  readonly readPool: ReadPool;
  readonly tailCache: TailCache;
  readonly syncer: Syncer;
}

export async function openLog(options: HarnessOptions): Promise<Opened> {
  const { disk, config, tailBytes = 0, blockBytes = 4096, poolBytes = 64 * blockBytes } = options;
  const tailCache = new TailCache({ maxBytes: tailBytes });
  const readPool = new ReadPool({ disk, maxBytes: poolBytes, blockBytes });
  const syncer = options.syncer ?? new Syncer();
  const { log, recovery } = await CommitLog.open(
    {
      disk,
      clock: options.clock ?? new ManualClock(),
      directory: options.directory ?? directory,
      syncer,
      tailCache,
      readPool,
      config: () => ({ ...logConfigDefaults, ...config }),
      ...(options.floor === undefined ? {} : { floor: options.floor }),
    },
    options.doubtedOffset,
  );
  return { log, recovery, readPool, tailCache, syncer };
}

export interface BatchShape {
  readonly values: readonly string[];
  readonly timestamp?: number;
  readonly timestamps?: readonly number[];
}

export function batchOf({ values, timestamp = 1000, timestamps }: BatchShape): Buffer {
  return encodeBatch(
    values.map((value, place) => ({
      timestamp: timestamps?.[place] ?? timestamp,
      value: Buffer.from(value),
    })),
  );
}

export function startTerm(log: CommitLog, term: number): void {
  log.appendRaftOnly({ kind: 'term-start', term, payload: Buffer.alloc(0) });
}

/** Appends these records as one batch; returns its base offset. */
export function appendValues(log: CommitLog, values: readonly string[], timestamp?: number): number {
  return log.append(batchOf(timestamp === undefined ? { values } : { values, timestamp }), log.lastTerm)
    .baseOffset;
}

/** Resolves when all that is appended is flushed. */
export async function flushed(log: CommitLog): Promise<void> {
  log.requestSync();
  if (log.flushedEndIndex === log.endIndex) return;
  await new Promise<void>((resolve, reject) => {
    log.onProgress(() => {
      if (log.flushedEndIndex === log.endIndex) resolve();
    });
    log.onFailure((failure) => reject(new Error(failure.kind, { cause: failure.cause })));
  });
}

export interface SeenRecord {
  readonly offset: number;
  readonly value: string;
}

/** The records of a read, in order; releases it. */
export function recordsOf(read: LogRead): SeenRecord[] {
  const bytes = Buffer.concat(read.parts);
  const seen: SeenRecord[] = [];
  for (const { bytes: batch } of iterateBatches(bytes)) {
    for (const { offset, value } of decodeBatch(batch)) seen.push({ offset, value: value?.toString() ?? '' });
  }
  read.release();
  return seen;
}

/** Reads the log from an offset to its end in several reads, as a consumer does. */
export async function readAll(
  log: CommitLog,
  from = log.logStartOffset,
  maxBytes = 1000,
): Promise<SeenRecord[]> {
  const all: SeenRecord[] = [];
  let offset = from;
  while (offset < log.logEndOffset) {
    const read = await log.read({ offset, endOffset: log.logEndOffset, maxBytes, minOneBatch: true });
    const records = recordsOf(read).filter((record) => record.offset >= offset);
    if (records.length === 0) break;
    all.push(...records);
    offset = records.at(-1)!.offset + 1;
  }
  return all;
}

/** Records `first`..`end - 1` as values 'v<offset>'. */
export function expectedRecords(end: number, first = 0): SeenRecord[] {
  return Array.from({ length: end - first }, (_, place) => ({
    offset: first + place,
    value: `v${first + place}`,
  }));
}

export function valuesFrom(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, place) => `v${first + place}`);
}
