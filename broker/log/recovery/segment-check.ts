/**
 * Reads a segment's batches one after the other and checks the framing and the CRC of each. Shared by the scrubber and by
 * `kappalog log verify`. Works in a small buffer of its own, whatever the size of a batch.
 */
import type { DiskFile } from '../../../platform/disk.ts';
import { batchField, batchHeaderBytes, crc32c } from '../../../protocol/index.ts';
import type { ScanEnd, ScannedBatch } from '../reading/batch-scan.ts';

/** Large enough for all batches whose inside is looked at: Raft's own and the markers of transactions. */
export const checkBlockBytes = 64 * 1024;

/** A batch whose CRC fits. Only what fits into a block is whole in the buffer; of a larger one the header is there. */
export type SoundBatch = ScannedBatch;

export interface CheckOptions {
  /** After each batch whose bytes are sound; other text than undefined refuses it. */
  readonly visit: (batch: SoundBatch) => string | undefined;
  /** Called with the bytes of each read, before the next one: sets the pace. */
  readonly pause?: ((readBytes: number) => Promise<void>) | undefined;
}

/** Walks over [from, to) of a segment's file. Rejects with a DiskError; what is wrong with the bytes is in the result. */
export async function checkBatches(
  file: DiskFile,
  { from, to }: { readonly from: number; readonly to: number },
  options: CheckOptions,
): Promise<ScanEnd> {
  const source = new BlockReader(file, { from, to }, options.pause);
  const batch: SoundBatch = { buffer: source.buffer, at: 0, position: from, sizeBytes: 0 };
  while (source.position < to) {
    const { position } = source;
    await source.need(Math.min(batchHeaderBytes, to - position));
    if (source.availableBytes < batchHeaderBytes) return { position, fault: 'the last batch is cut off' };
    const sizeBytes = batchField.sizeBytes(source.buffer, source.at);
    const fault = framingFault(source, sizeBytes, to - position);
    if (fault !== undefined) return { position, fault };
    await source.need(Math.min(sizeBytes, checkBlockBytes));
    if (source.availableBytes < Math.min(sizeBytes, checkBlockBytes))
      return { position, fault: 'the last batch is cut off' };
    batch.at = source.at;
    batch.position = position;
    batch.sizeBytes = sizeBytes;
    // The header of a batch larger than a block is overwritten by what follows, so it is visited first.
    const isLarge = sizeBytes > checkBlockBytes;
    const verdict = isLarge ? options.visit(batch) : undefined;
    if (!(await isCrcRight(source, sizeBytes))) return { position, fault: 'the CRC does not fit the batch' };
    const reason = isLarge ? verdict : options.visit(batch);
    if (reason !== undefined) return { position, fault: reason === 'stop' ? undefined : reason };
    source.skip(sizeBytes - (source.position - position));
  }
  return { position: source.position, fault: undefined };
}

/** For a batch within the buffer nothing is consumed; a larger one is, up to its end. */
async function isCrcRight(source: BlockReader, sizeBytes: number): Promise<boolean> {
  const expected = batchField.crc(source.buffer, source.at);
  if (sizeBytes <= checkBlockBytes) {
    return crc32c(source.buffer.subarray(source.at + 21, source.at + sizeBytes)) === expected;
  }
  let crc = 0;
  source.skip(21);
  for (let left = sizeBytes - 21; left > 0;) {
    await source.need(Math.min(left, checkBlockBytes));
    const taken = Math.min(left, source.availableBytes);
    if (taken === 0) return false;
    crc = crc32c(source.buffer.subarray(source.at, source.at + taken), crc);
    source.skip(taken);
    left -= taken;
  }
  return crc === expected;
}

function framingFault(source: BlockReader, sizeBytes: number, leftBytes: number): string | undefined {
  if (sizeBytes < batchHeaderBytes) return 'no batch has this length';
  if (batchField.magic(source.buffer, source.at) !== 2) return 'not a record batch of format 2';
  return sizeBytes > leftBytes ? 'the last batch is cut off' : undefined;
}

/** A window over a file, one block at a time. */
class BlockReader {
  readonly buffer: Buffer;
  /** Where the next byte is in the buffer... */
  at = 0;
  /** ...and in the file. */
  position: number;
  readonly #file: DiskFile;
  readonly #to: number;
  readonly #pause: ((readBytes: number) => Promise<void>) | undefined;
  #filled = 0;

  constructor(
    file: DiskFile,
    { from, to }: { from: number; to: number },
    pause: ((readBytes: number) => Promise<void>) | undefined,
  ) {
    this.buffer = Buffer.allocUnsafeSlow(Math.min(2 * checkBlockBytes, Math.max(0, to - from)));
    this.#file = file;
    this.position = from;
    this.#to = to;
    this.#pause = pause;
  }

  get availableBytes(): number {
    return this.#filled - this.at;
  }

  skip(sizeBytes: number): void {
    this.at += sizeBytes;
    this.position += sizeBytes;
  }

  /** Makes so many bytes available, at most a block, or all up to the end. */
  async need(sizeBytes: number): Promise<void> {
    while (this.availableBytes < sizeBytes) {
      if (this.at > 0) {
        this.buffer.copy(this.buffer, 0, this.at, this.#filled);
        this.#filled -= this.at;
        this.at = 0;
      }
      const from = this.position + this.#filled;
      const wanted = Math.min(checkBlockBytes, this.buffer.length - this.#filled, this.#to - from);
      if (wanted <= 0) return;
      const read = await this.#file.read(this.buffer.subarray(this.#filled, this.#filled + wanted), from);
      this.#filled += read;
      await this.#pause?.(read);
      if (read < wanted) return;
    }
  }
}
