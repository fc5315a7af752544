/**
 * ListOffsets: the first offset (-2), the end (-1), the record with the largest timestamp (-3, from version 7), the first
 * record at or after a time. -4 (earliest local, version 8) is the first offset, as nothing is tiered; -5 (latest tiered,
 * version 9) and -6 (earliest pending upload, version 11) have no answer: offset -1, as Kafka without tiering.
 *
 * Times are exact to the record: the first record whose timestamp is at or after the one asked, whatever the order of
 * timestamps. The end is the high watermark, or the last stable offset at read_committed. A leader that does not know yet
 * what is committed answers OFFSET_NOT_AVAILABLE (LEADER_NOT_AVAILABLE before version 5).
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { ListOffsetsRequest } from '../../protocol/index.ts';
import type { Replica } from '../partition/replica.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { checkLeaderEpoch } from './leader-epoch.ts';
import { whyMissing } from './missing-replica.ts';

type AskedPartition = ListOffsetsRequest['topics'][number]['partitions'][number];

interface PartitionAnswer {
  partitionIndex: number;
  errorCode: ErrorCode;
  timestamp: number;
  offset: number;
  leaderEpoch: number;
}

interface Position {
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

const latest = -1;
const earliest = -2;
const maxTimestamp = -3;
const earliestLocal = -4;
const latestTiered = -5;
const earliestPendingUpload = -6;

/** From which version each special time may be asked. */
const sinceVersion = new Map([
  [latest, 0],
  [earliest, 0],
  [maxTimestamp, 7],
  [earliestLocal, 8],
  [latestTiered, 9],
  [earliestPendingUpload, 11],
]);

const nowhere: Position = { offset: -1, timestamp: -1, leaderEpoch: -1 };

export const listOffsets = defineHandler({
  api: 'ListOffsets',
  versions: [1, 11],
  async handle(context, request) {
    const topics = await Promise.all(
      request.topics.map(async (topic) => {
        const allowed = context.authorize('DESCRIBE', 'TOPIC', topic.name);
        const repeated = repeatedIndexes(topic.partitions);
        const partitions = await Promise.all(
          topic.partitions.map(async (asked) => {
            if (!allowed) return failed(asked, 'TOPIC_AUTHORIZATION_FAILED');
            if (repeated.has(asked.partitionIndex)) return failed(asked, 'INVALID_REQUEST');
            return lookUp(context, topic.name, asked, request.isolationLevel);
          }),
        );
        return { name: topic.name, partitions };
      }),
    );
    return { throttleTimeMs: 0, topics };
  },
});

async function lookUp(
  context: RequestContext,
  topic: string,
  asked: AskedPartition,
  isolationLevel: number,
): Promise<PartitionAnswer> {
  const replica = context.node.partitions.replica(topic, asked.partitionIndex);
  if (replica === undefined) {
    return failed(asked, whyMissing(context, topic, asked.partitionIndex));
  }
  if (replica.failed) return failed(asked, 'KAFKA_STORAGE_ERROR');
  if (!replica.servesReads) return failed(asked, 'NOT_LEADER_OR_FOLLOWER');
  const fenced = checkLeaderEpoch(replica, asked.currentLeaderEpoch);
  if (fenced !== undefined) return failed(asked, fenced);
  const { timestamp } = asked;
  if (timestamp < 0 && context.apiVersion < (sinceVersion.get(timestamp) ?? Infinity)) {
    return failed(asked, 'UNSUPPORTED_VERSION');
  }
  const needsCommitted = timestamp === latest || timestamp === maxTimestamp || timestamp >= 0;
  if (needsCommitted && !replica.ready) {
    return failed(asked, context.apiVersion >= 5 ? 'OFFSET_NOT_AVAILABLE' : 'LEADER_NOT_AVAILABLE');
  }
  const { offset, timestamp: found, leaderEpoch } = await find(replica, timestamp, isolationLevel);
  return {
    partitionIndex: asked.partitionIndex,
    errorCode: ErrorCode.NONE,
    timestamp: found,
    offset,
    leaderEpoch: context.apiVersion >= 4 ? leaderEpoch : -1,
  };
}

async function find(replica: Replica, timestamp: number, isolationLevel: number): Promise<Position> {
  switch (timestamp) {
    case latest: {
      const offset = isolationLevel === 1 ? replica.lastStableOffset : replica.highWatermark;
      return { offset, timestamp: -1, leaderEpoch: replica.term };
    }
    case earliest:
    case earliestLocal: {
      const offset = replica.logStartOffset;
      return { offset, timestamp: -1, leaderEpoch: replica.epochAt(offset) };
    }
    case maxTimestamp:
      return (await replica.maxTimestamp()) ?? nowhere;
    case latestTiered:
    case earliestPendingUpload:
      return nowhere;
    default:
      return (await replica.offsetForTimestamp(timestamp)) ?? nowhere;
  }
}

function repeatedIndexes(partitions: readonly AskedPartition[]): Set<number> {
  const seen = new Set<number>();
  const repeated = new Set<number>();
  for (const { partitionIndex } of partitions) {
    if (seen.has(partitionIndex)) repeated.add(partitionIndex);
    seen.add(partitionIndex);
  }
  return repeated;
}

function failed(asked: AskedPartition, error: keyof typeof ErrorCode): PartitionAnswer {
  return { partitionIndex: asked.partitionIndex, errorCode: ErrorCode[error], ...nowhere };
}
