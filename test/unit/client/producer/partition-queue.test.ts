import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PartitionQueue } from '../../../../client/producer/partition-queue.ts';
import { judge } from '../../../../client/producer/produce-verdict.ts';
import type { PartitionAnswer } from '../../../../client/producer/produce-request.ts';
import { ProducerBatch, type Identity } from '../../../../client/producer/producer-batch.ts';
import { Settlement } from '../../../../client/producer/settlement.ts';
import { batchField, codec, ErrorCode } from '../../../../protocol/index.ts';

const inFlightMax = 5;
const format = { compression: 'none', compressionLevel: undefined, batchBytes: 1_000 } as const;

/** A partition leader as Kafka's rules have it: it takes any sequence from a producer that it does not know. */
class Leader {
  readonly log: number[] = [];
  #producers = new Map<number, { sequence: number; count: number }[]>();

  /** The newest batch is gone, and the memory of it: what losing an unclean election does. */
  loseLast(): void {
    this.log.pop();
    for (const recent of this.#producers.values()) recent.pop();
  }

  append(bytes: Buffer): number {
    const producerId = batchField.producerId(bytes);
    const sequence = batchField.baseSequence(bytes);
    const count = batchField.recordCount(bytes);
    const recent = this.#producers.get(producerId) ?? [];
    if (recent.some((batch) => batch.sequence === sequence && batch.count === count)) return ErrorCode.NONE;
    const last = recent.at(-1);
    if (last !== undefined && sequence !== last.sequence + last.count)
      return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER;
    this.#producers.set(producerId, [...recent, { sequence, count }].slice(-5));
    this.log.push(batchField.baseTimestamp(bytes));
    return ErrorCode.NONE;
  }
}

function partitionAnswer(errorCode: number): PartitionAnswer {
  const response = codec('ProduceResponse', 12);
  const bytes = response.encode({
    responses: [{ name: 't', partitionResponses: [{ index: 0, errorCode }] }],
  });
  return response.decode(bytes).responses[0]!.partitionResponses[0]!;
}

type Step = 'add' | 'send' | 'answer' | 'refuse' | 'cut before' | 'cut after' | 'reject';

/** One producer's partition and its connection: what was sent waits in `wire`, oldest first. */
class Harness {
  readonly leader = new Leader();
  readonly queue = new PartitionQueue('t', 0, inFlightMax);
  readonly failed = new Set<number>();
  readonly #wire: ProducerBatch[] = [];
  #identities = 0;
  /** Timestamps stand for batches: each batch holds one more record than its number modulo 3. */
  #next = 0;

  run(step: Step): void {
    if (step === 'add') this.#add();
    else if (step === 'send') this.#send();
    else if (step === 'answer') this.#answer((batch) => this.leader.append(batch.bytes()));
    else if (step === 'refuse') this.#answer(() => ErrorCode.NOT_LEADER_OR_FOLLOWER);
    else if (step === 'reject') this.#answer(() => ErrorCode.INVALID_RECORD);
    else this.#cut(step === 'cut after' ? this.#wire.length : Math.min(1, this.#wire.length));
  }

  /** Without further faults everything is decided within a bounded number of steps. */
  settle(): void {
    for (let step = 0; step < 1_000 && !this.queue.isIdle; step++) {
      this.#send();
      this.run('answer');
    }
  }

  get added(): number {
    return this.#next;
  }

  #add(): void {
    const number = this.#next++;
    const batch = new ProducerBatch(new Settlement('t', 0), this.queue.takeOrder(), 0, format);
    for (let record = 0; record <= number % 3; record++)
      batch.tryAppend({ timestamp: number, value: null }, 1);
    this.queue.open = batch;
    this.queue.closeOpen();
  }

  #send(): void {
    const { queue } = this;
    if (queue.renewal === 'blocked') return;
    if (queue.renewal === 'due') {
      const identity: Identity = { producerId: this.#identities++, producerEpoch: 0 };
      queue.renew(identity);
    }
    if (queue.maySend) this.#wire.push(queue.take(true));
    expect(queue.inFlight.length).toBeLessThanOrEqual(inFlightMax);
  }

  #answer(serve: (batch: ProducerBatch) => number): void {
    const batch = this.#wire.shift();
    if (batch === undefined) return;
    const answer = partitionAnswer(serve(batch));
    const isOldest = this.queue.isOldest(batch);
    const verdict = judge(answer, batch, { isOldest, isIdempotent: true });
    this.queue.land(batch);
    if (verdict.kind === 'stored') this.queue.onAcknowledged();
    else if (verdict.kind === 'failed') {
      this.queue.requireRenewal();
      this.failed.add(batchField.baseTimestamp(batch.bytes()));
    } else if (verdict.kind === 'retry') {
      batch.isRejected = verdict.isRejected;
      if (verdict.needsRenewal) this.queue.requireRenewal();
      this.queue.requeue(batch);
    }
  }

  /** The connection ends; the leader has carried out the first `served` requests. */
  #cut(served: number): void {
    this.#wire.slice(0, served).forEach((batch) => this.leader.append(batch.bytes()));
    for (const batch of this.#wire.splice(0)) {
      this.queue.land(batch);
      this.queue.requeue(batch);
    }
  }
}

const faults: Step[] = ['refuse', 'cut before', 'cut after'];
const steps = (extra: Step[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.constantFrom<Step>('add', 'add', 'send', 'send', 'send', 'answer', 'answer', ...extra), {
    maxLength: 300,
    size: 'max',
  });

describe('a partition queue', () => {
  it('gets every batch into the log once and in order, whatever happens to the answers', () => {
    fc.assert(
      fc.property(steps(faults), (run) => {
        const harness = new Harness();
        for (const step of run) harness.run(step);
        harness.settle();
        expect(harness.queue.isIdle).toBe(true);
        expect(harness.leader.log).toEqual(Array.from({ length: harness.added }, (_, index) => index));
      }),
      { numRuns: 500 },
    );
  });

  it('goes on behind batches that are refused for good, without a gap or a repetition among the others', () => {
    fc.assert(
      fc.property(steps([...faults, 'reject']), (run) => {
        const harness = new Harness();
        for (const step of run) harness.run(step);
        harness.settle();
        expect(harness.queue.isIdle).toBe(true);
        // A batch that was refused when it was sent again may have been stored the time before.
        const { log } = harness.leader;
        expect(new Set(log).size).toBe(log.length);
        expect(log).toEqual(log.toSorted((a, b) => a - b));
        const missing = Array.from({ length: harness.added }, (_, index) => index).filter(
          (index) => !log.includes(index),
        );
        for (const index of missing) expect(harness.failed).toContain(index);
      }),
      { numRuns: 500 },
    );
  });

  it('sends the second batch only when the first is acknowledged, and then up to the limit', () => {
    const harness = new Harness();
    for (let count = 0; count < 10; count++) harness.run('add');
    for (let count = 0; count < 10; count++) harness.run('send');
    expect(harness.queue.inFlight).toHaveLength(1);
    harness.run('answer');
    for (let count = 0; count < 10; count++) harness.run('send');
    expect(harness.queue.inFlight).toHaveLength(inFlightMax);
  });

  it('numbers anew when the leader has lost what it acknowledged', () => {
    const harness = new Harness();
    for (let count = 0; count < 4; count++) harness.run('add');
    for (const step of ['send', 'answer', 'send', 'answer'] as const) harness.run(step);
    harness.leader.loseLast();
    harness.settle();
    expect(harness.queue.isIdle).toBe(true);
    // The lost one is lost: it was acknowledged. All others are there, once and in order.
    expect(harness.leader.log).toEqual([0, 2, 3]);
  });

  it('lets the parts of a batch take its place and its sequences', () => {
    const harness = new Harness();
    for (let count = 0; count < 3; count++) harness.run('add');
    harness.run('send');
    harness.run('answer');
    harness.run('send');
    const batch = harness.queue.inFlight[0]!;
    harness.queue.land(batch);
    const part = (order: number): ProducerBatch => {
      const made = new ProducerBatch(new Settlement('t', 0), order, 0, format);
      made.tryAppend({ timestamp: 0, value: null }, 1);
      return made;
    };
    const parts = [part(batch.order), part(batch.order + 0.5)];
    harness.queue.replace(batch, parts);
    expect(harness.queue.waiting.slice(0, 2)).toEqual(parts);
    expect(parts.map((item) => item.sequence)).toEqual([batch.sequence, batch.sequence + 1]);
  });
});

describe('sequences', () => {
  it('go on at 0 after 2^31 - 1, also within a batch', () => {
    const batch = new ProducerBatch(new Settlement('t', 0), 0, 0, format);
    for (let record = 0; record < 3; record++) batch.tryAppend({ timestamp: 0, value: null }, 1);
    batch.number({ producerId: 1, producerEpoch: 0 }, 2 ** 31 - 2);
    expect(batch.nextSequence).toBe(1);
  });
});
