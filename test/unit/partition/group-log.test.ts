import { describe, expect, it } from 'vitest';
import { GroupLog } from '../../../broker/partition/consensus/group-log.ts';
import type { ReadEntries } from '../../../broker/partition/consensus/group-log.ts';
import { receivedBatches } from '../../../broker/partition/consensus/received-entries.ts';
import { encodeConfiguration } from '../../../broker/raft/configuration-codec.ts';
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { TermStart } from '../../../broker/raft/term-log.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { batchOf, directory, openLog } from '../log/log-harness.ts';
import type { CommitLog } from '../../../broker/log/commit-log.ts';

const configuration: Configuration = {
  voters: [memberId(1, 'a')],
  outgoing: [],
  learners: [],
  revision: 3,
};
const kept = { index: 0, configuration: { ...configuration, revision: 0 } };
const none = Buffer.alloc(0);

interface Opened {
  readonly disk: MemoryDisk;
  readonly log: CommitLog;
  readonly group: GroupLog;
  readonly truncations: number[];
}

async function open(disk = new MemoryDisk(), segmentBytes = 400, tailBytes = 0): Promise<Opened> {
  const { log } = await openLog({ disk, config: { segmentBytes }, tailBytes, blockBytes: 128 });
  const truncations: number[] = [];
  const group = new GroupLog(log, {
    batchReceived: () => undefined,
    raftOnlyAppended: () => undefined,
    truncated: (endIndex) => {
      truncations.push(endIndex);
      return Promise.resolve();
    },
    moved: () => undefined,
    failed: (failure) => {
      throw failure.cause;
    },
  });
  return { disk, log, group, truncations };
}

/** Two terms, with a configuration in the second, and data between: 1 | 2..13 | 14 15 | 16..27. */
function fill({ group }: Opened): void {
  group.appendOwn({ kind: 'term-start', term: 1, payload: none });
  for (let batch = 0; batch < 6; batch++) {
    group.appendBatch(batchOf({ values: [`a${batch}`, 'x'.repeat(40)] }), 1, unpooled);
  }
  group.appendOwn({ kind: 'term-start', term: 4, payload: none });
  group.appendOwn({ kind: 'configuration', term: 4, payload: encodeConfiguration(configuration) });
  for (let batch = 0; batch < 6; batch++) {
    group.appendBatch(batchOf({ values: [`b${batch}`, 'y'.repeat(40)] }), 4, unpooled);
  }
}

async function flushed(log: CommitLog): Promise<void> {
  log.requestSync();
  await expect.poll(() => log.flushedEndIndex, { interval: 0 }).toBe(log.endIndex);
}

async function filesOf(disk: MemoryDisk): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const name of await disk.list(directory)) {
    if (!name.endsWith('.log')) continue;
    const file = await disk.open(`${directory}/${name}`, 'read');
    const bytes = Buffer.alloc(await file.size());
    await file.read(bytes, 0);
    await file.close();
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

async function readAll(group: GroupLog, from: number, end: number, bytesMax: number): Promise<ReadEntries[]> {
  const runs: ReadEntries[] = [];
  for (let index = from; index < end;) {
    const run = await group.read(index, end, bytesMax);
    runs.push(run);
    if (run.endIndex === index) break;
    index = run.endIndex;
  }
  return runs;
}

describe('a log as consensus sees it', () => {
  it.each([0, 1_000_000])(
    'gives followers all entries, as they are on disk (tail cache of %i bytes)',
    async (tailBytes) => {
      const opened = await open(new MemoryDisk(), 400, tailBytes);
      fill(opened);
      await flushed(opened.log);
      expect(opened.log.endIndex).toBe(28);
      expect(opened.log.segmentCount).toBeGreaterThan(3);
      const files = await filesOf(opened.disk);
      for (const bytesMax of [1, 200, 450, 100_000]) {
        const runs = await readAll(opened.group, 1, 28, bytesMax);
        expect(runs.at(-1)!.endIndex).toBe(28);
        const bytes = runs.map(({ parts }) => Buffer.concat(parts));
        expect(Buffer.concat(bytes)).toEqual(files);
        for (const run of runs) run.release();
        if (bytesMax === 1) expect(runs).toHaveLength(15);
        if (bytesMax === 450) for (const each of bytes) expect(each.length).toBeLessThanOrEqual(450);
        if (bytesMax === 100_000) expect(runs).toHaveLength(1);
      }
      const some = await readAll(opened.group, 14, 18, 100_000);
      expect(some.map(({ endIndex }) => endIndex)).toEqual([18]);
    },
  );

  it('takes what was read elsewhere, to the byte, and says the same of it', async () => {
    const leader = await open();
    fill(leader);
    await flushed(leader.log);
    const follower = await open();
    const run = await leader.group.read(1, 28, 100_000);
    const terms: TermStart[] = [
      { index: 1, term: 1 },
      { index: 14, term: 4 },
    ];
    const message = {
      kind: 'append' as const,
      from: memberId(1, 'a'),
      to: memberId(2, 'b'),
      term: 4,
      fromIndex: 1,
      endIndex: 28,
      previousTerm: 0,
      terms,
      configurations: [{ index: 15, configuration }],
      committedEndIndex: 1,
      sentAt: 0,
      readSequence: 0,
    };
    follower.group.appendReceived(receivedBatches(message, Buffer.concat(run.parts))!);
    await flushed(follower.log);
    expect(await filesOf(follower.disk)).toEqual(await filesOf(leader.disk));
    const state = { startIndex: 1, startTerm: 0, endIndex: 28, terms };
    expect([leader.group.state(), follower.group.state()]).toEqual([state, state]);
    const configurations = [kept, { index: 15, configuration }];
    expect(follower.group.configurations(kept)).toEqual(configurations);
    // Another file says that the configuration in the log is the one that is kept: followers may need it all the same.
    expect(follower.group.configurations(configurations[1]!)).toEqual([configurations[1]]);
    await follower.log.flushAndClose();
    const again = await open(follower.disk);
    expect(again.group.state()).toEqual(state);
    expect(again.group.configurations(kept)).toEqual(configurations);
  });

  it('lets what is appended wait while the end is cut', async () => {
    const opened = await open();
    const { group, log, truncations } = opened;
    fill(opened);
    await flushed(log);
    group.truncate(14, 1);
    group.appendOwn({ kind: 'term-start', term: 6, payload: none });
    group.truncate(10, 2);
    group.appendOwn({ kind: 'term-start', term: 7, payload: none });
    expect([group.isAtRest, group.placedEndIndex, group.generation]).toEqual([false, 10, 0]);
    // Nothing is read meanwhile: it may be gone.
    expect((await group.read(1, 28, 100_000)).endIndex).toBe(1);
    await expect.poll(() => group.isAtRest, { interval: 0 }).toBe(true);
    expect([group.placedEndIndex, group.generation, truncations]).toEqual([11, 2, [14, 10]]);
    expect(group.state().terms).toEqual([
      { index: 1, term: 1 },
      { index: 10, term: 7 },
    ]);
    expect(group.configurations(kept)).toEqual([kept]);
    await flushed(log);
    const runs = await readAll(group, 1, 11, 100_000);
    expect(Buffer.concat(runs.flatMap(({ parts }) => parts))).toEqual(await filesOf(opened.disk));
  });

  it('begins where records were deleted, and has nothing from before', async () => {
    const opened = await open();
    const { group, log } = opened;
    fill(opened);
    await flushed(log);
    expect(group.startIndex()).toBe(1);
    // Offset 4 is index 6: the log's first entry takes no offset.
    await log.advanceLogStart(4);
    expect(group.startIndex()).toBe(6);
    expect(group.state()).toEqual({
      startIndex: 6,
      startTerm: 1,
      endIndex: 28,
      terms: [{ index: 14, term: 4 }],
    });
    expect((await group.read(4, 28, 100_000)).endIndex).toBe(4);
    expect((await readAll(group, 6, 28, 100_000)).at(-1)!.endIndex).toBe(28);
    // Entries of Raft's own at the log start may not be committed when it moves there: they stay.
    await log.advanceLogStart(12);
    expect(group.startIndex()).toBe(14);
    expect((await readAll(group, 14, 28, 100_000)).at(-1)!.endIndex).toBe(28);
    await log.advanceLogStart(24);
    expect(group.state()).toEqual({ startIndex: 28, startTerm: 4, endIndex: 28, terms: [] });
  });
});
