import { describe, expect, it } from 'vitest';
import { RecordDeletions } from '../../../broker/partition/record-deletions.ts';
import type { DeletableLog } from '../../../broker/partition/record-deletions.ts';

/** Starts where it is told to, one call after the other; the next call fails while `failure` is set. */
class StartingLog implements DeletableLog {
  logStartOffset = 0;
  readonly calls: number[] = [];
  failure: Error | undefined;

  async advanceLogStart(offset: number): Promise<void> {
    this.calls.push(offset);
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    this.logStartOffset = Math.max(this.logStartOffset, offset);
  }
}

function deletionsOf(log: StartingLog): { deletions: RecordDeletions; failures: unknown[] } {
  const failures: unknown[] = [];
  return { deletions: new RecordDeletions(log, (error) => failures.push(error)), failures };
}

describe('deletions of records', () => {
  it('do not take effect where they were cut off before they were committed', async () => {
    const log = new StartingLog();
    const { deletions } = deletionsOf(log);
    deletions.add(11, 5);
    deletions.add(12, 9);
    deletions.truncated(11);
    deletions.add(12, 7);
    deletions.committed(12, 20);
    await deletions.settled();
    expect(log.calls).toEqual([7]);
  });

  it('take effect when they are committed, those of one commit together', async () => {
    const log = new StartingLog();
    const { deletions } = deletionsOf(log);
    deletions.add(11, 5);
    deletions.add(12, 9);
    deletions.add(20, 15);
    deletions.committed(10, 10);
    expect([await deletions.settled(), log.calls]).toEqual([true, []]);
    deletions.committed(19, 18);
    expect([await deletions.settled(), log.calls]).toEqual([true, [9]]);
    deletions.committed(20, 19);
    expect([await deletions.settled(), log.logStartOffset, log.calls]).toEqual([true, 15, [9, 15]]);
  });

  it('never go back, and never beyond what is committed', async () => {
    const log = new StartingLog();
    const { deletions } = deletionsOf(log);
    deletions.add(11, 7);
    deletions.add(12, 3);
    deletions.committed(11, 8);
    deletions.committed(12, 8);
    await deletions.settled();
    expect(log.logStartOffset).toBe(7);
    deletions.add(13, 40);
    deletions.committed(13, 12);
    await deletions.settled();
    expect(log.logStartOffset).toBe(12);
  });

  it('that fail are told, and the next one is carried out', async () => {
    const log = new StartingLog();
    const { deletions, failures } = deletionsOf(log);
    log.failure = new Error('full');
    deletions.add(11, 5);
    deletions.committed(11, 10);
    expect(await deletions.settled()).toBe(false);
    expect([failures, log.logStartOffset]).toEqual([[log.failure], 0]);
    log.failure = undefined;
    deletions.add(12, 6);
    deletions.committed(12, 10);
    expect([await deletions.settled(), log.logStartOffset]).toEqual([true, 6]);
  });
});
