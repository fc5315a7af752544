import { beforeEach, describe, expect, it } from 'vitest';
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { decodeReplicaState } from '../../../broker/log/recovery/replica-state-file.ts';
import type { LogCopy } from '../../../broker/log/log-copy.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { iterateBatches } from '../../../protocol/index.ts';
import { appendValues, flushed, openLog, startTerm } from './log-harness.ts';

let clock: ManualClock;
let log: CommitLog;

beforeEach(async () => {
  clock = new ManualClock();
  ({ log } = await openLog({
    disk: new MemoryDisk(),
    clock,
    config: { segmentBytes: 400, fileDeleteDelayMs: 10 },
  }));
  startTerm(log, 1);
  for (let at = 0; at < 10; at++) appendValues(log, [`a ${at}`.repeat(10), 'b', 'c']);
  await flushed(log);
});

/** Base offsets of all batches, Raft's own left out, in the order of the files. */
async function offsetsIn(copy: LogCopy): Promise<number[]> {
  const offsets: number[] = [];
  for (const [place, { name, sizeBytes }] of copy.files.entries()) {
    if (!name.endsWith('.log')) continue;
    const parts: Buffer[] = [];
    for (let position = 0; position < sizeBytes;) {
      const part = await copy.read(place, position, 100);
      position += part.length;
      parts.push(part);
    }
    for (const { header } of iterateBatches(Buffer.concat(parts)))
      if (header.recordCount > 0) offsets.push(header.baseOffset);
  }
  return offsets;
}

describe('a copy of a log', () => {
  it('has all segments up to an entry, the last one in part, and the table', async () => {
    const copy = await log.copyUpTo(17);
    expect(copy).toMatchObject({ endIndex: 17, endOffset: 15, lastTerm: 1 });
    expect(await offsetsIn(copy!)).toEqual([0, 3, 6, 9, 12]);
    const state = decodeReplicaState(copy!.state)!;
    expect(state.table.raftOnlyEntries).toEqual(log.raftOnlyEntries());
    expect([state.point.position, state.point.endIndex, state.logStartOffset]).toEqual([0, 1, 0]);
    copy!.release();
  });

  it('has whole batches, also where the entry lies within one', async () => {
    for (const endIndex of [18, 19, 20]) {
      const copy = await log.copyUpTo(endIndex);
      expect([copy!.endIndex, await offsetsIn(copy!)]).toEqual([20, [0, 3, 6, 9, 12, 15]]);
      copy!.release();
    }
  });

  it('ends where the log ends, also between two segments', async () => {
    const ends: number[] = [];
    for (let endIndex = 2; endIndex <= log.endIndex; endIndex += 3) {
      const copy = await log.copyUpTo(endIndex);
      ends.push(copy!.endIndex);
      expect(await offsetsIn(copy!)).toHaveLength((endIndex - 2) / 3);
      copy!.release();
    }
    expect(ends.at(-1)).toBe(32);
  });

  it('has nothing that is not durable, or gone', async () => {
    appendValues(log, ['x']);
    expect(await log.copyUpTo(log.endIndex)).toBeUndefined();
    await flushed(log);
    await log.advanceLogStart(15);
    expect(await log.copyUpTo(3)).toBeUndefined();
    const copy = await log.copyUpTo(log.endIndex);
    expect(decodeReplicaState(copy!.state)!.logStartOffset).toBe(15);
    copy!.release();
  });

  it('can be read to its end when its segments have been deleted', async () => {
    const copy = await log.copyUpTo(log.endIndex);
    await log.advanceLogStart(25);
    await clock.advanceAsync(1000);
    appendValues(log, ['later']);
    await flushed(log);
    expect(await offsetsIn(copy!)).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
    copy!.release();
  });
});
