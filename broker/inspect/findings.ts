/** What `kappalog log verify` finds, and in which words. */

/**
 * 'damage': bytes that were durable are not as they were written. 'repairable': nothing is lost, and a start of the broker or
 * `kappalog log repair` makes it good. 'note': worth knowing, and nothing wrong.
 */
export type FindingKind = 'damage' | 'repairable' | 'note';

export interface Finding {
  readonly kind: FindingKind;
  readonly file: string;
  readonly position?: number;
  /** The Kafka offset that it begins at. */
  readonly offset?: number;
  readonly cause: string;
  readonly advice: string;
}

export interface VerifiedCounts {
  partitions: number;
  segments: number;
  batches: number;
  records: number;
  bytes: number;
  files: number;
}

export function noCounts(): VerifiedCounts {
  return { partitions: 0, segments: 0, batches: 0, records: 0, bytes: 0, files: 0 };
}

/** One sentence with all there is. */
export function sentenceOf({ kind, file, position, offset, cause, advice }: Finding): string {
  const place = [
    file,
    ...(position === undefined ? [] : [`position ${position}`]),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
  ].join(', ');
  return `${kind}: ${place}: ${cause}; ${advice}.`;
}

export const advices = {
  none: 'nothing has to be done',
  startsAnew: 'the next start of the broker makes it good, or `kappalog log repair` does',
  repair: '`kappalog log repair` makes it good',
  restore:
    'copy the partition from another replica or a backup, or give up what follows with `kappalog log repair --accept-data-loss`',
  kafka: 'start the Kafka that wrote it, which recovers its log itself',
} as const;
