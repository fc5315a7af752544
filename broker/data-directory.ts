/**
 * What makes a directory this node's data directory: `meta.properties` says which cluster, node and directory it is, and in
 * which format it is written (storage-format.md, "meta.properties"). A directory that is another's is refused, not used.
 */
import type { Disk } from '../platform/disk.ts';
import { readWholeFile, replaceFile } from '../platform/whole-files.ts';
import type { Ids } from '../platform/ids.ts';
import { StartError } from './start-error.ts';

export interface DirectoryIdentity {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly directoryId: string;
}

/** Of a node that may not belong to a cluster yet. */
export type ClaimedDirectory = Omit<DirectoryIdentity, 'clusterId'> & {
  readonly clusterId: string | undefined;
};

/** The newest format that this program writes and reads. */
const formatVersion = 1;
const fileName = 'meta.properties';
/** What may lie in a directory that is otherwise empty. */
const ignorable = /^(\.lock.*|lost\+found)$/;

/**
 * Reads who the directory belongs to, or makes an empty directory this node's: of the cluster given, or of none yet.
 * Rejects with a StartError.
 */
export async function openDataDirectory(
  disk: Disk,
  directory: string,
  owner: { nodeId: number; ids: Ids; clusterId?: string | undefined },
): Promise<ClaimedDirectory> {
  const { nodeId, ids, clusterId } = owner;
  const path = `${directory}/${fileName}`;
  if (await disk.exists(path)) {
    const identity = check(await readProperties(disk, path), directory, nodeId);
    if (clusterId === undefined || identity.clusterId === clusterId) return identity;
    if (identity.clusterId === undefined) return enterCluster(disk, directory, { ...identity, clusterId });
    throw new StartError(
      'foreign-directory',
      `${directory} belongs to the cluster ${identity.clusterId}, and this node to the cluster ${clusterId}`,
    );
  }
  const strangers = (await disk.list(directory)).filter(
    (name) => !ignorable.test(name) && name !== `${fileName}.tmp`,
  );
  if (strangers.length > 0) {
    throw new StartError(
      'foreign-directory',
      `${directory} is not a Kappalog data directory: it holds ${strangers.slice(0, 3).join(', ')}` +
        `${strangers.length > 3 ? ', ...' : ''} and no ${fileName}; choose an empty directory`,
    );
  }
  const identity = { clusterId, nodeId, directoryId: ids.uuid() };
  await writeProperties(disk, directory, identity);
  return identity;
}

/** Who the directory belongs to. Rejects with a StartError where it is none of a node's, or with a DiskError. */
export async function readIdentity(disk: Disk, directory: string): Promise<ClaimedDirectory> {
  const path = `${directory}/${fileName}`;
  if (await disk.exists(path)) return check(await readProperties(disk, path), directory);
  throw new StartError(
    'foreign-directory',
    `${directory} is no data directory of a node: it holds no ${fileName}`,
  );
}

/** The directory's node has become part of this cluster, for good. Rejects with a DiskError. */
export async function enterCluster(
  disk: Disk,
  directory: string,
  identity: DirectoryIdentity,
): Promise<DirectoryIdentity> {
  await writeProperties(disk, directory, identity);
  return identity;
}

function check(
  properties: ReadonlyMap<string, string>,
  directory: string,
  nodeId = Number(properties.get('node.id')),
): ClaimedDirectory {
  const format = properties.get('kappalog.format');
  const clusterId = properties.get('cluster.id');
  const directoryId = properties.get('directory.id');
  const ownerId = Number(properties.get('node.id'));
  if (format === undefined) {
    throw new StartError(
      'foreign-directory',
      `${directory} is the data directory of another program, probably Apache Kafka; choose an empty directory`,
    );
  }
  if (!(Number(format) <= formatVersion)) {
    throw new StartError(
      'newer-format',
      `${directory} is written in format ${format}, and this version of Kappalog knows formats up to ${formatVersion}; ` +
        'start it with the version that wrote it, or a newer one',
    );
  }
  if (directoryId === undefined || !Number.isInteger(ownerId)) {
    throw new StartError(
      'foreign-directory',
      `${directory}/${fileName} is damaged: it does not say which node and directory this is`,
    );
  }
  if (ownerId !== nodeId) {
    throw new StartError(
      'foreign-directory',
      `${directory} belongs to node ${ownerId}, and this is node ${nodeId}`,
    );
  }
  return { clusterId, nodeId, directoryId };
}

async function readProperties(disk: Disk, path: string): Promise<Map<string, string>> {
  const bytes = await readWholeFile(disk, path);
  const properties = new Map<string, string>();
  for (const line of bytes.toString('utf8').split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0 && !line.startsWith('#'))
      properties.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  }
  return properties;
}

async function writeProperties(disk: Disk, directory: string, identity: ClaimedDirectory): Promise<void> {
  const cluster = identity.clusterId === undefined ? '' : `cluster.id=${identity.clusterId}\n`;
  const text =
    `version=1\nkappalog.format=${formatVersion}\n${cluster}` +
    `node.id=${identity.nodeId}\ndirectory.id=${identity.directoryId}\n`;
  await replaceFile(disk, directory, fileName, Buffer.from(text));
}
