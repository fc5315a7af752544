/**
 * Names of OpenTelemetry's semantic conventions for messaging and for Kafka, version 1.45. They are not stable yet: 1.45 has renamed some,
 * which are also given under the names that they had before where that is asked for.
 */
import type { Attributes } from '@opentelemetry/api';

export const attribute = {
  systemName: 'messaging.system.name',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destinationName: 'messaging.destination.name',
  destinationPartitionId: 'messaging.destination.partition.id',
  batchMessageCount: 'messaging.batch.message_count',
  clientId: 'messaging.client.id',
  consumerGroupName: 'messaging.consumer.group.name',
  kafkaOffset: 'kafka.offset',
  kafkaMessageKey: 'kafka.message.key',
  kafkaMessageTombstone: 'kafka.message.tombstone',
  errorType: 'error.type',
} as const;

export const metric = {
  operationDuration: 'messaging.client.operation.duration',
  sentMessages: 'messaging.client.sent.messages',
  consumedMessages: 'messaging.client.consumed.messages',
  processDuration: 'messaging.process.duration',
} as const;

/** By what they are called now. */
export const formerNames: Readonly<Record<string, string>> = {
  [attribute.systemName]: 'messaging.system',
  [attribute.kafkaOffset]: 'messaging.kafka.offset',
  [attribute.kafkaMessageKey]: 'messaging.kafka.message.key',
  [attribute.kafkaMessageTombstone]: 'messaging.kafka.message.tombstone',
};

/** Seconds, as the conventions advise. */
export const durationBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The attributes, those that were renamed also under their former names. */
export function withFormerNames(attributes: Attributes): Attributes {
  const all: Attributes = { ...attributes };
  for (const [name, former] of Object.entries(formerNames)) {
    if (attributes[name] !== undefined) all[former] = attributes[name];
  }
  return all;
}

/** What an operation ended in: the code of a KafkaError, or the error's name. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
