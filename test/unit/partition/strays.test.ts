import { expect, it } from 'vitest';
import { WriteFiles } from '../../../broker/log/write-files.ts';
import { LogDirectory } from '../../../broker/partition/log-directory.ts';
import { writePartitionMetadata } from '../../../broker/partition/partition-metadata.ts';
import { ReplicaPlaces } from '../../../broker/partition/replica-places.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

it('directories that no replica uses are removed where the cluster has deleted it, and set aside where it never heard of it', async () => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  await disk.makeDirectory('/a');
  const directory = await LogDirectory.open({
    disk,
    clock,
    path: '/a',
    id: 'a',
    syncsMax: 1,
    journalBytes: 0,
    writeFiles: new WriteFiles(),
    random: new SeededRandom(1),
  });
  const setAside: string[] = [];
  const places = new ReplicaPlaces({
    disk,
    clock,
    ids: { uuid: () => 'x' },
    directories: [directory],
    onSetAside: (name, renamedTo) => setAside.push(`${name} ${renamedTo}`),
  });
  const [deleted, unknown] = ['D', 'U'].map((letter) => letter.repeat(21).concat('A'));
  for (const [name, id] of [
    ['used-0', unknown],
    ['with-dash-3', deleted],
    ['with-dash-4', unknown],
  ] as const) {
    await disk.makeDirectory(`/a/${name}`);
    await writePartitionMetadata(disk, `/a/${name}`, id!);
  }
  const floor = directory.floors.floor({ topicId: deleted!, partition: 3 });
  floor.raise({ term: 4, endIndex: 8 });
  await disk.makeDirectory('/a/bare-0');
  await disk.makeDirectory('/a/old-1.abc-delete');
  const asked: unknown[] = [];
  await places.setAsideStrays(new Set(['used-0']), (replica) => {
    asked.push(replica);
    return replica.topicId === deleted;
  });
  expect((await disk.list('/a')).filter((name) => /-\d|delete|stray/.test(name)).toSorted()).toEqual([
    'bare-0.x-stray',
    'used-0',
    'with-dash-4.x-stray',
  ]);
  expect(asked).toEqual([
    { topic: 'with-dash', topicId: deleted, partition: 3 },
    { topic: 'with-dash', topicId: unknown, partition: 4 },
  ]);
  expect(setAside).toEqual(['/a/bare-0 bare-0.x-stray', '/a/with-dash-4 with-dash-4.x-stray']);
  expect(floor.current()).toBeUndefined();
  // Should it come back it is known what it once held.
  const departed = { topicId: deleted!, partition: 3 };
  expect(directory.votes.departureOf(departed)).toEqual({ term: 4, index: 7 });
  await directory.close();
});
