import { describe, expect, it } from 'vitest';
import { directory, readAll } from '../../log/log-harness.ts';
import { CopyingGroup } from './copying-group.ts';

/** Ten batches whose values tell their place. */
function batches(from: number, count = 10): string[][] {
  return Array.from({ length: count }, (_, at) => [`value ${from + at}`.repeat(10)]);
}

/** Node 3 has missed what the others' logs do not have any more. */
async function lagging(): Promise<CopyingGroup> {
  const group = new CopyingGroup([1, 2, 3], 'segments');
  for (const nodeId of [1, 2, 3]) await group.start(nodeId);
  await group.append(...batches(0));
  await group.caughtUp(3);
  group.kill(3);
  await group.append(...batches(10, 30));
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
});
