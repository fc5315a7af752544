/** Lookups by time over whole lives of logs: appends of every codec, times in any order, truncations, a log start within a batch, restarts. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { encodeBatch, setLogAppendTime } from '../../../../protocol/index.ts';
import type { CompressionCodec } from '../../../../protocol/index.ts';
import { flushed, openLog, startTerm } from '../log-harness.ts';
import { writeCleaned } from '../small-cleaner.ts';

interface Kept {
  readonly offset: number;
  readonly timestamp: number;
}

interface Batch {
  readonly timestamps: readonly number[];
  readonly codec: CompressionCodec;
  readonly isLogAppendTime: boolean;
}

const batch = fc.record({
  timestamps: fc.array(fc.integer({ min: -1, max: 60 }), { minLength: 1, maxLength: 6 }),
  codec: fc.constantFrom<CompressionCodec[]>('none', 'gzip', 'lz4', 'snappy', 'zstd'),
  isLogAppendTime: fc.boolean(),
});

const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('append' as const), batch }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'term' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('truncate' as const), back: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const), by: fc.nat(12) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('clean' as const), modulus: fc.integer({ min: 2, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
);

const config = {
  segmentBytes: 900,
  segmentMs: Number.MAX_SAFE_INTEGER,
  indexIntervalBytes: 120,
  fileDeleteDelayMs: 0,
};

function encode({ timestamps, codec, isLogAppendTime }: Batch): Buffer {
  const records = timestamps.map((timestamp) => ({ timestamp, value: Buffer.from('value') }));
  const bytes = encodeBatch(records, { compression: codec });
  if (isLogAppendTime) setLogAppendTime(bytes, 0, Math.max(0, timestamps[0]!));
  return bytes;
}

it('find the record that a walk over all of them finds', async () => {
  const seen = { found: 0, cut: 0, cleaned: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 30, maxLength: 90, size: 'max' }),
      fc.nat(),
      async (steps, at) => {
        const disk = new MemoryDisk();
        let { log } = await openLog({ disk, config });
        let records: Kept[] = [];
        /** Where batches begin that a truncation may cut at. */
        let borders: number[] = [];
        startTerm(log, 1);
        for (const each of steps) {
          if (each.kind === 'term') startTerm(log, log.lastTerm + 1);
          else if (each.kind === 'append') {
            const { timestamps, isLogAppendTime } = each.batch;
            borders.push(log.endIndex);
            const { baseOffset } = log.append(encode(each.batch), log.lastTerm);
            const appendTime = Math.max(0, timestamps[0]!);
            timestamps.forEach((timestamp, place) => {
              records.push({
                offset: baseOffset + place,
                timestamp: isLogAppendTime ? appendTime : timestamp,
              });
            });
          } else {
            await flushed(log);
            if (each.kind === 'truncate') {
              const endIndex = borders.at(-each.back);
              const isAllowed = endIndex !== undefined && log.offsetOfIndex(endIndex) >= log.logStartOffset;
              const isCleaned = log.cleanedEndOffset > 0;
              if (!isAllowed || isCleaned) continue;
              const endOffset = log.offsetOfIndex(endIndex);
              await log.truncateTo(endIndex);
              borders = borders.filter((border) => border < endIndex);
              records = records.filter(({ offset }) => offset < endOffset);
              if (log.lastTerm === 0) startTerm(log, 1);
            } else if (each.kind === 'start') {
              const offset = Math.min(log.logStartOffset + each.by, log.logEndOffset);
              await log.advanceLogStart(offset);
              records = records.filter((record) => record.offset >= log.logStartOffset);
              seen.cut++;
            } else if (each.kind === 'clean') {
              // Another full one follows, whose beginning says where these end.
              const old = log.fullSegments().slice(0, 2);
              if (log.fullSegments().length < 3) continue;
              const keeps = (offset: number): boolean => offset % each.modulus !== 0;
              const { baseOffset } = old[0]!;
              const { endOffset } = old.at(-1)!;
              const bases: number[] = [];
              await log.scanHeaders(baseOffset, (header) => {
                if (header.baseOffset < endOffset && !keeps(header.baseOffset))
                  for (let offset = header.baseOffset; offset <= header.lastOffset; offset++)
                    bases.push(offset);
              });
              const cleaned = await writeCleaned(disk, log, old, keeps);
              expect(await log.replaceSegments(old, cleaned, endOffset)).toBe(true);
              const gone = new Set(bases.filter((offset) => offset >= baseOffset));
              records = records.filter(({ offset }) => !gone.has(offset));
              seen.cleaned++;
            } else {
              await log.flushAndClose();
              ({ log } = await openLog({ disk, config }));
            }
          }
        }
        await flushed(log);
        // Only batches that are committed are looked at: the end is a border, as a high watermark is.
        const ends = [log.logEndOffset, ...borders.map((border) => log.offsetOfIndex(border))];
        const end = Math.max(log.logStartOffset, ends[at % ends.length]!);
        const visible = records.filter(({ offset }) => offset < end);
        for (let timestamp = 0; timestamp <= 61; timestamp++) {
          const due = visible.find((record) => record.timestamp >= timestamp);
          const found = await log.offsetForTimestamp(timestamp, end);
          expect(found && { offset: found.offset, timestamp: found.timestamp }).toEqual(due);
          if (due !== undefined) seen.found++;
        }
        const largest = Math.max(...visible.map(({ timestamp }) => timestamp), 0);
        const due = visible.find(({ timestamp }) => timestamp === largest);
        const found = await log.maxTimestamp(end);
        expect(found && { offset: found.offset, timestamp: found.timestamp }).toEqual(due);
        await log.flushAndClose();
      },
    ),
    { numRuns: 120 },
  );
  expect(seen.found).toBeGreaterThan(1000);
  expect(seen.cut).toBeGreaterThan(50);
  expect(seen.cleaned).toBeGreaterThan(50);
});
