/** Compares a log with its model: bytes, positions, terms, look-ups, and the files on the disk. */
import type { CommitLog, FoundRecord, LogRead, PlacedRaftOnlyEntry } from '../../../broker/log/commit-log.ts';
import type { Random } from '../../../platform/random.ts';
import { batchField } from '../../../protocol/index.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import { SeenBatches, checkCleaning } from './batch-checks.ts';
import type { LogModel } from './log-model.ts';

export interface CheckOptions {
  readonly random: Random;
  /** No cleaning has had the time to take a tombstone. */
  readonly keepsTombstones: boolean;
}

/** The log at rest holds exactly what the model does. */
export async function checkLog(log: CommitLog, model: LogModel, options: CheckOptions): Promise<void> {
  const { random } = options;
  checkPositions(log, model);
  checkTerms(log, model);
  await checkSequentialRead(log, model, options);
  const { logStartOffset, logEndOffset } = log;
  const reads = logEndOffset > logStartOffset ? 3 : 0;
  for (let count = 0; count < reads; count++) {
    const offset = logStartOffset + random.below(logEndOffset - logStartOffset);
    await checkRead(log, model, { offset, endOffset: logEndOffset, maxBytes: random.below(2000) });
  }
  await checkLookUps(log, model, random);
}

function checkPositions(log: CommitLog, model: LogModel): void {
  checkEqual(log.endIndex, model.endIndex, () => `${model.name}: end index`);
  checkEqual(log.logEndOffset, model.endOffset, () => `${model.name}: log end offset`);
  checkEqual(log.lastTerm, model.lastTerm, () => `${model.name}: last term`);
  checkEqual(log.logStartOffset, model.startOffset, () => `${model.name}: log start offset`);
  const startIndex = log.indexOfOffset(log.logStartOffset);
  for (const { index, endIndex, offset, endOffset, term } of model.entries) {
    if (offset < log.logStartOffset || index < startIndex) continue;
    const what = (name: string) => () => `${model.name}: ${name} at index ${index}`;
    checkEqual(log.offsetOfIndex(index), offset, what('offset'));
    checkEqual(log.offsetOfIndex(endIndex), endOffset, what('end offset'));
    checkEqual(log.termAt(index), term, what('term'));
    if (endOffset === offset) continue;
    checkEqual(log.indexOfOffset(offset), index, what('index'));
    checkEqual(log.epochAt(offset), term, what('epoch'));
  }
}

/** Raft's own entries and the epochs that follow from them. */
function checkTerms(log: CommitLog, model: LogModel): void {
  const known = log.raftOnlyEntries().map(wordsOf);
  const startIndex = log.indexOfOffset(log.logStartOffset);
  const all = model.entries.flatMap(({ raftOnly }) => (raftOnly === undefined ? [] : [raftOnly]));
  const needed = all.filter(({ index }) => index >= startIndex).length;
  check(known.length >= needed, () => `${model.name}: ${known.length} Raft-only entries, not ${needed}`);
  const expected = all.slice(all.length - known.length).map(wordsOf);
  checkEqual(known, expected, () => `${model.name}: Raft-only entries`);
  for (const { index, offset, term } of model.entries) {
    if (offset < log.logStartOffset || index < startIndex) continue;
    const next = model.entries.find((entry) => entry.term > term);
    const answer = log.endOffsetForEpoch(term);
    checkEqual(
      answer,
      { epoch: term, endOffset: next?.offset ?? model.endOffset },
      () => `${model.name}: end of epoch ${term}`,
    );
  }
  checkEqual(
    log.endOffsetForEpoch(model.lastTerm + 1),
    undefined,
    () => `${model.name}: end of a later epoch`,
  );
}

function wordsOf({ index, offset, term, kind, payload }: PlacedRaftOnlyEntry): string {
  return `${index} at ${offset}: ${kind} ${term} ${payload.toString('hex')}`;
}

/** Everything from the start to the end, as a consumer reads it. */
async function checkSequentialRead(log: CommitLog, model: LogModel, options: CheckOptions): Promise<void> {
  const maxBytes = 1 + options.random.below(3000);
  const { logStartOffset, logEndOffset } = log;
  const what = `${model.name}, read from ${logStartOffset} on`;
  const seen = new SeenBatches(model, what, () => logStartOffset);
  let offset = logStartOffset;
  while (offset < logEndOffset) {
    const next = await checkRead(log, model, { offset, endOffset: logEndOffset, maxBytes, seen });
    check(next > offset, () => `${model.name}: a read at ${offset} came to ${next}`);
    offset = next;
  }
  if (model.cleanedMax > 0) checkCleaning(model, seen, options.keepsTombstones);
}

export interface CheckedRead {
  readonly offset: number;
  readonly endOffset: number;
  readonly maxBytes: number;
  readonly seen?: SeenBatches;
}

/** Returns the offset to read on from. Rejects with a DiskError, or where the log no longer has the offset. */
export async function checkRead(log: CommitLog, model: LogModel, request: CheckedRead): Promise<number> {
  const { offset, endOffset, maxBytes } = request;
  const read = await log.read({ offset, endOffset, maxBytes, minOneBatch: true });
  try {
    const what = `${model.name}: a read of ${maxBytes} bytes in [${offset}, ${endOffset})`;
    const seen = request.seen ?? new SeenBatches(model, what, () => log.logStartOffset);
    // The start has moved past the place meanwhile, and what was there has gone.
    if (read.sizeBytes === 0 && log.logStartOffset > offset) return endOffset;
    return checkBytes(read, model, { ...request, seen });
  } finally {
    read.release();
  }
}

function checkBytes(read: LogRead, model: LogModel, request: Required<CheckedRead>): number {
  const { offset, endOffset, maxBytes, seen } = request;
  const what = `${model.name}: a read of ${maxBytes} bytes in [${offset}, ${endOffset})`;
  const bytes = Buffer.concat(read.parts);
  checkEqual(read.sizeBytes, bytes.length, () => `${what}: size`);
  const expected = model.batchesIn(offset, endOffset);
  const isEmpty = bytes.length === 0;
  const place = seen.compare(bytes, expected);
  if (isEmpty) {
    // Then there is nothing any more up to the end.
    for (const entry of expected) seen.miss(entry);
    return endOffset;
  }
  const isOne = batchField.sizeBytes(bytes) === bytes.length;
  check(isOne || bytes.length <= maxBytes, () => `${what}: ${bytes.length} bytes are too many`);
  return expected[place - 1]!.endOffset;
}

async function checkLookUps(log: CommitLog, model: LogModel, random: Random): Promise<void> {
  const { logStartOffset, logEndOffset } = log;
  const times = model.entries.flatMap(({ records }) => records.map(({ timestamp }) => timestamp));
  if (times.length === 0) return;
  for (let count = 0; count < 2; count++) {
    const timestamp = times[random.below(times.length)]! + random.below(3) - 1;
    await checkTimestamp(log, model, { timestamp, endOffset: logEndOffset });
  }
  const found = await log.maxTimestamp(logEndOffset);
  const range = { offset: logStartOffset, endOffset: logEndOffset };
  const certain = model.latest({ ...range, isCertain: true });
  const possible = model.latest({ ...range, isCertain: false });
  const what = `${model.name}: the latest record is ${JSON.stringify(found)}`;
  if (certain?.offset === possible?.offset) {
    checkEqual(found?.offset, certain?.offset, () => what);
    checkEqual(found?.timestamp, certain?.timestamp, () => what);
    return;
  }
  checkFound(found, model, what);
  const timestamp = found?.timestamp ?? -1;
  check(timestamp >= (certain?.timestamp ?? -1), () => `${what}, but there is ${certain?.offset}`);
}

/** A record that was appended, at its own time. */
function checkFound(found: FoundRecord | undefined, model: LogModel, what: string): void {
  if (found === undefined) return;
  const entry = model.entries.findLast(({ offset, records }) => offset <= found.offset && records.length > 0);
  const record = entry?.records.find(({ offset }) => offset === found.offset);
  checkEqual(record?.timestamp, found.timestamp, () => `${what}, which has another time`);
  checkEqual(entry?.term, found.leaderEpoch, () => `${what}, which has another epoch`);
}

/** A look-up in a log that changes meanwhile may give either answer: then nothing is checked. */
export async function checkTimestamp(
  log: CommitLog,
  model: LogModel,
  request: { readonly timestamp: number; readonly endOffset: number },
): Promise<void> {
  const { timestamp, endOffset } = request;
  const { version } = model;
  const { logStartOffset } = log;
  const range = { offset: logStartOffset, endOffset };
  // What a cleaning may have taken may be there or not.
  const certain = model.firstAtOrAfter(timestamp, { ...range, isCertain: true });
  const possible = model.firstAtOrAfter(timestamp, { ...range, isCertain: false });
  const found = await log.offsetForTimestamp(timestamp, endOffset);
  if (model.version !== version || model.truncatingTo !== undefined) return;
  if (log.logStartOffset !== logStartOffset) return;
  const what = `${model.name}: ${JSON.stringify(found)} is the first at ${timestamp} or later below ${endOffset}`;
  if (found === undefined) {
    check(certain === undefined, () => `${what}, but there is ${certain?.offset}`);
    return;
  }
  checkFound(found, model, what);
  check(found.timestamp >= timestamp, () => `${what}, but it is earlier`);
  check(
    found.offset >= possible!.offset && found.offset <= (certain?.offset ?? Infinity),
    () => `${what}, not one in [${possible?.offset}, ${certain?.offset}]`,
  );
}
