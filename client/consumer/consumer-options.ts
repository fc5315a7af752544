import { invalidArgument } from '../errors.ts';
import { assignors } from '../group/assignors.ts';
import type { MembershipOptions } from '../group/membership.ts';
import type { Assignment, AssignorName, ConsumerOptions } from '../options.ts';
import { notNegative, positive } from '../settings.ts';
import type { FetcherOptions } from './fetcher.ts';

export interface ResolvedConsumerOptions extends FetcherOptions {
  readonly groupId: string | undefined;
  readonly groupInstanceId: string | null;
  readonly assign: readonly Assignment[];
  /** Set where topics are subscribed to. */
  readonly group: MembershipOptions | undefined;
  readonly isAutoCommit: boolean;
  readonly autoCommitIntervalMs: number | undefined;
  readonly rebalanceTimeoutMs: number;
}

const defaultAssignors: readonly AssignorName[] = ['range', 'roundrobin'];
const mebibyte = 1024 * 1024;

/** Fills in the defaults; throws INVALID_ARGUMENT for what cannot be meant. */
export function resolveConsumerOptions(
  options: ConsumerOptions,
  requestTimeoutMs: number,
): ResolvedConsumerOptions {
  const { groupId } = options;
  const isAutoCommit = options.autoCommit ?? groupId !== undefined;
  if (isAutoCommit && groupId === undefined)
    throw invalidArgument('`autoCommit` needs a `groupId` to commit for.');
  if (groupId === '') throw invalidArgument('`groupId` must not be empty.');
  const rebalanceTimeoutMs = positive('rebalanceTimeoutMs', options.rebalanceTimeoutMs ?? 60_000);
  return {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    assign: checkAssign(options),
    group: groupOptions(options, rebalanceTimeoutMs),
    isAutoCommit,
    autoCommitIntervalMs: isAutoCommit
      ? positive('autoCommitIntervalMs', options.autoCommitIntervalMs ?? 5_000)
      : undefined,
    rebalanceTimeoutMs,
    from: options.from ?? 'earliest',
    isReadCommitted: (options.isolation ?? 'read_committed') === 'read_committed',
    maxWaitMs: notNegative('maxWaitMs', options.maxWaitMs ?? 500),
    minBytes: notNegative('minBytes', options.minBytes ?? 1),
    maxBytes: positive('maxBytes', options.maxBytes ?? 50 * mebibyte),
    partitionMaxBytes: positive('partitionMaxBytes', options.partitionMaxBytes ?? mebibyte),
    prefetchBytes: positive('prefetchBytes', options.prefetchBytes ?? 16 * mebibyte),
    requestTimeoutMs,
  };
}

function checkAssign(options: ConsumerOptions): readonly Assignment[] {
  const { assign, topics } = options;
  if ((assign === undefined) === (topics === undefined)) {
    throw invalidArgument('A consumer needs either `topics` (with a `groupId`) or `assign`.');
  }
  const seen = new Set<string>();
  for (const { topic, partition, offset } of assign ?? []) {
    if (!Number.isSafeInteger(partition) || partition < 0)
      throw invalidArgument(`${topic} has no partition ${partition}.`);
    if (typeof offset === 'number' && (!Number.isSafeInteger(offset) || offset < 0)) {
      throw invalidArgument(`An offset must be a whole number from 0, not ${offset}.`);
    }
    const key = `${topic}/${partition}`;
    if (seen.has(key)) throw invalidArgument(`${topic}-${partition} is assigned twice.`);
    seen.add(key);
  }
  return assign ?? [];
}

function groupOptions(options: ConsumerOptions, rebalanceTimeoutMs: number): MembershipOptions | undefined {
  const { groupId, topics } = options;
  if (topics === undefined) return undefined;
  if (groupId === undefined)
    throw invalidArgument(
      '`topics` needs a `groupId`: the group shares the partitions out. Use `assign` without one.',
    );
  if (topics.length === 0) throw invalidArgument('`topics` is empty.');
  const sessionTimeoutMs = positive('sessionTimeoutMs', options.sessionTimeoutMs ?? 45_000);
  const heartbeatIntervalMs = positive(
    'heartbeatIntervalMs',
    options.heartbeatIntervalMs ?? Math.min(3_000, sessionTimeoutMs / 3),
  );
  if (heartbeatIntervalMs >= sessionTimeoutMs)
    throw invalidArgument('`heartbeatIntervalMs` must be below `sessionTimeoutMs`.');
  const names = options.assignors ?? defaultAssignors;
  const chosen = names.map((name) => assignors[name]);
  if (chosen.length === 0 || !names.every((name) => Object.hasOwn(assignors, name))) {
    throw invalidArgument(`\`assignors\` must name some of ${Object.keys(assignors).join(', ')}.`);
  }
  return {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    topics: [...new Set(topics)],
    assignors: chosen,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    heartbeatIntervalMs,
  };
}
