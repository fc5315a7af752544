/** Random logs: keys, tombstones, all codecs, idempotent and transactional producers, Raft's own entries, in random segments. */
import * as fc from 'fast-check';
import { encodeBatch, encodeTransactionMarker, setLogAppendTime } from '../../../../protocol/index.ts';
import type { CompressionCodec } from '../../../../protocol/index.ts';
import type { FakeLog } from './fake-log.ts';

export interface DataStep {
  readonly kind: 'data';
  readonly records: readonly { readonly key: number | null; readonly valueBytes: number | null }[];
  readonly codec: CompressionCodec;
  /** 0: none; 1 and 2 are idempotent, 3 and 4 transactional. */
  readonly producer: number;
  readonly isLogAppendTime: boolean;
  readonly hasHeaders: boolean;
}

export type Step =
  | DataStep
  | { readonly kind: 'end'; readonly producer: number; readonly type: 'ABORT' | 'COMMIT' }
  | { readonly kind: 'raft-only' }
  | { readonly kind: 'roll' };

const record = fc.record({
  key: fc.oneof({ weight: 12, arbitrary: fc.nat({ max: 9 }) }, { weight: 1, arbitrary: fc.constant(null) }),
  valueBytes: fc.oneof(
    { weight: 4, arbitrary: fc.nat({ max: 40 }) },
    { weight: 2, arbitrary: fc.constant(null) },
  ),
});

const data = fc.record<DataStep>({
  kind: fc.constant('data' as const),
  records: fc.array(record, { minLength: 1, maxLength: 6 }),
  codec: fc.constantFrom<CompressionCodec>('none', 'none', 'gzip', 'snappy', 'lz4', 'zstd'),
  producer: fc.constantFrom(0, 0, 1, 2, 3, 4),
  isLogAppendTime: fc.boolean(),
  hasHeaders: fc.boolean(),
});

export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: data },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer: fc.constantFrom(3, 4),
      type: fc.constantFrom<('ABORT' | 'COMMIT')[]>('ABORT', 'COMMIT'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('raft-only' as const) }) },
);

/** Appends steps to a log and knows what the partition would know of producers and transactions. */
export class LogScript {
  readonly #log: FakeLog;
  readonly #sequences = new Map<number, number>();
  /** First offsets of open transactions. */
  readonly #open = new Map<number, number>();
  readonly lastDataOffsets = new Map<number, number>();
  #timestamp = 1000;
  #values = 0;

  constructor(log: FakeLog) {
    this.#log = log;
  }

  get lastStableOffset(): number {
    return Math.min(this.#log.logEndOffset, ...this.#open.values());
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'roll') await this.#log.roll();
    else if (step.kind === 'raft-only') this.#log.appendRaftOnly();
    else if (step.kind === 'end') this.#end(step.producer, step.type);
    else this.#append(step);
  }

  #append({ records, codec, producer, isLogAppendTime, hasHeaders }: DataStep): void {
    const isTransactional = producer >= 3;
    const baseSequence = producer === 0 ? -1 : (this.#sequences.get(producer) ?? 0);
    const batch = encodeBatch(
      records.map(({ key, valueBytes }) => ({
        // Neither ascending nor always there.
        timestamp: (this.#timestamp += 7) % 11 === 0 ? this.#timestamp - 500 : this.#timestamp,
        key: key === null ? null : Buffer.from(`key-${key}`),
        value: valueBytes === null ? null : Buffer.from(`${this.#values++}`.padEnd(valueBytes, '.')),
        headers: hasHeaders ? [{ key: 'h', value: Buffer.from('x') }] : [],
      })),
      {
        compression: codec,
        isTransactional,
        baseSequence,
        producerId: producer === 0 ? -1 : producer,
        producerEpoch: producer === 0 ? -1 : 5,
      },
    );
    if (isLogAppendTime) setLogAppendTime(batch, 0, this.#timestamp);
    const baseOffset = this.#log.append(batch);
    if (producer === 0) return;
    this.#sequences.set(producer, baseSequence + records.length);
    this.lastDataOffsets.set(producer, baseOffset + records.length - 1);
    if (isTransactional && !this.#open.has(producer)) this.#open.set(producer, baseOffset);
  }

  #end(producer: number, type: 'ABORT' | 'COMMIT'): void {
    const marker = { type, producerId: producer, producerEpoch: 5, coordinatorEpoch: 0 };
    const lastOffset = this.#log.append(encodeTransactionMarker({ ...marker, timestamp: this.#timestamp }));
    const firstOffset = this.#open.get(producer);
    this.#open.delete(producer);
    if (type === 'COMMIT' || firstOffset === undefined) return;
    const lastStableOffset = this.lastStableOffset;
    this.#log.aborted.push({ producerId: producer, firstOffset, lastOffset, lastStableOffset });
  }
}
