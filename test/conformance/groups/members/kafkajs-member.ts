/** A member that is a kafkajs consumer. kafkajs comes with one assignor, of its own name; range and roundrobin for mixed groups are made here. */
import { createRequire } from 'node:module';
import type * as KafkaJs from 'kafkajs';
import { Kafka, logLevel, type PartitionAssigner } from 'kafkajs';
import { emit, fail, memberConfig, onCommand, tellCommit } from './member-side.ts';

// kafkajs is CommonJS, and Node sees only some of its exports by name.
const { AssignerProtocol, PartitionAssigners }: typeof KafkaJs = createRequire(import.meta.url)('kafkajs');

const config = memberConfig();

/** `place` says which of so many members gets a partition: `at` counts in the topic, `overall` over all topics. */
function assigner(
  name: string,
  place: (of: { at: number; count: number; overall: number; members: number }) => number,
): PartitionAssigner {
  return ({ cluster }) => ({
    name,
    version: 0,
    async assign({ members, topics }) {
      const ids = members.map(({ memberId }) => memberId).sort();
      const shares = new Map(ids.map((id): [string, Record<string, number[]>] => [id, {}]));
      let overall = 0;
      for (const topic of [...topics].sort()) {
        const partitions = cluster
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => partitionId)
          .sort((a, b) => a - b);
        for (const [at, partition] of partitions.entries()) {
          const member = place({ at, count: partitions.length, overall, members: ids.length });
          const share = shares.get(ids[member] ?? '') ?? {};
          (share[topic] ??= []).push(partition);
          overall += 1;
        }
      }
      return [...shares].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 0,
          assignment,
          userData: Buffer.alloc(0),
        }),
      }));
    },
    protocol({ topics }) {
      const metadata = { version: 0, topics: [...topics].sort(), userData: Buffer.alloc(0) };
      return { name, metadata: AssignerProtocol.MemberMetadata.encode(metadata) };
    },
  });
}

const assigners: Readonly<Record<string, PartitionAssigner>> = {
  RoundRobinAssigner: PartitionAssigners.roundRobin,
  roundrobin: assigner('roundrobin', ({ overall, members }) => overall % members),
  range: assigner('range', ({ at, count, members }) => {
    const each = Math.floor(count / members);
    const more = (each + 1) * (count % members);
    return at < more ? Math.floor(at / (each + 1)) : (count % members) + Math.floor((at - more) / each);
  }),
};

const chosen = assigners[config.assignor];
if (chosen === undefined) fail(`kafkajs has no assignor ${config.assignor}.`);
const kafka = new Kafka({
  clientId: config.clientId,
  brokers: config.brokers.split(','),
  logLevel: logLevel.WARN,
  logCreator: () => (entry) => console.error(entry.namespace, entry.log.message, entry.log['error'] ?? ''),
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 50 },
});
const consumer = kafka.consumer({
  groupId: config.groupId,
  partitionAssigners: [chosen],
  sessionTimeout: config.sessionTimeoutMs,
  rebalanceTimeout: config.rebalanceTimeoutMs,
  heartbeatInterval: config.heartbeatIntervalMs,
  maxWaitTimeInMs: 100,
});
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
  emit({ event: 'owns', partitions: payload.memberAssignment }),
);
consumer.on(consumer.events.REBALANCING, () => emit({ event: 'owns', partitions: {} }));
consumer.on(consumer.events.CRASH, ({ payload }) => {
  if (!payload.restart) fail(payload.error);
});

onCommand(async () => {
  await consumer.stop();
  await consumer.disconnect();
});
await consumer.connect();
await consumer.subscribe({
  topics: config.pattern === null ? [...config.topics] : [new RegExp(config.pattern)],
  fromBeginning: true,
});
await consumer.run({
  autoCommit: false,
  eachBatch: async (of) => {
    const { topic, partition, messages } = of.batch;
    if (!of.isRunning() || of.isStale()) return;
    for (const { offset, value } of messages) {
      emit({ event: 'record', topic, partition, offset: Number(offset), value: value?.toString() ?? '' });
    }
    const next = Number(messages.at(-1)?.offset) + 1;
    await tellCommit({ [topic]: { [partition]: next } }, () =>
      consumer.commitOffsets([{ topic, partition, offset: String(next) }]),
    );
  },
});
