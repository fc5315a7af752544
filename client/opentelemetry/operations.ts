/** Spans and metrics of what the client does: sending, receiving, handling and committing. */
import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanOptions,
  type TextMapPropagator,
  type Tracer,
} from '@opentelemetry/api';
import type { Clock } from '../../platform/clock.ts';
import type { Message } from '../messages.ts';
import type { CommitTrace, ProcessTrace, ReceiveTrace, SendTrace } from '../telemetry/payloads.ts';
import { attribute, errorType, withFormerNames } from './conventions.ts';
import type { Instruments } from './instruments.ts';
import { headerGetter, headerSetter, pairsOf, type HeaderPairs } from './record-headers.ts';

export interface OperationsParts {
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly instruments: Instruments;
  /** Undefined: the global one, as it is at the time. */
  readonly propagator: TextMapPropagator | undefined;
  readonly hasFormerNames: boolean;
}

interface Running {
  readonly span: Span | undefined;
  readonly startedAtMs: number;
  /** Those that metrics have too. */
  readonly common: Attributes;
}

type Handling = Pick<ProcessTrace, 'messages' | 'groupId'> & { readonly clientId?: string };

export class Operations {
  readonly #parts: OperationsParts;
  readonly #running = new WeakMap<object, Running>();

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /** The span is the record's creation context, unless the record brings one along. */
  beginSend(sending: SendTrace): void {
    const { record, clientId } = sending;
    const common = commonOf('send', 'send', { topic: record.topic });
    const pairs = pairsOf(record.headers);
    const own = this.#linksTo([pairs]);
    const span = this.#start(`send ${record.topic}`, {
      kind: SpanKind.PRODUCER,
      links: own,
      attributes: {
        ...common,
        [attribute.clientId]: clientId,
        ...(typeof record.key === 'string' ? { [attribute.kafkaMessageKey]: record.key } : {}),
        ...(record.value === null ? { [attribute.kafkaMessageTombstone]: true } : {}),
      },
    });
    this.#running.set(sending, { span, common, startedAtMs: this.#nowMs() });
    if (own.length > 0) return;
    const headers = pairs.map(([key, value]): [string, typeof value] => [key, value]);
    const { propagator } = this.#parts;
    (propagator ?? propagation).inject(trace.setSpan(context.active(), span), headers, headerSetter);
    sending.record = { ...record, headers };
  }

  endSend(sending: SendTrace): void {
    const { metadata, error } = sending;
    const ended = this.#take(sending);
    if (ended === undefined) return;
    const { span, tookMs, measured } = this.#finish(ended, error);
    if (metadata !== undefined) {
      span?.setAttribute(attribute.destinationPartitionId, String(metadata.partition));
      if (metadata.offset >= 0) this.#set(span, { [attribute.kafkaOffset]: metadata.offset });
    }
    span?.end();
    const { instruments } = this.#parts;
    instruments.operated(tookMs, measured);
    instruments.sent(1, withoutType(measured));
  }

  beginReceive(receiving: ReceiveTrace): void {
    this.#running.set(receiving, { span: undefined, common: {}, startedAtMs: this.#nowMs() });
  }

  /** The span is made when there is something to tell: a loop may wait for hours. */
  endReceive(receiving: ReceiveTrace): void {
    const ended = this.#take(receiving);
    const [first] = receiving.messages;
    if (ended === undefined || first === undefined) return;
    const { messages, groupId, clientId } = receiving;
    const { clock, instruments } = this.#parts;
    const common = commonOf('poll', 'receive', { topic: first.topic, groupId });
    const tookMs = this.#nowMs() - ended.startedAtMs;
    const span = this.#start(`poll ${first.topic}`, {
      kind: SpanKind.CLIENT,
      startTime: clock.wallMs() - tookMs,
      links: this.#linksTo(messages.map(({ headers }) => headers)),
      attributes: {
        ...common,
        [attribute.clientId]: clientId,
        [attribute.destinationPartitionId]: String(first.partition),
        [attribute.batchMessageCount]: messages.length,
      },
    });
    span.end();
    instruments.operated(tookMs, this.#named(common));
    instruments.consumed(messages.length, withoutType(this.#named(common)));
  }

  /** Returns the context that the handler is to run in. */
  beginProcess(handling: Handling): Context {
    const { messages, groupId, clientId } = handling;
    const first = messages[0]!;
    const isSingle = messages.length === 1;
    const common = commonOf('process', 'process', { topic: first.topic, groupId });
    const links = this.#linksTo(messages.map(({ headers }) => headers));
    const active = context.active();
    // Within another span the message's own is a link only, as the conventions have it.
    const hasParent = trace.getSpanContext(active) !== undefined;
    const parent = isSingle && !hasParent ? this.#extract(first.headers) : active;
    const span = this.#start(
      `process ${first.topic}`,
      {
        kind: SpanKind.CONSUMER,
        links,
        attributes: {
          ...common,
          ...(clientId === undefined ? {} : { [attribute.clientId]: clientId }),
          [attribute.destinationPartitionId]: String(first.partition),
          ...(isSingle ? ofMessage(first) : { [attribute.batchMessageCount]: messages.length }),
        },
      },
      parent,
    );
    this.#running.set(handling, { span, common, startedAtMs: this.#nowMs() });
    return trace.setSpan(parent, span);
  }

  endProcess(handling: Handling, error: unknown): void {
    const ended = this.#take(handling);
    if (ended === undefined) return;
    const { span, tookMs, measured } = this.#finish(ended, error);
    span?.end();
    this.#parts.instruments.processed(tookMs, measured);
  }

  /** Those that were handed to a handler, and went through no loop. */
  countConsumed({ messages, groupId }: Handling): void {
    const common = commonOf('process', 'process', { topic: messages[0]!.topic, groupId });
    this.#parts.instruments.consumed(messages.length, withoutType(this.#named(common)));
  }

  beginCommit(committing: CommitTrace): void {
    const { groupId, clientId, offsets } = committing;
    const topics = new Set(offsets.map(({ topic }) => topic));
    const topic = topics.size === 1 ? offsets[0]!.topic : undefined;
    const common = commonOf('commit', 'settle', { topic, groupId });
    const attributes = { ...common, [attribute.clientId]: clientId };
    const name = topic === undefined ? 'commit' : `commit ${topic}`;
    const span = this.#start(name, { kind: SpanKind.CLIENT, attributes });
    this.#running.set(committing, { span, common, startedAtMs: this.#nowMs() });
  }

  endCommit(committing: CommitTrace): void {
    const ended = this.#take(committing);
    if (ended === undefined) return;
    const { span, tookMs, measured } = this.#finish(ended, committing.error);
    span?.end();
    this.#parts.instruments.operated(tookMs, measured);
  }

  #start(name: string, options: SpanOptions, parent: Context = context.active()): Span {
    const attributes = this.#named(options.attributes ?? {});
    return this.#parts.tracer.startSpan(name, { ...options, attributes }, parent);
  }

  #set(span: Span | undefined, attributes: Attributes): void {
    span?.setAttributes(this.#named(attributes));
  }

  #take(operation: object): Running | undefined {
    const ended = this.#running.get(operation);
    this.#running.delete(operation);
    return ended;
  }

  #finish({ span, startedAtMs, common }: Running, error: unknown) {
    const tookMs = this.#nowMs() - startedAtMs;
    if (error === undefined) return { span, tookMs, measured: this.#named(common) };
    const type = errorType(error);
    const message = error instanceof Error ? error.message : type;
    span?.setAttribute(attribute.errorType, type);
    span?.setStatus({ code: SpanStatusCode.ERROR, message });
    return { span, tookMs, measured: this.#named({ ...common, [attribute.errorType]: type }) };
  }

  #linksTo(all: readonly HeaderPairs[]): Link[] {
    return all.flatMap((headers) => {
      const found = headers.length === 0 ? undefined : trace.getSpanContext(this.#extract(headers));
      return found === undefined ? [] : [{ context: found }];
    });
  }

  /** Nothing of whoever runs at the moment. */
  #extract(headers: HeaderPairs): Context {
    const base = trace.deleteSpan(context.active());
    return (this.#parts.propagator ?? propagation).extract(base, headers, headerGetter);
  }

  #named(attributes: Attributes): Attributes {
    return this.#parts.hasFormerNames ? withFormerNames(attributes) : attributes;
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }
}

function commonOf(
  name: string,
  type: string,
  { topic, groupId }: { readonly topic: string | undefined; readonly groupId?: string | undefined },
): Attributes {
  return {
    [attribute.systemName]: 'kafka',
    [attribute.operationName]: name,
    [attribute.operationType]: type,
    ...(topic === undefined ? {} : { [attribute.destinationName]: topic }),
    ...(groupId === undefined ? {} : { [attribute.consumerGroupName]: groupId }),
  };
}

/** The counters of the conventions go without it. */
function withoutType(attributes: Attributes): Attributes {
  const others = { ...attributes };
  delete others[attribute.operationType];
  return others;
}

function ofMessage({ offset, value }: Message): Attributes {
  return {
    [attribute.kafkaOffset]: offset,
    ...(value === null ? { [attribute.kafkaMessageTombstone]: true } : {}),
  };
}
