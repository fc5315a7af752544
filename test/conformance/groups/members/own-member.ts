/** A member that is this project's own client. */
import {
  Kappalog,
  type AssignorName,
  type ConsumerOptions,
  type TopicPartition,
} from '../../../../client/index.ts';
import { emit, fail, memberConfig, onCommand, tellCommit } from './member-side.ts';

const config = memberConfig();
const owned = new Set<string>();

const kappalog = new Kappalog({ brokers: config.brokers, clientId: config.clientId });
const consumer = kappalog.consumer({
  groupId: config.groupId,
  ...(config.pattern === null ? { topics: config.topics } : { topicPattern: config.pattern }),
  ...protocol(),
  ...(config.instanceId === null ? {} : { groupInstanceId: config.instanceId }),
  rebalanceTimeoutMs: config.rebalanceTimeoutMs,
  autoCommit: false,
  maxWaitMs: 100,
  rebalance: {
    onAssigned: (partitions) => tellOwned(() => partitions.forEach((item) => owned.add(placeOf(item)))),
    onRevoked: (partitions) => tellOwned(() => partitions.forEach((item) => owned.delete(placeOf(item)))),
    onLost: (partitions) => tellOwned(() => partitions.forEach((item) => owned.delete(placeOf(item)))),
  },
});

function protocol(): Partial<ConsumerOptions> {
  if (config.protocol === 'consumer')
    return { groupProtocol: 'consumer', groupRemoteAssignor: config.assignor };
  const { sessionTimeoutMs, heartbeatIntervalMs } = config;
  return { assignors: [assignorName(config.assignor)], sessionTimeoutMs, heartbeatIntervalMs };
}

function assignorName(name: string): AssignorName {
  if (name === 'range' || name === 'roundrobin' || name === 'sticky' || name === 'cooperative-sticky')
    return name;
  return fail(`This client has no assignor ${name}.`);
}

function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function tellOwned(change: () => void): void {
  change();
  const partitions: Record<string, number[]> = {};
  for (const place of owned) {
    const at = place.lastIndexOf('/');
    (partitions[place.slice(0, at)] ??= []).push(Number(place.slice(at + 1)));
  }
  emit({ event: 'owns', partitions });
}

onCommand(async () => {
  await consumer.close();
  await kappalog.close();
});
try {
  for await (const { topic, partition, messages } of consumer.batches()) {
    for (const { offset, value } of messages)
      emit({ event: 'record', topic, partition, offset, value: value?.toString() ?? '' });
    const last = messages.at(-1)!;
    await tellCommit({ [topic]: { [partition]: last.offset + 1 } }, () => consumer.commit(last));
  }
} catch (error) {
  fail(error);
}
