import { describe, expect, it } from 'vitest';
import { raftSettings, raftSettingsFrom, raftTickMs } from '../../../broker/partition/raft-settings.ts';
import type { Replica } from '../../../broker/partition/replica.ts';
import { appended, ReplicaGroup, valuesOf } from './replica-group.ts';

const withLeases = raftSettingsFrom({
  kappalogLeaderLeaseEnable: true,
  kappalogLeaderLeaseClockDriftPercent: 10,
});
const electionMs = raftSettings.timing.electionTicks * raftTickMs;
const heartbeatMs = raftSettings.timing.heartbeatTicks * raftTickMs;
const driftMs = electionMs / 10;
const nodeIds = [1, 2, 3];

/** A leader with a record that is committed, and which all others have confirmed since. */
async function ledGroup(settings = withLeases): Promise<{ group: ReplicaGroup; leader: Replica }> {
  const group = new ReplicaGroup(settings);
  await group.create(nodeIds);
  const leader = await group.leader();
  expect(await group.acknowledged(leader, appended(leader, ['a']))).toBe(true);
  await group.after(10 * heartbeatMs);
  return { group, leader };
}

function cutOff(group: ReplicaGroup, leader: Replica): number {
  const leaderNode = nodeIds.find((nodeId) => group.node(nodeId).replica === leader)!;
  for (const other of nodeIds) if (other !== leaderNode) group.links.cut(leaderNode, other);
  return leaderNode;
}

/** Undefined while it is open; else what the read gave. */
function asked(leader: Replica): { outcome?: number | undefined; isOpen: boolean } {
  const read: { outcome?: number | undefined; isOpen: boolean } = { isOpen: true };
  void leader.confirmRead().then((endIndex) => {
    read.outcome = endIndex;
    read.isOpen = false;
  });
  return read;
}

describe('a leader with a lease', () => {
  it('answers reads without a message to anybody, and one without asks first', async () => {
    const outcomes: (number | undefined)[] = [];
    for (const [settings, isAnswered] of [
      [withLeases, true],
      [raftSettings, false],
    ] as const) {
      const { group, leader } = await ledGroup(settings);
      const { frames } = group.links;
      const read = asked(leader);
      await Promise.resolve();
      await Promise.resolve();
      expect([!read.isOpen, group.links.frames === frames]).toEqual([isAnswered, isAnswered]);
      await group.until('an answer', () => !read.isOpen);
      outcomes.push(read.outcome);
    }
    // The record is in it, and what Raft has put before it.
    expect(outcomes[0]).toBeGreaterThan(1);
    expect(outcomes[0]).toBe(outcomes[1]);
  });

  it('answers while it is cut off until its lease ends, and not any more when another may be elected', async () => {
    const { group, leader } = await ledGroup();
    const before = await leader.confirmRead();
    expect(before).toBeGreaterThan(0);
    const leaderNode = cutOff(group, leader);
    const held = asked(leader);
    await group.after(heartbeatMs);
    expect(held).toEqual({ isOpen: false, outcome: before });
    await group.after(electionMs - driftMs - heartbeatMs);
    // The lease is over, and nobody else leads yet.
    const late = asked(leader);
    expect([...group.nodes].filter(([, { replica }]) => replica.isLeader).map(([id]) => id)).toEqual([
      leaderNode,
    ]);
    await group.until('another leader', () =>
      [...group.nodes].some(([id, { replica }]) => id !== leaderNode && replica.isLeader),
    );
    await group.until('an answer', () => !late.isOpen);
    expect(late.outcome).toBeUndefined();
  });

  it('is given up no sooner than its lease when it is killed, and the others go on', async () => {
    const { group, leader } = await ledGroup();
    const killed = nodeIds.find((nodeId) => group.node(nodeId).replica === leader)!;
    group.kill(killed);
    await group.after(electionMs - driftMs - heartbeatMs);
    expect([...group.nodes.values()].filter(({ replica }) => replica.isLeader)).toEqual([]);
    const next = await group.leader();
    expect(await group.acknowledged(next, appended(next, ['b']))).toBe(true);
    expect(await valuesOf(next)).toEqual(['a', 'b']);
    // The new one gets a lease of its own from the majority that is left.
    await group.after(10 * heartbeatMs);
    const read = asked(next);
    await Promise.resolve();
    await Promise.resolve();
    expect(read.isOpen).toBe(false);
    await group.start(killed, [...group.nodes.keys()]);
    await group.open(killed, { members: next.configuration.voters, revision: 0 });
    await group.until(
      'all of it there',
      () => group.node(killed).replica.highWatermark === next.highWatermark,
    );
    expect(await valuesOf(group.node(killed).replica)).toEqual(['a', 'b']);
  });
});
