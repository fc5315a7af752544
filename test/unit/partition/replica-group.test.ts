import { readRepairFloor } from '../../../broker/partition/repair-floor.ts';
import type { RepairFloor } from '../../../broker/partition/repair-floor.ts';
import { describe, expect, it } from 'vitest';
import { ReplicaGroup, append, appended, memberOn, topic, topicId, valuesOf } from './replica-group.ts';

async function three(): Promise<ReplicaGroup> {
  const group = new ReplicaGroup();
  await group.create([1, 2, 3]);
  return group;
}

describe('replicas of one partition', () => {
  it('the first of a new one leads at once, and what a majority holds is acknowledged and reaches all', async () => {
    const group = await three();
    const leader = await group.leader();
    expect(leader).toBe(group.node(1).replica);
    expect([leader.term, leader.leaderNode, group.node(2).replica.leaderNode]).toEqual([1, 1, 1]);
    expect(group.clock.monotonicMs()).toBeLessThan(200);
    const entry = appended(leader, ['a', 'b']);
    expect(leader.highWatermark).toBe(0);
    expect(await group.acknowledged(leader, entry)).toBe(true);
    expect(leader.highWatermark).toBe(2);
    for (const nodeId of [2, 3]) {
      const { replica } = group.node(nodeId);
      await group.until(`the records on node ${nodeId}`, () => replica.highWatermark === 2);
      expect(await valuesOf(replica)).toEqual(['a', 'b']);
      expect([replica.isLeader, replica.servesReads, replica.term]).toEqual([false, false, 1]);
      expect(append(replica, ['c'])).toEqual({ kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' });
    }
    expect(leader.acknowledgements.inSyncMembers()).toEqual([1, 2, 3].map(memberOn));
  });

  it('a leader whose process ends is followed at once by one that has all that was acknowledged', async () => {
    const group = await three();
    const first = await group.leader();
    expect(await group.acknowledged(first, appended(first, ['a'], 0))).toBe(true);
    const killedAtMs = group.clock.monotonicMs();
    group.kill(1);
    const second = await group.leader();
    expect(second).toBe(group.node(2).replica);
    expect(group.clock.monotonicMs() - killedAtMs).toBeLessThan(200);
    expect(second.term).toBeGreaterThan(1);
    // A producer that had no answer sends the batch again.
    expect(append(second, ['a'], 0)).toMatchObject({ kind: 'duplicate', baseOffset: 0 });
    expect(await group.acknowledged(second, appended(second, ['b'], 1))).toBe(true);
    expect(await valuesOf(second)).toEqual(['a', 'b']);

    await group.start(1, [2, 3]);
    await group.open(1, { members: [1, 2, 3].map(memberOn), revision: 0 });
    const back = group.node(1).replica;
    await group.until('what it has missed', () => back.highWatermark === 2);
    expect(await valuesOf(back)).toEqual(['a', 'b']);
    expect(back.leaderNode).toBe(2);
  });

  it('what a leader could not replicate is told to have failed, and is gone when it hears the next one', async () => {
    const group = await three();
    const first = await group.leader();
    expect(await group.acknowledged(first, appended(first, ['kept']))).toBe(true);
    group.links.cut(1, 2);
    group.links.cut(1, 3);
    const lost = appended(first, ['lost']);
    expect(await group.acknowledged(first, lost)).toBe(false);
    expect(first.isLeader).toBe(false);
    const second = await group.leader();
    expect(await group.acknowledged(second, appended(second, ['next']))).toBe(true);
    // The same place in the log, and another leadership: nobody who waits for it may take it for his own.
    expect(await group.acknowledged(second, { ...lost, term: 1 })).toBe(false);
    group.links.heal();
    await group.until('the next one here', () => first.highWatermark === 2);
    expect(await valuesOf(first)).toEqual(['kept', 'next']);
  });

  it('a member that was taken out and comes back is no member until its leader says so', async () => {
    const group = await three();
    const leader = await group.leader();
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
    const { partitions } = group.node(3);
    // It has given a vote, and leads no more.
    const away = leader.transferLeadership(3);
    const { replica } = group.node(3);
    await group.until('node 3 as leader', () => replica.isLeader && replica.ready);
    expect(await away).toBe(true);
    const home = replica.transferLeadership(1);
    await group.until('node 1 as leader again', () => leader.isLeader && leader.ready);
    expect(await home).toBe(true);
    const voters = [1, 2].map(memberOn);
    const settled = (revision: number): Promise<void> =>
      group.until('the change committed', () => {
        const { configuration } = leader.committedConfiguration;
        return configuration.revision === revision && configuration.outgoing.length === 0;
      });
    expect(leader.changeMembers({ voters, learners: [], revision: 1 })).toBeUndefined();
    await settled(1);
    await partitions.removeReplica({ topic, topicId, partition: 0 });
    expect(partitions.replica(topic, 0)).toBeUndefined();
    const left = replica.home.votes.departureOf(replica.identity);
    // The first entries of three leaders, the record, and the change that was to take it out.
    expect(left).toEqual({ term: leader.term, index: 5 });
    // Its term and vote have stayed; its log and what it knew of the others went.
    await group.open(3, { members: [1, 2, 3].map(memberOn), revision: 2 });
    const back = group.node(3).replica;
    expect(back.configuration.voters).toEqual(voters);
    expect(back.isLeader).toBe(false);
    // Who counts it among the voters still must not be elected by it without what it has acknowledged: after any restart, too.
    const floor = (): Promise<RepairFloor | undefined> => readRepairFloor(group.diskOf(3), '/data/t-0');
    expect(await floor()).toEqual(left);
    expect(leader.changeMembers({ voters, learners: [memberOn(3)], revision: 2 })).toBeUndefined();
    await settled(2);
    await group.until('what it had before', () => back.highWatermark === 1);
    expect([back.isLeader, back.leaderNode, leader.isLeader]).toEqual([false, 1, true]);
    expect(await valuesOf(back)).toEqual(['a']);
    expect(await floor()).toBeUndefined();
  });

  it('hands leadership over when told to, and says whether it was taken', async () => {
    const group = await three();
    const first = await group.leader();
    const isDone = first.transferLeadership(3);
    await group.until('another leader', () => group.node(3).replica.isLeader);
    expect(await isDone).toBe(true);
    expect(await first.transferLeadership(2)).toBe(false);
    group.links.cut(3, 2);
    const refused = group.node(3).replica.transferLeadership(2);
    let outcome: boolean | undefined;
    void refused.then((done) => {
      outcome = done;
    });
    await group.until('an answer', () => outcome !== undefined);
    expect(outcome).toBe(false);
  });

  it('a node that is to stop hands over what it leads, and nothing is led where it was', async () => {
    const group = await three();
    const first = await group.leader();
    await group.acknowledged(first, appended(first, ['a']));
    const done = group.node(1).partitions.handOver(10_000);
    await group.until('another leader', () => group.node(2).replica.isLeader && group.node(2).replica.ready);
    await done;
    expect([first.isLeader, first.leaderNode]).toEqual([false, 2]);
    await group.node(1).partitions.close();
    expect(first.closed).toBe(true);
    const second = await group.leader();
    expect(await group.acknowledged(second, appended(second, ['b']))).toBe(true);
    expect(group.node(1).told).toEqual([]);
  });

  it('deletes records on all of them', async () => {
    const group = await three();
    const leader = await group.leader();
    await group.acknowledged(leader, appended(leader, ['a', 'b', 'c']));
    const deletion = leader.deleteRecords(2);
    await group.until('the records gone', () =>
      [1, 2, 3].every((nodeId) => group.node(nodeId).replica.logStartOffset === 2),
    );
    expect(await deletion).toBe('done');
    expect(await valuesOf(group.node(3).replica)).toEqual(['c']);
  });

  it('a replica that comes later is no voter until the leader has made it one', async () => {
    const group = await three();
    const leader = await group.leader();
    await group.acknowledged(leader, appended(leader, ['a', 'b']));
    await group.start(4, [1, 2, 3]);
    for (const nodeId of [1, 2, 3]) group.node(nodeId).consensus.meet(4);
    await group.open(4, { members: [1, 2, 3, 4].map(memberOn), revision: 1 });
    const late = group.node(4).replica;
    await group.after(5_000);
    expect([late.isLeader, late.term, late.configuration.voters]).toEqual([
      false,
      0,
      [1, 2, 3].map(memberOn),
    ]);
    const members = { voters: [1, 2, 3].map(memberOn), learners: [memberOn(4)], revision: 1 };
    expect(leader.changeMembers(members)).toBeUndefined();
    await group.until('the records there', () => late.highWatermark === 2);
    await group.until(
      'the change committed',
      () => leader.committedConfiguration.configuration.revision === 1,
    );
    const next = { voters: [4, 1, 2].map(memberOn), learners: [], revision: 2 };
    expect(leader.changeMembers(next)).toBeUndefined();
    await group.until('the new voters', () => {
      const { configuration } = leader.committedConfiguration;
      return configuration.revision === 2 && configuration.outgoing.length === 0;
    });
    expect(leader.configuration.voters).toEqual([4, 1, 2].map(memberOn));
    expect(await valuesOf(late)).toEqual(['a', 'b']);
  });

  it('one that comes to the only voter there is does not wait until it may vote itself', async () => {
    const group = new ReplicaGroup();
    await group.create([1]);
    const leader = await group.leader();
    await group.start(2, [1]);
    group.node(1).consensus.meet(2);
    await group.open(2, { members: [1, 2].map(memberOn), revision: 1 });
    const { replica } = group.node(2);
    expect([replica.configuration.voters, replica.isSoleVoter]).toEqual([[memberOn(1)], false]);
    const members = { voters: [memberOn(1)], learners: [memberOn(2)], revision: 1 };
    expect(leader.changeMembers(members)).toBeUndefined();
    await group.acknowledged(leader, appended(leader, ['a']));
    await group.until('the record there', () => replica.highWatermark === 1);
    expect([leader.isSoleVoter, replica.isSoleVoter]).toEqual([true, false]);
  });
});

describe('acks=all', () => {
  it('waits for as many copies as min.insync.replicas says, and refuses where too few are in sync', async () => {
    const group = await three();
    group.settings.minInSyncReplicas = 3;
    const leader = await group.leader();
    const changes: number[] = [];
    group.node(1).partitions.onLeadership((replica) => {
      changes.push(replica.acknowledgements.inSyncMembers().length);
    });
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
    group.kill(3);
    const entry = appended(leader, ['b']);
    let outcome: boolean | undefined;
    leader.acknowledgements.whenCommitted(entry, (reached) => {
      outcome = reached;
    });
    await group.until('the commit', () => leader.highWatermark === 2);
    // Committed, and held by two of three.
    expect([outcome, leader.acknowledgements.hasEnoughInSync]).toEqual([undefined, true]);
    await group.until('an answer', () => outcome !== undefined);
    expect(outcome).toBe(false);
    expect(leader.acknowledgements.hasEnoughInSync).toBe(false);
    expect(leader.acknowledgements.inSyncMembers()).toEqual([1, 2].map(memberOn));
    expect(changes.at(-1)).toBe(2);
    expect(group.clock.monotonicMs()).toBeGreaterThanOrEqual(30_000);

    await group.start(3, [1, 2]);
    await group.open(3, { members: [1, 2, 3].map(memberOn), revision: 0 });
    await group.until('all in sync', () => leader.acknowledgements.inSyncMembers().length === 3);
    expect(await group.acknowledged(leader, appended(leader, ['c']))).toBe(true);
  });

  it('is refused at once where too few nodes are left that are not fenced, though replicas lag only a little', async () => {
    const group = await three();
    group.settings.minInSyncReplicas = 3;
    const leader = await group.leader();
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
    const told: number[] = [];
    const { partitions } = group.node(1);
    partitions.onLeadership((replica) => told.push(replica.acknowledgements.inSyncMembers().length));
    group.kill(3);
    const waiting = group.acknowledged(leader, appended(leader, ['b']));
    await group.until('the commit', () => leader.highWatermark === 2);
    expect(leader.acknowledgements.hasEnoughInSync).toBe(true);
    group.fenced.add(3);
    leader.reviewInSync();
    expect(leader.acknowledgements.hasEnoughInSync).toBe(false);
    expect(leader.acknowledgements.inSyncMembers()).toEqual([1, 2].map(memberOn));
    expect(leader.acknowledgements.progress().map(({ isInSync }) => isInSync)).toEqual([true, true, false]);
    expect(told).toEqual([2]);
    // What was committed before lacks a copy that will not come.
    expect(await waiting).toBe(false);
    expect(group.clock.monotonicMs()).toBeLessThan(1_000);

    await group.start(3, [1, 2]);
    await group.open(3, { members: [1, 2, 3].map(memberOn), revision: 0 });
    await group.until('the records there', () => group.node(3).replica.highWatermark === 2);
    expect(leader.acknowledgements.hasEnoughInSync).toBe(false);
    group.fenced.delete(3);
    leader.reviewInSync();
    await group.until('its answer', () => leader.acknowledgements.hasEnoughInSync);
    expect(told).toEqual([2, 3]);
    expect(await group.acknowledged(leader, appended(leader, ['c']))).toBe(true);
  });

  it('does not count a node that was away before it has everything again, however short that was', async () => {
    const group = await three();
    const leader = await group.leader();
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
    group.kill(3);
    expect(await group.acknowledged(leader, appended(leader, ['b']))).toBe(true);
    // It has registered again before anybody missed it, and its replica is not open yet.
    group.registrations.set(3, 2);
    leader.reviewInSync();
    expect(leader.acknowledgements.inSyncMembers()).toEqual([1, 2].map(memberOn));
    const told: number[] = [];
    group.node(1).partitions.onLeadership((replica) => {
      told.push(replica.acknowledgements.inSyncMembers().length);
    });

    await group.start(3, [1, 2]);
    await group.open(3, { members: [1, 2, 3].map(memberOn), revision: 0 });
    await group.until('all in sync', () => leader.acknowledgements.inSyncMembers().length === 3);
    expect(group.node(3).replica.logEndOffset).toBe(2);
    expect(told.at(-1)).toBe(3);
    expect(group.clock.monotonicMs()).toBeLessThan(30_000);
  });

  it('keeps a node in sync that registers again and lacks nothing', async () => {
    const group = await three();
    const leader = await group.leader();
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
    await group.after(1_000);
    group.registrations.set(3, 2);
    leader.reviewInSync();
    expect(leader.acknowledgements.inSyncMembers().length).toBe(3);
  });

  it('counts the leader itself, whatever the metadata says of its node', async () => {
    const group = await three();
    group.settings.minInSyncReplicas = 3;
    const leader = await group.leader();
    group.fenced.add(1);
    expect(leader.acknowledgements.hasEnoughInSync).toBe(true);
    expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
  });

  it('counts a follower of a busy log as in sync, though it never has all of it at once', async () => {
    const group = await three();
    const leader = await group.leader();
    for (let second = 0; second < 60; second++) {
      const waits = Array.from({ length: 3 }, (_, part) => appended(leader, [`${second}.${part}`]));
      await group.after(300);
      appended(leader, ['more']);
      expect(leader.acknowledgements.inSyncMembers().length).toBe(3);
      expect(await group.acknowledged(leader, waits[2]!)).toBe(true);
      await group.after(700);
    }
  });
});

describe('groups at rest', () => {
  it('send nothing of their own', async () => {
    const group = await three();
    const leader = await group.leader();
    await group.acknowledged(leader, appended(leader, ['a']));
    await group.after(5_000);
    const before = group.links.frames;
    await group.after(10_000);
    // A heartbeat and its answer ten times a second, between three pairs of nodes, both ways.
    expect(group.links.frames - before).toBeLessThanOrEqual(1_300);
    for (const nodeId of [1, 2, 3]) expect(group.node(nodeId).consensus.tickingGroups).toBe(0);
  });
});
