/**
 * What the commit log makes of a disk.
 *
 *   npm run bench log -- [--row NAME] [--runs 5] [--quick]
 *
 * Rows: append, read, segments, partitions, compaction, cold-consumer. `--quick` is a check of the bench, not a measurement.
 * Shares are of plain system calls on the same file system, in turn in one run; medians. Prints a Markdown table.
 */
import { parseArgs } from 'node:util';
import { appendRow } from './log/append.ts';
import { benchDirectory } from './log/bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './log/bench-log.ts';
import { coldConsumerRow } from './log/cold-consumer.ts';
import { compactionRow } from './log/compaction.ts';
import { partitionsRow } from './log/partitions.ts';
import { readRow } from './log/read.ts';
import { segmentsRow } from './log/segments.ts';

const rows: Readonly<Record<string, (options: LogBenchOptions) => Promise<LogBenchLine[]>>> = {
  append: appendRow,
  read: readRow,
  segments: segmentsRow,
  partitions: partitionsRow,
  compaction: compactionRow,
  'cold-consumer': coldConsumerRow,
};

export async function benchLog(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      row: { type: 'string' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      port: { type: 'string', default: '23200' },
    },
  });
  const { row } = values;
  if (row !== undefined && rows[row] === undefined) {
    throw new Error(`--row is one of ${Object.keys(rows).join(', ')}, not ${row}.`);
  }
  const options: LogBenchOptions = {
    runs: Number(values.runs ?? (values.quick ? 1 : 5)),
    quick: values.quick,
    port: Number(values.port),
    directory: benchDirectory(),
  };
  console.log('| row | figure | |\n|---|---:|---|');
  for (const [name, measure] of Object.entries(rows)) {
    if (row !== undefined && row !== name) continue;
    for (const line of await measure(options)) {
      console.log(`| ${line.name} | ${line.figure} | ${line.detail} |`);
    }
  }
}
