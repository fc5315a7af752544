/** Runs what takes time under its channel. To be called where the channel has subscribers. */
import type { TracingChannel } from 'node:diagnostics_channel';
import type { Delivery } from '../producer/settlement.ts';
import type { ProducerRecord } from '../messages.ts';
import { sendChannel } from './channels.ts';
import type { Outcome, SendTrace } from './payloads.ts';

/** `note` takes down in the payload what came of it, before `asyncEnd`. */
export async function traced<P extends Outcome, R>(
  channel: TracingChannel<unknown, P>,
  payload: P,
  run: () => Promise<R>,
  note?: (result: R) => void,
): Promise<R> {
  let result!: R;
  const finish = async (): Promise<void> => {
    result = await run();
    note?.(result);
  };
  await channel.tracePromise(finish, payload);
  return result;
}

/** As `traced`, for a record whose fate nobody may ever ask for: to look on does not count as asking. */
export function tracedSend(trace: SendTrace, add: (record: ProducerRecord) => Delivery): Delivery {
  return sendChannel.start.runStores(trace, () => {
    try {
      const delivery = add(trace.record);
      void tellFate(trace, delivery);
      return delivery;
    } catch (error) {
      trace.error = error;
      sendChannel.error.publish(trace);
      throw error;
    } finally {
      sendChannel.end.publish(trace);
    }
  });
}

async function tellFate(trace: SendTrace, delivery: Delivery): Promise<void> {
  try {
    trace.metadata = await delivery.watchFromAside();
  } catch (error) {
    trace.error = error;
    sendChannel.error.publish(trace);
  }
  sendChannel.asyncStart.publish(trace);
  sendChannel.asyncEnd.publish(trace);
}
