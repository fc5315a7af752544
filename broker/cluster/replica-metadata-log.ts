/** The metadata log, kept in a replica: each operation's records are one batch, so that all or none are there. */
import { decodeBatch, encodeBatch, iterateBatches, readBatchHeader } from '../../protocol/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Replica } from '../partition/replica.ts';
import { MetadataLogError } from './cluster.ts';
import type { MetadataLog } from './cluster.ts';

const readBytes = 1024 * 1024;

export class ReplicaMetadataLog implements MetadataLog {
  readonly #replica: Replica;
  readonly #clock: Clock;

  constructor(replica: Replica, clock: Clock) {
    this.#replica = replica;
    this.#clock = clock;
  }

  append(records: readonly Buffer[]): Promise<void> {
    const timestamp = this.#clock.wallMs();
    const batch = encodeBatch(records.map((value) => ({ timestamp, key: null, value })));
    const outcome = this.#replica.append(batch, readBatchHeader(batch));
    if (outcome.kind !== 'appended') return Promise.reject(this.#error());
    return new Promise((resolve, reject) => {
      this.#replica.acknowledgements.whenCommitted(outcome, (reached) => {
        if (reached) resolve();
        else reject(this.#error());
      });
    });
  }

  async replay(visit: (record: Buffer) => void): Promise<void> {
    let offset = this.#replica.logStartOffset;
    while (offset < this.#replica.highWatermark) {
      const read = await this.#replica.read(offset, readBytes, true);
      const bytes = Buffer.concat(read.parts);
      read.release();
      const startOffset: number = offset;
      for (const { header, bytes: batch } of iterateBatches(bytes)) {
        for (const record of decodeBatch(batch)) if (record.offset >= offset) visit(record.value!);
        offset = header.lastOffset + 1;
      }
      if (offset === startOffset)
        throw new MetadataLogError('failed', `the metadata log cannot be read at ${offset}`);
    }
  }

  #error(): MetadataLogError {
    return this.#replica.failed
      ? new MetadataLogError(
          'failed',
          'the metadata log has failed: its disk takes no writes; see the log of this node',
        )
      : new MetadataLogError('not-leader', 'this node does not lead the metadata log');
  }
}
