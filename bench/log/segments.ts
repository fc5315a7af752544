/** A log of many segments: how long it takes to open after a clean stop. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../table.ts';
import { batchOfSize, openBenchLog, seconds } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const batchBytes = 1024;

export async function segmentsRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const count = options.quick ? 1000 : 10_000;
  const dataDirectory = join(options.directory, 'segments');
  // A batch for each segment. Made without syncs of the batches: each roll has some of its own.
  const config = { segmentBytes: batchBytes + 200, writeCaching: true };
  const made = await openBenchLog(dataDirectory, { tailBytes: 0, config });
  made.log.appendRaftOnly({ kind: 'term-start', term: 1, payload: Buffer.alloc(0) });
  const begin = performance.now();
  for (let segment = 0; segment < count; segment++) made.log.append(batchOfSize(batchBytes), 1);
  await made.close();
  const makingSeconds = seconds(begin);
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
  const rolls = `making them took ${makingSeconds.toFixed(1)} s`;
  return [
    { name: `open a log of ${count} segments`, figure: `${median(openingMs).toFixed(0)} ms`, detail: rolls },
  ];
}
