/** A log of many segments: how long it takes to open after a clean stop. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeRaftOnly } from '../../broker/log/raft-only.ts';
import { segmentPath } from '../../broker/log/segments/segment.ts';
import { setBaseOffset, setPartitionLeaderEpoch } from '../../protocol/index.ts';
import { median } from '../table.ts';
import { batchOfSize, openBenchLog, seconds } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const batchBytes = 1024;

export async function segmentsRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const count = options.quick ? 1000 : 10_000;
  const dataDirectory = join(options.directory, 'segments');
  const config = { segmentBytes: batchBytes + 200 };
  writeSegments(join(dataDirectory, 'bench-0'), count);
  // The first opening checks all of them, and makes their indexes and what is known of them.
  const begin = performance.now();
  const made = await openBenchLog(dataDirectory, { tailBytes: 0, config });
  await made.close();
  const checkingSeconds = seconds(begin);
  const openingMs: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const start = performance.now();
    const { log, close } = await openBenchLog(dataDirectory, { tailBytes: 0, config });
    openingMs.push(performance.now() - start);
    if (log.segmentCount < count || log.logEndOffset !== count) {
      throw new Error(`${log.segmentCount} segments with ${log.logEndOffset} records came back.`);
    }
    await close();
  }
  rmSync(dataDirectory, { recursive: true });
  const detail = `checking all of them took ${checkingSeconds.toFixed(1)} s`;
  return [{ name: `open a log of ${count} segments`, figure: `${median(openingMs).toFixed(0)} ms`, detail }];
}

/** A batch of one record for each segment. Rolling so often would take longer than all else here. */
function writeSegments(directory: string, count: number): void {
  mkdirSync(directory, { recursive: true });
  const payload = Buffer.alloc(0);
  const termStart = encodeRaftOnly({ kind: 'term-start', term: 1, index: 1, offset: 0, payload });
  const batch = batchOfSize(batchBytes);
  setPartitionLeaderEpoch(batch, 0, 1);
  for (let offset = 0; offset < count; offset++) {
    setBaseOffset(batch, 0, offset);
    writeFileSync(
      segmentPath(directory, offset, 'log'),
      offset === 0 ? Buffer.concat([termStart, batch]) : batch,
    );
  }
}
