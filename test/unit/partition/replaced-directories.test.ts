import { expect, it } from 'vitest';
import { replacementsOf } from '../../../broker/partition/replaced-directories.ts';
import { writePartitionMetadata } from '../../../broker/partition/partition-metadata.ts';
import type { WantedReplica } from '../../../broker/partition/replica-places.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { memberId } from '../../../broker/raft/member.ts';

const topicId = 'AAAAAAAAAAAAAAAAAAAAAg';
/** `moved`: where replicas that were made in it live now, by partition. */
function directory(id: string | undefined, isOnline = true, moved: Readonly<Record<number, string>> = {}) {
  const moveOf = (group: { readonly topicId: string; readonly partition: number }) => {
    const movedTo = moved[group.partition];
    return movedTo === undefined ? undefined : { group, movedTo, number: 1 };
  };
  return { id, path: `/${id ?? 'unreadable'}`, isOnline, votes: { moveOf } };
}

/** A partition that the metadata has in this directory, and on so many nodes in all. */
function wanted(partition: number, directoryId: string | undefined, nodes = 3): WantedReplica {
  const members = Array.from({ length: nodes }, (_, id) => memberId(id + 1, directoryId ?? 'unknown'));
  return { topic: 'my-topic', topicId, partition, directoryId, intended: { members, revision: 4 } };
}

/** A node with these directories and, in them, replicas. */
async function diskWith(files: Readonly<Record<string, readonly string[]>>): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  for (const [path, names] of Object.entries(files)) {
    await disk.makeDirectory(path);
    for (const name of names) {
      await disk.makeDirectory(`${path}/${name}`);
      if (/^my-topic-\d+$/.test(name)) await writePartitionMetadata(disk, `${path}/${name}`, topicId);
    }
  }
  return disk;
}

const reserved = ['__cluster_metadata-0'];
const inA = [wanted(0, 'a'), wanted(1, 'a')];
const lost = [2, 3, 4, 5].map((partition) => wanted(partition, 'lost'));

it('gives what is lost to the directories that are empty, evenly', async () => {
  const disk = await diskWith({
    '/a': ['__cluster_metadata-0', 'my-topic-0', 'my-topic-1'],
    '/b': [],
    '/c': [],
  });
  const directories = [directory('a'), directory('b'), directory('c')];
  const found = await replacementsOf([...inA, ...lost], { disk, directories, reserved });
  expect(found).toEqual([
    { topicId, partition: 2, directoryId: 'b' },
    { topicId, partition: 3, directoryId: 'c' },
    { topicId, partition: 4, directoryId: 'b' },
    { topicId, partition: 5, directoryId: 'c' },
  ]);
});

it('takes the first directory for empty that has the metadata alone', async () => {
  const disk = await diskWith({ '/a': ['__cluster_metadata-0'] });
  const found = await replacementsOf(lost, { disk, directories: [directory('a')], reserved });
  expect(found.map(({ partition, directoryId }) => [partition, directoryId])).toEqual(
    [2, 3, 4, 5].map((partition) => [partition, 'a']),
  );
});

it('gives a replica that was moved to what is lost another place, whatever the move has left behind', async () => {
  const disk = await diskWith({ '/a': ['__cluster_metadata-0', 'my-topic-0', 'my-topic-1'], '/b': [] });
  const directories = [directory('a', true, { 1: 'lost' }), directory('b')];
  const found = await replacementsOf(inA, { disk, directories, reserved });
  expect(found).toEqual([{ topicId, partition: 1, directoryId: 'b' }]);
  const isThere = [directory('a', true, { 1: 'b' }), directory('b')];
  expect(await replacementsOf(inA, { disk, directories: isThere, reserved })).toEqual([]);
});

it('leaves what may come back, what is the only copy, and what lies elsewhere', async () => {
  const names = ['__cluster_metadata-0', 'my-topic-0', 'my-topic-1', 'my-topic-2'];
  const disk = await diskWith({ '/a': names, '/b': [], '/c': ['my-topic-9.x-stray'] });
  const all = [...inA, ...lost];
  const asked = async (
    replicas: readonly WantedReplica[],
    ...directories: readonly ReturnType<typeof directory>[]
  ) => (await replacementsOf(replicas, { disk, directories, reserved })).map(({ partition }) => partition);
  // One that cannot be read may be the one that is missing.
  expect(await asked(all, directory('a'), directory('b'), directory(undefined, false))).toEqual([]);
  // None was replaced: it was left out.
  expect(await asked(all, directory('a'))).toEqual([]);
  expect(await asked(all, directory('a'), directory('c'))).toEqual([]);
  // Number 2 was moved by hand.
  expect(await asked(all, directory('a'), directory('b'))).toEqual([3, 4, 5]);
  expect(await asked([wanted(3, 'lost', 1)], directory('a'), directory('b'))).toEqual([]);
  expect(
    await asked([{ topic: 'my-topic', topicId, partition: 3, directoryId: 'lost' }], directory('b')),
  ).toEqual([]);
  expect(await asked([wanted(3, undefined)], directory('a'), directory('b'))).toEqual([]);
});
