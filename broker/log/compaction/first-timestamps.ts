/** When the oldest records of a log that are not clean were written, by the first batch of each segment: `max.compaction.lag.ms` counts from there. */
import type { Disk } from '../../../platform/disk.ts';
import { batchField, batchHeaderBytes } from '../../../protocol/index.ts';
import { isRaftOnly } from '../raft-only.ts';
import type { Segment } from '../segments/segment.ts';

export class FirstTimestamps {
  readonly #disk: Disk;
  /** Of full segments, which do not change. */
  readonly #known = new WeakMap<Segment, number>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The largest timestamp of the segment's first batch of records; -1 where it has none. Rejects with a DiskError. */
  async of(segment: Segment): Promise<number> {
    if (segment.totals.firstTimestamp >= 0) return segment.totals.firstTimestamp;
    const known = this.#known.get(segment);
    if (known !== undefined) return known;
    const found = await this.#read(segment);
    this.#known.set(segment, found);
    return found;
  }

  async #read(segment: Segment): Promise<number> {
    const header = Buffer.alloc(batchHeaderBytes);
    const file = await this.#disk.open(segment.path, 'read');
    try {
      for (let position = 0; position < segment.writtenBytes;) {
        const read = await file.read(header, position);
        if (read < batchHeaderBytes || batchField.sizeBytes(header) < batchHeaderBytes) return -1;
        if (!isRaftOnly(header, 0)) return batchField.maxTimestamp(header);
        position += batchField.sizeBytes(header);
      }
      return -1;
    } finally {
      await file.close();
    }
  }
}
