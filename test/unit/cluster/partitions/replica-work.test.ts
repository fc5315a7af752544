import { describe, expect, it } from 'vitest';
import { encodeMetadataRecord } from '../../../../broker/cluster/metadata/metadata-record.ts';
import { intendedMembers } from '../../../../broker/cluster/partitions/wanted-replicas.ts';
import { topicNamed, uuid } from '../cluster-fixtures.ts';
import { openMemoryCluster, settle } from '../memory-cluster.ts';
import { MemoryFleet } from '../memory-fleet.ts';
import { directoryOf } from '../memory-group.ts';

async function formed(): Promise<MemoryFleet> {
  const fleet = new MemoryFleet([1, 2, 3]);
  await fleet.form();
  await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t', { replicationFactor: 2 })]));
  await fleet.agree();
  return fleet;
}

/** What a reassignment would commit. */
async function move(fleet: MemoryFleet, replicas: readonly number[]): Promise<void> {
  const { leader } = fleet.group;
  const topicId = fleet.node(1).cluster.image.topic('t')!.id;
  const directories = replicas.map(directoryOf);
  const record = encodeMetadataRecord({
    type: 'PartitionChangeRecord',
    value: { topicId, partitionId: 0, replicas, directories },
  });
  await fleet.run(fleet.node(leader!.nodeId).log.append([record]));
}

describe('replicas', () => {
  it('are opened where a reassignment brings them, and removed where it takes them away', async () => {
    const fleet = await formed();
    await move(fleet, [2, 3]);
    for (let round = 0; round < 5; round++) await fleet.flow();
    expect(fleet.nodes.map(({ host }) => host.calls)).toEqual([
      ['open t-0', 'opened', 'remove t-0'],
      ['open t-0', 'opened'],
      ['open t-0', 'opened'],
    ]);
    expect(fleet.node(3).cluster.replicasHere()[0]).toMatchObject({
      directoryId: directoryOf(3),
      intended: { members: [`2/${directoryOf(2)}`, `3/${directoryOf(3)}`], revision: 1 },
    });
    await fleet.close();
  });

  it('are removed only by an image that is as current as the leader has it: what came back meanwhile stays', async () => {
    const fleet = await formed();
    const [one, two, three] = fleet.nodes.map(({ replica }) => replica);
    fleet.group.elect(two!, [two!, three!]);
    // Node 1 hears of nothing; then of the first change alone.
    const topicId = fleet.node(1).cluster.image.topic('t')!.id;
    for (const replicas of [
      [2, 3],
      [1, 2],
    ]) {
      const record = encodeMetadataRecord({
        type: 'PartitionChangeRecord',
        value: { topicId, partitionId: 0, replicas, directories: replicas.map(directoryOf) },
      });
      const appending = fleet.node(2).log.append([record]);
      for (let round = 0; round < 3; round++) {
        fleet.group.replicate(two!, three!, Infinity);
        await settle();
      }
      await appending;
    }
    const behind = two!.entries.length - one!.entries.length;
    expect(behind).toBe(3);
    fleet.group.replicate(two!, one!, 2);
    await settle();
    expect(fleet.node(1).cluster.image.topic('t')?.partitions[0]?.replicas).toEqual([2, 3]);
    expect(fleet.node(1).host.calls).toEqual(['open t-0', 'opened']);
    for (let round = 0; round < 5; round++) await fleet.flow();
    expect(fleet.node(1).cluster.image.topic('t')?.partitions[0]?.replicas).toEqual([1, 2]);
    expect(fleet.node(1).host.calls.filter((call) => call.startsWith('remove'))).toEqual([]);
    expect(fleet.node(1).host.openNow.size).toBe(1);
    await fleet.close();
  });

  it('that are opened at the start come before all work that comes meanwhile', async () => {
    const { cluster, host } = await openMemoryCluster();
    await cluster.createTopics([topicNamed('t')]);
    host.opening.close();
    const opening = cluster.openReplicas((wanted) => host.open(wanted));
    await settle();
    await cluster.deleteTopics([cluster.image.topic('t')!.id]);
    await settle();
    expect(host.calls).toEqual(['open t-0', 'opened', 'open t-0']);
    host.opening.open();
    await opening;
    await cluster.close();
    expect(host.calls).toEqual(['open t-0', 'opened', 'open t-0', 'opened', 'remove t', 'removed']);
  });

  it('are known to be gone where their topic was deleted or others hold them, after a snapshot too', async () => {
    const { cluster, log } = await openMemoryCluster();
    await cluster.createTopics([topicNamed('t'), topicNamed('u')]);
    const [t, u] = ['t', 'u'].map((name) => cluster.image.topic(name)!.id);
    const at = (topicId: string, partition = 0) => ({ topic: 'any', topicId, partition });
    expect([cluster.isGone(at(t!)), cluster.isGone(at(u!)), cluster.isGone(at(uuid(77)))]).toEqual([
      false,
      false,
      false,
    ]);
    await cluster.deleteTopics([t!]);
    const value = { topicId: u!, partitionId: 0, replicas: [2], directories: [uuid(5)] };
    await log.append([encodeMetadataRecord({ type: 'PartitionChangeRecord', value })]);
    const gone = [at(t!), at(u!), at(u!, 1), at(uuid(77))];
    expect(gone.map((replica) => cluster.isGone(replica))).toEqual([true, true, false, false]);
    const records = [...cluster.image.records()].map((record) => encodeMetadataRecord(record));
    const restored = await openMemoryCluster({ batches: [records], register: false });
    expect(gone.map((replica) => restored.cluster.isGone(replica))).toEqual([true, true, false, false]);
    expect(restored.cluster.image.isGone(1)).toBe(false);
  });

  it('say who else holds them; one that is not known in full is no quorum of its own', () => {
    const partition = {
      index: 0,
      replicas: [1, 2],
      isr: [],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      directories: [directoryOf(1), directoryOf(2)],
      adding: [],
      removing: [],
      founders: undefined,
    };
    const both = [`1/${directoryOf(1)}`, `2/${directoryOf(2)}`];
    expect(intendedMembers(partition, 1)).toEqual({ members: both, revision: 0 });
    expect(intendedMembers({ ...partition, partitionEpoch: 4 }, 1)).toEqual({ members: both, revision: 4 });
    const unknown = { ...partition, directories: [directoryOf(1), 'AAAAAAAAAAAAAAAAAAAAAA'] };
    expect(intendedMembers(unknown, 1)).toEqual({ members: both.slice(0, 1), revision: 1 });
    expect(intendedMembers({ ...partition, replicas: [1] }, 1)).toBeUndefined();
    expect(intendedMembers({ ...partition, replicas: [1], partitionEpoch: 2 }, 1)?.revision).toBe(2);
  });
});
