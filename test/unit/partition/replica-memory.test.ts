import { describe, expect, it } from 'vitest';
import { readBootFile } from '../../../broker/partition/boot-file.ts';
import type { FoundBoot } from '../../../broker/partition/boot-file.ts';
import { readConfigurationFile } from '../../../broker/partition/consensus/configuration-file.ts';
import type { Awaited } from '../../../broker/partition/replica-types.ts';
import type { PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import { ReplicaGroup, appended, memberOn, valuesOf } from './replica-group.ts';

const nodes = [1, 2, 3];
const intended = { members: nodes.map(memberOn), revision: 0 };

function others(nodeId: number): number[] {
  return nodes.filter((other) => other !== nodeId);
}

function bootOf(group: ReplicaGroup, nodeId: number): Promise<FoundBoot> {
  return readBootFile(group.diskOf(nodeId), '/data/t-0');
}

async function cachingGroup(
  nodeIds: readonly number[] = nodes,
  flushMs = logConfigDefaults.flushMs,
): Promise<ReplicaGroup> {
  const group = new ReplicaGroup();
  group.settings.flushMs = flushMs;
  group.settings.writeCaching = true;
  await group.create(nodeIds);
  return group;
}

async function append(group: ReplicaGroup, values: readonly string[]): Promise<Awaited> {
  const leader = await group.leader();
  const awaited = appended(leader, values);
  expect(await group.acknowledged(leader, awaited)).toBe(true);
  return awaited;
}

async function restart(group: ReplicaGroup, nodeId: number): Promise<string[]> {
  await group.start(nodeId, others(nodeId));
  await group.open(nodeId, intended);
  return group.node(nodeId).told;
}

describe('a replica under write.caching', () => {
  it('says on disk in which run of the machine it acknowledges, until it is stopped cleanly', async () => {
    const group = await cachingGroup();
    await append(group, ['a']);
    expect(await bootOf(group, 2)).toEqual({ kind: 'kept', id: 'boot 1' });
    await group.node(2).partitions.close();
    expect(await bootOf(group, 2)).toEqual({ kind: 'none' });
  });

  it('has full rights when its process was killed and the machine ran on', async () => {
    const group = await cachingGroup();
    await append(group, ['a', 'b']);
    for (const nodeId of nodes) group.kill(nodeId);
    expect(await restart(group, 1)).toEqual([]);
    expect(await restart(group, 2)).toEqual([]);
    expect(await valuesOf(await group.leader())).toEqual(['a', 'b']);
  });

  it('has full rights after a clean stop, whatever becomes of the machine', async () => {
    const group = await cachingGroup();
    await append(group, ['a']);
    for (const nodeId of nodes) {
      await group.node(nodeId).partitions.close();
      group.losePower(nodeId);
    }
    expect(await restart(group, 1)).toEqual([]);
    expect(await restart(group, 2)).toEqual([]);
    expect(await valuesOf(await group.leader())).toEqual(['a']);
  });

  it('leads after a loss of power only when one that kept its memory has brought it up', async () => {
    const group = await cachingGroup();
    await append(group, ['a', 'b']);
    // All have it, so that any of them could be the one that kept it.
    await group.until('all hold all', () =>
      nodes.every((nodeId) => group.node(nodeId).replica.logEndOffset === 2),
    );
    group.kill(1);
    for (const nodeId of [2, 3]) group.losePower(nodeId);
    for (const nodeId of [2, 3]) expect(await restart(group, nodeId)).toEqual(['memory lost: waits']);
    await group.after(30_000);
    for (const nodeId of [2, 3]) {
      const { replica } = group.node(nodeId);
      expect([replica.leaderNode, replica.term, replica.memory.isLost]).toEqual([undefined, 0, true]);
    }
    // They vote for one that kept its memory.
    expect(await restart(group, 1)).toEqual([]);
    const leader = await group.leader();
    expect([leader, await valuesOf(leader)]).toEqual([group.node(1).replica, ['a', 'b']]);
    await append(group, ['c']);
    await group.until('all are whole', () =>
      nodes.every((nodeId) => !group.node(nodeId).replica.memory.isLost),
    );
    await group.after(1);
    expect(await bootOf(group, 2)).toEqual({ kind: 'kept', id: 'boot 2' });
    group.kill(1);
    expect(await valuesOf(await group.leader())).toEqual(['a', 'b', 'c']);
  });

  it('does not forget, by a restart, that it has forgotten', async () => {
    const group = await cachingGroup();
    await append(group, ['a']);
    for (const nodeId of nodes) group.losePower(nodeId);
    expect(await restart(group, 2)).toEqual(['memory lost: waits']);
    group.kill(2);
    expect(await restart(group, 2)).toEqual(['memory lost: waits']);
    await group.node(2).partitions.close();
    expect(await bootOf(group, 2)).toEqual({ kind: 'kept', id: 'boot 1' });
  });

  it('goes on as it is where an operator answers for that', async () => {
    const group = await cachingGroup();
    await append(group, ['a']);
    for (const nodeId of nodes) group.losePower(nodeId);
    group.settings.acceptsLostMemory = true;
    for (const nodeId of [2, 3]) expect(await restart(group, nodeId)).toEqual(['memory lost: accepted']);
    await append(group, ['b']);
    expect((await valuesOf(await group.leader())).at(-1)).toBe('b');
    expect(await bootOf(group, 3)).toEqual({ kind: 'kept', id: 'boot 2' });
  });

  it('keeps the configuration that the log says after a loss, though a lost one stood at a higher index', async () => {
    const group = await cachingGroup(nodes, 20_000);
    await append(
      group,
      Array.from({ length: 30 }, () => 'lost '.repeat(200)),
    );
    const members = { voters: nodes.map(memberOn), learners: [] };
    expect((await group.leader()).changeMembers({ ...members, revision: 1 })).toBeUndefined();
    const keeping = group.node(3);
    const kept = async (): Promise<PlacedConfiguration | undefined> => {
      await keeping.replica.keepConfiguration();
      return readConfigurationFile(group.diskOf(3), '/data/t-0');
    };
    await group.until(
      'the first change',
      () => keeping.replica.committedConfiguration.configuration.revision === 1,
    );
    for (const other of [1, 2]) group.links.cut(3, other);
    for (const nodeId of [1, 2]) group.losePower(nodeId);
    // Only what is durable in the log is kept beside it.
    await group.after(group.settings.flushMs);
    const lost = await kept();
    expect(lost).toMatchObject({ configuration: { revision: 1 } });
    group.settings.acceptsLostMemory = true;
    for (const nodeId of [1, 2]) expect(await restart(group, nodeId)).toEqual(['memory lost: accepted']);
    const led = (): boolean => [1, 2].some((nodeId) => group.node(nodeId).replica.isLeader);
    await group.until('a leader that has forgotten', led);
    const leader = [1, 2].map((nodeId) => group.node(nodeId).replica).find(({ isLeader }) => isLeader)!;
    expect(leader.configuration.revision).toBe(0);
    await group.until(
      'the second change',
      () => leader.changeMembers({ ...members, revision: 2 }) === undefined,
    );
    group.links.heal();
    await group.until('what it knows now', () => keeping.replica.configuration.revision === 2);
    await group.after(group.settings.flushMs);
    expect(keeping.told).toEqual(['data lost']);
    const found = await kept();
    expect(found).toMatchObject({ configuration: { revision: 2 } });
    expect(found!.index).toBeLessThan(lost!.index);
  });

  it('that is the only one comes up alone, and says so', async () => {
    const group = await cachingGroup([1]);
    await append(group, ['a']);
    group.losePower(1);
    await group.start(1, []);
    await group.open(1, { members: [memberOn(1)], revision: 0 });
    expect(group.node(1).told).toEqual(['memory lost: alone']);
    await append(group, ['b']);
    expect((await valuesOf(await group.leader())).at(-1)).toBe('b');
  });

  it('that believes to be the only one waits where the metadata knows others', async () => {
    const group = await cachingGroup([1]);
    await append(group, ['a']);
    group.losePower(1);
    await group.start(1, []);
    await group.open(1, { members: [1, 2].map(memberOn), revision: 1 });
    expect(group.node(1).told).toEqual(['memory lost: waits']);
    await group.after(30_000);
    expect(group.node(1).replica.isLeader).toBe(false);
  });

  it('syncs what it acknowledges until the next start would know better', async () => {
    const group = new ReplicaGroup();
    await group.create([1]);
    await append(group, ['a']);
    expect(await bootOf(group, 1)).toEqual({ kind: 'none' });
    group.settings.writeCaching = true;
    const { memory } = group.node(1).replica;
    expect(memory.config().writeCaching).toBe(false);
    await append(group, ['b']);
    await group.until('the mark', () => memory.config().writeCaching);
    expect(await bootOf(group, 1)).toEqual({ kind: 'kept', id: 'boot 1' });
    await append(group, ['c']);
    expect(await valuesOf(await group.leader())).toEqual(['a', 'b', 'c']);
  });
});

it('a damaged boot file counts as one of another run', async () => {
  const group = await cachingGroup();
  await append(group, ['a']);
  group.kill(3);
  group.diskOf(3).flipBit('/data/t-0/boot', 15, 3);
  expect(await bootOf(group, 3)).toEqual({ kind: 'damaged' });
  expect(await restart(group, 3)).toEqual(['memory lost: waits']);
});
