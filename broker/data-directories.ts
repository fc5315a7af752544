/**
 * The data directories of a node, opened: each is made, locked, and known to be this node's. The first one holds the
 * metadata log and has to be there; another one that the disk does not give is offline, and the node starts without it.
 * What is wrong with the choice of directories, rather than with a disk, keeps the node from starting.
 */
import { dirname } from 'node:path';
import type { Platform } from '../platform/platform.ts';
import { DiskError } from '../platform/disk.ts';
import { DirectoryLocked, lockDirectory } from '../platform/real/directory-lock.ts';
import { errnoOf } from '../platform/real/errno.ts';
import { filesOpenMax } from '../platform/real/open-files-limit.ts';
import { clusterMetadataTopic } from './cluster/topic-names.ts';
import { enterCluster, openDataDirectory } from './data-directory.ts';
import type { ClaimedDirectory, DirectoryIdentity } from './data-directory.ts';
import { directoryError } from './node-start.ts';
import { WriteFiles } from './log/write-files.ts';
import { LogDirectory } from './partition/log-directory.ts';
import { DamagedVotes } from './partition/vote-store.ts';
import { StartError } from './start-error.ts';

export interface DataDirectoriesOptions {
  readonly platform: Platform;
  readonly nodeId: number;
  /** At least one; none twice. */
  readonly paths: readonly string[];
  /** Keeps other processes out; not needed for what only this process has. */
  readonly lock: boolean;
  /** Told once who the first directory says that this node is; resolves with the id of its cluster, which it may have to find. */
  readonly findCluster: (claimed: ClaimedDirectory, path: string) => Promise<string>;
}

export interface DataDirectories {
  /** As they were given; the first is online. */
  readonly all: readonly LogDirectory[];
  /** Of the first. */
  readonly identity: DirectoryIdentity;
  unlock(): void;
}

/** Files open for writing, where the system allows as many. */
const writeFilesMax = 16_384;
/** Concurrent syncs: they leave threads of libuv's pool, whose size is four unless the environment says otherwise, to reads. */
const syncsMax = 8;
const threadsLeftToReads = 1;

/** What the directories of a node share. */
interface OpeningOptions extends DataDirectoriesOptions {
  readonly writeFiles: WriteFiles;
}

/** Rejects with a StartError. */
export async function openDataDirectories(options: DataDirectoriesOptions): Promise<DataDirectories> {
  const { paths } = options;
  const opened: LogDirectory[] = [];
  const locks: (() => void)[] = [];
  const unlock = (): void => {
    for (const free of locks.splice(0)) free();
  };
  try {
    await checkMetadataLog(options);
    const [first, ...rest] = paths;
    const claimed = await claim(options, first!, { locks, clusterId: undefined });
    const identity = await entered(options, claimed, first!);
    const opening = {
      ...options,
      writeFiles: new WriteFiles(filesOpenMax(writeFilesMax), options.platform.clock),
    };
    opened.push(await open(opening, first!, identity));
    for (const path of rest) opened.push(await openOther(opening, path, { locks, identity }));
    return { all: opened, identity, unlock };
  } catch (error) {
    await Promise.allSettled(opened.map((directory) => directory.close()));
    unlock();
    throw error;
  }
}

/** A node whose metadata log is in another directory than the first has lost its order: it would begin as a new one. */
async function checkMetadataLog({ platform, paths }: DataDirectoriesOptions): Promise<void> {
  const name = `${clusterMetadataTopic}-0`;
  for (const path of paths.slice(1)) {
    const holdsIt = await platform.disk.exists(`${path}/${name}`).catch((error: unknown) => {
      // It is offline then, and said to be so when it is opened.
      if (error instanceof DiskError) return false;
      throw error;
    });
    if (!holdsIt) continue;
    throw new StartError(
      'bad-setting',
      `${path} holds the metadata log of this node, so it has to stand first among the data directories`,
    );
  }
}

/** One that the node can do without; whatever is wrong with more than its disk rejects. */
async function openOther(
  options: OpeningOptions,
  path: string,
  { locks, identity }: { locks: (() => void)[]; identity: DirectoryIdentity },
): Promise<LogDirectory> {
  let directoryId: string | undefined;
  try {
    const { clusterId } = identity;
    const own = await claim(options, path, { locks, clusterId });
    ({ directoryId } = own);
    return await open(options, path, own);
  } catch (error) {
    if (error instanceof StartError && error.code !== 'damaged' && error.code !== 'directory-not-usable') {
      throw error;
    }
    return LogDirectory.unusable(path, directoryId, error);
  }
}

/** The node's cluster found, and written down where it is new. */
async function entered(
  { platform, findCluster }: DataDirectoriesOptions,
  claimed: ClaimedDirectory,
  path: string,
): Promise<DirectoryIdentity> {
  const clusterId = await findCluster(claimed, path);
  const identity = { ...claimed, clusterId };
  if (claimed.clusterId !== undefined) return identity;
  try {
    return await enterCluster(platform.disk, path, identity);
  } catch (error) {
    throw directoryError(path, error);
  }
}

/** Makes the directory this node's, and nobody else's while it runs. */
async function claim(
  { platform, nodeId, lock }: DataDirectoriesOptions,
  path: string,
  { locks, clusterId }: { locks: (() => void)[]; clusterId: string | undefined },
): Promise<ClaimedDirectory> {
  const { disk, ids } = platform;
  try {
    await disk.makeDirectory(path);
    await disk.syncDirectory(dirname(path));
    if (lock) locks.push(takeLock(path));
    return await openDataDirectory(disk, path, { nodeId, ids, clusterId });
  } catch (error) {
    throw directoryError(path, error);
  }
}

async function open(
  { platform, paths, lock, writeFiles }: OpeningOptions,
  path: string,
  { directoryId }: ClaimedDirectory,
): Promise<LogDirectory> {
  const { disk, clock, random } = platform;
  const share = Math.max(1, Math.floor(concurrentSyncs() / paths.length));
  try {
    return await LogDirectory.open({
      disk,
      clock,
      path,
      id: directoryId,
      syncsMax: share,
      writeFiles,
      random: random.fork(`journal ${path}`),
      // What is not locked is in memory, where a sync costs nothing.
      ...(lock ? {} : { journalBytes: 0 }),
    });
  } catch (error) {
    if (error instanceof DamagedVotes) throw new StartError('damaged', error.message, { cause: error });
    throw directoryError(path, error);
  }
}

function concurrentSyncs(): number {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  return Math.max(1, Math.min(syncsMax, (Number.isInteger(threads) ? threads : 4) - threadsLeftToReads));
}

function takeLock(directory: string): () => void {
  try {
    return lockDirectory(directory);
  } catch (error) {
    if (error instanceof DirectoryLocked)
      throw new StartError('directory-locked', error.message, { cause: error });
    const code = errnoOf(error);
    const reason = code === 'EACCES' || code === 'EPERM' ? 'this user may not write there' : String(error);
    throw new StartError(
      'directory-not-usable',
      `the data directory ${directory} cannot be used: ${reason}`,
      { cause: error },
    );
  }
}
