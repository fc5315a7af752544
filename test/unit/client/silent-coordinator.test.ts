import { describe, expect, it } from 'vitest';
import { Kappalog } from '../../../client/index.ts';
import type { Consumer } from '../../../client/index.ts';
import { FakeBrokers, topic } from './fake-brokers.ts';

/** As long as the cluster needs to elect another one in place of one that says nothing. */
const electionMs = 1_100;
/** What a client needs in all: it lets a second go by, and looks again until there is another one. */
const gapMsMax = 1_700;
const groupId = 'watchers';

function clientOf(brokers: FakeBrokers): Kappalog {
  return new Kappalog({ brokers: brokers.addresses, platform: brokers.platform });
}

/** Of all brokers together. */
function countOf(brokers: FakeBrokers, api: Parameters<FakeBrokers['countOf']>[1]): number {
  return [1, 2, 3].reduce((sum, nodeId) => sum + brokers.countOf(nodeId, api), 0);
}

function hang(brokers: FakeBrokers): void {
  brokers.freeze(1);
  brokers.clock.after(electionMs, () => {
    brokers.controller = 2;
    brokers.group.coordinator = 2;
    for (const partition of brokers.partitions) if (partition.leader === 1) partition.elect(2);
  });
}

async function joined(
  brokers: FakeBrokers,
  client: Kappalog,
): Promise<{ consumer: Consumer; read: string[] }> {
  const consumer = client.consumer({ groupId, topics: [topic], autoCommit: false });
  const read: string[] = [];
  void (async () => {
    for await (const { value } of consumer) read.push(String(value));
  })();
  await brokers.clock.runUntil(() => read.length > 0, 10_000);
  return { consumer, read };
}

async function withOneRecord(partitionCount = 1): Promise<{ brokers: FakeBrokers; client: Kappalog }> {
  const brokers = await FakeBrokers.start([1, 2, 3], partitionCount);
  const client = clientOf(brokers);
  const producer = client.producer({ lingerMs: 0 });
  await brokers.msUntil(producer.send({ topic, partition: 0, value: 'first' }));
  await brokers.msUntil(producer.close());
  return { brokers, client };
}

describe('a group whose coordinator hangs', () => {
  it('keeps its member, which commits with the next one and reads on', async () => {
    const { brokers, client } = await withOneRecord();
    const { consumer, read } = await joined(brokers, client);
    hang(brokers);
    expect(await brokers.msUntil(consumer.commit())).toBeLessThan(gapMsMax);
    expect(brokers.group.commits).toEqual([1]);
    const producer = client.producer({ lingerMs: 0 });
    await brokers.msUntil(producer.send({ topic, value: 'second' }));
    await brokers.clock.runUntil(() => read.length === 2, 5_000);
    // Longer than the session: heartbeats go to the next one.
    await brokers.clock.advanceAsync(60_000);
    brokers.thaw(1);
    await brokers.clock.advanceAsync(10_000);
    expect(read).toEqual(['first', 'second']);
    expect(brokers.group.generation).toBe(1);
    expect(brokers.countOf(2, 'Heartbeat')).toBeGreaterThan(15);
    // What the old one was asked while it hung changed nothing.
    expect(brokers.group.commits).toEqual([1]);
    await brokers.msUntil(client.close());
  });

  it('is joined at the next one', async () => {
    const { brokers, client } = await withOneRecord();
    const watched = await brokers.msUntil(client.admin().fetchGroupOffsets(groupId));
    expect(watched).toBeLessThan(100);
    hang(brokers);
    const fromMs = brokers.clock.monotonicMs();
    const { read } = await joined(brokers, client);
    expect(brokers.clock.monotonicMs() - fromMs).toBeLessThan(gapMsMax + 1_500);
    expect(read).toEqual(['first']);
    await brokers.msUntil(client.close());
  });

  it('is told of a member that leaves', async () => {
    const { brokers, client } = await withOneRecord();
    const { consumer } = await joined(brokers, client);
    hang(brokers);
    expect(await brokers.msUntil(consumer.close())).toBeLessThan(gapMsMax);
    expect(brokers.group.hasLeft).toBe(true);
    await brokers.msUntil(client.close());
  });
});

describe('a member that closes', () => {
  it('does not wait for what it asked to share the partitions out', async () => {
    const { brokers, client } = await withOneRecord();
    const consumer = client.consumer({ groupId, topics: [topic] });
    void consumer.ready().catch(() => undefined);
    await brokers.clock.runUntil(() => countOf(brokers, 'JoinGroup') > 0, 10_000);
    for (const nodeId of [1, 2, 3]) brokers.freeze(nodeId);
    await brokers.clock.advanceAsync(100);
    expect(await brokers.msUntil(consumer.close())).toBeLessThan(6_000);
    await client.close();
  });
});

describe('a group whose coordinator is slow', () => {
  it('is joined once, however long it waits for its members', async () => {
    const { brokers, client } = await withOneRecord();
    brokers.group.holdMs = 20_000;
    const consumer = client.consumer({ groupId, topics: [topic], autoCommit: false });
    const reading = consumer[Symbol.asyncIterator]().next();
    await brokers.clock.runUntil(() => brokers.group.generation === 1, 30_000);
    const looks = countOf(brokers, 'FindCoordinator');
    expect(looks).toBeGreaterThan(15);
    expect(looks).toBeLessThan(30);
    brokers.group.holdMs = 0;
    await brokers.msUntil(reading);
    expect(brokers.countOf(1, 'JoinGroup')).toBe(1);
    expect(brokers.group.generation).toBe(1);
    const after = countOf(brokers, 'FindCoordinator');
    await brokers.clock.advanceAsync(30_000);
    expect(countOf(brokers, 'FindCoordinator')).toBe(after);
    await brokers.msUntil(client.close());
  });

  it('is not left because one broker is behind', async () => {
    const { brokers, client } = await withOneRecord();
    const { consumer } = await joined(brokers, client);
    brokers.group.behind.set(3, 3);
    brokers.group.holdMs = 8_000;
    expect(await brokers.msUntil(consumer.commit())).toBeGreaterThan(7_900);
    expect(brokers.group.commits).toEqual([1]);
    expect(brokers.countOf(3, 'OffsetCommit')).toBe(0);
    brokers.group.holdMs = 0;
    await brokers.msUntil(client.close());
  });
});

describe('an admin client', () => {
  it('looks offsets up at the next leader, and waits for what the old one still leads', async () => {
    const { brokers, client } = await withOneRecord(2);
    const admin = client.admin();
    const ends = (partitions: readonly number[]) =>
      admin.listOffsets(partitions.map((partition) => ({ topic, partition, at: 'latest' as const })));
    await brokers.msUntil(ends([0, 1]));
    brokers.freeze(1);
    brokers.clock.after(electionMs, () => brokers.partitions[0]!.elect(2));
    const moved = ends([0]);
    const kept = ends([1]);
    expect(await brokers.msUntil(moved)).toBeLessThan(gapMsMax);
    expect(await moved).toMatchObject([{ offset: 1, leaderEpoch: 2 }]);
    const before = countOf(brokers, 'Metadata');
    await brokers.clock.advanceAsync(10_000);
    expect(countOf(brokers, 'Metadata') - before).toBeLessThan(15);
    brokers.thaw(1);
    expect(await brokers.msUntil(kept)).toBeLessThan(10);
    // It was asked once, and waited for.
    expect(brokers.countOf(1, 'ListOffsets')).toBe(3);
    await client.close();
  });

  it('asks the next controller, and takes for done what the old one may have done', async () => {
    const { brokers, client } = await withOneRecord();
    const admin = client.admin();
    await brokers.msUntil(admin.createTopics([{ name: 'before' }]));
    hang(brokers);
    // It may be the old one, too, that is asked first who controls.
    expect(await brokers.msUntil(admin.createTopics([{ name: 'during' }]))).toBeLessThan(gapMsMax + 1_000);
    brokers.thaw(1);
    await brokers.clock.advanceAsync(60_000);
    expect(await brokers.msUntil(admin.createTopics([{ name: 'after' }]))).toBeLessThan(100);
    expect(brokers.createdTopics).toEqual(['before', 'during', 'after']);
    await client.close();
  });

  it('finds the controller though it has moved, and though the first broker of the list hangs', async () => {
    const brokers = await FakeBrokers.start([1, 2, 3]);
    const kept = clientOf(brokers);
    await brokers.msUntil(kept.admin().createTopics([{ name: 'known' }]));
    brokers.controller = 3;
    expect(await brokers.msUntil(kept.admin().createTopics([{ name: 'moved' }]))).toBeLessThan(100);
    brokers.freeze(1);
    for (let round = 0; round < 6; round++) {
      const client = clientOf(brokers);
      expect(await brokers.msUntil(client.admin().createTopics([{ name: `${round}` }]))).toBeLessThan(1_500);
      await client.close();
    }
    expect(brokers.createdTopics).toEqual(['known', 'moved', '0', '1', '2', '3', '4', '5']);
    await kept.close();
  });

  it('lists the groups without a broker that is fenced meanwhile', async () => {
    const { brokers, client } = await withOneRecord();
    const admin = client.admin();
    hang(brokers);
    brokers.clock.after(9_000, () => brokers.fenced.add(1));
    const listed = admin.listGroups();
    const tookMs = await brokers.msUntil(listed);
    expect(tookMs).toBeGreaterThan(9_000);
    expect(tookMs).toBeLessThan(10_500);
    expect((await listed).map((group) => group.groupId)).toEqual([groupId]);
    await client.close();
  });
});
