/**
 * Replays the committed part of a coordinator's log, in slices: after each slice it waits for a timer, so that a long
 * log does not hold up the node's other work.
 */
import type { Clock } from '../../platform/clock.ts';
import { assert } from '../../platform/assert.ts';
import { decodeBatch, iterateBatches } from '../../protocol/index.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import type { ReplayedRecord } from './state-machine.ts';

export interface ReplayOptions {
  readonly log: CoordinatorLog;
  /** Replay stops here (exclusive); all below must be committed. */
  readonly endOffset: number;
  readonly clock: Clock;
  readonly replay: (record: ReplayedRecord) => void;
  /** Asked between slices; once true, the replay ends early. */
  readonly stopped: () => boolean;
}

const readSizeBytesMax = 1024 * 1024;
const recordsPerSlice = 2_000;

/** Rejects where the log cannot be read or a record cannot be understood. */
export async function replayLog(options: ReplayOptions): Promise<void> {
  const { log, endOffset } = options;
  let offset = log.startOffset;
  let sliceRecords = 0;
  while (offset < endOffset && !options.stopped()) {
    const read = await log.read({ offset, endOffset, sizeBytesMax: readSizeBytesMax });
    try {
      const bytes = read.parts.length === 1 ? read.parts[0]! : Buffer.concat(read.parts);
      const readFrom = offset;
      for (const { header, bytes: batch } of iterateBatches(bytes)) {
        offset = header.lastOffset + 1;
        // Control batches mark the ends of transactions; no offset is committed in one here (TxnOffsetCommit is not served).
        if (header.isControl) continue;
        for (const record of decodeBatch(batch)) {
          if (record.offset < readFrom || record.key === null) continue;
          options.replay({
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            producerId: header.producerId,
          });
          sliceRecords += 1;
          if (sliceRecords < recordsPerSlice) continue;
          sliceRecords = 0;
          await nextMacrotask(options.clock);
          if (options.stopped()) return;
        }
      }
      if (offset === readFrom) {
        assert(bytes.length === 0, 'a read of a coordinator log must give whole batches');
        return;
      }
    } finally {
      read.release();
    }
  }
}

function nextMacrotask(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.after(0, resolve);
  });
}
