import { expect, it } from 'vitest';
import { DurableFloors } from '../../../../broker/log/sync/durable-floors.ts';
import { Syncer } from '../../../../broker/log/sync/syncer.ts';
import type { Disk } from '../../../../platform/disk.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';

const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';

it('keeps the floors of thousands of logs, and writes only near those that have moved', async () => {
  const written: number[] = [];
  const disk = new MemoryDisk();
  const open = async () =>
    DurableFloors.open({
      disk: {
        ...methodsOf(disk),
        open: async (path, mode) => {
          const file = await disk.open(path, mode);
          return {
            path,
            size: () => file.size(),
            read: (target, position) => file.read(target, position),
            write: (parts, position) => {
              written.push(parts.reduce((sum, part) => sum + part.length, 0));
              return file.write(parts, position);
            },
            sync: () => file.sync(),
            truncate: (sizeBytes) => file.truncate(sizeBytes),
            close: () => file.close(),
          };
        },
      },
      clock: new ManualClock(),
      directory: '/',
      syncer: new Syncer(),
      onFailure: () => undefined,
    });
  const floors = await open();
  const count = 10_000;
  const logs = Array.from({ length: count }, (_, partition) => floors.floor({ topicId, partition }));
  logs.forEach((floor, place) => floor.raise({ term: 1, endIndex: place + 2 }));
  await floors.flush();
  written.length = 0;
  for (const place of [3, 40, 9_000]) logs[place]!.raise({ term: 2, endIndex: 20_000 });
  await floors.flush();
  expect(written).toEqual([38 * 128, 128]);
  const again = await open();
  for (const partition of [0, 3, 4, 40, 8_999, 9_000, 9_999]) {
    const isRaised = [3, 40, 9_000].includes(partition);
    expect(again.floor({ topicId, partition }).current()).toEqual(
      isRaised ? { term: 2, endIndex: 20_000 } : { term: 1, endIndex: partition + 2 },
    );
  }
  expect(again.floor({ topicId, partition: count }).current()).toBeUndefined();
});

it('has its name made durable also where the process that made it was killed before', async () => {
  // Names that are not synced hold by chance: some of these losses of power take them.
  for (let seed = 0; seed < 10; seed++) {
    const first = new MemoryDisk({ crashes: new SeededRandom(seed) });
    const open = (disk: Disk) =>
      DurableFloors.open({
        disk,
        clock: new ManualClock(),
        directory: '/',
        syncer: new Syncer(),
        onFailure: () => undefined,
      });
    const killed = open({
      ...methodsOf(first),
      open: (path, mode) => first.open(path, mode),
      syncDirectory: () => Promise.reject(new Error('killed')),
    });
    await expect(killed).rejects.toThrow('killed');
    const second = first.kill();
    const floors = await open(second);
    floors.floor({ topicId, partition: 0 }).raise({ term: 3, endIndex: 40 });
    await floors.flush();
    const again = await open(second.crash());
    expect(again.floor({ topicId, partition: 0 }).current()).toEqual({ term: 3, endIndex: 40 });
  }
});

function methodsOf(disk: MemoryDisk) {
  return {
    exists: (path: string) => disk.exists(path),
    list: (path: string) => disk.list(path),
    makeDirectory: (path: string) => disk.makeDirectory(path),
    rename: (from: string, to: string) => disk.rename(from, to),
    remove: (path: string) => disk.remove(path),
    removeDirectory: (path: string) => disk.removeDirectory(path),
    syncDirectory: (path: string) => disk.syncDirectory(path),
    space: (path: string) => disk.space(path),
    sizeOf: (path: string) => disk.sizeOf(path),
  };
}
