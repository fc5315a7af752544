/** Spans, metrics and contexts in headers, by the conventions, of records that go through a broker. */
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Attributes } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import * as semanticConventions from '@opentelemetry/semantic-conventions/incubating';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog, type Message } from '../../client/index.ts';
import { attribute, formerNames, metric } from '../../client/opentelemetry/conventions.ts';
import { openTelemetry, type OpenTelemetry } from '../../client/opentelemetry/opentelemetry.ts';

let broker: Broker;
let client: Kappalog;
let telemetry: OpenTelemetry;
let topic: string;
let topics = 0;
const spans = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const measured = new InMemoryMetricExporter(AggregationTemporality.DELTA);
const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 });
const meterProvider = new MeterProvider({ readers: [reader] });
const propagator = new W3CTraceContextPropagator();

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const settings = { 'group.initial.rebalance.delay.ms': '0' };
  broker = await startBroker({ port: 0, storage: 'memory', settings });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}`, clientId: 'shop' });
});
afterAll(async () => {
  await client.close();
  await broker.close();
  await meterProvider.shutdown();
  await tracerProvider.shutdown();
  context.disable();
});
beforeEach(async () => {
  topic = `orders-${topics++}`;
  await client.admin().createTopics([{ name: topic, partitions: 1 }]);
  await reader.forceFlush();
  measured.reset();
  spans.reset();
  telemetry = openTelemetry({ tracerProvider, meterProvider, propagator });
});
afterEach(() => telemetry.disable());

async function read(count: number): Promise<Message[]> {
  await using consumer = client.consumer({ assign: [{ topic, partition: 0, endOffset: count }] });
  return await Array.fromAsync(consumer.messages());
}

function spanOf(name: string): ReadableSpan {
  const found = spans.getFinishedSpans().filter((span) => span.name === `${name} ${topic}`);
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** Data points of a metric, each with its attributes, and its value or how often it was taken. */
async function pointsOf(name: string): Promise<[attributes: Attributes, count: number][]> {
  await reader.forceFlush();
  const all = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
  const found = all.flatMap(({ metrics }) => metrics).filter(({ descriptor }) => descriptor.name === name);
  return found.flatMap(({ dataPoints }) =>
    dataPoints.map(({ attributes, value }): [Attributes, number] => [
      attributes,
      typeof value === 'number' ? value : value.count,
    ]),
  );
}

const common = { 'messaging.system.name': 'kafka', 'messaging.client.id': 'shop' };

describe('a record', () => {
  it('is sent in a PRODUCER span, whose context its headers have', async () => {
    await client.producer().send({ topic, key: 'k', value: 'v', headers: { mine: 'x' } });
    const span = spanOf('send');
    expect(span.kind).toBe(SpanKind.PRODUCER);
    expect(span.attributes).toEqual({
      ...common,
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': '0',
      'kafka.message.key': 'k',
      'kafka.offset': 0,
    });
    telemetry.disable();
    const [message] = await read(1);
    const { traceId, spanId } = span.spanContext();
    expect(message!.headers.map(([key, value]) => [key, String(value)])).toEqual([
      ['mine', 'x'],
      ['traceparent', `00-${traceId}-${spanId}-01`],
    ]);
  });

  it('that brings a context along keeps it, and the span links to it', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await client.producer().send({ topic, value: 'v', headers: { traceparent } });
    expect(spanOf('send').links.map((link) => link.context.spanId)).toEqual(['b7ad6b7169203331']);
    const [message] = await read(1);
    expect(message!.headers.map(([key, value]) => [key, String(value)])).toEqual([
      ['traceparent', traceparent],
    ]);
  });

  it('that fails says with what', async () => {
    const producer = client.producer();
    await expect(producer.send({ topic, value: 'v', partition: 7 })).rejects.toThrow('no partition 7');
    const { status, attributes } = spanOf('send');
    expect(status.code).toBe(SpanStatusCode.ERROR);
    expect(attributes['error.type']).toBe('INVALID_ARGUMENT');
    expect(() => producer.add({ topic, value: 'v', partition: -1 })).toThrow('partition');
    expect(spans.getFinishedSpans().filter(({ name }) => name === `send ${topic}`)).toHaveLength(2);
  });
});

describe('a handler', () => {
  it('runs in a CONSUMER span below the one that has sent its message, and commits in a CLIENT span', async () => {
    await client.producer().send({ topic, value: null, key: 'k' });
    const sent = spanOf('send').spanContext();
    const consumer = client.consumer({ groupId: `g-${topic}`, topics: [topic] });
    const seen = Promise.withResolvers<string | undefined>();
    const handled = consumer.each(() => seen.resolve(trace.getActiveSpan()?.spanContext().traceId));
    expect(await seen.promise).toBe(sent.traceId);
    await consumer.drain();
    await handled;
    const { kind, attributes, links, parentSpanContext } = spanOf('process');
    expect(kind).toBe(SpanKind.CONSUMER);
    expect(parentSpanContext?.spanId).toBe(sent.spanId);
    expect(links.map((link) => link.context.spanId)).toEqual([sent.spanId]);
    expect(attributes).toEqual({
      ...common,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': '0',
      'messaging.consumer.group.name': `g-${topic}`,
      'kafka.offset': 0,
      'kafka.message.tombstone': true,
    });
    const commit = spanOf('commit');
    expect(commit.kind).toBe(SpanKind.CLIENT);
    expect(commit.attributes['messaging.operation.type']).toBe('settle');
  });

  it('that throws says with what', async () => {
    await client.producer().send({ topic, value: 'v' });
    await using consumer = client.consumer({ assign: [{ topic, partition: 0 }] });
    const handled = consumer.each(() => Promise.reject(new RangeError('mine')));
    await expect(handled).rejects.toThrow('mine');
    expect(spanOf('process').attributes['error.type']).toBe('RangeError');
    expect(spanOf('process').status.code).toBe(SpanStatusCode.ERROR);
  });

  it('of a batch has a span with a link for each message', async () => {
    await client.producer().sendMany(topic, [{ value: 'a' }, { value: 'b' }]);
    const sent = spans.getFinishedSpans().map((span) => span.spanContext().spanId);
    await using consumer = client.consumer({ assign: [{ topic, partition: 0, endOffset: 2 }] });
    await consumer.eachBatch(() => undefined);
    const { links, attributes, parentSpanContext } = spanOf('process');
    expect(links.map((link) => link.context.spanId).toSorted()).toEqual(sent.toSorted());
    expect(attributes['messaging.batch.message_count']).toBe(2);
    expect(parentSpanContext).toBeUndefined();
  });
});

describe('a loop', () => {
  it('receives in a CLIENT span with links, and may handle in spans below its own', async () => {
    await client.producer().send({ topic, value: 'a' });
    const sent = spanOf('send').spanContext();
    const [message] = await read(1);
    const received = spanOf('poll');
    expect(received.kind).toBe(SpanKind.CLIENT);
    expect(received.links.map((link) => link.context.spanId)).toEqual([sent.spanId]);
    expect(received.attributes['messaging.batch.message_count']).toBe(1);
    const own = tracerProvider.getTracer('test').startSpan('own');
    const result = await context.with(trace.setSpan(ROOT_CONTEXT, own), () =>
      telemetry.process(message!, () => trace.getActiveSpan()?.spanContext().traceId),
    );
    expect(result).toBe(own.spanContext().traceId);
    const { parentSpanContext, links } = spanOf('process');
    expect(parentSpanContext?.spanId).toBe(own.spanContext().spanId);
    expect(links.map((link) => link.context.spanId)).toEqual([sent.spanId]);
  });
});

describe('metrics', () => {
  it('count and time what is sent, received and handled', async () => {
    await client.producer().sendMany(topic, [{ value: 'a' }, { value: 'b' }]);
    await read(2);
    await using consumer = client.consumer({ assign: [{ topic, partition: 0, endOffset: 2 }] });
    await consumer.each(() => undefined);
    const sent = {
      'messaging.system.name': 'kafka',
      'messaging.operation.name': 'send',
      'messaging.destination.name': topic,
    };
    const sentPoints = await pointsOf(metric.sentMessages);
    expect(sentPoints).toEqual([[sent, 2]]);
    const of = async (name: string): Promise<unknown[]> =>
      (await pointsOf(name)).map(([attributes, count]) => [attributes['messaging.operation.name'], count]);
    // What was taken before is in the exporter still; nothing is taken twice.
    expect(await of(metric.consumedMessages)).toEqual([
      ['poll', 2],
      ['process', 2],
    ]);
    expect(await of(metric.operationDuration)).toEqual([
      ['send', 2],
      ['poll', 1],
    ]);
    expect(await of(metric.processDuration)).toEqual([['process', 2]]);
  });
});

describe('names', () => {
  it('are those of the conventions', () => {
    const known = new Set<unknown>(Object.values(semanticConventions));
    for (const name of [
      ...Object.values(attribute),
      ...Object.values(metric),
      ...Object.values(formerNames),
    ]) {
      expect(known, name).toContain(name);
    }
  });

  it('may come in their former form too', async () => {
    telemetry.disable();
    telemetry = openTelemetry({ tracerProvider, meterProvider, propagator, formerNames: true });
    await client.producer().send({ topic, value: 'v' });
    expect(spanOf('send').attributes).toMatchObject({
      'messaging.system': 'kafka',
      'messaging.system.name': 'kafka',
      'messaging.kafka.offset': 0,
      'kafka.offset': 0,
    });
  });
});

it('is over when it is disabled', async () => {
  telemetry.disable();
  await client.producer().send({ topic, value: 'v' });
  const [message] = await read(1);
  expect(message!.headers).toEqual([]);
  expect(spans.getFinishedSpans()).toEqual([]);
});
