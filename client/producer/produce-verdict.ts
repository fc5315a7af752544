/**
 * What a broker's answer to a batch means. The delicate part is the idempotent producer's: a refusal for the sequence
 * says that the batch is not in the log, so that it may be sent again; whether under the same number depends on
 * whether something older is undecided (then the refusal only says that the older batch has not arrived either) or
 * not (then the broker has lost the producer's state, or there is a gap, and the numbering starts anew).
 */
import { ErrorCode } from '../../protocol/index.ts';
import { brokerError, isRetriableCode, type KafkaError, wantsMetadata } from '../errors.ts';
import type { PartitionAnswer } from './produce-request.ts';
import type { ProducerBatch } from './producer-batch.ts';

export type Verdict =
  | { readonly kind: 'stored' }
  | { readonly kind: 'split' }
  | { readonly kind: 'failed'; readonly error: KafkaError }
  | {
      readonly kind: 'retry';
      readonly error: KafkaError;
      /** The batch is certainly not in the log. */
      readonly isRejected: boolean;
      readonly needsRenewal: boolean;
      readonly needsMetadata: boolean;
      /** Without a pause: nothing has to heal before. */
      readonly isImmediate: boolean;
    };

export interface VerdictContext {
  /** No older batch of the partition is undecided. */
  readonly isOldest: boolean;
  readonly isIdempotent: boolean;
}

const sequenceErrors: ReadonlySet<number> = new Set([
  ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ErrorCode.UNKNOWN_PRODUCER_ID,
  ErrorCode.INVALID_PRODUCER_EPOCH,
]);

export function judge(answer: PartitionAnswer, batch: ProducerBatch, context: VerdictContext): Verdict {
  const code = answer.errorCode;
  // A duplicate is a retry of something that the log has, though so far back that its offset is forgotten.
  if (code === ErrorCode.NONE || code === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return { kind: 'stored' };
  if (code === ErrorCode.MESSAGE_TOO_LARGE && batch.recordCount > 1) return { kind: 'split' };
  const { topic, partition } = batch.settlement;
  const error = brokerError(code, `write to ${topic}-${partition}`, reason(answer));
  if (context.isIdempotent && sequenceErrors.has(code)) {
    const isStranger = code !== ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER;
    const needsRenewal = context.isOldest || isStranger;
    return { kind: 'retry', error, isRejected: true, needsRenewal, needsMetadata: false, isImmediate: true };
  }
  if (!isRetriableCode(code)) return { kind: 'failed', error };
  return {
    kind: 'retry',
    error,
    isRejected: false,
    needsRenewal: false,
    needsMetadata: wantsMetadata(code),
    isImmediate: false,
  };
}

function reason(answer: PartitionAnswer): string | null {
  const details = answer.recordErrors.map(
    ({ batchIndex, batchIndexErrorMessage }) =>
      `record ${batchIndex} of the batch: ${batchIndexErrorMessage ?? 'refused'}`,
  );
  const parts = [answer.errorMessage ?? '', ...details.slice(0, 3)].filter((text) => text !== '');
  return parts.length === 0 ? null : parts.join('; ');
}
