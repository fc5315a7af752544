import { describe, expect, it } from 'vitest';
import { findLags } from '../../../../broker/groups/lag/lag-questions.ts';
import type { AskedPartition, LaggedReplica } from '../../../../broker/groups/lag/lag-questions.ts';
import { encodeBatch } from '../../../../protocol/index.ts';

type Batch = readonly [baseOffset: number, timestamps: readonly number[]];

function batchBytes([baseOffset, timestamps]: Batch): Buffer {
  const records = timestamps.map((timestamp) => ({
    timestamp,
    key: null,
    value: Buffer.from('v'),
    headers: [],
  }));
  const bytes = encodeBatch(records);
  bytes.writeBigInt64BE(BigInt(baseOffset), 0);
  return bytes;
}

/** A leader whose log has these batches. */
function leaderOf(batches: readonly Batch[], change: Partial<LaggedReplica> = {}) {
  const reads = { open: 0 };
  const replica: LaggedReplica = {
    identity: { topicId: 'id' },
    isLeader: true,
    ready: true,
    failed: false,
    logStartOffset: batches[0]?.[0] ?? 0,
    lastStableOffset: batches.reduce((_, [offset, timestamps]) => offset + timestamps.length, 0),
    read: (offset) => {
      reads.open += 1;
      const found = batches.find(([base, timestamps]) => offset < base + timestamps.length);
      return {
        parts: found === undefined ? [] : [batchBytes(found)],
        release: () => {
          reads.open -= 1;
        },
      };
    },
    ...change,
  };
  return { replica, reads };
}

const times: readonly Batch[] = [
  [10, [100, 90, 110]],
  [20, [200]],
];
const asked: readonly AskedPartition[] = [['t', 'id', 0, 10, true]];

describe('a leader that is asked', () => {
  it.each([
    ['the first record', 10, 100],
    ['one within a batch', 11, 90],
    ['one that is gone, in front', 3, 100],
    ['one that is gone, in between', 15, 200],
    ['the last one', 20, 200],
    ['the end', 21, null],
  ])('says when %s was written', async (_, committed, timestamp) => {
    const { replica, reads } = leaderOf(times);
    expect(await findLags([['t', 'id', 0, committed, true]], () => replica)).toEqual([[10, 21, timestamp]]);
    expect(reads.open).toBe(0);
  });

  it('looks for a time only where it is wanted', async () => {
    const { replica } = leaderOf(times, { read: () => Promise.reject(new Error('not to be read')) });
    expect(await findLags([['t', 'id', 0, 10, false]], () => replica)).toEqual([[10, 21, null]]);
  });

  it('knows no time of a record without one', async () => {
    const { replica } = leaderOf([[0, [-1]]]);
    expect(await findLags([['t', 'id', 0, 0, true]], () => replica)).toEqual([[0, 1, null]]);
  });

  it.each<[string, Partial<LaggedReplica>, string]>([
    ['does not lead', { isLeader: false }, 'the node does not lead it'],
    ['has another topic of the name', { identity: { topicId: 'other' } }, 'the node does not lead it'],
    ['does not know what is committed', { ready: false }, 'its leader is not ready'],
    ['has failed', { failed: true }, 'its leader is not ready'],
  ])('says so where it %s', async (_, change, why) => {
    expect(await findLags(asked, () => leaderOf(times, change).replica)).toEqual([why]);
  });

  it('says so where it has no replica', async () => {
    expect(await findLags(asked, () => undefined)).toEqual(['the node does not lead it']);
  });
});
