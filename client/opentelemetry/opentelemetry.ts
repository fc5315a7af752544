/**
 * `kappalog/opentelemetry`: spans, metrics and trace contexts in headers for all clients of the process, made of what they tell on their
 * channels. Needs the package `@opentelemetry/api`; without an SDK it does nothing.
 */
import type { TracingChannelSubscribers } from 'node:diagnostics_channel';
import { context, metrics, trace } from '@opentelemetry/api';
import type { MeterProvider, TextMapPropagator, TracerProvider } from '@opentelemetry/api';
import { realPlatform } from '../../platform/real/real-platform.ts';
import type { Message } from '../messages.ts';
import { commitChannel, processChannel, receiveChannel, sendChannel } from '../telemetry/channels.ts';
import { Instruments } from './instruments.ts';
import { Operations } from './operations.ts';

export interface OpenTelemetryOptions {
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider;
  /** Default: the global one. */
  readonly meterProvider?: MeterProvider;
  /** How trace contexts are written to headers and read from them. Default: the global one, which an SDK sets to W3C's. */
  readonly propagator?: TextMapPropagator;
  /** Attributes that version 1.45 of the conventions has renamed come under their former names too, such as `messaging.system`. Default false. */
  readonly formerNames?: boolean;
}

export interface OpenTelemetry {
  /** For a loop over messages: handles one, or a batch, within a span of its own, which `each` and `eachBatch` do by themselves. */
  process<R>(messages: Message | readonly Message[], handle: () => R, groupId?: string): Promise<Awaited<R>>;
  /** Ends it: nothing more is traced, measured or written to headers. */
  disable(): void;
}

const scope = 'kappalog';

/** From now on all clients of this process are traced and measured, until `disable`. */
export function openTelemetry(options: OpenTelemetryOptions = {}): OpenTelemetry {
  const operations = new Operations({
    clock: realPlatform().clock,
    tracer: (options.tracerProvider ?? trace).getTracer(scope),
    instruments: new Instruments((options.meterProvider ?? metrics).getMeter(scope)),
    propagator: options.propagator,
    hasFormerNames: options.formerNames ?? false,
  });
  const unsubscribe = [
    follow(sendChannel, {
      start: (sending) => operations.beginSend(sending),
      // What is refused at once never comes to its asynchronous end.
      end: (sending) => void (sending.error !== undefined && operations.endSend(sending)),
      asyncEnd: (sending) => operations.endSend(sending),
    }),
    follow(receiveChannel, {
      start: (receiving) => operations.beginReceive(receiving),
      asyncEnd: (receiving) => operations.endReceive(receiving),
    }),
    follow(processChannel, {
      start: (handling) => {
        const within = operations.beginProcess(handling);
        handling.around = (handle) => context.with(within, handle);
        operations.countConsumed(handling);
      },
      asyncEnd: (handling) => operations.endProcess(handling, handling.error),
    }),
    follow(commitChannel, {
      start: (committing) => operations.beginCommit(committing),
      asyncEnd: (committing) => operations.endCommit(committing),
    }),
  ];
  return {
    process: (messages, handle, groupId) => process(operations, messages, handle, groupId),
    disable: () => {
      for (const end of unsubscribe.splice(0)) end();
    },
  };
}

interface Followed<P extends object> {
  subscribe(subscribers: TracingChannelSubscribers<P>): void;
  unsubscribe(subscribers: TracingChannelSubscribers<P>): void;
}

function follow<P extends object>(
  channel: Followed<P>,
  steps: Partial<Record<'start' | 'end' | 'asyncEnd', (payload: P) => void>>,
): () => void {
  const subscribers: TracingChannelSubscribers<P> = {
    start: steps.start ?? nothing,
    end: steps.end ?? nothing,
    asyncStart: nothing,
    asyncEnd: steps.asyncEnd ?? nothing,
    error: nothing,
  };
  channel.subscribe(subscribers);
  return () => channel.unsubscribe(subscribers);
}

function nothing(): void {}

async function process<R>(
  operations: Operations,
  given: Message | readonly Message[],
  handle: () => R,
  groupId: string | undefined,
): Promise<Awaited<R>> {
  const handling = { messages: 'offset' in given ? [given] : given, groupId };
  if (handling.messages.length === 0) return await handle();
  const within = operations.beginProcess(handling);
  try {
    const result = await context.with(within, handle);
    operations.endProcess(handling, undefined);
    return result;
  } catch (error) {
    operations.endProcess(handling, error);
    throw error;
  }
}
