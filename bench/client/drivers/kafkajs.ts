/** kafkajs: it has no batching of its own, so it is given batches, as many at a time as the other clients send. */
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { chunks } from '../chunks.ts';
import type { BenchConsumer, BenchProducer, ClientDriver, OnRecords, Task } from '../driver.ts';

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;

CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { readonly buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (bytes: Buffer) => decompressFrame(bytes),
});

export const driver: ClientDriver = { producer, consumer };

const clientOf = ({ brokers }: Task) => new Kafka({ brokers: [brokers], logLevel: logLevel.ERROR });

async function producer(task: Task): Promise<BenchProducer> {
  const { topic } = task;
  const compression = task.compression === 'lz4' ? CompressionTypes.LZ4 : CompressionTypes.None;
  const producer = clientOf(task).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  return {
    send: (values, count) =>
      chunks(values, count, async (part) => {
        await producer.send({ topic, acks: -1, compression, messages: part.map((value) => ({ value })) });
      }),
    close: () => producer.disconnect(),
  };
}

async function consumer(
  task: Task,
  from: 'earliest' | 'latest',
  onRecords: OnRecords,
): Promise<BenchConsumer> {
  const consumer = clientOf(task).consumer({ groupId: `kafkajs-${process.pid}`, maxWaitTimeInMs: 500 });
  await consumer.connect();
  await consumer.subscribe({ topic: task.topic, fromBeginning: from === 'earliest' });
  const joined = new Promise((resolve) => {
    consumer.on(consumer.events.GROUP_JOIN, resolve);
  });
  await consumer.run(
    task.mode === 'consume batches'
      ? {
          partitionsConsumedConcurrently: 6,
          eachBatch: ({ batch }) => {
            let bytes = 0;
            for (const { value } of batch.messages) bytes += value!.length;
            onRecords(batch.messages.length, bytes);
            return Promise.resolve();
          },
        }
      : {
          partitionsConsumedConcurrently: 6,
          eachMessage: ({ message }) => {
            onRecords(1, message.value!.length);
            return Promise.resolve();
          },
        },
  );
  await joined;
  return { close: () => consumer.disconnect() };
}
