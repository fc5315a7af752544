/** The bytes that storage-format.md promises. */
import { expect, it } from 'vitest';
import { PositionTable } from '../../../broker/log/segments/position-table.ts';
import { encodeRaftOnly, isRaftOnly, readRaftOnly } from '../../../broker/log/raft-only.ts';
import { decodeReplicaState, encodeReplicaState } from '../../../broker/log/recovery/replica-state-file.ts';
import { crc32c, readBatchHeader, verifyBatchCrc } from '../../../protocol/index.ts';

const minusOne = 'ffffffffffffffff';

it('a Raft-only batch', () => {
  const entry = {
    kind: 'configuration',
    term: 7,
    index: 12,
    offset: 9,
    payload: Buffer.from('cfg'),
  } as const;
  const batch = encodeRaftOnly(entry);
  const inside = `000200000007000000000000000c0000000000000009${Buffer.from('cfg').toString('hex')}`;
  const covered = `0020ffffffff${minusOne}${minusOne}${minusOne}ffffffffffff00000000${inside}`;
  const crc = crc32c(Buffer.from(covered, 'hex')).toString(16).padStart(8, '0');
  expect(batch.toString('hex')).toBe(`00000000000000090000004a0000000702${crc}${covered}`);
  expect(verifyBatchCrc(batch)).toBe(true);
  expect(isRaftOnly(batch, 0)).toBe(true);
  expect(readRaftOnly(batch, 0)).toEqual(entry);
  expect(readBatchHeader(batch)).toMatchObject({
    baseOffset: 9,
    lastOffset: 8,
    recordCount: 0,
    isControl: true,
    producerId: -1,
  });
});

it('replica-state', () => {
  const table = new PositionTable({ offset: 5, index: 8, term: 2 }, [
    { index: 10, offset: 7, term: 3, kind: 'term-start', payload: Buffer.alloc(0) },
    { index: 12, offset: 8, term: 3, kind: 'configuration', payload: Buffer.from('xy') },
  ]);
  const point = {
    segmentBaseOffset: 12,
    segmentStartIndex: 16,
    position: 4000,
    endOffset: 20,
    endIndex: 25,
    totals: {
      maxTimestamp: 1001,
      maxTimestampOffset: 19,
      firstTimestamp: 1000,
      createdMs: 999,
      bytesSinceIndexEntry: 77,
    },
    offsetIndexBytes: 16,
    timeIndexBytes: 24,
    indexCrc: 0xfedcba98,
  };
  const full = {
    baseOffset: 5,
    startIndex: 8,
    totals: {
      maxTimestamp: 901,
      maxTimestampOffset: 11,
      firstTimestamp: 900,
      createdMs: 899,
      bytesSinceIndexEntry: 0,
    },
    sizeBytes: 5000,
    offsetIndexBytes: 8,
    timeIndexBytes: 12,
    indexCrc: 0x89abcdef,
    isCleaned: true,
  };
  const state = {
    table,
    logStartOffset: 6,
    cleanedEndOffset: 12,
    segments: [full],
    point,
    isClosed: true,
  };
  const bytes = encodeReplicaState(state);
  const int64 = (value: number): string => value.toString(16).padStart(16, '0');
  const int32 = (value: number): string => value.toString(16).padStart(8, '0');
  const rest =
    int32(bytes.length) +
    int64(5) +
    int64(8) +
    int32(2) +
    int32(4000) +
    int64(12) +
    int64(20) +
    int64(25) +
    int64(1001) +
    int64(19) +
    int64(1000) +
    int64(999) +
    int64(77) +
    int32(16) +
    int32(24) +
    int32(2) +
    int32(1) +
    int64(6) +
    int64(12) +
    int64(16) +
    int32(1) +
    'fedcba98' +
    int64(5) +
    int64(8) +
    int64(901) +
    int64(11) +
    int64(900) +
    int64(899) +
    int32(5000) +
    int32(8) +
    int32(12) +
    '89abcdef' +
    int32(1) +
    int64(10) +
    int64(7) +
    int32(3) +
    '01' +
    int32(0) +
    int64(12) +
    int64(8) +
    int32(3) +
    '02' +
    int32(2) +
    '7879';
  expect(bytes.toString('hex')).toBe(
    Buffer.from('KLSTATE2').toString('hex') + int32(crc32c(Buffer.from(rest, 'hex'))) + rest,
  );
  const decoded = decodeReplicaState(bytes)!;
  expect({ ...decoded, table: undefined }).toEqual({ ...state, table: undefined });
  expect([decoded.table.start, decoded.table.entries]).toEqual([table.start, table.entries]);
  for (let position = 0; position < bytes.length; position++) {
    const flipped = Buffer.from(bytes);
    flipped[position]! ^= 1;
    expect(decodeReplicaState(flipped), `byte ${position}`).toBeUndefined();
    expect(decodeReplicaState(bytes.subarray(0, position))).toBeUndefined();
  }
});
