/**
 * Clients under load, each with its own defaults as far as that is possible: numbered records to a topic of its own, and a group
 * that reads them. What an application would be told of counts as an error: a send that fails, a consumer that ends.
 */
import { resolve } from 'node:path';
import { Kafka, type Consumer as KafkaJsConsumer, Partitioners, logLevel } from 'kafkajs';
import { type Consumer, Kappalog } from '../../../client/index.ts';
import { javaCommand, kafkaClassPath } from '../../support/apache-kafka-jars.ts';
import type { ChildProcesses } from '../../support/child-processes.ts';
import { javaOptions } from '../java-tools.ts';
import { pause } from '../suite.ts';

export interface LoadResult {
  readonly sent: number;
  readonly acknowledged: number;
  /** Numbers of records that the group has not read. */
  readonly unread: readonly number[];
  /** The longest time without an acknowledgement. */
  readonly longestGapMs: number;
  readonly errors: readonly string[];
}

export interface ClientLoad {
  readonly name: string;
  readonly topic: string;
  /** Sends no more, waits until all that was sent has been read, for a minute at most. */
  stop(): Promise<LoadResult>;
}

export interface LoadOptions {
  /** `host:port`, several with commas. */
  readonly address: string;
  readonly topic: string;
}

/** What is sent as the record of this number. */
export function numberedRecord(number: number): { key: string; value: string } {
  return { key: `key-${number % 17}`, value: `${number}` };
}

const recordsPerRound = 5;
const roundMs = 10;
const kafkaJsPauseMs = 3;
const readTimeoutMs = 60_000;

/** Counts what a client in this process does. */
class Tally {
  sent = 0;
  acknowledged = 0;
  longestGapMs = 0;
  readonly read = new Set<string>();
  readonly errors: string[] = [];
  #lastAckMs: number | undefined;

  acknowledge(count: number): void {
    const nowMs = performance.now();
    this.acknowledged += count;
    if (this.#lastAckMs !== undefined)
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastAckMs);
    this.#lastAckMs = nowMs;
  }

  async untilRead(): Promise<void> {
    const untilMs = performance.now() + readTimeoutMs;
    while (this.read.size < this.sent && this.errors.length === 0 && performance.now() < untilMs)
      await pause(20);
  }

  result(): LoadResult {
    const { sent, acknowledged, longestGapMs, errors } = this;
    const numbers = Array.from({ length: sent }, (_, number) => number);
    const unread = numbers.filter((number) => !this.read.has(`${number}`));
    return { sent, acknowledged, unread, longestGapMs, errors };
  }
}

export function startOwnLoad({ address, topic }: LoadOptions): ClientLoad {
  const kappalog = new Kappalog({ brokers: address });
  const tally = new Tally();
  const stopping = new AbortController();
  const consumer = kappalog.consumer({ groupId: topic, topics: [topic] });
  const reading = readOn(consumer, tally);
  const sending = (async () => {
    const producer = kappalog.producer();
    const pending = new Set<Promise<void>>();
    for (; !stopping.signal.aborted; await pause(roundMs)) {
      for (let place = 0; place < recordsPerRound; place++) {
        const record = { topic, ...numberedRecord(tally.sent++) };
        const sent = producer
          .send(record)
          .then(
            () => tally.acknowledge(1),
            (error: unknown) => void tally.errors.push(`send of ${record.value}: ${String(error)}`),
          )
          .finally(() => pending.delete(sent));
        pending.add(sent);
      }
    }
    await Promise.all(pending);
    await producer.close();
  })();
  return {
    name: 'our own client',
    topic,
    async stop() {
      stopping.abort();
      await sending;
      await tally.untilRead();
      await consumer.close();
      await reading;
      await kappalog.close();
      return tally.result();
    },
  };
}

async function readOn(consumer: Consumer, tally: Tally): Promise<void> {
  try {
    for await (const { value } of consumer) tally.read.add(value?.toString() ?? '');
  } catch (error) {
    tally.errors.push(`consumer: ${String(error)}`);
  }
}

export async function startKafkaJsLoad({ address, topic }: LoadOptions): Promise<ClientLoad> {
  const kafka = new Kafka({ clientId: topic, brokers: address.split(','), logLevel: logLevel.NOTHING });
  const tally = new Tally();
  const stopping = new AbortController();
  const consumer = kafka.consumer({ groupId: topic });
  // It restarts itself where a coordinator is still loading, which is of no account to who uses it.
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (!restart) tally.errors.push(`consumer: ${error}`);
  });
  await runKafkaJs(consumer, topic, tally);
  const sending = (async () => {
    // Without `idempotent` kafkajs would write a record twice whose answer is lost.
    const options = { idempotent: true, maxInFlightRequests: 1, retry: { retries: 10 } };
    const producer = kafka.producer({ ...options, createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    // One partition at a time: where some of a send's partitions are to be sent again and have moved to a node that has answered
    // for others, kafkajs 2.2.4 says that all is done, and has not sent them (sendMessages.js, `brokersWithoutResponse`).
    for (; !stopping.signal.aborted; await pause(kafkaJsPauseMs)) {
      const record = numberedRecord(tally.sent++);
      try {
        await producer.send({ topic, messages: [record] });
        tally.acknowledge(1);
      } catch (error) {
        tally.errors.push(`send of ${record.value}: ${String(error)}`);
      }
    }
    await producer.disconnect();
  })();
  return {
    name: 'kafkajs',
    topic,
    async stop() {
      stopping.abort();
      await sending;
      await tally.untilRead();
      await consumer.disconnect();
      return tally.result();
    },
  };
}

async function runKafkaJs(consumer: KafkaJsConsumer, topic: string, tally: Tally): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => {
      tally.read.add(message.value?.toString() ?? '');
      return Promise.resolve();
    },
  });
}

const javaSource = resolve(import.meta.dirname, '../kafka/ClientLoad.java');

export function startJavaLoad(children: ChildProcesses, { address, topic }: LoadOptions): ClientLoad {
  const args = [...javaOptions, '-cp', kafkaClassPath(), javaSource, address, topic];
  const child = children.converse(javaCommand, args);
  let [written, complaints] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (written += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (complaints += bytes.toString()));
  const ended = new Promise<number | null>((settle) => child.once('close', settle));
  return {
    name: 'the Java client',
    topic,
    async stop() {
      child.stdin.end();
      const code = await ended;
      if (code !== 0) throw new Error(`The Java client ended with ${code}: ${complaints}`);
      const result: LoadResult = JSON.parse(written);
      return result;
    },
  };
}
