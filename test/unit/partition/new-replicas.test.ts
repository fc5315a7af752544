import { expect, it } from 'vitest';
import { WriteFiles } from '../../../broker/log/write-files.ts';
import { LogDirectory } from '../../../broker/partition/log-directory.ts';
import { ReplicaPlaces } from '../../../broker/partition/replica-places.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

it.each(['io', 'read-only'] as const)(
  'go to another data directory once one has answered %s',
  async (code) => {
    let isBroken = false;
    const disk = new MemoryDisk({
      faults: (operation, path) =>
        isBroken && operation === 'write' && path.startsWith('/a/') ? code : undefined,
    });
    const clock = new ManualClock();
    const random = new SeededRandom(1);
    const directories: LogDirectory[] = [];
    for (const path of ['/a', '/b']) {
      await disk.makeDirectory(path);
      const common = { disk, clock, path, id: `id${path}`, syncsMax: 1, journalBytes: 0 };
      directories.push(await LogDirectory.open({ ...common, writeFiles: new WriteFiles(), random }));
    }
    const places = new ReplicaPlaces({
      disk,
      clock,
      ids: { uuid: () => 'stray' },
      directories,
      onSetAside: () => undefined,
    });
    const wanted = (partition: number) => ({ topic: 't', topicId: 'A'.repeat(22), partition });
    isBroken = true;
    // It still says how much room it has, and looks like the emptier one.
    await expect(places.find(wanted(0), true, await places.loads(() => 0))).rejects.toMatchObject({ code });
    expect(directories.map(({ isOnline }) => isOnline)).toEqual([false, true]);
    const place = await places.find(wanted(0), true, await places.loads(() => 0));
    expect(place).toMatchObject({ kind: 'here', directory: { path: '/b' } });
  },
);
