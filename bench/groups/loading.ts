/**
 * How long a coordinator needs until it knows what groups have committed: a broker with a million committed offsets in one partition of
 * `__consumer_offsets` is started again. Meanwhile a producer writes: what loading costs others shows in how long it waits.
 */
import { Kappalog } from '../../client/index.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { startBroker } from '../../test/support/broker-process.ts';
import type { BrokerKind, BrokerProcess, BrokerSpec } from '../../test/support/broker-process.ts';
import type { ChildProcesses } from '../../test/support/child-processes.ts';
import type { Surroundings } from './bench-group.ts';
import { MemberLink, sharedPartitions, sharedTopic } from './bench-member.ts';

export interface LoadingSample {
  /** From the first answer of the broker to the first that says what was committed. */
  readonly loadedMs: number;
  /** The longest that a record which was written meanwhile waited for its acknowledgement. */
  readonly longestWriteMs: number;
}

/** Requests under way at a time. */
const connections = 16;

/** Commits for so many groups, in all partitions of the topic that the groups of the bench share. */
export async function commitForGroups(surroundings: Surroundings, groups: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    const link = await MemberLink.open(surroundings, surroundings.address);
    for (let number = next++; number < groups; number = next++) {
      const { topics } = await link.ask('OffsetCommit', 8, {
        groupId: groupOf(number),
        generationIdOrMemberEpoch: -1,
        memberId: '',
        topics: [
          {
            name: sharedTopic,
            partitions: Array.from({ length: sharedPartitions }, (_, partitionIndex) => ({
              partitionIndex,
              committedOffset: number + partitionIndex,
              committedMetadata: '',
            })),
          },
        ],
      });
      const failed = topics[0]!.partitions.find(({ errorCode }) => errorCode !== ErrorCode.NONE);
      if (failed !== undefined) throw new Error(`A commit was answered ${failed.errorCode}.`);
    }
    link.close();
  };
  await Promise.all(Array.from({ length: connections }, work));
}

/** Starts the broker of which `commitForGroups` has been done for so many groups. It runs when this resolves. */
export async function startLoading(
  { kind, children, spec }: { kind: BrokerKind; children: ChildProcesses; spec: BrokerSpec },
  surroundings: Pick<Surroundings, 'clock' | 'network'>,
  groups: number,
): Promise<LoadingSample & { readonly broker: BrokerProcess }> {
  const broker = await startBroker(kind, children, spec);
  const { clock } = surroundings;
  const fromMs = clock.monotonicMs();
  let isLoaded = false;
  const writing = longestWriteMs(broker.address, clock, () => isLoaded);
  const address = { host: broker.host, port: broker.port };
  const link = await MemberLink.open(surroundings, address);
  const last = groups - 1;
  for (;;) {
    const { groups: fetched } = await link.ask('OffsetFetch', 8, {
      groups: [
        {
          groupId: groupOf(last),
          topics: [{ name: sharedTopic, partitionIndexes: [sharedPartitions - 1] }],
        },
      ],
    });
    const { errorCode, topics } = fetched[0]!;
    if (errorCode === ErrorCode.NONE) {
      const committed = topics[0]!.partitions[0]!.committedOffset;
      if (committed !== last + sharedPartitions - 1) throw new Error(`${committed} was committed last.`);
      break;
    }
    await new Promise<void>((resolve) => void clock.after(5, resolve));
  }
  const loadedMs = clock.monotonicMs() - fromMs;
  isLoaded = true;
  link.close();
  return { broker, loadedMs, longestWriteMs: await writing };
}

async function longestWriteMs(
  address: string,
  clock: Surroundings['clock'],
  isOver: () => boolean,
): Promise<number> {
  await using kappalog = new Kappalog({ brokers: address });
  await using producer = kappalog.producer({ lingerMs: 0 });
  let longestMs = 0;
  // The first finds the broker.
  await producer.send({ topic: sharedTopic, partition: 0, value: 'first' });
  while (!isOver()) {
    const beganMs = clock.monotonicMs();
    await producer.send({ topic: sharedTopic, partition: 0, value: 'record' });
    longestMs = Math.max(longestMs, clock.monotonicMs() - beganMs);
  }
  return longestMs;
}

function groupOf(number: number): string {
  return `loaded-${number}`;
}
