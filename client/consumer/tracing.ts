/** Receiving and handling messages, for who looks on. */
import type { Message } from '../messages.ts';
import { processChannel, receiveChannel } from '../telemetry/channels.ts';
import type { ProcessTrace, ReceiveTrace } from '../telemetry/payloads.ts';
import { traced } from '../telemetry/traced.ts';
import type { Handout } from './handout.ts';
import type { BatchHandler, MessageHandler } from './parallel-handling.ts';

/** The consumer, to those who look on. */
export interface ConsumerName {
  readonly clientId: string;
  readonly groupId: string | undefined;
}

/** To be called where the channel has subscribers. */
export function tracedReceive(
  name: ConsumerName,
  receive: () => Promise<Handout | undefined>,
): Promise<Handout | undefined> {
  const trace: ReceiveTrace = { ...name, messages: [] };
  return traced(receiveChannel, trace, receive, (handout) => {
    trace.messages = handout?.messages ?? [];
  });
}

export function tracedMessages(name: ConsumerName, handler: MessageHandler): MessageHandler {
  return (message, context) =>
    processChannel.hasSubscribers
      ? tracedHandling(name, [message], async () => handler(message, context))
      : handler(message, context);
}

export function tracedBatches(name: ConsumerName, handler: BatchHandler): BatchHandler {
  return (batch, context) =>
    processChannel.hasSubscribers
      ? tracedHandling(name, batch.messages, async () => handler(batch, context))
      : handler(batch, context);
}

function tracedHandling<R>(
  name: ConsumerName,
  messages: readonly Message[],
  handle: () => Promise<R>,
): Promise<R> {
  const trace: ProcessTrace = { ...name, messages };
  return traced(processChannel, trace, () => (trace.around === undefined ? handle() : trace.around(handle)));
}
