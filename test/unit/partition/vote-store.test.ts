import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DamagedVotes, VoteStore } from '../../../broker/partition/vote-store.ts';
import type { GroupId } from '../../../broker/partition/vote-store.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { HardState } from '../../../broker/raft/raft.ts';
import type { DiskErrorCode } from '../../../platform/disk.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { crc32c } from '../../../protocol/index.ts';
import { SimulatedClock, drainMicrotasks } from '../../simulation/simulated-clock.ts';
import { SimulatedDisk } from '../../simulation/simulated-disk.ts';
import { Trace } from '../../simulation/trace.ts';

const own = idOf(200);
const directory = '/data';
const path = `${directory}/votes`;

function idOf(number: number): string {
  return Buffer.alloc(16, number).toString('base64url');
}

function groupOf(partition: number): GroupId {
  return { topicId: idOf(1), partition };
}

function voteOf(partition: number, term: number, votedFor = memberId(7, idOf(9))) {
  return { group: groupOf(partition), state: { term, votedFor } };
}

async function diskWith(bytes?: Buffer): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  if (bytes === undefined) return disk;
  const file = await disk.open(path, 'create');
  await file.write([bytes], 0);
  await file.close();
  return disk;
}

async function contentOf(disk: MemoryDisk): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

describe('the store of votes', () => {
  it('knows how far a member had come that was taken out, beside its vote', async () => {
    const disk = await diskWith();
    const store = await VoteStore.open(disk, directory, own);
    const index = 2 ** 40 + 5;
    await store.put([{ group: groupOf(3), left: { term: 6, index: 1 } }, voteOf(3, 9)]);
    await store.put([{ group: groupOf(3), left: { term: 7, index } }]);
    const reopened = await VoteStore.open(disk, directory, own);
    for (const known of [store, reopened]) {
      expect(known.departureOf(groupOf(3))).toEqual({ term: 7, index });
      expect(known.get(groupOf(3))?.term).toBe(9);
      expect(known.departureOf(groupOf(4))).toBeUndefined();
    }
  });

  it('knows the last state of each group, after a restart too', async () => {
    const disk = await diskWith();
    const store = await VoteStore.open(disk, directory, own);
    expect(store.get(groupOf(0))).toBeUndefined();
    const none = { group: groupOf(1), state: { term: 3, votedFor: undefined } };
    await store.put([voteOf(0, 1), none]);
    await store.put([voteOf(0, 2, memberId(0, own))]);
    const expected: HardState[] = [
      { term: 2, votedFor: memberId(0, own) },
      { term: 3, votedFor: undefined },
    ];
    expect([store.get(groupOf(0)), store.get(groupOf(1))]).toEqual(expected);
    await store.close();
    const again = await VoteStore.open(disk, directory, own);
    expect([again.get(groupOf(0)), again.get(groupOf(1))]).toEqual(expected);
    await again.close();
  });

  it('knows where members live that were moved, beside the votes that they gave here, after restarts too', async () => {
    const disk = await diskWith();
    let store = await VoteStore.open(disk, directory, own);
    const away = { group: groupOf(0), movedTo: idOf(5), number: 2 ** 31 - 1 };
    const back = { group: groupOf(1), movedTo: idOf(6), number: 1 };
    await store.put([voteOf(0, 3), away, back]);
    await store.put([{ ...back, movedTo: undefined }, voteOf(0, 4)]);
    const expectKnown = (): void => {
      expect([store.moveOf(groupOf(0)), store.moveOf(groupOf(1))]).toEqual([away, undefined]);
      expect([store.get(groupOf(0))?.term, store.get(groupOf(1))]).toEqual([4, undefined]);
    };
    expectKnown();
    await store.close();
    store = await VoteStore.open(disk, directory, own);
    expectKnown();
    // So much is superseded by that that the file is made anew.
    for (let term = 5; term < 120; term++) await store.put([voteOf(2, term)]);
    await store.close();
    store = await VoteStore.open(disk, directory, own);
    expectKnown();
    expect((await contentOf(disk)).length).toBe(8 + 3 * 48);
    await store.close();
  });

  it('makes what many groups put in one turn, or while a sync runs, durable together', async () => {
    let syncs = 0;
    const count = (operation: DiskOperation): undefined => {
      if (operation === 'sync') syncs++;
    };
    const disk = new MemoryDisk({ faults: count });
    await disk.makeDirectory(directory);
    const store = await VoteStore.open(disk, directory, own);
    syncs = 0;
    const first = Array.from({ length: 1000 }, (_, partition) => store.put([voteOf(partition, 1)]));
    // The first round has begun, and the rest of its way takes some turns.
    await Promise.resolve();
    await Promise.resolve();
    const second = Array.from({ length: 1000 }, (_, partition) => store.put([voteOf(partition, 2)]));
    await Promise.all([...first, ...second]);
    expect(syncs).toBe(2);
    expect(store.get(groupOf(999))?.term).toBe(2);
    await store.close();
  });

  it('reads a file of the format before, whose votes were for this directory', async () => {
    const record = Buffer.alloc(32);
    Buffer.from(idOf(1), 'base64url').copy(record, 4);
    record.writeInt32BE(5, 20);
    record.writeInt32BE(8, 24);
    record.writeInt32BE(3, 28);
    record.writeUInt32BE(crc32c(record.subarray(4)), 0);
    const disk = await diskWith(Buffer.concat([Buffer.from('KLVOTES1'), record]));
    const store = await VoteStore.open(disk, directory, own);
    expect(store.get(groupOf(5))).toEqual({ term: 8, votedFor: memberId(3, own) });
    await store.put([voteOf(6, 1)]);
    await store.close();
    expect((await contentOf(disk)).toString('latin1', 0, 8)).toBe('KLVOTES2');
    const again = await VoteStore.open(disk, directory, own);
    expect(again.get(groupOf(5))).toEqual({ term: 8, votedFor: memberId(3, own) });
    expect(again.get(groupOf(6))?.term).toBe(1);
    await again.close();
  });

  it('refuses a file that it cannot read, and one with a bad record before a good one', async () => {
    const strange = await diskWith(Buffer.from('KLVOTES9 and more'));
    await expect(VoteStore.open(strange, directory, own)).rejects.toThrow(DamagedVotes);
    const disk = await diskWith();
    const store = await VoteStore.open(disk, directory, own);
    await store.put([voteOf(0, 1), voteOf(1, 1)]);
    await store.put([voteOf(0, 2)]);
    await store.close();
    const bytes = await contentOf(disk);
    bytes[8 + 24]! ^= 1;
    await expect(VoteStore.open(await diskWith(bytes), directory, own)).rejects.toThrow(/at byte 8/);
  });

  it('passes over an append that was torn at its end', async () => {
    const disk = await diskWith();
    const store = await VoteStore.open(disk, directory, own);
    await store.put([voteOf(0, 1), voteOf(0, 2)]);
    await store.close();
    const bytes = await contentOf(disk);
    const torn = await VoteStore.open(await diskWith(bytes.subarray(0, -5)), directory, own);
    expect(torn.get(groupOf(0))?.term).toBe(1);
    await torn.close();
    // Any part of a round that was not synced may be missing.
    const hole = await diskWith(Buffer.concat([bytes.subarray(0, 8), Buffer.alloc(48), bytes.subarray(56)]));
    const holed = await VoteStore.open(hole, directory, own);
    expect(holed.get(groupOf(0))).toBeUndefined();
    await holed.put([voteOf(0, 5)]);
    await holed.close();
    const again = await VoteStore.open(hole, directory, own);
    expect(again.get(groupOf(0))?.term).toBe(5);
    await again.close();
  });

  it('never returns to a state that came before one that it has confirmed, though writes fail', async () => {
    let failing: DiskErrorCode | undefined;
    const faults = (operation: DiskOperation): DiskErrorCode | undefined =>
      operation === 'write' ? failing : undefined;
    const disk = new MemoryDisk({ faults });
    await disk.makeDirectory(directory);
    const store = await VoteStore.open(disk, directory, own);
    failing = 'no-space';
    await expect(store.put([voteOf(1, 4), voteOf(0, 4)])).rejects.toThrow();
    failing = undefined;
    // One record in the place of two: the second must not be read after it.
    await store.put([voteOf(0, 5)]);
    await store.close();
    const again = await VoteStore.open(disk, directory, own);
    expect(again.get(groupOf(0))?.term).toBe(5);
    await again.close();
  });

  it('makes durable what a killed process has left, before anybody can rely on it', async () => {
    let failing: DiskErrorCode | undefined;
    const faults = (operation: DiskOperation): DiskErrorCode | undefined =>
      operation === 'sync' ? failing : undefined;
    let disk = new MemoryDisk({ faults, crashes: new SeededRandom(3) });
    await disk.makeDirectory(directory);
    await disk.syncDirectory('/');
    for (let term = 1; term < 30; term++) {
      const killed = await VoteStore.open(disk, directory, own);
      failing = 'io';
      await expect(killed.put([voteOf(0, term)])).rejects.toThrow();
      failing = undefined;
      disk = disk.kill();
      const next = await VoteStore.open(disk, directory, own);
      expect(next.get(groupOf(0))!.term).toBe(term);
      disk = disk.crash();
      const afterPowerLoss = await VoteStore.open(disk, directory, own);
      expect(afterPowerLoss.get(groupOf(0))?.term).toBe(term);
    }
  });

  it('writes anew what a process before has failed to sync: the disk may lack what memory shows', async () => {
    const clock = new SimulatedClock();
    const behaviour = { latencyMs: 0.1, spikeOneIn: 0, shortReadOneIn: 0, evicts: false };
    const trace = new Trace({ keepsLines: false });
    const machine = new SimulatedDisk({ clock, random: new SeededRandom(1), behaviour, trace });
    const done = async <T>(promise: Promise<T>): Promise<T> => {
      const ended = new AbortController();
      const settled = promise.finally(() => {
        ended.abort();
      });
      settled.catch(() => {
        // The caller has the rejection.
      });
      for (await drainMicrotasks(); !ended.signal.aborted; await drainMicrotasks()) clock.step();
      return settled;
    };
    const first = machine.boot();
    await done(first.makeDirectory(directory));
    await done(first.syncDirectory('/'));
    const store = await done(VoteStore.open(first, directory, own));
    await done(store.put([voteOf(0, 1)]));
    machine.arm({ operation: 'sync', code: 'io', skip: 0 });
    await expect(done(store.put([voteOf(0, 2)]))).rejects.toThrow();
    machine.kill();
    const next = await done(VoteStore.open(machine.boot(), directory, own));
    expect(next.get(groupOf(0))?.term).toBe(2);
    machine.losePower();
    const last = await done(VoteStore.open(machine.boot(), directory, own));
    expect(last.get(groupOf(0))?.term).toBe(2);
  });

  it('has after a crash what it has confirmed, or newer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        // Rounds that go over the ends of sectors, of which a loss of power may take any.
        fc.array(fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 30 }), { maxLength: 8 }),
        // How far the last round has come when the crash comes.
        fc.nat({ max: 12 }),
        async (seed, rounds, turns) => {
          const disk = new MemoryDisk({ crashes: new SeededRandom(seed) });
          await disk.makeDirectory(directory);
          await disk.syncDirectory('/');
          const store = await VoteStore.open(disk, directory, own);
          const confirmed = new Map<number, number>();
          let term = 0;
          let last: Promise<void> = Promise.resolve();
          for (const [place, partitions] of rounds.entries()) {
            const votes = partitions.map((partition) => voteOf(partition, ++term));
            last = store.put(votes);
            if (place === rounds.length - 1) break;
            await last;
            for (const { group, state } of votes) confirmed.set(group.partition, state.term);
          }
          last.catch(() => {
            // The crash came in between.
          });
          for (let turn = 0; turn < turns; turn++) await Promise.resolve();
          const after = disk.crash();
          const again = await VoteStore.open(after, directory, own);
          for (const [partition, confirmedTerm] of confirmed) {
            expect(again.get(groupOf(partition))?.term).toBeGreaterThanOrEqual(confirmedTerm);
          }
          await again.close();
        },
      ),
    );
  });
});
