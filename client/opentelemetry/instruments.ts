/** The metrics of the conventions. Partitions are left out: there may be thousands. */
import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';
import { durationBoundaries, metric } from './conventions.ts';

export class Instruments {
  readonly #operationDuration: Histogram;
  readonly #processDuration: Histogram;
  readonly #sent: Counter;
  readonly #consumed: Counter;

  constructor(meter: Meter) {
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: durationBoundaries } };
    const messages = { unit: '{message}' };
    this.#operationDuration = meter.createHistogram(metric.operationDuration, {
      ...seconds,
      description: 'Duration of messaging operation initiated by a producer or consumer client.',
    });
    this.#processDuration = meter.createHistogram(metric.processDuration, {
      ...seconds,
      description: 'Duration of processing operation.',
    });
    this.#sent = meter.createCounter(metric.sentMessages, {
      ...messages,
      description: 'Number of messages producer attempted to send to the broker.',
    });
    this.#consumed = meter.createCounter(metric.consumedMessages, {
      ...messages,
      description: 'Number of messages that were delivered to the application.',
    });
  }

  operated(tookMs: number, attributes: Attributes): void {
    this.#operationDuration.record(tookMs / 1_000, attributes);
  }

  processed(tookMs: number, attributes: Attributes): void {
    this.#processDuration.record(tookMs / 1_000, attributes);
  }

  sent(count: number, attributes: Attributes): void {
    this.#sent.add(count, attributes);
  }

  consumed(count: number, attributes: Attributes): void {
    this.#consumed.add(count, attributes);
  }
}
