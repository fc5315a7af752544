/** What `consume` is to read, once its command line is understood. */
import type { Message, ReplayPosition } from '../../client/index.ts';
import { usageError } from '../cli-error.ts';
import { parseCount, parsePartitions } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { parsePosition, positionArgument } from '../positions.ts';
import { compileFormat, jsonFormat, valueFormat, type RecordFormat } from './format.ts';

export interface ConsumeOptions extends ClientOptions {
  readonly from?: string;
  readonly until?: string;
  readonly count?: string;
  readonly partitions?: string;
  readonly group?: string;
  readonly groupProtocol: 'classic' | 'consumer';
  readonly format?: string;
  readonly isolation: 'read_committed' | 'read_uncommitted';
}

export interface Reading {
  readonly topic: string;
  readonly group: string | undefined;
  readonly groupProtocol: ConsumeOptions['groupProtocol'];
  readonly from: ReplayPosition;
  /** Undefined: go on as records come. */
  readonly until: ReplayPosition | undefined;
  readonly countMax: number;
  readonly partitions: readonly number[] | undefined;
  readonly isolation: ConsumeOptions['isolation'];
  readonly format: RecordFormat;
}

/** Throws a usage error for what cannot be meant. */
export function readingOf(
  topic: string,
  options: ConsumeOptions,
  { nowMs, output }: CommandContext,
): Reading {
  const { group, groupProtocol, until, count, partitions, format, isolation } = options;
  const from = parsePosition(options.from ?? 'start', '--from', nowMs);
  if (group !== undefined) refuseWithGroup(options, from);
  else if (groupProtocol !== 'classic') throw usageError('--group-protocol needs a --group.');
  if (output.json && format !== undefined) throw usageError('Give --format or -o json, not both.');
  return {
    topic,
    group,
    groupProtocol,
    from,
    until: until === undefined ? undefined : parsePosition(until, '--until', nowMs),
    countMax: count === undefined ? Number.POSITIVE_INFINITY : parseCount(count, '--count', 1),
    partitions: partitions === undefined ? undefined : parsePartitions(partitions),
    isolation,
    format: output.json ? jsonFormat : format === undefined ? valueFormat : compileFormat(format),
  };
}

/** Within a range by time, records out of order that lie outside of it are left out. */
export function withinTimes({ timestamp }: Message, { from, until }: Reading): boolean {
  if (typeof from === 'object' && 'timestamp' in from && timestamp < from.timestamp) return false;
  return !(typeof until === 'object' && 'timestamp' in until && timestamp >= until.timestamp);
}

/** The time that reading ends at, where it is yet to come; undefined where reading ends otherwise. */
export function futureEnd({ until }: Reading, nowMs: number): number | undefined {
  if (typeof until !== 'object' || !('timestamp' in until)) return undefined;
  return until.timestamp > nowMs ? until.timestamp : undefined;
}

function refuseWithGroup({ until, partitions }: ConsumeOptions, from: ReplayPosition): void {
  if (until !== undefined || partitions !== undefined) {
    throw usageError(
      '--until and --partitions are for reading without a group; a group shares its partitions out itself.',
    );
  }
  if (from !== 'start' && from !== 'end') {
    throw usageError(
      `With a group, --from says where it starts without a commit: start or end, not ${positionArgument(from)}.`,
    );
  }
}
