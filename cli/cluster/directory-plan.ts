/**
 * Which replicas of a node go from one of its data directories to another: plans for `kappalog cluster move`. Pure and deterministic; of
 * what does not fit a plan the errors say what to do instead.
 */
import type { LogDirDescription, TopicPartition } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { formatBytes } from '../table.ts';
import type { TopicSelection } from './reassignment-file.ts';

/** A replica that goes, or is on its way, to another data directory of its node. */
export interface DirectoryMove extends TopicPartition {
  readonly node: number;
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: number;
}

/** One that is under way. */
export interface OngoingMove extends DirectoryMove {
  readonly copiedBytes: number;
  /** Records that the copy lacks. */
  readonly lagRecords: number;
}

export interface DirectoryRequest {
  readonly node: number;
  /** All of the node's. */
  readonly directories: readonly LogDirDescription[];
  /** Empty: all that lies in `from`. */
  readonly topics: readonly TopicSelection[];
  /** Only what lies there. */
  readonly from: string | undefined;
  /** Where it may go. */
  readonly to: readonly string[];
}

interface Held extends TopicPartition {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * What is to be done so that no wanted replica lies in `from`, or outside of `to`. With several directories to choose from each replica goes where
 * least lies, the largest first. Throws a CliError.
 */
export function planDirectories(request: DirectoryRequest): DirectoryMove[] {
  const { node, directories } = request;
  const to = [...new Set(request.to.map((path) => usable(request, path).path))];
  const from = request.from === undefined ? undefined : usable(request, request.from).path;
  if (from !== undefined && to.includes(from)) {
    throw usageError(`--from and --to both name ${from}; nothing was done.`);
  }
  const underWay = new Map(movesUnderWay(directories).map((move) => [keyOf(move), move]));
  const loads = new Map(directories.map(({ path, partitions }) => [path, sumOf(partitions)]));
  const wanted = wantedOf(request, from);
  refuseDeparting(request, { wanted, to, underWay });
  const leaving = wanted.filter(({ path }) => !to.includes(path));
  const moves: DirectoryMove[] = [];
  for (const held of leaving.toSorted((a, b) => b.sizeBytes - a.sizeBytes)) {
    const { topic, partition, path, sizeBytes } = held;
    const begun = underWay.get(keyOf(held))?.to;
    const target = begun !== undefined && to.includes(begun) ? begun : leastOf(to, loads);
    if (begun !== target) loads.set(target, (loads.get(target) ?? 0) + sizeBytes);
    moves.push({ node, topic, partition, from: path, to: target, sizeBytes });
  }
  requireSpace(moves, { node, directories, underWay });
  return moves.toSorted(byName);
}

/** What is on its way between the directories of these descriptions, which may be those of several nodes. */
export function movesUnderWay(directories: readonly LogDirDescription[]): OngoingMove[] {
  const homes = new Map(
    directories.flatMap(({ broker, path, partitions }) =>
      partitions
        .filter(({ isFuture }) => !isFuture)
        .map((each) => [`${broker}/${keyOf(each)}`, { path, sizeBytes: each.sizeBytes }] as const),
    ),
  );
  const moves = directories.flatMap(({ broker, path: to, partitions }) =>
    partitions.flatMap((each): OngoingMove[] => {
      const home = homes.get(`${broker}/${keyOf(each)}`);
      if (!each.isFuture || home === undefined) return [];
      const { topic, partition, sizeBytes: copiedBytes, offsetLag: lagRecords } = each;
      const { path: from, sizeBytes } = home;
      return [{ node: broker, topic, partition, from, to, sizeBytes, copiedBytes, lagRecords }];
    }),
  );
  return moves.toSorted((a, b) => a.node - b.node || byName(a, b));
}

/** Whether the topics and partitions that are named, all where none are, hold this one. */
export function isSelected(topics: readonly TopicSelection[], { topic, partition }: TopicPartition): boolean {
  if (topics.length === 0) return true;
  const named = topics.find((each) => each.topic === topic);
  return named !== undefined && (named.partitions?.includes(partition) ?? true);
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** The directory of this path, which can be used. */
function usable({ node, directories }: DirectoryRequest, path: string): LogDirDescription {
  const found = directories.find((each) => withoutEnd(each.path) === withoutEnd(path));
  if (found === undefined) {
    const known = directories.map((each) => each.path).join(', ');
    const message = `Node ${node} has no data directory "${path}"; nothing was done. It has: ${known}.`;
    throw new CliError('LOG_DIR_NOT_FOUND', message, { exitCode: ExitCode.notFound });
  }
  if (found.error === null) return found;
  throw new CliError(
    found.error.code,
    `Data directory ${found.path} of node ${node} cannot be used (${found.error.code}); nothing was done. The log of the node says what is wrong with it.`,
  );
}

/** The replicas that are named, or all that lie in `from`. */
function wantedOf(request: DirectoryRequest, from: string | undefined): Held[] {
  const { node, directories, topics } = request;
  const held = directories.flatMap(({ path, partitions }) =>
    partitions
      .filter(({ isFuture }) => !isFuture)
      .map(({ topic, partition, sizeBytes }): Held => ({ topic, partition, path, sizeBytes })),
  );
  for (const { topic, partitions } of topics) {
    const present = new Set(held.filter((each) => each.topic === topic).map(({ partition }) => partition));
    const absent = partitions?.find((partition) => !present.has(partition));
    if (present.size > 0 && absent === undefined) continue;
    const what = absent === undefined ? `of topic ${topic}` : `of ${topic}-${absent}`;
    const offline = directories.some(({ error }) => error !== null);
    throw new CliError(
      'REPLICA_NOT_AVAILABLE',
      `Node ${node} has no replica ${what}${offline ? ' that can be used' : ''}; nothing was done. "kappalog topic describe ${topic}" shows which nodes have one.`,
      { exitCode: ExitCode.notFound },
    );
  }
  return held.filter((each) => isSelected(topics, each) && (from === undefined || each.path === from));
}

/** What lies where it is to, and is about to leave, would be moved twice. */
function refuseDeparting(
  { node }: DirectoryRequest,
  context: {
    readonly wanted: readonly Held[];
    readonly to: readonly string[];
    readonly underWay: ReadonlyMap<string, OngoingMove>;
  },
): void {
  for (const held of context.wanted) {
    const begun = context.underWay.get(keyOf(held));
    if (begun === undefined || !context.to.includes(held.path) || context.to.includes(begun.to)) continue;
    const { topic, partition, path } = held;
    throw new CliError(
      'MOVE_UNDER_WAY',
      `${topic}-${partition} lies in ${path} already and is on its way to ${begun.to}; nothing was done. "kappalog cluster move ${topic}:${partition} --node ${node} --cancel" keeps it where it is.`,
    );
  }
}

/** A move that fills a disk stops everything else that lies there. */
function requireSpace(
  moves: readonly DirectoryMove[],
  context: {
    readonly node: number;
    readonly directories: readonly LogDirDescription[];
    readonly underWay: ReadonlyMap<string, OngoingMove>;
  },
): void {
  for (const [to, there] of Map.groupBy(moves, (move) => move.to)) {
    const usableBytes = context.directories.find(({ path }) => path === to)?.usableBytes ?? null;
    const copied = (move: DirectoryMove): number => {
      const begun = context.underWay.get(keyOf(move));
      return begun?.to === to ? begun.copiedBytes : 0;
    };
    const neededBytes = there.reduce((sum, move) => sum + Math.max(0, move.sizeBytes - copied(move)), 0);
    if (usableBytes === null || neededBytes <= usableBytes) continue;
    throw new CliError(
      'NO_SPACE',
      `${formatBytes(neededBytes)} would go to ${to} of node ${context.node}, which has ${formatBytes(usableBytes)} free; nothing was done. Name fewer partitions, or more directories with --to.`,
    );
  }
}

function leastOf(paths: readonly string[], loads: ReadonlyMap<string, number>): string {
  return paths.reduce((least, path) => ((loads.get(path) ?? 0) < (loads.get(least) ?? 0) ? path : least));
}

function sumOf(partitions: LogDirDescription['partitions']): number {
  return partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function byName(a: TopicPartition, b: TopicPartition): number {
  return a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1;
}

function withoutEnd(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
