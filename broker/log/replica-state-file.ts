/**
 * The file `replica-state` of a partition (storage-format.md, "replica-state"): where the log begins, its Raft-only entries
 * (the epoch table and the index-delta table), and the recovery point, up to which everything was synced and checked.
 * Replaced atomically; it covers what is below the recovery point and nothing else.
 */
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import { crc32c } from '../../protocol/index.ts';
import { PositionTable } from './position-table.ts';
import { kindOfNumber, numberOfKind, readInt64, writeInt64 } from './raft-only.ts';
import type { PlacedRaftOnlyEntry } from './raft-only.ts';
import type { SegmentTotals } from './segment.ts';

/** A place at a batch's border in the newest segment. All before it is durable, whole and known. */
export interface RecoveryPoint {
  readonly segmentBaseOffset: number;
  readonly position: number;
  readonly endOffset: number;
  readonly endIndex: number;
  readonly totals: SegmentTotals;
  /** What the segment's index files hold for the batches before the point. */
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
}

export interface ReplicaState {
  readonly table: PositionTable;
  readonly point: RecoveryPoint;
}

const magic = Buffer.from('KLSTATE1', 'latin1');
const fixedBytes = 120;
const entryFixedBytes = 25;

export function encodeReplicaState({ table, point }: ReplicaState): Buffer {
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
  const bytes = Buffer.concat([fixed, ...table.entries.map(encodeEntry)]);
  bytes.writeInt32BE(bytes.length, 12);
  bytes.writeUInt32BE(crc32c(bytes.subarray(12)), 8);
  return bytes;
}

/** Undefined where the bytes are not a whole, undamaged state. */
export function decodeReplicaState(bytes: Buffer): ReplicaState | undefined {
  if (bytes.length < fixedBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  if (bytes.readInt32BE(12) !== bytes.length) return undefined;
  if (bytes.readUInt32BE(8) !== crc32c(bytes.subarray(12))) return undefined;
  const entries: PlacedRaftOnlyEntry[] = [];
  let position = fixedBytes;
  for (let count = bytes.readInt32BE(112); count > 0; count--) {
    const kind = kindOfNumber(bytes[position + 20]!);
    if (kind === undefined) return undefined;
    const payloadEnd = position + entryFixedBytes + bytes.readInt32BE(position + 21);
    entries.push({
      index: readInt64(bytes, position),
      offset: readInt64(bytes, position + 8),
      term: bytes.readInt32BE(position + 16),
      kind,
      payload: Buffer.from(bytes.subarray(position + entryFixedBytes, payloadEnd)),
    });
    position = payloadEnd;
  }
  return {
    table: new PositionTable(
      { offset: readInt64(bytes, 16), index: readInt64(bytes, 24), term: bytes.readInt32BE(32) },
      entries,
    ),
    point: {
      position: bytes.readInt32BE(36),
      segmentBaseOffset: readInt64(bytes, 40),
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
    },
  };
}

/** 'none': there is no file. 'corrupt': it cannot be used, and the log has to be scanned. Rejects with a DiskError. */
export async function readReplicaState(
  disk: Disk,
  directory: string,
): Promise<ReplicaState | 'none' | 'corrupt'> {
  const path = `${directory}/replica-state`;
  if (!(await disk.exists(path))) return 'none';
  return decodeReplicaState(await readWholeFile(disk, path)) ?? 'corrupt';
}

/** Durable when it resolves. Calls for one directory must not overlap. */
export async function writeReplicaState(disk: Disk, directory: string, state: ReplicaState): Promise<void> {
  await replaceFile(disk, directory, 'replica-state', encodeReplicaState(state));
}

function encodeEntry(entry: PlacedRaftOnlyEntry): Buffer {
  const bytes = Buffer.alloc(entryFixedBytes + entry.payload.length);
  writeInt64(bytes, entry.index, 0);
  writeInt64(bytes, entry.offset, 8);
  bytes.writeInt32BE(entry.term, 16);
  bytes[20] = numberOfKind(entry.kind);
  bytes.writeInt32BE(entry.payload.length, 21);
  entry.payload.copy(bytes, entryFixedBytes);
  return bytes;
}
