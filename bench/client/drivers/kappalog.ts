/** This project's client. */
import { Kappalog } from '../../../client/index.ts';
import type { BenchConsumer, BenchProducer, ClientDriver, OnRecords, Task } from '../driver.ts';

export const driver: ClientDriver = { producer, consumer };

function producer({ brokers, topic, compression, mode }: Task): Promise<BenchProducer> {
  const client = new Kappalog({ brokers });
  const producer = client.producer({ compression, ...(mode === 'round trip' ? { lingerMs: 0 } : {}) });
  return Promise.resolve({
    send: async (values, count) => {
      for (let sent = 0; sent < count; sent += 1) {
        if (!producer.hasRoom || sent % 1_000 === 0) await producer.ready();
        producer.add({ topic, value: values[sent % values.length]! });
      }
      await producer.flush();
    },
    close: () => client.close(),
  });
}

async function consumer(
  { brokers, topic, mode }: Task,
  from: 'earliest' | 'latest',
  onRecords: OnRecords,
): Promise<BenchConsumer> {
  const client = new Kappalog({ brokers });
  const consumer = client.consumer({ groupId: `kappalog-${process.pid}`, topics: [topic], from });
  await consumer.ready();
  const reading = (async () => {
    if (mode === 'consume batches') {
      for await (const { messages } of consumer.batches()) {
        let bytes = 0;
        for (const { value } of messages) bytes += value!.length;
        onRecords(messages.length, bytes);
      }
    } else {
      for await (const { value } of consumer.messages()) onRecords(1, value!.length);
    }
  })();
  return {
    close: async () => {
      await client.close();
      await reading;
    },
  };
}
