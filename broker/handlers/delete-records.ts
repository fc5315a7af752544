/**
 * DeleteRecords: raises where partitions begin, and answers where they begin then, once that is committed and durable.
 *
 * An offset of -1 stands for the high watermark. Offsets beyond it are OFFSET_OUT_OF_RANGE; those at or below the present
 * start change nothing. Topics that are only compacted refuse (POLICY_VIOLATION), as their records are to be kept for ever,
 * and so do the broker's own (INVALID_TOPIC_EXCEPTION). What is not committed in time is REQUEST_TIMED_OUT, and may still
 * come about.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DeleteRecordsRequest } from '../../protocol/index.ts';
import { isInternalTopic } from '../cluster/topic-names.ts';
import type { Replica } from '../partition/replica.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { whyMissing } from './missing-replica.ts';

interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly lowWatermark: number;
  readonly errorCode: ErrorCode;
}

type ErrorName = keyof typeof ErrorCode;

const highWatermark = -1;

export const deleteRecords = defineHandler({
  api: 'DeleteRecords',
  versions: [0, 2],
  async handle(context, request) {
    const deadline = new Deadline(context, request.timeoutMs);
    try {
      const topics = await Promise.all(
        [...byTopic(request)].map(async ([name, offsets]) => ({
          name,
          partitions: await Promise.all(
            [...offsets].map(([partition, offset]) =>
              deleteBelow(context, { name, partition, offset }, deadline),
            ),
          ),
        })),
      );
      return { throttleTimeMs: 0, topics };
    } finally {
      deadline.end();
    }
  },
});

/** Of what is named twice the last counts, as with Kafka. */
function byTopic({ topics }: DeleteRecordsRequest): Map<string, Map<number, number>> {
  const asked = new Map<string, Map<number, number>>();
  for (const { name, partitions } of topics) {
    const offsets = asked.get(name) ?? new Map<number, number>();
    asked.set(name, offsets);
    for (const { partitionIndex, offset } of partitions) offsets.set(partitionIndex, offset);
  }
  return asked;
}

async function deleteBelow(
  context: RequestContext,
  asked: { readonly name: string; readonly partition: number; readonly offset: number },
  deadline: Deadline,
): Promise<PartitionAnswer> {
  const { partitions } = context.node;
  const replica = partitions.replica(asked.name, asked.partition);
  const refusal = refuse(context, asked, replica);
  if (refusal !== undefined || replica === undefined) {
    return answer(asked.partition, refusal ?? 'UNKNOWN_TOPIC_OR_PARTITION');
  }
  const offset = asked.offset === highWatermark ? replica.highWatermark : asked.offset;
  const outcome = await deadline.before(replica.deleteRecords(offset));
  return outcome === 'done'
    ? answer(asked.partition, 'NONE', replica.logStartOffset)
    : answer(asked.partition, outcome);
}

function refuse(
  context: RequestContext,
  { name, partition }: { readonly name: string; readonly partition: number },
  replica: Replica | undefined,
): ErrorName | undefined {
  const { cluster } = context.node;
  if (!context.authorize('DELETE', 'TOPIC', name)) return 'TOPIC_AUTHORIZATION_FAILED';
  if (isInternalTopic(name)) return 'INVALID_TOPIC_EXCEPTION';
  if (replica === undefined) return whyMissing(context, name, partition);
  const { deletes, compacts } = cluster.topicConfig(name);
  return compacts && !deletes ? 'POLICY_VIOLATION' : undefined;
}

function answer(partitionIndex: number, error: ErrorName, lowWatermark = -1): PartitionAnswer {
  return { partitionIndex, lowWatermark, errorCode: ErrorCode[error] };
}

/** The time limit of one request, over all its partitions. */
class Deadline {
  readonly #passed: Promise<'REQUEST_TIMED_OUT'>;
  readonly #cancel: () => void;

  constructor(context: RequestContext, timeoutMs: number) {
    let cancel = (): void => {};
    this.#passed = new Promise((resolve) => {
      const timer = context.node.clock.after(Math.max(timeoutMs, 0), () => resolve('REQUEST_TIMED_OUT'));
      cancel = () => timer.cancel();
    });
    this.#cancel = cancel;
  }

  before<Outcome>(outcome: Promise<Outcome>): Promise<Outcome | 'REQUEST_TIMED_OUT'> {
    return Promise.race([outcome, this.#passed]);
  }

  end(): void {
    this.#cancel();
  }
}
