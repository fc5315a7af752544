import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Kappalog } from '../../../client/index.ts';
import type { Consumer } from '../../../client/index.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import { FakeBrokers, topic } from './fake-brokers.ts';
import type { FakePartition } from './fake-brokers.ts';

const metadataMaxAgeMs = 60_000;
/** A second of patience, what the broker may hold the answer back for, and some. */
const silenceMsMax = 1_700;

let brokers: FakeBrokers;
let partition: FakePartition;
let client: Kappalog;
let values: string[];

beforeEach(async () => {
  brokers = await FakeBrokers.start([1, 2, 3]);
  partition = brokers.partitions[0]!;
  partition.nearest = 2;
  values = [];
});

afterEach(async () => {
  await client.close();
});

function read(rack: string | undefined): Consumer {
  const options = { brokers: brokers.addresses, platform: brokers.platform, metadataMaxAgeMs };
  client = new Kappalog(rack === undefined ? options : { ...options, rack });
  const consumer = client.consumer({ assign: [{ topic, partition: 0, offset: 0 }], from: 'none' });
  void (async () => {
    for await (const { value } of consumer) values.push(String(value));
  })().catch((error: unknown) => values.push(String(error)));
  return consumer;
}

/** How long it takes until the consumer has it. */
async function arrives(value: string): Promise<number> {
  partition.batches.push({ values: [value], sequence: '' });
  const fromMs = brokers.clock.monotonicMs();
  expect(await brokers.clock.runUntil(() => values.length === partition.values.length, 60_000)).toBe(true);
  expect(values).toEqual(partition.values);
  return brokers.clock.monotonicMs() - fromMs;
}

const fetches = (): number[] => [1, 2, 3].map((id) => brokers.countOf(id, 'Fetch'));

/** Who has answered fetches while this went on. */
async function askedWhile(act: () => Promise<unknown>): Promise<boolean[]> {
  const before = fetches();
  await act();
  return fetches().map((count, index) => count > before[index]!);
}

const some = async (): Promise<void> => {
  for (const value of ['x', 'y', 'z']) await arrives(value);
};

describe('a consumer that says its rack', () => {
  it('reads from the replica that the leader names, and no more from the leader', async () => {
    read('r');
    await arrives('a');
    expect(fetches()).toEqual([1, 1, 0]);
    expect(await askedWhile(some)).toEqual([false, true, false]);
  });

  it('asks the leader again when the choice is as old as metadata may be', async () => {
    read('r');
    await arrives('a');
    await brokers.clock.advanceAsync(metadataMaxAgeMs - 5_000);
    expect(fetches()[0]).toBe(1);
    await brokers.clock.advanceAsync(6_000);
    expect(fetches()[0]).toBe(2);
    expect(await askedWhile(some)).toEqual([false, true, false]);
  });

  it.each([
    'OFFSET_OUT_OF_RANGE',
    'OFFSET_NOT_AVAILABLE',
    'NOT_LEADER_OR_FOLLOWER',
    'UNKNOWN_LEADER_EPOCH',
  ] as const)(
    'goes back to the leader at once when the replica answers %s, and stays there for a while',
    async (error) => {
      read('r');
      await arrives('a');
      partition.nearestError = ErrorCode[error];
      expect(await arrives('b')).toBeLessThan(200);
      expect(await askedWhile(some)).toEqual([true, false, false]);
      partition.nearestError = ErrorCode.NONE;
      await brokers.clock.advanceAsync(11_000);
      expect(await askedWhile(some)).toEqual([false, true, false]);
    },
  );

  it('goes to the leader when the replica hangs, without a new leader', async () => {
    read('r');
    await arrives('a');
    brokers.freeze(2);
    expect(await arrives('b')).toBeLessThan(silenceMsMax);
    expect(await askedWhile(some)).toEqual([true, false, false]);
    brokers.thaw(2);
    await brokers.clock.advanceAsync(20_000);
    await some();
    expect(values.length).toBe(8);
  });

  it('goes to the leader when the replica is no node of the cluster any more', async () => {
    read('r');
    await arrives('a');
    brokers.fenced.add(2);
    await brokers.clock.advanceAsync(metadataMaxAgeMs + 5_000);
    expect(await askedWhile(some)).toEqual([true, false, false]);
  });

  it('reads from the leader where that names a node that nobody knows', async () => {
    partition.nearest = 9;
    read('r');
    expect(await arrives('a')).toBeLessThan(200);
    expect(await askedWhile(some)).toEqual([true, false, false]);
  });
});

it('a consumer that says no rack reads from the leader', async () => {
  read(undefined);
  await arrives('a');
  expect(await askedWhile(some)).toEqual([true, false, false]);
});
