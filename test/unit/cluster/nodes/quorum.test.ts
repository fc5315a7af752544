import { expect, it } from 'vitest';
import { MemoryFleet } from '../memory-fleet.ts';
import { settle } from '../memory-cluster.ts';
import { directoryOf } from '../memory-group.ts';

/** Nodes 1 to 3 vote, node 4 does not; all have started. */
async function startedFleet(): Promise<MemoryFleet> {
  const fleet = new MemoryFleet([1, 2, 3, 4], { voterIds: [1, 2, 3] });
  const { learners, ...others } = fleet.group.configuration;
  fleet.group.configuration = { ...others, learners: [...learners, `4/${directoryOf(4)}`] };
  const started = fleet.nodes.map(({ cluster }) => cluster.start());
  await fleet.heal();
  await Promise.all(started);
  return fleet;
}

it('who does not lead has the leader say how far the members are', async () => {
  const fleet = await startedFleet();
  const { leader } = fleet.group;
  const follower = fleet.nodes.find(({ id }) => id !== leader!.nodeId)!;
  const asked = follower.cluster.describeQuorum(1_000);
  await fleet.flow();
  await fleet.flow();
  const state = await asked;
  const here = await fleet.node(leader!.nodeId).cluster.describeQuorum(1_000);
  expect(state).toEqual(here);
  expect(state).toMatchObject({
    leaderId: leader!.nodeId,
    leaderEpoch: leader!.term,
    highWatermark: leader!.highWatermark,
  });
  expect(state!.voters.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
  expect(state!.observers.map(({ nodeId }) => nodeId)).toEqual([4]);
  const wallMs = fleet.clock.wallMs();
  expect(state!.voters[0]).toEqual({
    nodeId: 1,
    directoryId: directoryOf(1),
    logEndOffset: leader!.logEndOffset,
    lastHeardMs: wallMs,
    lastCaughtUpMs: wallMs,
  });
});

it('voters that a change is letting go still vote', async () => {
  const fleet = await startedFleet();
  const { configuration, leader } = fleet.group;
  const [first, second, third] = configuration.voters;
  fleet.group.configuration = { ...configuration, voters: [first!, second!], outgoing: [first!, third!] };
  const state = await fleet.node(leader!.nodeId).cluster.describeQuorum(0);
  expect(state!.voters.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
});

it('nobody answers once the time is up while there is no leader that can be asked', async () => {
  const fleet = await startedFleet();
  const { leader } = fleet.group;
  const follower = fleet.nodes.find(({ id }) => id !== leader!.nodeId)!;
  let answer: unknown = 'none yet';
  void follower.cluster.describeQuorum(1_000).then((state) => {
    answer = state;
  });
  for (let passedMs = 0; passedMs < 1_200; passedMs += 100) {
    for (const message of fleet.messages.splice(0)) message.lose();
    await settle();
    if (passedMs < 1_000) expect(answer).toBe('none yet');
    fleet.clock.advance(100);
    await settle();
  }
  expect(answer).toBeUndefined();
});
