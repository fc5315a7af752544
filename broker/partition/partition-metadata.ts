/** The file `partition.metadata` in a partition's directory, in Kafka's format: which topic, by id, the files belong to. */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';

const name = 'partition.metadata';

/** The topic's id, or undefined where there is no such file; one that says something else is an Error that names it. */
export async function readPartitionMetadata(disk: Disk, directory: string): Promise<string | undefined> {
  const path = `${directory}/${name}`;
  const bytes = await readWholeFile(disk, path).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const topicId = /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n?$/.exec(bytes.toString('utf8'))?.[1];
  if (topicId === undefined) throw new Error(`${path} cannot be read: it does not name a topic's id`);
  return topicId;
}

/** In a directory that exists. Durable when it resolves; the directory's own name is for the caller to sync. */
export async function writePartitionMetadata(disk: Disk, directory: string, topicId: string): Promise<void> {
  await replaceFile(disk, directory, name, Buffer.from(`version: 0\ntopic_id: ${topicId}\n`));
}
