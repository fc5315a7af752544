/** Offsets as far as they can be had: a partition without a leader, or one whose leader does not answer, hides no others. */
import { KafkaError, type Admin, type TopicPartition } from '../client/index.ts';

export interface LedPartition extends TopicPartition {
  /** -1 while there is none. */
  readonly leader: number;
}

/** A leader that hangs is not waited for any longer; others take its place sooner. */
const leaderLimitMs = 5_000;

/** In the order of the partitions; null where it could not be told. */
export async function knownOffsets(
  admin: Admin,
  partitions: readonly LedPartition[],
  at: 'earliest' | 'latest',
): Promise<(number | null)[]> {
  const found = new Map<string, number>();
  const led = partitions.filter(({ leader }) => leader >= 0);
  await Promise.all(
    [...Map.groupBy(led, ({ leader }) => leader).values()].map(async (group) => {
      try {
        const queries = group.map(({ topic, partition }) => ({ topic, partition, at }));
        const results = await admin.listOffsets(queries, { signal: AbortSignal.timeout(leaderLimitMs) });
        for (const result of results) found.set(`${result.topic}/${result.partition}`, result.offset);
      } catch (error) {
        const isSilent = error instanceof KafkaError && (error.retriable || error.code === 'ABORTED');
        if (!isSilent) throw error;
      }
    }),
  );
  return partitions.map(({ topic, partition }) => found.get(`${topic}/${partition}`) ?? null);
}
