/**
 * The file `replica-state` of a partition (storage-format.md, "replica-state"): where the log begins, its full segments, its
 * Raft-only entries (the epoch table and the index-delta table), and the recovery point, up to which everything was synced and
 * checked. Replaced atomically; of the log's end it covers what is below the recovery point and nothing else.
 */
import type { Disk } from '../../../platform/disk.ts';
import { replaceFile } from '../../../platform/whole-files.ts';
import { crc32c } from '../../../protocol/index.ts';
import { PositionTable } from '../segments/position-table.ts';
import type { TableEntry } from '../segments/position-table.ts';
import { kindOfNumber, numberOfKind, payloadOf, readInt64, writeInt64 } from '../raft-only.ts';
import type { SegmentTotals } from '../segments/segment.ts';

/** A place at a batch's border in the newest segment. All before it is durable, whole and known. */
export interface RecoveryPoint {
  readonly segmentBaseOffset: number;
  /** Raft index of the segment's first entry. */
  readonly segmentStartIndex: number;
  readonly position: number;
  readonly endOffset: number;
  readonly endIndex: number;
  readonly totals: SegmentTotals;
  /** What the segment's index files hold for the batches before the point. */
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
  /** CRC-32C over these bytes of the `.index`, then of the `.timeindex`. */
  readonly indexCrc: number;
}

/** What is known of a full segment, so that opening the log reads nothing of it. It ends where the next one begins. */
export interface KnownSegment {
  readonly baseOffset: number;
  readonly startIndex: number;
  readonly sizeBytes: number;
  readonly totals: SegmentTotals;
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
  readonly indexCrc: number;
  readonly isCleaned: boolean;
}

export interface ReplicaState {
  /** From the first segment on. */
  readonly table: PositionTable;
  /** First offset that may be read: at or above the first segment's base. */
  readonly logStartOffset: number;
  readonly cleanedEndOffset: number;
  /** All segments before the recovery point's, ascending. */
  readonly segments: readonly KnownSegment[];
  readonly point: RecoveryPoint;
  /**
   * Written by a clean stop. Until another state replaces this one, no file has been made, renamed or removed since a directory
   * sync, but for this state itself, and the one before it would do as well.
   */
  readonly isClosed: boolean;
}

/** Of a log of which nothing has been checked yet: the recovery point is its beginning. `nowMs`: on the wall clock. */
export function beginningState(
  table: PositionTable,
  positions: Pick<ReplicaState, 'logStartOffset' | 'cleanedEndOffset'>,
  nowMs: number,
): ReplicaState {
  const point = beginningPoint(table.start, nowMs);
  return { table, ...positions, segments: [], point, isClosed: false };
}

/** The beginning of a segment. */
function beginningPoint(
  { offset, index }: { readonly offset: number; readonly index: number },
  createdMs: number,
): RecoveryPoint {
  const totals = {
    maxTimestamp: -1,
    maxTimestampOffset: offset,
    firstTimestamp: -1,
    createdMs,
    bytesSinceIndexEntry: 0,
  };
  return {
    segmentBaseOffset: offset,
    segmentStartIndex: index,
    position: 0,
    endOffset: offset,
    endIndex: index,
    totals,
    offsetIndexBytes: 0,
    timeIndexBytes: 0,
    indexCrc: 0,
  };
}

/** As if nothing were known of the segment with this base offset, and of what follows, but where it begins. */
export function stateBefore(state: ReplicaState, wantedOffset: number): ReplicaState {
  const baseOffset = Math.max(wantedOffset, state.table.start.offset);
  const place = state.segments.findIndex((segment) => segment.baseOffset === baseOffset);
  const { point, table, logStartOffset, cleanedEndOffset } = state;
  if (place < 0 && point.segmentBaseOffset !== baseOffset) return state;
  const { startIndex = point.segmentStartIndex, totals: { createdMs } = point.totals } =
    state.segments[place] ?? {};
  return {
    table: table.upTo(startIndex),
    logStartOffset,
    cleanedEndOffset,
    segments: place < 0 ? state.segments : state.segments.slice(0, place),
    point: beginningPoint({ offset: baseOffset, index: startIndex }, createdMs),
    isClosed: false,
  };
}

const magic = Buffer.from('KLSTATE2', 'latin1');
const fixedBytes = 152;
const firstReadBytes = 2048;
const segmentBytes = 68;
const entryFixedBytes = 25;
/** In the table alone: see AdoptedEpoch. */
const epochKindNumber = 5;
const closedFlag = 1;
const cleanedFlag = 1;

export function encodeReplicaState(state: ReplicaState): Buffer {
  const { table, point, segments } = state;
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed);
  writeInt64(fixed, table.start.offset, 16);
  writeInt64(fixed, table.start.index, 24);
  fixed.writeInt32BE(table.start.term, 32);
  fixed.writeInt32BE(point.position, 36);
  writeInt64(fixed, point.segmentBaseOffset, 40);
  writeInt64(fixed, point.endOffset, 48);
  writeInt64(fixed, point.endIndex, 56);
  writeInt64(fixed, point.totals.maxTimestamp, 64);
  writeInt64(fixed, point.totals.maxTimestampOffset, 72);
  writeInt64(fixed, point.totals.firstTimestamp, 80);
  writeInt64(fixed, point.totals.createdMs, 88);
  writeInt64(fixed, point.totals.bytesSinceIndexEntry, 96);
  fixed.writeInt32BE(point.offsetIndexBytes, 104);
  fixed.writeInt32BE(point.timeIndexBytes, 108);
  fixed.writeInt32BE(table.entries.length, 112);
  fixed.writeInt32BE(state.isClosed ? closedFlag : 0, 116);
  writeInt64(fixed, state.logStartOffset, 120);
  writeInt64(fixed, state.cleanedEndOffset, 128);
  writeInt64(fixed, point.segmentStartIndex, 136);
  fixed.writeInt32BE(segments.length, 144);
  fixed.writeUInt32BE(point.indexCrc, 148);
  const bytes = Buffer.concat([fixed, encodeSegments(segments), ...table.entries.map(encodeEntry)]);
  bytes.writeInt32BE(bytes.length, 12);
  bytes.writeUInt32BE(crc32c(bytes.subarray(12)), 8);
  return bytes;
}

/** Undefined where the bytes are not a whole, undamaged state. */
export function decodeReplicaState(bytes: Buffer): ReplicaState | undefined {
  if (bytes.length < fixedBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  if (bytes.readInt32BE(12) !== bytes.length) return undefined;
  if (bytes.readUInt32BE(8) !== crc32c(bytes.subarray(12))) return undefined;
  const segmentCount = bytes.readInt32BE(144);
  const entries = decodeEntries(bytes, fixedBytes + segmentCount * segmentBytes, bytes.readInt32BE(112));
  if (entries === undefined) return undefined;
  return {
    table: new PositionTable(
      { offset: readInt64(bytes, 16), index: readInt64(bytes, 24), term: bytes.readInt32BE(32) },
      entries,
    ),
    logStartOffset: readInt64(bytes, 120),
    cleanedEndOffset: readInt64(bytes, 128),
    segments: Array.from({ length: segmentCount }, (_, place) =>
      decodeSegment(bytes, fixedBytes + place * segmentBytes),
    ),
    point: {
      position: bytes.readInt32BE(36),
      segmentBaseOffset: readInt64(bytes, 40),
      segmentStartIndex: readInt64(bytes, 136),
      endOffset: readInt64(bytes, 48),
      endIndex: readInt64(bytes, 56),
      totals: {
        maxTimestamp: readInt64(bytes, 64),
        maxTimestampOffset: readInt64(bytes, 72),
        firstTimestamp: readInt64(bytes, 80),
        createdMs: readInt64(bytes, 88),
        bytesSinceIndexEntry: readInt64(bytes, 96),
      },
      offsetIndexBytes: bytes.readInt32BE(104),
      timeIndexBytes: bytes.readInt32BE(108),
      indexCrc: bytes.readUInt32BE(148),
    },
    isClosed: (bytes.readInt32BE(116) & closedFlag) !== 0,
  };
}

/** 'corrupt': it cannot be used, and the log has to be scanned. Rejects with a DiskError, 'not-found' where there is none. */
export async function readReplicaState(disk: Disk, directory: string): Promise<ReplicaState | 'corrupt'> {
  return decodeReplicaState(await readState(disk, `${directory}/${stateFileName}`)) ?? 'corrupt';
}

/** Most are small, and read without asking for their size: a node may open thousands. */
async function readState(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(firstReadBytes);
    const read = await file.read(bytes, 0);
    if (read < bytes.length) return bytes.subarray(0, read);
    const whole = Buffer.alloc(await file.size());
    return whole.subarray(0, await file.read(whole, 0));
  } finally {
    await file.close();
  }
}

/** Durable when it resolves. Calls for one directory must not overlap. */
export async function writeReplicaState(disk: Disk, directory: string, state: ReplicaState): Promise<void> {
  await replaceFile(disk, directory, stateFileName, encodeReplicaState(state));
}

export const stateFileName = 'replica-state';

function encodeSegments(segments: readonly KnownSegment[]): Buffer {
  const bytes = Buffer.alloc(segments.length * segmentBytes);
  for (const [place, segment] of segments.entries()) {
    const { totals } = segment;
    const at = place * segmentBytes;
    writeInt64(bytes, segment.baseOffset, at);
    writeInt64(bytes, segment.startIndex, at + 8);
    writeInt64(bytes, totals.maxTimestamp, at + 16);
    writeInt64(bytes, totals.maxTimestampOffset, at + 24);
    writeInt64(bytes, totals.firstTimestamp, at + 32);
    writeInt64(bytes, totals.createdMs, at + 40);
    bytes.writeInt32BE(segment.sizeBytes, at + 48);
    bytes.writeInt32BE(segment.offsetIndexBytes, at + 52);
    bytes.writeInt32BE(segment.timeIndexBytes, at + 56);
    bytes.writeUInt32BE(segment.indexCrc, at + 60);
    bytes.writeInt32BE(segment.isCleaned ? cleanedFlag : 0, at + 64);
  }
  return bytes;
}

function decodeSegment(bytes: Buffer, at: number): KnownSegment {
  return {
    baseOffset: readInt64(bytes, at),
    startIndex: readInt64(bytes, at + 8),
    totals: {
      maxTimestamp: readInt64(bytes, at + 16),
      maxTimestampOffset: readInt64(bytes, at + 24),
      firstTimestamp: readInt64(bytes, at + 32),
      createdMs: readInt64(bytes, at + 40),
      bytesSinceIndexEntry: 0,
    },
    sizeBytes: bytes.readInt32BE(at + 48),
    offsetIndexBytes: bytes.readInt32BE(at + 52),
    timeIndexBytes: bytes.readInt32BE(at + 56),
    indexCrc: bytes.readUInt32BE(at + 60),
    isCleaned: (bytes.readInt32BE(at + 64) & cleanedFlag) !== 0,
  };
}

function encodeEntry(entry: TableEntry): Buffer {
  const bytes = Buffer.alloc(entryFixedBytes + entry.payload.length);
  writeInt64(bytes, entry.index, 0);
  writeInt64(bytes, entry.offset, 8);
  bytes.writeInt32BE(entry.term, 16);
  bytes[20] = entry.kind === 'epoch' ? epochKindNumber : numberOfKind(entry.kind);
  bytes.writeInt32BE(entry.payload.length, 21);
  entry.payload.copy(bytes, entryFixedBytes);
  return bytes;
}

/** Undefined where one is of a kind that is not known. */
function decodeEntries(bytes: Buffer, from: number, count: number): TableEntry[] | undefined {
  const entries: TableEntry[] = [];
  let position = from;
  for (let left = count; left > 0; left--) {
    const kindNumber = bytes[position + 20]!;
    const kind = kindNumber === epochKindNumber ? 'epoch' : kindOfNumber(kindNumber);
    if (kind === undefined) return undefined;
    const payloadEnd = position + entryFixedBytes + bytes.readInt32BE(position + 21);
    entries.push({
      index: readInt64(bytes, position),
      offset: readInt64(bytes, position + 8),
      term: bytes.readInt32BE(position + 16),
      kind,
      payload: payloadOf(bytes.subarray(position + entryFixedBytes, payloadEnd)),
    });
    position = payloadEnd;
  }
  return entries;
}
