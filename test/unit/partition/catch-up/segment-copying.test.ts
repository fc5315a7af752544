import { describe, expect, it } from 'vitest';
import { encodePiece } from '../../../../broker/partition/consensus/catch-up/copy-protocol.ts';
import { LogCleaner } from '../../../../broker/log/compaction/log-cleaner.ts';
import { slotBytes } from '../../../../broker/log/compaction/key-map.ts';
import type { ManualClock } from '../../../../platform/manual-clock.ts';
import { CountedYield } from '../../../../platform/counted-yield.ts';
import type { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { encodeBatch } from '../../../../protocol/index.ts';
import { batchOf, directory, readAll } from '../../log/log-harness.ts';
import { CopyingGroup } from './copying-group.ts';

function newCleaner(disk: MemoryDisk, clock: ManualClock): LogCleaner {
  return new LogCleaner({
    disk,
    clock,
    yielding: new CountedYield(),
    random: new SeededRandom(3),
    settings: () => ({
      dedupeBufferBytes: 100 * slotBytes,
      loadFactor: 0.9,
      ioBufferBytes: 4096,
      bytesPerSecondMax: Infinity,
    }),
  });
}

/** Ten batches whose values tell their place. */
function batches(from: number, count = 10): string[][] {
  return Array.from({ length: count }, (_, at) => [`value ${from + at}`.repeat(10)]);
}

/** Node 3 has missed what the others' logs do not have any more. */
async function lagging(count = 30): Promise<CopyingGroup> {
  const group = new CopyingGroup([1, 2, 3], 'segments');
  for (const nodeId of [1, 2, 3]) await group.start(nodeId);
  await group.append(...batches(0));
  await group.caughtUp(3);
  group.kill(3);
  await group.append(...batches(10, count));
  for (const nodeId of [1, 2]) await group.startAt(nodeId, 30);
  return group;
}

async function expectSame(group: CopyingGroup, nodeId: number): Promise<void> {
  const { log: leader } = await group.leader();
  const { log } = group.member(nodeId);
  expect(log.logStartOffset).toBe(leader.logStartOffset);
  expect([log.endIndex, log.lastTerm, log.logEndOffset]).toEqual([
    leader.endIndex,
    leader.lastTerm,
    leader.logEndOffset,
  ]);
  expect(log.raftOnlyEntries()).toEqual(leader.raftOnlyEntries());
  expect(await readAll(log)).toEqual(await readAll(leader));
}

describe('a member whose leader no longer has what it lacks', () => {
  it('copies the log, and goes on with entries', async () => {
    const group = await lagging();
    const { told, disk, log } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual(['replaced']);
    await expectSame(group, 3);
    expect(log.logStartOffset).toBe(30);
    await group.append(...batches(40));
    await group.caughtUp(3);
    await expectSame(group, 3);
    expect((await disk.list(directory)).filter((name) => /catch-up|replacement|damaged/.test(name))).toEqual(
      [],
    );
  });

  it('has a log that is whole after a start, with its floor', async () => {
    const group = await lagging();
    await group.start(3);
    await group.caughtUp(3);
    group.kill(3);
    const { floor } = group.machine(3);
    const { told, log } = await group.start(3);
    expect(log.failure).toBeUndefined();
    expect(floor).toEqual({ term: log.lastTerm, endIndex: log.endIndex });
    await group.caughtUp(3);
    expect(told).toEqual([]);
    await expectSame(group, 3);
  });

  it('copies again what changed on the way', async () => {
    const group = await lagging();
    let changed = 0;
    group.meddle = (answer) => {
      // Pieces only: a manifest is text.
      if (answer.length < 6 || answer[1] === 0x7b || changed >= 5) return answer;
      const wrong = Buffer.from(answer);
      wrong[5 + ((changed * 37) % (answer.length - 5))]! ^= 16;
      changed++;
      return wrong;
    };
    const { told } = await group.start(3);
    await group.caughtUp(3);
    expect(changed).toBe(5);
    expect(told).toEqual(['replaced']);
    await expectSame(group, 3);
  });

  it('refuses a log that is not the one that was announced, and tries again', async () => {
    const group = await lagging();
    let changed = 0;
    group.meddle = (answer) => {
      if (answer.length < 100 || answer[1] === 0x7b || changed > 0) return answer;
      changed++;
      // With a CRC that fits: as if the leader's disk had rotted and nobody had looked.
      const bytes = Buffer.from(answer.subarray(5));
      bytes[70]! ^= 1;
      return Buffer.concat(encodePiece(bytes));
    };
    const { told, disk } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual([expect.stringMatching(/not the log that was announced/), 'replaced']);
    await expectSame(group, 3);
    expect(await disk.list(directory)).not.toContain('catch-up');
  });

  it('goes on where it stopped, after lost answers and after its own crash', async () => {
    const whole = await lagging(60);
    await whole.start(3);
    await whole.caughtUp(3);
    const group = await lagging(60);
    let answers = 0;
    group.meddle = (answer) => (answers++ % 3 === 1 ? undefined : answer);
    await group.start(3);
    await group.until('some questions', () => group.questions > 9);
    group.kill(3);
    const before = group.questions;
    group.meddle = (answer) => answer;
    const { told } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual(['replaced']);
    await expectSame(group, 3);
    expect(whole.questions).toBeGreaterThan(10);
    // The manifest is asked for again, and no piece that had come.
    expect(group.questions - before).toBeLessThan(whole.questions - 4);
  });

  it('begins anew with another leader', async () => {
    const group = await lagging();
    const leader = await group.leader();
    group.meddle = (answer) => (group.questions > 4 ? undefined : answer);
    const { told } = await group.start(3);
    await group.until('some questions', () => group.questions > 4);
    group.kill(group.idOf(leader));
    group.meddle = (answer) => answer;
    await group.caughtUp(3);
    expect(told.at(-1)).toBe('replaced');
    await expectSame(group, 3);
  });

  it('has a log whose end was not committed replaced, down to the floor', async () => {
    const group = new CopyingGroup([1, 2, 3], 'segments');
    for (const nodeId of [1, 2, 3]) await group.start(nodeId);
    await group.append(...batches(0));
    await group.caughtUp(3);
    const old = await group.leader();
    const oldId = group.idOf(old);
    const others = [1, 2, 3].filter((nodeId) => nodeId !== oldId);
    for (const other of others) group.links.cut(oldId, other);
    for (const values of batches(100, 30)) old.consensus.append(batchOf({ values }));
    await group.until('a long end', () => old.log.flushedEndIndex === old.log.endIndex);
    group.kill(oldId);
    group.links.heal();
    await group.append(...batches(10, 10));
    for (const nodeId of others) await group.startAt(nodeId, 18);
    expect(group.machine(oldId).floor!.endIndex).toBeGreaterThan((await group.leader()).log.endIndex);
    const { told, log } = await group.start(oldId);
    await group.caughtUp(oldId);
    expect(told).toEqual(['replaced']);
    await expectSame(group, oldId);
    expect(group.machine(oldId).floor!.endIndex).toBe(log.endIndex);
    group.kill(oldId);
    expect((await group.start(oldId)).log.failure).toBeUndefined();
  });

  it('gets a log that reaches as far as the configuration that comes with it', async () => {
    const group = new CopyingGroup([1, 2, 3], 'segments');
    for (const nodeId of [1, 2]) await group.start(nodeId);
    await group.append(...batches(0));
    const first = await group.leader();
    const firstId = group.idOf(first);
    const { voters } = first.consensus.raft.configuration;
    expect(first.consensus.changeMembers({ voters, learners: [], revision: 1 })).toBeUndefined();
    await group.until('a configuration', () => first.consensus.durableConfiguration().index > 0);
    await group.append(...batches(10));
    await group.startAt(firstId, 5);
    for (const nodeId of [1, 2]) group.kill(nodeId);
    // It knows no more to be committed than what its log has lost, and cannot commit without the one that has nothing.
    const { log } = await group.start(firstId);
    const { told, consensus } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual(['replaced']);
    expect(log.logStartOffset).toBe(5);
    expect(consensus.raft.configuration.revision).toBe(1);
    await expectSame(group, 3);
  });

  it('gives a copy away for as long as it is wanted, and no longer', async () => {
    const group = await lagging();
    const leader = await group.leader();
    group.meddle = (answer) => (group.questions > 3 ? undefined : answer);
    await group.start(3);
    await group.until('some questions', () => group.questions > 3);
    expect(leader.copying.heldCount).toBe(1);
    group.kill(3);
    await group.clock.advanceAsync(200_000);
    expect(leader.copying.heldCount).toBe(0);
    group.meddle = (answer) => answer;
    await group.start(3);
    await group.caughtUp(3);
    expect(leader.copying.heldCount).toBe(0);
    await expectSame(group, 3);
  });

  it('does not see what retention does to the leader meanwhile', async () => {
    const group = await lagging();
    let isMoved = false;
    const leader = await group.leader();
    group.meddle = (answer) => {
      if (group.questions === 3 && !isMoved) {
        isMoved = true;
        void group.startAt(group.idOf(leader), 38);
      }
      return answer;
    };
    const { told, log } = await group.start(3);
    await group.caughtUp(3);
    expect(isMoved).toBe(true);
    expect(told).toEqual(['replaced']);
    expect(log.logStartOffset).toBe(30);
    expect((await readAll(log)).map(({ offset }) => offset)).toEqual([
      30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
    ]);
  });
});

describe('a compacted log', () => {
  it('is copied as it is, to a member that has none of it', async () => {
    const config = { segmentBytes: 600, compacts: true, deletes: false, minCleanableDirtyRatio: 0 };
    const group = new CopyingGroup([1, 2, 3], 'segments', config);
    for (const nodeId of [1, 2]) await group.start(nodeId);
    const { consensus } = await group.leader();
    for (let round = 0; round < 40; round++) {
      const records = [0, 1, 2].map((key) => ({
        timestamp: 1000,
        key: Buffer.from(`key ${key}`),
        value: Buffer.from(`value ${round} of ${key}`),
      }));
      consensus.append(encodeBatch(records));
    }
    await group.until('a commit', () => consensus.highWatermark === 120);
    for (const nodeId of [1, 2]) {
      const { disk, log, consensus: member } = group.member(nodeId);
      await group.caughtUp(nodeId);
      await newCleaner(disk, group.clock).cleanLog(log, {
        endOffset: log.logEndOffset,
        lastOffsetsOfProducers: new Map(),
      });
      expect(log.cleanedEndOffset).toBeGreaterThan(50);
      member.logStartMoved();
    }
    const { told, log } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual(['replaced']);
    const { log: leader } = await group.leader();
    expect([log.endIndex, log.cleanedEndOffset]).toEqual([leader.endIndex, leader.cleanedEndOffset]);
    const records = await readAll(log);
    expect(records).toEqual(await readAll(leader));
    expect(records.length).toBeLessThan(60);
    group.kill(3);
    expect((await group.start(3)).log.failure).toBeUndefined();
  });
});

describe('a damaged log', () => {
  it('is made whole by a copy, and its member can lead again', async () => {
    const group = new CopyingGroup([1, 2, 3], 'segments');
    for (const nodeId of [1, 2, 3]) await group.start(nodeId);
    await group.append(...batches(0, 30));
    await group.caughtUp(3);
    await group.clock.advanceAsync(1000);
    group.kill(3);
    const { disk } = group.machine(3);
    const file = await disk.open(`${directory}/00000000000000000000.log`, 'write');
    await file.write([Buffer.from('rot')], 300);
    await file.close();
    await disk.remove(`${directory}/replica-state`);
    const { told, log, consensus } = await group.start(3);
    expect(log.failure?.kind).toBe('damage');
    expect(consensus.raft.isImpaired).toBe(true);
    await group.append(...batches(30, 3));
    await group.caughtUp(3);
    expect(told).toEqual(['replaced', 'repaired']);
    expect(log.failure).toBeUndefined();
    expect(consensus.raft.isImpaired).toBe(false);
    await expectSame(group, 3);
    const names = await disk.list(directory);
    expect(names.filter((name) => name.includes('.damaged'))).toEqual([]);
    expect(names.filter((name) => name.includes('.given-up')).length).toBeGreaterThan(0);
    group.kill(3);
    expect((await group.start(3)).log.failure).toBeUndefined();
  });
});
