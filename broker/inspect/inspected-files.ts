/** Which files `kappalog log` is asked about: what a path is, told by its name, and what a directory holds. */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';

export type FileKind =
  | 'log'
  | 'index'
  | 'timeindex'
  | 'txnindex'
  | 'snapshot'
  | 'checkpoint'
  | 'replica-state'
  | 'replacement'
  | 'partition-metadata'
  | 'meta'
  | 'votes'
  | 'floors'
  | 'journal';

export interface InspectedFile {
  readonly path: string;
  readonly name: string;
  readonly kind: FileKind;
}

export interface InspectedPartition {
  readonly path: string;
  /** `<topic>-<partition>`. */
  readonly name: string;
  /** All names in it, sorted. */
  readonly names: readonly string[];
}

/** Of Kappalog's data directories and Kafka's. */
export interface InspectedDirectory {
  readonly path: string;
  readonly names: readonly string[];
  readonly partitions: readonly InspectedPartition[];
}

export type Target =
  | { readonly kind: 'file'; readonly file: InspectedFile }
  | { readonly kind: 'partition'; readonly partition: InspectedPartition }
  | { readonly kind: 'data-directory'; readonly directory: InspectedDirectory };

const byName: readonly (readonly [RegExp, FileKind])[] = [
  [/^\d{20}\.log(\.(deleted|cleaned|swap|valid|(damaged|given-up)(\.\d+)?))?$/, 'log'],
  [/^\d{20}\.index(\.(deleted|cleaned|swap|(damaged|given-up)(\.\d+)?))?$/, 'index'],
  [/^\d{20}\.timeindex(\.(deleted|cleaned|swap|(damaged|given-up)(\.\d+)?))?$/, 'timeindex'],
  [/^\d{20}\.txnindex(\.(deleted|cleaned|swap|(damaged|given-up)(\.\d+)?))?$/, 'txnindex'],
  [/^\d{20}\.snapshot(\.deleted)?$/, 'snapshot'],
  [/^\d{20}-\d{10}\.checkpoint$/, 'checkpoint'],
  [/^replica-state$/, 'replica-state'],
  [/^log-replacement$/, 'replacement'],
  [/^partition\.metadata$/, 'partition-metadata'],
  [/^meta\.properties$/, 'meta'],
  [/^votes$/, 'votes'],
  [/^floors$/, 'floors'],
  [/^sync-journal$/, 'journal'],
];

/** Directories of partitions, those that are being removed or were set aside too. */
const partitionPattern = /^.+-\d+(\.[^.]+-(delete|stray|future))?$/;

export function fileOf(path: string): InspectedFile | undefined {
  const name = baseName(path);
  const kind = byName.find(([pattern]) => pattern.test(name))?.[1];
  return kind === undefined ? undefined : { path, name, kind };
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

/** What a path names: a string that says why where it names nothing that can be inspected. Rejects with a DiskError. */
export async function findTarget(disk: Disk, path: string): Promise<Target | string> {
  if (!(await disk.exists(path))) return `${path} does not exist`;
  const file = fileOf(path);
  if (file !== undefined) return { kind: 'file', file };
  const names = await listOrUndefined(disk, path);
  if (names === undefined)
    return `${path} is neither a directory nor a file of a log, as far as its name says`;
  if (names.some((name) => /^\d{20}\.log/.test(name)) || names.includes('partition.metadata'))
    return { kind: 'partition', partition: { path, name: baseName(path), names } };
  const directory = await readDirectory(disk, path, names);
  if (!names.includes('meta.properties') && directory.partitions.length === 0)
    return `${path} is neither a data directory nor the directory of a partition: it holds no segments and no meta.properties`;
  return { kind: 'data-directory', directory };
}

async function readDirectory(
  disk: Disk,
  path: string,
  names: readonly string[],
): Promise<InspectedDirectory> {
  const partitions: InspectedPartition[] = [];
  for (const name of names.filter((each) => partitionPattern.test(each))) {
    const inside = await listOrUndefined(disk, `${path}/${name}`);
    if (inside !== undefined) partitions.push({ path: `${path}/${name}`, name, names: inside });
  }
  return { path, names, partitions };
}

/** Undefined where the path is no directory. */
async function listOrUndefined(disk: Disk, path: string): Promise<string[] | undefined> {
  try {
    return await disk.list(path);
  } catch (error) {
    if (error instanceof DiskError && (error.code === 'not-found' || isNoDirectory(error))) return undefined;
    throw error;
  }
}

function isNoDirectory({ cause }: DiskError): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOTDIR';
}

/** Of a segment's or a snapshot's file: the 20 digits that its name begins with. */
export function offsetOfName(name: string): number {
  return Number(name.slice(0, 20));
}
