/** What the sticky assignors of Kafka's clients put into the user data of their subscriptions: plain encodings, no version. */
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export interface StickyUserData {
  readonly partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  /** -1 where the data is of the first form, which had none. */
  readonly generation: number;
}

/** The least that a topic takes: the lengths of its name and of its partitions. */
const topicBytesMin = 6;

/** Of the assignor `sticky`. */
export function encodeStickyUserData(data: StickyUserData): Buffer {
  const writer = new Writer();
  writer.count(data.partitions.length);
  for (const { topic, partitions } of data.partitions) {
    writer.string(topic);
    writer.count(partitions.length);
    for (const partition of partitions) writer.int32(partition);
  }
  writer.int32(data.generation);
  return writer.finish();
}

/** Throws ProtocolError for what cannot be parsed; an assignor then takes it that nothing is owned. */
export function decodeStickyUserData(bytes: Buffer): StickyUserData {
  const reader = new Reader(bytes);
  const partitions: { topic: string; partitions: number[] }[] = [];
  const topicCount = reader.count(topicBytesMin);
  for (let index = 0; index < topicCount; index++) {
    const topic = reader.string();
    const owned: number[] = [];
    const count = reader.count(4);
    for (let next = 0; next < count; next++) owned.push(reader.int32());
    partitions.push({ topic, partitions: owned });
  }
  const generation = reader.remaining === 0 ? -1 : reader.int32();
  reader.finish();
  return { partitions, generation };
}

/** Of the assignor `cooperative-sticky`: the generation alone. */
export function encodeCooperativeStickyUserData(generation: number): Buffer {
  const writer = new Writer(4);
  writer.int32(generation);
  return writer.finish();
}

export function decodeCooperativeStickyUserData(bytes: Buffer): number {
  const reader = new Reader(bytes);
  const generation = reader.int32();
  reader.finish();
  return generation;
}
