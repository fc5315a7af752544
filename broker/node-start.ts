/** What can be wrong with a node's options, said in one sentence each. */
import { resolve } from 'node:path';
import { DiskError } from '../platform/disk.ts';
import { MemoryDisk } from '../platform/memory-disk.ts';
import { NetworkError } from '../platform/network.ts';
import type { Address } from '../platform/network.ts';
import type { Platform } from '../platform/platform.ts';
import { errnoOf } from '../platform/real/errno.ts';
import { realPlatform } from '../platform/real/real-platform.ts';
import { MetadataLogError } from './cluster/metadata/metadata-log.ts';
import { BrokerConfig, BrokerConfigError } from './config/broker-config.ts';
import { DamagedFile } from './formation/sealed-json.ts';
import { StartError } from './start-error.ts';

export function nodePlatform(options: { platform?: Platform; storage?: 'disk' | 'memory' }): Platform {
  const platform = options.platform ?? realPlatform();
  return options.storage === 'memory' && options.platform === undefined
    ? { ...platform, disk: new MemoryDisk() }
    : platform;
}

/** Throws a StartError for the first setting that cannot be taken. */
export function brokerConfigFrom(settings: Readonly<Record<string, string>>): BrokerConfig {
  try {
    return new BrokerConfig(new Map(Object.entries(settings)));
  } catch (error) {
    if (!(error instanceof BrokerConfigError)) throw error;
    throw new StartError('bad-setting', error.message, { cause: error });
  }
}

/**
 * Where the node keeps what it keeps, and its settings with that in them. Throws a StartError where nothing, or more than
 * one thing, says where.
 */
export function directoriesFrom(
  options: {
    dataDir?: string | readonly string[];
    storage?: 'disk' | 'memory';
    settings?: Readonly<Record<string, string>>;
  },
  given: BrokerConfig,
): { config: BrokerConfig; directories: readonly string[] } {
  const { dataDir = [], settings = {} } = options;
  const own = typeof dataDir === 'string' ? [dataDir] : dataDir;
  const isGiven = (name: string): boolean => given.layer('static').has(name);
  const bySetting = isGiven('log.dirs') ? given.logDirs : isGiven('log.dir') ? given.logDir : [];
  if (own.length > 0 && bySetting.length > 0) {
    throw new StartError(
      'bad-setting',
      'the data directories are given both as such and by the setting log.dirs or log.dir; leave one of them out',
    );
  }
  const named = own.length > 0 ? own : bySetting;
  const paths = named.length === 0 && options.storage === 'memory' ? ['/kappalog'] : named;
  if (paths.length === 0) {
    throw new StartError(
      'directory-not-usable',
      'no data directory is given; set one, or choose storage "memory"',
    );
  }
  const directories = paths.map((path) => resolve(path));
  const config = brokerConfigFrom({ ...settings, 'log.dirs': directories.join(',') });
  return { config, directories };
}

/** HOST, HOST:PORT or [IPV6]:PORT; a port that is not given is the one that the client connected to. */
export function splitAdvertised(
  text: string | undefined,
): { host: string; port: number | undefined } | undefined {
  if (text === undefined || text === '') return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new StartError(
      'bad-address',
      `"${text}" is not an address that clients could use; give HOST or HOST:PORT`,
    );
  }
  return { host, port };
}

/** Binds, and says in a sentence why that cannot be. */
export async function openListener<T>(address: Address, what: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    throw bindError(address, what, error);
  }
}

function bindError(address: Address, what: string, error: unknown): unknown {
  const code = error instanceof NetworkError ? error.code : errnoOf(error);
  const at = `${address.host}:${address.port}`;
  const option = what === 'HTTP' ? '--http-port' : what === 'internal' ? '--internal-port' : '--port';
  switch (code) {
    case 'address-in-use':
    case 'EADDRINUSE':
      return new StartError(
        'address-in-use',
        `the ${what} port ${at} is in use by another program; stop that or choose another with ${option}`,
        { cause: error },
      );
    case 'permission':
    case 'EACCES':
      return new StartError(
        'bad-address',
        `no permission to listen on ${at}; choose another port with ${option}`,
        {
          cause: error,
        },
      );
    case 'address-not-available':
    case 'EADDRNOTAVAIL':
    case 'name-not-found':
    case 'ENOTFOUND':
      return new StartError('bad-address', `${address.host} is not an address of this machine; set --host`, {
        cause: error,
      });
    default:
      return error;
  }
}

/**
 * The metadata log takes nothing any more, and others bring up no damaged one: its records are sent to those who have what was before.
 * `hasOthers`: they have all of it. One whose disk has failed meanwhile may be whole: nobody is told to remove it.
 */
export function unusableMetadata(
  { damaged }: { readonly damaged: boolean },
  { path: directory, offlineReason }: { readonly path: string; readonly offlineReason: string | undefined },
  hasOthers: boolean,
): StartError {
  if (!damaged) {
    const reason = offlineReason ?? 'its disk takes no writes of the metadata log; see the log of this node';
    return new StartError(
      'directory-not-usable',
      `the data directory ${directory} cannot be used: ${reason}`,
    );
  }
  const advice = hasOthers
    ? 'restore it from a backup, or remove the data directory and let the node join as a new one'
    : 'restore it from a backup';
  return new StartError('damaged', `the metadata log in ${directory} is damaged; ${advice}`);
}

/** A data directory that cannot be used, or a file in it, in a sentence. */
export function directoryError(
  directory: string,
  error: unknown,
  what = `the data directory ${directory}`,
): unknown {
  if (!(error instanceof DiskError)) return error;
  const reason = {
    'not-found': 'it does not exist and cannot be made',
    exists: 'a file of that name is in the way',
    'no-space': 'the disk is full',
    permission: 'this user may not write there',
    'too-many-open-files': 'the limit of open files is too low (raise it with ulimit -n)',
    'read-only': 'its file system is read-only',
    io: error.message,
  }[error.code];
  return new StartError('directory-not-usable', `${what} cannot be used: ${reason}`, { cause: error });
}

/** Resolves when the node has started. Rejects with a StartError, also when the signal says so. */
export async function untilStarted(started: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  try {
    await Promise.race([started, whenStopped(signal)]);
  } catch (error) {
    throw startErrorOf(error);
  }
}

/** What the disk refuses, or has lost, in the middle of a start, in a sentence as well. */
function startErrorOf(error: unknown): unknown {
  if (error instanceof DiskError) return directoryError(error.path, error, error.path);
  if (error instanceof DamagedFile) return new StartError('damaged', error.message, { cause: error });
  if (!(error instanceof MetadataLogError) || error.code !== 'failed') return error;
  return new StartError('directory-not-usable', error.message, { cause: error });
}

/** Rejects with a StartError when the signal says so; never ends otherwise. */
function whenStopped(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void =>
      reject(new StartError('stopped', 'this node was told to stop before it was ready'));
    if (signal?.aborted === true) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
