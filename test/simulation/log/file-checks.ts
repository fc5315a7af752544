/** Looks at a log's files from outside: every byte belongs to an entry, indexes are what they would be made anew, nothing is left over. */
import { isCleanedHeader, readCleanedHeader } from '../../../broker/log/segments/cleaned-header.ts';
import { isRaftOnly, raftOnlyIndex } from '../../../broker/log/raft-only.ts';
import { batchField } from '../../../protocol/index.ts';
import type { SimulatedDisk } from '../simulated-disk.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import { logDirectory } from './log-life.ts';
import type { LogModel, ModelEntry } from './log-model.ts';

const knownNames = /^(\d{20}\.(log|index|timeindex|snapshot|txnindex)|replica-state|partition\.metadata)$/;

/** For a log that has just been opened, and for one that has been closed. */
export function checkFiles(
  disk: SimulatedDisk,
  model: LogModel,
  options: { readonly indexIntervalBytes: number; readonly isClosed: boolean },
): void {
  const directory = logDirectory(model.name);
  const names = disk.namesIn(directory);
  const left = names.filter((name) => {
    const isOrphan = name.endsWith('index') && !names.includes(`${name.slice(0, 20)}.log`);
    // Files of deleted segments, and of a cleaning that the disk broke off, go some time later, or at the next opening.
    const isDoomed = options.isClosed && /\.(deleted|cleaned)$/.test(name);
    return isOrphan || !(knownNames.test(name) || isDoomed);
  });
  checkEqual(left, [], () => `${model.name}: files left over`);
  const bases = names.filter((name) => name.endsWith('.log')).map((name) => name.slice(0, 20));
  check(bases.length > 0, () => `${model.name}: there is no segment`);
  check(Number(bases[0]) <= model.startOffset, () => `${model.name}: begins at ${bases[0]}, after its start`);
  let next: ModelEntry | undefined;
  for (const [place, base] of bases.entries()) {
    const content = disk.contentOf(`${directory}/${base}.log`)!;
    const from = { base: Number(base), next };
    if (content.length > 0 && isCleanedHeader(content, 0)) {
      next = entryAfterCleaned(content, model, from);
      continue;
    }
    const entries = entriesOf(content, model, from);
    const last = entries.at(-1);
    if (last !== undefined) next = model.entries[model.entries.indexOf(last) + 1];
    const isComplete = options.isClosed || place < bases.length - 1;
    // Files that were lost are made again when somebody needs what they said; scrubbing tells until then.
    if (!isComplete || model.lostIndexes.has(`${directory}/${base}.log`)) continue;
    const expected = indexesOf(entries, Number(base), options.indexIntervalBytes);
    const seen = (kind: string): string[] | undefined =>
      hexEntries(disk.contentOf(`${directory}/${base}.${kind}`), kind === 'index' ? 8 : 12);
    checkEqual(seen('index') ?? expected.offsets, expected.offsets, () => `${model.name}: ${base}.index`);
    checkTimes(seen('timeindex'), expected, `${model.name}: ${base}.timeindex`);
  }
  check(next === undefined, () => `${model.name}: the files end before entry ${next?.index}`);
}

/** A cleaned segment says itself where it ends; what is in it is left to reads and scrubbing. */
function entryAfterCleaned(
  content: Buffer,
  model: LogModel,
  { base, next }: { readonly base: number; readonly next: ModelEntry | undefined },
): ModelEntry | undefined {
  const what = `${model.name}, cleaned segment ${base}`;
  const header = readCleanedHeader(content, 0);
  check(header?.baseOffset === base, () => `${what}: has the header of another one`);
  check(header.endOffset <= model.cleanedMax, () => `${what}: reaches up to ${header.endOffset}`);
  check(
    next === undefined || next.index === header.startIndex,
    () => `${what}: begins at ${header.startIndex}`,
  );
  return model.entries.find(({ index }) => index >= header.endIndex);
}

/** The entries that a segment file holds, byte for byte. */
function entriesOf(
  content: Buffer,
  model: LogModel,
  from: { readonly base: number; readonly next: ModelEntry | undefined },
): ModelEntry[] {
  if (content.length === 0) return [];
  const what = `${model.name}, segment ${from.base}`;
  const first = isRaftOnly(content, 0)
    ? model.entries.find(({ index }) => index === raftOnlyIndex(content, 0))
    : model.entries.find(
        (entry) => entry.offset === batchField.baseOffset(content, 0) && entry.records.length > 0,
      );
  check(first !== undefined, () => `${what}: its first batch was never appended`);
  check(
    from.next === undefined || from.next === first,
    () => `${what}: does not begin with entry ${from.next?.index}`,
  );
  const entries: ModelEntry[] = [];
  let position = 0;
  for (const entry of model.entries.slice(model.entries.indexOf(first))) {
    if (position === content.length) break;
    const seen = content.subarray(position, position + entry.bytes.length);
    check(seen.equals(entry.bytes), () => `${what}: other bytes than entry ${entry.index} at ${position}`);
    position += entry.bytes.length;
    entries.push(entry);
  }
  checkEqual(position, content.length, () => `${what}: size`);
  return entries;
}

interface ExpectedIndexes {
  readonly offsets: readonly string[];
  /** What must be there... */
  readonly times: readonly string[];
  /** ...and what may be: wherever the segment once ended at a clean stop there is one entry more. */
  readonly timesPossible: readonly string[];
}

/** Kafka's rules for both indexes, as storage-format.md has them. */
function indexesOf(entries: readonly ModelEntry[], base: number, intervalBytes: number): ExpectedIndexes {
  const offsets: string[] = [];
  const times = new Set<string>();
  const timesPossible = new Set<string>();
  let sinceLast = 0;
  let position = 0;
  let maxTimestamp = -1;
  let latest: string | undefined;
  for (const { bytes, records, endOffset } of entries) {
    const relativeOffset = endOffset - 1 - base;
    for (const { timestamp } of records) {
      if (timestamp <= maxTimestamp) continue;
      maxTimestamp = timestamp;
      latest = hex(timestamp, 16) + hex(relativeOffset, 8);
    }
    if (latest !== undefined) timesPossible.add(latest);
    if (records.length > 0 && sinceLast > intervalBytes) {
      offsets.push(hex(relativeOffset, 8) + hex(position, 8));
      if (latest !== undefined) times.add(latest);
      sinceLast = 0;
    }
    sinceLast += bytes.length;
    position += bytes.length;
  }
  if (latest !== undefined) times.add(latest);
  return { offsets, times: [...times], timesPossible: [...timesPossible] };
}

function checkTimes(seen: readonly string[] | undefined, expected: ExpectedIndexes, what: string): void {
  if (seen === undefined) return;
  const missing = expected.times.filter((entry) => !seen.includes(entry));
  checkEqual(missing, [], () => `${what}: entries that are missing`);
  const possible = expected.timesPossible.filter((entry) => seen.includes(entry));
  checkEqual(seen, possible, () => what);
}

function hexEntries(content: Buffer | undefined, entryBytes: number): string[] | undefined {
  if (content === undefined) return undefined;
  const text = content.toString('hex');
  return Array.from({ length: Math.ceil(content.length / entryBytes) }, (_, place) =>
    text.slice(place * entryBytes * 2, (place + 1) * entryBytes * 2),
  );
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
