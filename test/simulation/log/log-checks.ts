/** Compares a log with its model: bytes, positions, terms, look-ups, and the files on the disk. */
import type { CommitLog, LogRead, PlacedRaftOnlyEntry } from '../../../broker/log/commit-log.ts';
import type { Random } from '../../../platform/random.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import type { LogModel, ModelEntry } from './log-model.ts';

/** The log at rest holds exactly what the model does. */
export async function checkLog(log: CommitLog, model: LogModel, random: Random): Promise<void> {
  checkPositions(log, model);
  checkTerms(log, model);
  await checkSequentialRead(log, model, random);
  const { logStartOffset, logEndOffset } = log;
  for (let count = 0; count < 3 && logEndOffset > logStartOffset; count++) {
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

async function checkSequentialRead(log: CommitLog, model: LogModel, random: Random): Promise<void> {
  const maxBytes = 1 + random.below(3000);
  let offset = log.logStartOffset;
  while (offset < log.logEndOffset) {
    const next = await checkRead(log, model, { offset, endOffset: log.logEndOffset, maxBytes });
    check(next > offset, () => `${model.name}: a read at ${offset} gave nothing`);
    offset = next;
  }
}

export interface CheckedRead {
  readonly offset: number;
  readonly endOffset: number;
  readonly maxBytes: number;
}

/** Returns the offset after what was read. Rejects with a DiskError, or where the log no longer has the offset. */
export async function checkRead(log: CommitLog, model: LogModel, request: CheckedRead): Promise<number> {
  const expected = model.batchesIn(request.offset, request.endOffset);
  const read = await log.read({ ...request, minOneBatch: true });
  try {
    return checkBytes(read, expected, { model, request });
  } finally {
    read.release();
  }
}

function checkBytes(
  read: LogRead,
  expected: readonly ModelEntry[],
  { model, request }: { readonly model: LogModel; readonly request: CheckedRead },
): number {
  const bytes = Buffer.concat(read.parts);
  const what = `${model.name}: a read of ${request.maxBytes} bytes in [${request.offset}, ${request.endOffset})`;
  checkEqual(read.sizeBytes, bytes.length, () => `${what}: size`);
  let position = 0;
  let next = request.offset;
  for (const [place, batch] of expected.entries()) {
    if (position === bytes.length) break;
    const seen = bytes.subarray(position, position + batch.bytes.length);
    check(seen.equals(batch.bytes), () => `${what}: the batch at offset ${batch.offset} is another one`);
    position += batch.bytes.length;
    next = batch.endOffset;
    check(place === 0 || position <= request.maxBytes, () => `${what}: ${position} bytes are too many`);
  }
  checkEqual(position, bytes.length, () => `${what}: bytes that belong to no batch`);
  return next;
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
  const expected = model.latest(logStartOffset, logEndOffset);
  checkEqual(found?.offset, expected?.offset, () => `${model.name}: offset of the latest record`);
  checkEqual(found?.timestamp, expected?.timestamp, () => `${model.name}: its timestamp`);
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
  const expected = model.firstAtOrAfter(timestamp, logStartOffset, endOffset);
  const found = await log.offsetForTimestamp(timestamp, endOffset);
  if (model.version !== version || model.truncatingTo !== undefined) return;
  if (log.logStartOffset !== logStartOffset) return;
  const what = `${model.name}: the first record at ${timestamp} or later below ${endOffset}`;
  checkEqual(found?.offset, expected?.offset, () => what);
  checkEqual(found?.timestamp, expected?.timestamp, () => `${what}, its timestamp`);
  if (found === undefined) return;
  const { term } = model.entries.findLast(({ offset }) => offset <= found.offset)!;
  checkEqual(found.leaderEpoch, term, () => `${what}, its epoch`);
}
