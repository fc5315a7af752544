/** Cleans a log beside nothing else: how much it reads a second, and for how long the event loop stands still meanwhile. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { LogCleaner } from '../../broker/log/compaction/log-cleaner.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { encodeBatch } from '../../protocol/index.ts';
import { median } from '../table.ts';
import { openBenchLog, seconds, written } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const recordsOfBatch = 100;
const valueBytes = 200;
/** Every key is written so often. */
const writesOfKey = 5;
const fullRecords = 2_000_000;

interface Cleaned {
  readonly megabytesPerSecond: number;
  readonly stallMs: number;
}

export async function compactionRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const records = options.quick ? fullRecords / 10 : fullRecords;
  const runs: Cleaned[] = [];
  for (let run = 0; run < options.runs; run++) runs.push(await clean(options.directory, records));
  const speed = median(runs.map(({ megabytesPerSecond }) => megabytesPerSecond));
  const stall = Math.max(...runs.map(({ stallMs }) => stallMs));
  const detail = `${records} records of ${valueBytes} B, each key ${writesOfKey} times`;
  return [
    { name: 'compaction, bytes read', figure: `${speed.toFixed(0)} MB/s`, detail },
    {
      name: 'longest stall of the event loop meanwhile',
      figure: `${stall.toFixed(1)} ms`,
      detail: 'of all runs',
    },
  ];
}

async function clean(directory: string, records: number): Promise<Cleaned> {
  const dataDirectory = join(directory, 'compaction');
  const config = {
    writeCaching: true,
    compacts: true,
    segmentBytes: 16 * 2 ** 20,
    minCleanableDirtyRatio: 0,
  };
  const { log, close } = await openBenchLog(dataDirectory, { tailBytes: 0, config });
  log.appendRaftOnly({ kind: 'term-start', term: 1, payload: Buffer.alloc(0) });
  const keys = records / writesOfKey;
  for (let first = 0; first < records; first += recordsOfBatch) {
    const batch = Array.from({ length: recordsOfBatch }, (_, place) => ({
      timestamp: 1,
      key: Buffer.from(`key ${(first + place) % keys}`),
      value: Buffer.alloc(valueBytes, first + place),
    }));
    log.append(encodeBatch(batch), 1);
    if (log.queuedBytes > 8 * 2 ** 20) await written(log);
  }
  await written(log);
  const { disk, clock, yielding, random } = realPlatform();
  const settings = { dedupeBufferBytes: 128 * 2 ** 20, loadFactor: 0.9, ioBufferBytes: 512 * 1024 };
  const cleaner = new LogCleaner({
    disk,
    clock,
    yielding,
    random,
    settings: () => ({ ...settings, bytesPerSecondMax: Number.MAX_SAFE_INTEGER }),
  });
  const stalls = watchStalls();
  const begin = performance.now();
  const { kind } = await cleaner.cleanLog(log, {
    endOffset: log.logEndOffset,
    lastOffsetsOfProducers: new Map(),
  });
  const took = seconds(begin);
  const stallMs = stalls.end();
  if (kind !== 'cleaned') throw new Error(`The cleaning ended as ${kind}.`);
  const megabytesPerSecond = cleaner.totals().bytesRead / took / 1e6;
  await close();
  rmSync(dataDirectory, { recursive: true });
  return { megabytesPerSecond, stallMs };
}

/** The longest time between two turns of the event loop, beyond what an idle loop takes. */
function watchStalls(): { end(): number } {
  let last = performance.now();
  let longestMs = 0;
  let isEnded = false;
  const look = (): void => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    if (!isEnded) setImmediate(look);
  };
  setImmediate(look);
  return {
    end: () => {
      isEnded = true;
      return longestMs;
    },
  };
}
