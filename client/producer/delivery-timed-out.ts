/** What is said of a batch that was given up because its time was over: why, and whether the broker may have it all the same. */
import { KafkaError } from '../errors.ts';
import type { PartitionQueue } from './partition-queue.ts';
import type { ProducerBatch } from './producer-batch.ts';

export function deliveryTimedOut(
  queue: PartitionQueue,
  batch: ProducerBatch,
  deliveryTimeoutMs: number,
): KafkaError {
  const fate =
    batch.attempts === 0
      ? 'It was never sent.'
      : batch.isRejected
        ? 'The broker refused it each time.'
        : 'Its last attempt may have succeeded without the answer coming back.';
  const why = queue.lastError === undefined ? '' : ` Last error: ${queue.lastError.message}`;
  return new KafkaError(
    'TIMED_OUT',
    `Could not deliver to ${queue.topic}-${queue.partition} within ${deliveryTimeoutMs} ms. ${fate}${why}`,
    { cause: queue.lastError },
  );
}
