/** A consumer that is a member of a group, against a broker that says what the test has it say. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Kappalog, type Consumer } from '../../../../client/index.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { refusal, ScriptedBroker } from '../group/scripted-broker.ts';

const idOf = (name: string): string => name.padEnd(22, 'A');

let broker: ScriptedBroker;
let client: Kappalog;
let epoch: number;
/** What the member is to have, by topic. */
let target: Readonly<Record<string, readonly number[]>>;
/** Who asked for offsets, in order. */
let asked: string[];

beforeEach(async () => {
  epoch = 1;
  target = { a: [0] };
  asked = [];
  broker = await ScriptedBroker.start({
    ConsumerGroupHeartbeat: () => ({
      errorCode: ErrorCode.NONE,
      memberEpoch: epoch,
      heartbeatIntervalMs: 1_000,
      assignment: {
        topicPartitions: Object.entries(target).map(([name, partitions]) => ({
          topicId: idOf(name),
          partitions,
        })),
      },
    }),
    OffsetFetch: ({ groups }) => ({
      groups: groups.map(({ groupId, memberId, memberEpoch, topics }) => {
        asked.push(`${memberId === null ? 'anyone' : 'member'} in ${memberEpoch}`);
        const isStale = memberEpoch !== epoch;
        return {
          groupId,
          errorCode: isStale ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.NONE,
          topics: (isStale ? [] : (topics ?? [])).map(({ name, partitionIndexes }) => ({
            name,
            partitions: partitionIndexes.map((partitionIndex) => ({
              partitionIndex,
              committedOffset: name === 'a' ? 7 : -1,
              metadata: '',
              errorCode: ErrorCode.NONE,
            })),
          })),
        };
      }),
    }),
    ListOffsets: ({ topics }) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: ErrorCode[broker.topics.has(name) ? 'NONE' : 'UNKNOWN_TOPIC_OR_PARTITION'],
          timestamp: -1,
          offset: 0,
          leaderEpoch: 1,
        })),
      })),
    }),
    Fetch: () => 'silence',
  });
  broker.topics.set('a', idOf('a'));
  broker.topics.set('b', idOf('b'));
  client = new Kappalog({ brokers: broker.address, platform: broker.platform });
});
afterEach(async () => {
  await broker.settled(client.close());
  broker.close();
});

function read(): { consumer: Consumer; errors: string[] } {
  const consumer = client.consumer({
    groupId: 'g',
    topics: ['a', 'b'],
    groupProtocol: 'consumer',
    autoCommit: false,
  });
  const errors: string[] = [];
  consumer
    .messages()
    .next()
    .catch((error: unknown) => errors.push(String(error)));
  return { consumer, errors };
}

it('asks for its offsets as the member that it is, and again in the newer epoch', async () => {
  const fetchOffsets = broker.script.OffsetFetch!;
  broker.script.OffsetFetch = (request) => {
    // The coordinator is an epoch ahead when it is asked; the next heartbeat tells.
    epoch = 2;
    return fetchOffsets(request);
  };
  const { consumer } = read();
  await broker.until(() => consumer.assignment().length === 1);
  await broker.until(() => consumer.positions()[0]!.offset === 7);
  expect(asked.at(0)).toBe('member in 1');
  expect(asked.at(-1)).toBe('member in 2');
});

it('goes on when a topic is deleted before it is known where to start', async () => {
  target = { a: [0], b: [0] };
  const { consumer, errors } = read();
  await broker.until(() => consumer.assignment().length === 2);
  broker.topics.delete('b');
  await broker.clock.advanceAsync(90_000);
  expect(errors).toEqual([]);
  target = { a: [0] };
  await broker.until(() => consumer.assignment().length === 1);
  await broker.clock.advanceAsync(10_000);
  expect(errors).toEqual([]);
  expect(consumer.positions()).toEqual([{ topic: 'a', partition: 0, offset: 7 }]);
});

it('says that it has been put out for good', async () => {
  const { consumer, errors } = read();
  await broker.until(() => consumer.assignment().length === 1);
  broker.script.ConsumerGroupHeartbeat = () => refusal('FENCED_INSTANCE_ID');
  await broker.until(() => errors.length === 1);
  expect(errors[0]).toContain('FENCED_INSTANCE_ID');
  expect(consumer.assignment()).toEqual([]);
  await expect(broker.settled(consumer.commit())).rejects.toMatchObject({ code: 'FENCED_INSTANCE_ID' });
});
