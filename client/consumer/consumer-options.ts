import { invalidArgument } from '../errors.ts';
import { assignors } from '../group/assignors.ts';
import type { GroupOptions } from '../group/join-group.ts';
import type { MembershipOptions } from '../group/membership.ts';
import { compilePattern, patternText } from '../group/topic-pattern.ts';
import type { Assignment, AssignorName, ConsumerOptions, RebalanceListener } from '../options.ts';
import type { Settings } from '../components.ts';
import { notNegative, positive } from '../settings.ts';
import type { FetcherOptions } from './fetcher.ts';
import type { LivenessOptions } from './liveness.ts';

export interface ResolvedConsumerOptions extends FetcherOptions {
  readonly groupId: string | undefined;
  readonly groupInstanceId: string | null;
  readonly assign: readonly Assignment[];
  /** Set where topics are subscribed to. */
  readonly group: GroupOptions | undefined;
  readonly isAutoCommit: boolean;
  readonly autoCommitIntervalMs: number | undefined;
  readonly rebalanceTimeoutMs: number;
  readonly listener: RebalanceListener;
  readonly liveness: LivenessOptions;
}

const defaultAssignors: readonly AssignorName[] = ['range', 'roundrobin'];
const mebibyte = 1024 * 1024;

/** Fills in the defaults; throws INVALID_ARGUMENT for what cannot be meant. */
export function resolveConsumerOptions(
  options: ConsumerOptions,
  { requestTimeoutMs, rack }: Pick<Settings, 'requestTimeoutMs' | 'rack'>,
): ResolvedConsumerOptions {
  const { groupId } = options;
  const isAutoCommit = options.autoCommit ?? groupId !== undefined;
  if (isAutoCommit && groupId === undefined)
    throw invalidArgument('`autoCommit` needs a `groupId` to commit for.');
  if (groupId === '') throw invalidArgument('`groupId` must not be empty.');
  const rebalanceTimeoutMs = positive('rebalanceTimeoutMs', options.rebalanceTimeoutMs ?? 60_000);
  const group = groupOptions(options, { rebalanceTimeoutMs, rackId: rack === '' ? null : rack });
  return {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    assign: checkAssign(options),
    group,
    isAutoCommit,
    autoCommitIntervalMs: isAutoCommit
      ? positive('autoCommitIntervalMs', options.autoCommitIntervalMs ?? 5_000)
      : undefined,
    rebalanceTimeoutMs,
    listener: options.rebalance ?? {},
    from: startPlaces(options.from),
    liveness: livenessOptions(options, group, rebalanceTimeoutMs),
    isReadCommitted: (options.isolation ?? 'read_committed') === 'read_committed',
    maxWaitMs: notNegative('maxWaitMs', options.maxWaitMs ?? 500),
    minBytes: notNegative('minBytes', options.minBytes ?? 1),
    maxBytes: positive('maxBytes', options.maxBytes ?? 50 * mebibyte),
    partitionMaxBytes: positive('partitionMaxBytes', options.partitionMaxBytes ?? mebibyte),
    prefetchBytes: positive('prefetchBytes', options.prefetchBytes ?? 16 * mebibyte),
    requestTimeoutMs,
  };
}

function livenessOptions(
  options: ConsumerOptions,
  group: GroupOptions | undefined,
  rebalanceTimeoutMs: number,
): LivenessOptions {
  return {
    stalledAfterMs: positive('stalledAfterMs', options.stalledAfterMs ?? 30_000),
    sessionTimeoutMs: group?.protocol === 'classic' ? group.sessionTimeoutMs : undefined,
    rebalanceTimeoutMs,
    isReadCommitted: (options.isolation ?? 'read_committed') === 'read_committed',
    onStalled: options.onStalled,
    onRecovered: options.onRecovered,
  };
}

function checkAssign(options: ConsumerOptions): readonly Assignment[] {
  const { assign, topics, topicPattern } = options;
  const ways = [assign, topics, topicPattern].filter((way) => way !== undefined);
  if (ways.length !== 1) {
    throw invalidArgument(
      'A consumer needs one of `topics` and `topicPattern` (with a `groupId`), and `assign`.',
    );
  }
  if (assign !== undefined && options.rebalance !== undefined)
    throw invalidArgument('`rebalance` is for subscriptions: partitions in `assign` stay as they are.');
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

function startPlaces(from: ConsumerOptions['from'] = 'earliest'): FetcherOptions['from'] {
  return typeof from === 'function' ? from : () => from;
}

function groupOptions(
  options: ConsumerOptions,
  { rebalanceTimeoutMs, rackId }: { readonly rebalanceTimeoutMs: number; readonly rackId: string | null },
): GroupOptions | undefined {
  const { groupId, topics, topicPattern, groupProtocol = 'classic' } = options;
  if (topics === undefined && topicPattern === undefined) return undefined;
  if (groupId === undefined)
    throw invalidArgument(
      'A subscription needs a `groupId`: the group shares the partitions out. Use `assign` without one.',
    );
  if (topics?.length === 0) throw invalidArgument('`topics` is empty.');
  if (topicPattern === '') throw invalidArgument('`topicPattern` is empty.');
  const common = {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    topics: [...new Set(topics)],
    rebalanceTimeoutMs,
  };
  if (groupProtocol === 'classic') return classicOptions(options, common);
  if (groupProtocol !== 'consumer')
    throw invalidArgument(`\`groupProtocol\` is 'classic' or 'consumer', not '${String(groupProtocol)}'.`);
  refuse(options, ['sessionTimeoutMs', 'heartbeatIntervalMs', 'assignors'], decidedByBroker);
  return {
    protocol: 'consumer',
    ...common,
    pattern: topicPattern === undefined ? undefined : patternText(topicPattern),
    remoteAssignor: options.groupRemoteAssignor ?? null,
    rackId,
  };
}

const decidedByBroker =
  "the broker decides with `groupProtocol: 'consumer'` (settings of the group: consumer.session.timeout.ms, consumer.heartbeat.interval.ms), and `groupRemoteAssignor` names an assignor of its own";

function classicOptions(options: ConsumerOptions, common: MembershipOptions): GroupOptions {
  refuse(options, ['groupRemoteAssignor'], "only `groupProtocol: 'consumer'` has assignors of the broker");
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
  const { topicPattern } = options;
  return {
    protocol: 'classic',
    ...common,
    pattern: topicPattern === undefined ? undefined : compilePattern(topicPattern),
    assignors: chosen,
    sessionTimeoutMs,
    heartbeatIntervalMs,
  };
}

function refuse(options: ConsumerOptions, names: readonly (keyof ConsumerOptions)[], reason: string): void {
  const name = names.find((item) => options[item] !== undefined);
  if (name !== undefined) throw invalidArgument(`\`${name}\` cannot be set: ${reason}.`);
}
