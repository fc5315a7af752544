/**
 * Fetch: committed batches from each partition's offset on, exactly as they lie on disk.
 *
 * An answer waits until `minBytes` are there, an error is, or `maxWaitMs` are over. The first batch of the first partition
 * with data is returned whole even when it is larger than the limits, so that a consumer always gets on. Partitions that
 * gave data go to the end of a session's line. Topics go by name up to version 12 and by id from 13; from 12 a reader
 * whose last epoch has diverged from the log is told where (KIP-320, KIP-595). Followers of Kafka do not replicate from
 * here: a request with a replica id is answered NOT_LEADER_OR_FOLLOWER.
 */
import { AssertionError } from '../../platform/assert.ts';
import { ErrorCode } from '../../protocol/index.ts';
import type { FetchRequest } from '../../protocol/index.ts';
import type { LogRead } from '../log/log-types.ts';
import type { FetchPartition } from '../partition/fetch-sessions.ts';
import type { Replica } from '../partition/replica.ts';
import { findFetchTargets } from './fetch-targets.ts';
import type { FetchTargets } from './fetch-targets.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext, ResponseOf } from './handler.ts';
import { checkLeaderEpoch } from './leader-epoch.ts';
import { LeaderHints } from './leader-hints.ts';
import type { LeaderHint } from './leader-hints.ts';
import { whyMissing } from './missing-replica.ts';
import { nearerNode, servesRack } from './nearest-replica.ts';

type Targets = Extract<FetchTargets, { kind: 'targets' }>;

interface PartitionAnswer {
  partitionIndex: number;
  errorCode: ErrorCode;
  highWatermark: number;
  lastStableOffset: number;
  logStartOffset: number;
  divergingEpoch?: { epoch: number; endOffset: number };
  currentLeader?: LeaderHint;
  abortedTransactions: { producerId: number; firstOffset: number }[] | null;
  preferredReadReplica: number;
  records: Buffer[] | null;
}

/** What one pass over the partitions found. */
interface Pass {
  readonly answers: [FetchPartition, PartitionAnswer][];
  readonly reads: LogRead[];
  /** Those that could be read, with their high watermarks as the pass met them. */
  readonly replicas: Map<Replica, number>;
  sizeBytes: number;
  /** Nothing is to be waited for: there is an error, or another replica to be told of. */
  isWhole: boolean;
}

const readCommitted = 1;
/** The first versions whose answers say who leads, and where that is reached. */
const leadersSinceVersion = 12;
const endpointsSinceVersion = 16;

export const fetch = defineHandler({
  api: 'Fetch',
  versions: [4, 18],
  async handle(context, request) {
    const targets = findFetchTargets(context, request);
    if (targets.kind === 'refused') {
      return { throttleTimeMs: 0, errorCode: ErrorCode[targets.error], sessionId: 0, responses: [] };
    }
    const deadlineMs = context.node.clock.monotonicMs() + Math.max(request.maxWaitMs, 0);
    // More than the answer may hold is never there.
    const minBytes = Math.min(request.minBytes, request.maxBytes, context.node.config.fetchMaxBytes);
    for (;;) {
      const pass = await readAll(context, request, targets);
      const waitMs = deadlineMs - context.node.clock.monotonicMs();
      if (pass.isWhole || pass.sizeBytes >= minBytes || waitMs <= 0 || pass.replicas.size === 0) {
        for (const read of pass.reads) context.onSent(() => read.release());
        return answer(context, pass, targets);
      }
      for (const read of pass.reads) read.release();
      await moved(context, pass.replicas, waitMs);
      if (context.closed) return undefined;
    }
  },
});

async function readAll(context: RequestContext, request: FetchRequest, targets: Targets): Promise<Pass> {
  const pass: Pass = { answers: [], reads: [], replicas: new Map(), sizeBytes: 0, isWhole: false };
  const { rackId } = request;
  let leftBytes = Math.min(request.maxBytes, context.node.config.fetchMaxBytes);
  for (const target of targets.partitions.values()) {
    const found = locate(context, request, target);
    if (found.kind === 'refused') {
      pass.isWhole = true;
      pass.answers.push([target, found.answer]);
      continue;
    }
    const { replica } = found;
    pass.replicas.set(replica, replica.highWatermark);
    const answered = describe(replica, target, request.isolationLevel);
    pass.answers.push([target, answered]);
    const nearer = nearerNode(context, replica, { rackId, fetchOffset: target.fetchOffset });
    if (nearer !== undefined) {
      answered.preferredReadReplica = nearer;
      pass.isWhole = true;
      continue;
    }
    if (target.fetchOffset >= replica.highWatermark) continue;
    const minOneBatch = pass.sizeBytes === 0;
    if (leftBytes <= 0 && !minOneBatch) continue;
    const maxBytes = Math.min(Math.max(leftBytes, 0), target.maxBytes);
    const reading = replica.read(target.fetchOffset, maxBytes, minOneBatch);
    const read = reading instanceof Promise ? await orFailure(reading) : reading;
    if (read instanceof Error) {
      pass.isWhole = true;
      // Its files may be gone by now, or lie elsewhere.
      if (replica.closed) answered.errorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER;
      else {
        context.node.partitions.readFailed(replica, read);
        answered.errorCode = ErrorCode.KAFKA_STORAGE_ERROR;
      }
      continue;
    }
    answered.records = read.parts;
    pass.reads.push(read);
    pass.sizeBytes += read.sizeBytes;
    leftBytes -= read.sizeBytes;
  }
  return pass;
}

/** A read that the disk refuses is that partition's error; the others of the request are answered. */
async function orFailure(reading: Promise<LogRead>): Promise<LogRead | Error> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && !(error instanceof AssertionError)) return error;
    throw error;
  }
}

type Located = { kind: 'found'; replica: Replica } | { kind: 'refused'; answer: PartitionAnswer };

function locate(context: RequestContext, request: FetchRequest, target: FetchPartition): Located {
  // A topic that came to be after the session began is found by asking again.
  target.topic ??= context.node.cluster.image.topicById(target.topicId)?.name;
  if (target.topic === undefined) return refuse(target, 'UNKNOWN_TOPIC_ID');
  if (!context.authorize('READ', 'TOPIC', target.topic)) return refuse(target, 'TOPIC_AUTHORIZATION_FAILED');
  const replica = context.node.partitions.replica(target.topic, target.partition);
  const replaced =
    context.apiVersion >= 13 && replica !== undefined && replica.identity.topicId !== target.topicId;
  if (replica === undefined || replaced) {
    const unknown = context.apiVersion >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION';
    const error = replaced ? unknown : whyMissing(context, target.topic, target.partition);
    return refuse(target, error === 'UNKNOWN_TOPIC_OR_PARTITION' ? unknown : error);
  }
  if (Math.max(request.replicaId, request.replicaState.replicaId) >= 0)
    return refuse(target, 'NOT_LEADER_OR_FOLLOWER');
  if (replica.failed) return refuse(target, 'KAFKA_STORAGE_ERROR');
  const isFollower = !replica.servesReads;
  if (isFollower && !servesRack(context, replica, request.rackId)) {
    return refuse(target, 'NOT_LEADER_OR_FOLLOWER');
  }
  const fenced = checkLeaderEpoch(replica, target.currentLeaderEpoch);
  if (fenced !== undefined) return refuse(target, fenced);
  // What it lacks its leader may have, a later epoch as well.
  if (isFollower && target.fetchOffset > replica.highWatermark) return refuse(target, 'OFFSET_NOT_AVAILABLE');
  const diverging = findDivergence(replica, target);
  if (diverging !== undefined) {
    return {
      kind: 'refused',
      answer: { ...describe(replica, target, request.isolationLevel), divergingEpoch: diverging },
    };
  }
  if (target.fetchOffset < replica.logStartOffset || target.fetchOffset > replica.logEndOffset) {
    return refuse(target, 'OFFSET_OUT_OF_RANGE');
  }
  return { kind: 'found', replica };
}

/** Where the reader's history leaves this log, if it does: its last epoch ended here before its offset. */
function findDivergence(
  replica: Replica,
  target: FetchPartition,
): { epoch: number; endOffset: number } | undefined {
  if (target.lastFetchedEpoch < 0) return undefined;
  const end = replica.endOffsetForEpoch(target.lastFetchedEpoch);
  if (end === undefined) return undefined;
  return end.epoch < target.lastFetchedEpoch || end.endOffset < target.fetchOffset ? end : undefined;
}

function describe(replica: Replica, target: FetchPartition, isolationLevel: number): PartitionAnswer {
  return {
    partitionIndex: target.partition,
    errorCode: ErrorCode.NONE,
    highWatermark: replica.highWatermark,
    lastStableOffset: replica.lastStableOffset,
    logStartOffset: replica.logStartOffset,
    abortedTransactions: isolationLevel === readCommitted ? [] : null,
    preferredReadReplica: -1,
    records: [],
  };
}

function refuse(target: FetchPartition, error: keyof typeof ErrorCode): Located {
  return {
    kind: 'refused',
    answer: {
      partitionIndex: target.partition,
      errorCode: ErrorCode[error],
      highWatermark: -1,
      lastStableOffset: -1,
      logStartOffset: -1,
      abortedTransactions: null,
      preferredReadReplica: -1,
      records: [],
    },
  };
}

/** Resolves when one of the high watermarks has moved since the pass, the time is over, or the client has gone. */
function moved(
  context: RequestContext,
  replicas: ReadonlyMap<Replica, number>,
  waitMs: number,
): Promise<void> {
  // Nobody watched while the pass waited for its reads.
  for (const [replica, highWatermark] of replicas) {
    if (replica.failed || replica.highWatermark !== highWatermark) return Promise.resolve();
  }
  return new Promise((resolve) => {
    let over = false;
    const wake = (): void => {
      if (over) return;
      over = true;
      timer.cancel();
      for (const replica of replicas.keys()) replica.unwatch(wake);
      resolve();
    };
    const timer = context.node.clock.after(waitMs, wake);
    context.onClosed(wake);
    for (const replica of replicas.keys()) replica.watch(wake);
  });
}

function answer(context: RequestContext, pass: Pass, targets: Targets): ResponseOf<'Fetch'> {
  const hints = new LeaderHints(context, leadersSinceVersion);
  const topics = new Map<string, { topic: string; topicId: string; partitions: PartitionAnswer[] }>();
  for (const [target, partition] of pass.answers) {
    const news = noteAnswer(target, partition);
    if (targets.incremental && !news) continue;
    const key = target.topic ?? target.topicId;
    let topic = topics.get(key);
    if (topic === undefined) {
      topic = { topic: target.topic ?? '', topicId: target.topicId, partitions: [] };
      topics.set(key, topic);
    }
    topic.partitions.push(partition);
    if (partition.errorCode !== ErrorCode.NONE && target.topic !== undefined) {
      const leader = hints.for(partition.errorCode, target.topic, partition.partitionIndex);
      if (leader !== undefined) partition.currentLeader = leader;
    }
    if (targets.session !== undefined && partition.records !== null && partition.records.length > 0) {
      moveToEnd(targets.partitions, target);
    }
  }
  return {
    throttleTimeMs: 0,
    errorCode: ErrorCode.NONE,
    sessionId: targets.session?.id ?? 0,
    responses: [...topics.values()],
    ...(context.apiVersion >= endpointsSinceVersion ? { nodeEndpoints: hints.endpoints } : {}),
  };
}

/** Whether the client has to hear of this partition again, by KIP-227; remembers what it will have heard. */
function noteAnswer(target: FetchPartition, partition: PartitionAnswer): boolean {
  const news =
    partition.errorCode !== ErrorCode.NONE ||
    (partition.records !== null && partition.records.length > 0) ||
    partition.divergingEpoch !== undefined ||
    partition.preferredReadReplica >= 0 ||
    partition.highWatermark !== target.highWatermark ||
    partition.logStartOffset !== target.logStartOffset;
  const failed = partition.errorCode !== ErrorCode.NONE;
  target.highWatermark = failed ? -1 : partition.highWatermark;
  target.logStartOffset = failed ? -1 : partition.logStartOffset;
  return news;
}

function moveToEnd(partitions: Map<string, FetchPartition>, target: FetchPartition): void {
  for (const [key, candidate] of partitions) {
    if (candidate !== target) continue;
    partitions.delete(key);
    partitions.set(key, target);
    return;
  }
}
