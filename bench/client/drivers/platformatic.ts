/** @platformatic/kafka, given batches as kafkajs is; it hands out messages one by one only. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chunks } from '../chunks.ts';
import type { BenchConsumer, BenchProducer, ClientDriver, OnRecords, Task } from '../driver.ts';

/** As much of its types as is used here. */
interface Stream extends AsyncIterable<{ readonly value: Buffer }> {
  close(): Promise<void>;
}
interface Platformatic {
  readonly Producer: new (options: object) => {
    send(options: object): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Consumer: new (options: object) => {
    consume(options: object): Promise<Stream>;
    close(force: boolean): Promise<void>;
  };
}

export const driver: ClientDriver = { producer, consumer };

async function libraryOf({ directory }: Task): Promise<Platformatic> {
  const require = createRequire(join(directory, 'package.json'));
  return import(pathToFileURL(require.resolve('@platformatic/kafka')).href);
}

async function producer(task: Task): Promise<BenchProducer> {
  const { topic, compression, brokers } = task;
  const { Producer } = await libraryOf(task);
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [brokers] });
  return {
    send: (values, count) =>
      chunks(values, count, async (part) => {
        await producer.send({
          acks: -1,
          compression,
          messages: part.map((value) => ({ topic, value })),
        });
      }),
    close: () => producer.close(),
  };
}

async function consumer(
  task: Task,
  from: 'earliest' | 'latest',
  onRecords: OnRecords,
): Promise<BenchConsumer> {
  const { Consumer } = await libraryOf(task);
  const consumer = new Consumer({
    clientId: 'bench',
    bootstrapBrokers: [task.brokers],
    groupId: `platformatic-${process.pid}`,
    maxWaitTime: 500,
  });
  const stream = await consumer.consume({ topics: [task.topic], mode: from, autocommit: 5_000 });
  const reading = (async () => {
    for await (const { value } of stream) onRecords(1, value.length);
  })();
  return {
    close: async () => {
      await stream.close();
      await reading;
      await consumer.close(true);
    },
  };
}
