/**
 * Segments as the log itself writes them, in all their states (rolled, cut off by retention, compacted, with several of Raft's
 * entries at one offset, compressed by every codec, with aborted transactions), before Kafka's dump tool.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LogCleaner } from '../../broker/log/compaction/log-cleaner.ts';
import type { CommitLog } from '../../broker/log/commit-log.ts';
import { OpenTransactions } from '../../broker/log/segments/aborted-transactions.ts';
import { TransactionIndexFiles } from '../../broker/log/segments/transaction-index-files.ts';
import { ManualClock } from '../../platform/manual-clock.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { RealYield } from '../../platform/real/real-yield.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { encodeBatch, encodeTransactionMarker } from '../../protocol/index.ts';
import { flushed, openLog, startTerm } from '../unit/log/log-harness.ts';
import { dumpsAgree, indexesAreSound, kafkaDump, runKappalog } from './dump-tool.ts';
import { type Suite, codecs, equal } from './suite.ts';

const config = {
  segmentBytes: 3000,
  indexIntervalBytes: 300,
  compacts: true,
  retentionMs: -1,
  fileDeleteDelayMs: 0,
  minCleanableDirtyRatio: 0,
};

export async function segmentsSuite(suite: Suite, jarsMissing: string | undefined): Promise<void> {
  const { checks, children } = suite;
  if (!checks.wants('segments')) return;
  const directory = join(suite.directory, 'segments-0');
  await checks.check('segments: a log with all that a log can hold is written', () => writeLog(directory));
  await checks.check('segments: kappalog log verify finds nothing', async () => {
    await runKappalog(children, ['log', 'verify', directory]);
  });
  if (jarsMissing !== undefined) {
    checks.skip('segments', `Kafka's tools cannot be had: ${jarsMissing}`);
    return;
  }
  const files = (pattern: RegExp): string[] =>
    readdirSync(directory)
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => join(directory, name));
  const logs = files(/\.log$/);
  await checks.check('segments: Kafka reads every batch, and our dump prints the same', async () => {
    equal(logs.length > 5, true, 'that there are several segments');
    const output = await kafkaDump(children, ['--print-data-log'], logs);
    const invalid = output.split('\n').find((line) => /isvalid: false|invalid|mismatch/i.test(line));
    equal(invalid, undefined, 'the first complaint');
    for (const codec of codecs)
      equal(output.includes(`compresscodec: ${codec} `), true, `that there are batches of ${codec}`);
    await dumpsAgree(children, ['--print-data-log'], logs);
  });
  await checks.check('segments: Kafka finds the indexes sound, and our dump prints the same', async () => {
    await indexesAreSound(children, files(/\.(time)?index$/));
    const transactions = files(/\.txnindex$/);
    equal(transactions.length > 0, true, 'that there is an index of aborted transactions');
    await dumpsAgree(children, [], [...files(/\.(time)?index$/), ...transactions]);
  });
}

async function writeLog(directory: string): Promise<void> {
  const disk = new RealDisk();
  const clock = new ManualClock();
  const { log, recovery } = await openLog({ disk, clock, directory, config });
  equal(recovery.kind, 'new', 'how the log was opened');
  for (let round = 0; round < 80; round++) {
    // Several of Raft's entries at one offset, at times where a segment ends.
    if (round % 7 === 0) for (let count = 0; count < 3; count++) startTerm(log, log.lastTerm + 1);
    append(log, round);
    if (round === 30) await flushed(log);
  }
  await flushed(log);
  await log.advanceLogStart(log.segments()[2]!.baseOffset + 1);
  const transactions = new TransactionIndexFiles(disk, []);
  await indexTransactions(log, transactions);
  await clean(log, { disk, clock, transactions });
  for (let round = 80; round < 120; round++) append(log, round);
  await flushed(log);
  await indexTransactions(log, transactions);
  await log.flushAndClose();
}

/** The log does not write these files itself; segments that were cleaned have theirs from the cleaner. */
async function indexTransactions(log: CommitLog, files: TransactionIndexFiles): Promise<void> {
  const open = new OpenTransactions();
  for (const segment of log.fullSegments()) if (!segment.isCleaned) await files.rebuild(segment, open);
}

/** Batches with few keys, headers, nulls, times out of order; a transaction that is aborted now and then. */
function append(log: CommitLog, round: number): void {
  const records = Array.from({ length: 8 }, (_, place) => ({
    timestamp: 1_700_000_000_000 + ((round * 37) % 100) * 1000 + place,
    key: place === 7 ? null : Buffer.from(`key-${(round + place) % 23}`),
    value: place === 6 ? null : Buffer.from(`round ${round} place ${place} ${'x'.repeat(round * 2)}`),
    headers: place === 0 ? [{ key: 'round', value: Buffer.from(String(round)) }] : [],
  })).filter(({ key }) => round >= 80 || key !== null);
  const compression = codecs[round % codecs.length]!;
  // None in the last segment, which is not full.
  const isTransactional = round % 10 === 9 && round < 110;
  const producer = { producerId: 7, producerEpoch: 1, baseSequence: 8 * round, isTransactional };
  log.append(
    encodeBatch(records, {
      compression,
      ...(round % 3 === 0 ? producer : {}),
      ...(isTransactional ? producer : {}),
    }),
    log.lastTerm,
  );
  if (!isTransactional) return;
  const type = round % 20 === 9 ? 'COMMIT' : 'ABORT';
  const marker = { type, producerId: 7, producerEpoch: 1, coordinatorEpoch: 3, timestamp: 5 } as const;
  log.append(encodeTransactionMarker(marker), log.lastTerm);
}

async function clean(
  log: CommitLog,
  parts: { disk: RealDisk; clock: ManualClock; transactions: TransactionIndexFiles },
): Promise<void> {
  const { disk, clock, transactions } = parts;
  const cleaner = new LogCleaner({
    disk,
    clock,
    yielding: new RealYield(),
    random: new SeededRandom(1),
    settings: () => ({
      dedupeBufferBytes: 1024 * 1024,
      loadFactor: 0.9,
      ioBufferBytes: 64 * 1024,
      bytesPerSecondMax: Infinity,
    }),
  });
  const before = log.sizeBytes;
  const limits = { endOffset: log.logEndOffset, lastOffsetsOfProducers: new Map<number, number>() };
  const cleanable = Object.assign(log, {
    abortedTransactions: (from: number, to: number) => transactions.collect(log.fullSegments(), from, to),
  });
  const outcome = await cleaner.cleanLog(cleanable, limits);
  if (outcome.kind === 'uncleanable') throw new Error(JSON.stringify(outcome.damage));
  equal(outcome.kind, 'cleaned', 'the outcome of the compaction');
  equal(log.sizeBytes < before, true, 'that the compaction made the log smaller');
}
