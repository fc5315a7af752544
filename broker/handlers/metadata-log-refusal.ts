/** What a client is told when the metadata log cannot take its operation. */
import { MetadataLogError, refusalOf } from '../cluster/metadata/metadata-log.ts';
import type { Refusal } from '../cluster/controller/controller.ts';

/** The outcome of an operation, or what `refused` makes of the metadata log's refusal. Other errors are bugs and go on. */
export async function unlessLogRefuses<Result>(
  operation: Promise<Result>,
  refused: (refusal: Refusal) => Result,
): Promise<Result> {
  try {
    return await operation;
  } catch (error) {
    if (!(error instanceof MetadataLogError)) throw error;
    return refused(refusalOf(error));
  }
}
