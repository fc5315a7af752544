import { describe, expect, it } from 'vitest';
import { directory, readAll } from '../../log/log-harness.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { CopyingGroup, memberOn } from './copying-group.ts';
import type { Member } from './copying-group.ts';

function batches(from: number, count: number): string[][] {
  return Array.from({ length: count }, (_, at) => [`value ${from + at}`.repeat(10)]);
}

/** As the state machine's: all values so far. */
async function takeSnapshot({ consensus, log }: Member, endOffset: number): Promise<void> {
  const values = Array.from({ length: endOffset }, (_, at) => Buffer.from(`state ${at}`));
  await consensus.takeSnapshot(endOffset, values);
  await log.advanceLogStart(endOffset - 5);
  consensus.logStartMoved();
}

async function lagging(): Promise<CopyingGroup> {
  const group = new CopyingGroup([1, 2, 3], 'snapshot');
  for (const nodeId of [1, 2, 3]) await group.start(nodeId);
  await group.append(...batches(0, 10));
  await group.caughtUp(3);
  group.kill(3);
  await group.append(...batches(10, 30));
  for (const nodeId of [1, 2]) {
    await group.caughtUp(nodeId);
    await takeSnapshot(group.member(nodeId), 35);
  }
  return group;
}

async function stateOf({ snapshots, log }: Member): Promise<string[]> {
  const newest = snapshots!.newest!;
  const state = (await snapshots!.records(newest)).map(String);
  return [...state, ...(await readAll(log, newest.endOffset)).map(({ value }) => value)];
}

describe('a member of a group with snapshots', () => {
  it('takes one where the log does not reach back, and then entries', async () => {
    const group = await lagging();
    const leader = await group.leader();
    const member = await group.start(3);
    await group.caughtUp(3);
    expect(member.told).toEqual(['replaced']);
    expect(member.log.logStartOffset).toBe(35);
    expect(member.snapshots!.newest).toEqual(leader.snapshots!.newest);
    expect(await stateOf(member)).toEqual(await stateOf(leader));
    expect([member.log.endIndex, member.log.lastTerm]).toEqual([leader.log.endIndex, leader.log.lastTerm]);
    const names = await member.disk.list(directory);
    expect(names).toContain('00000000000000000035-0000000001.checkpoint');
    expect(names.filter((name) => /catch-up|replacement|part$/.test(name))).toEqual([]);
  });

  it('has it after a start, and can lead with it', async () => {
    const group = await lagging();
    await group.start(3);
    await group.caughtUp(3);
    group.kill(3);
    const { told } = await group.start(3);
    await group.caughtUp(3);
    expect(told).toEqual([]);
    const leader = await group.leader();
    const next = group.idOf(leader) === 3 ? undefined : leader.consensus.transferLeadership(memberOn(3));
    expect(next).toBeUndefined();
    await group.until('another leader', () => group.member(3).consensus.raft.isReady);
    await group.append(...batches(40, 5));
    for (const nodeId of [1, 2]) await group.caughtUp(nodeId);
    expect(await stateOf(group.member(1))).toEqual(await stateOf(group.member(3)));
  });

  it('passes on to others what it took itself', async () => {
    const group = await lagging();
    await group.start(3);
    await group.caughtUp(3);
    group.kill(2);
    group.kill(1);
    group.machine(2).disk = new MemoryDisk();
    group.machine(2).floor = undefined;
    await group.start(2);
    await group.until('a leader', () => group.member(3).consensus.raft.isReady);
    await group.caughtUp(2);
    expect(group.member(2).told).toEqual(['replaced']);
    expect(await stateOf(group.member(2))).toEqual(await stateOf(group.member(3)));
  });

  it('goes on where it stopped when it crashes on the way', async () => {
    const group = await lagging();
    const { disk } = group.machine(3);
    await group.start(3);
    let partBytes = 0;
    while (partBytes === 0) {
      await group.clock.advanceAsync(1);
      const names = await disk.list(`${directory}/catch-up`).catch(() => []);
      const [part] = names;
      if (part !== undefined) partBytes = (await disk.sizeOf(`${directory}/catch-up/${part}`)) ?? 0;
    }
    group.kill(3);
    const leader = await group.leader();
    expect(partBytes).toBeLessThan(leader.snapshots!.newest!.sizeBytes);
    const member = await group.start(3);
    await group.caughtUp(3);
    expect(member.told).toEqual(['replaced']);
    expect(await stateOf(member)).toEqual(await stateOf(leader));
  });
});
