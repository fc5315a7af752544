import { describe, expect, it } from 'vitest';
import type { Standing } from '../../broker/cluster/cluster.ts';
import { decideCreateTopics } from '../../broker/cluster/controller/create-topics.ts';
import { decideReassignments } from '../../broker/cluster/controller/reassignments.ts';
import { decideRegistrationChange } from '../../broker/cluster/controller/registration.ts';
import { Leaderships } from '../../broker/cluster/partitions/leaderships.ts';
import { allWantedReplicas } from '../../broker/cluster/partitions/wanted-replicas.ts';
import { NodeReadiness, leaderlessMsMax, noticeMsMin } from '../../broker/node-readiness.ts';
import { ManualClock } from '../../platform/manual-clock.ts';
import { carryOut, stateOf, topicNamed } from './cluster/cluster-fixtures.ts';

/** Nodes 1 to 4, and 't' with two partitions on 1, 2 and 3; this is node 1, which has just registered. */
function settling(registeredAgo = 0) {
  const state = stateOf({ nodes: [1, 2, 3, 4] });
  const assignments = [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1, 2, 3] }));
  const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
  carryOut(state, decideCreateTopics(state, [asked]));
  const topicId = state.image.topic('t')!.id;
  const clock = new ManualClock();
  const leaderships = new Leaderships();
  const cluster = {
    image: state.image,
    standing: 'in-service' as Standing,
    replicasHere: () => allWantedReplicas(state.image, 1),
  };
  const replicas = [0, 1].map(() => ({ identity: { topicId }, failed: false, hasDamage: false }));
  const readiness = new NodeReadiness({
    nodeId: 1,
    clock,
    cluster,
    leaderships,
    partitions: { replica: (_topic, partition) => replicas[partition] },
  });
  clock.advance(registeredAgo);
  let version = 0;
  const says = (leader: number, partition: number, inSync: readonly number[]): void => {
    const { epoch } = state.image.brokers.get(leader)!;
    const rest = { term: 1, version: ++version, revision: 0, epoch };
    leaderships.merge({ topicId, partition, leader, inSync, ...rest });
  };
  return { state, topicId, clock, cluster, replicas, leaderships, readiness, says };
}

const waitingFor = (...partitions: string[]) => ({
  kind: 'waiting',
  reason: 'catching-up',
  message: `${partitions.length} replica(s) of this node have not been in sync since it was started`,
  partitionsBehind: partitions.length,
  partitions,
});

describe('a node that has started', () => {
  it('is ready once each of its replicas leads or is in sync by the word of its leader', () => {
    const { readiness, says } = settling(noticeMsMin);
    expect(readiness.now(true)).toEqual(waitingFor('t-0', 't-1'));
    says(1, 0, [1]);
    says(2, 1, [2, 3]);
    expect(readiness.now(true)).toEqual(waitingFor('t-1'));
    says(2, 1, [1, 2, 3]);
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });

  it('stays ready when a replica falls behind later, also where nobody had asked before', () => {
    const { readiness, says } = settling(noticeMsMin);
    for (const partition of [0, 1]) says(2, partition, [1, 2]);
    for (const partition of [0, 1]) says(2, partition, [2]);
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });

  it('does not go by what leaders say before they can have noticed that it has begun anew', () => {
    const { readiness, says, clock } = settling();
    for (const partition of [0, 1]) says(2, partition, [1, 2, 3]);
    says(1, 1, [1]);
    expect(readiness.now(true)).toEqual(waitingFor('t-0'));
    says(2, 0, [2, 3]);
    clock.advance(noticeMsMin);
    expect(readiness.now(true)).toEqual(waitingFor('t-0'));
    says(2, 0, [1, 2, 3]);
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });

  it('does not take the hint of a follower for the word of the leader', () => {
    const { readiness, leaderships, topicId, says } = settling(noticeMsMin);
    says(1, 1, [1]);
    const hint = { term: 2, version: 0, inSync: [2, 1], revision: 0, epoch: 99 };
    leaderships.merge({ topicId, partition: 0, leader: 2, ...hint });
    expect(readiness.now(true)).toEqual(waitingFor('t-0'));
  });

  it('waits for groups without a leader for a while alone', () => {
    const { readiness, says, clock, state } = settling(noticeMsMin);
    says(2, 0, [2, 3]);
    clock.advance(leaderlessMsMax - noticeMsMin - 1);
    expect(readiness.now(true)).toEqual(waitingFor('t-0', 't-1'));
    clock.advance(1);
    // Somebody leads t-0, who goes on without this node.
    expect(readiness.now(true)).toEqual(waitingFor('t-0'));
    const { epoch } = state.image.brokers.get(2)!;
    carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, fenced: true }));
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
    carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, fenced: false }));
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });

  it('does not wait for replicas that have failed, are damaged, offline, or gone', () => {
    const { readiness, replicas, state } = settling(noticeMsMin);
    replicas[0] = { ...replicas[0]!, failed: true };
    expect(readiness.now(true)).toEqual(waitingFor('t-1'));
    replicas[0] = { ...replicas[0], failed: false, hasDamage: true };
    expect(readiness.now(true)).toEqual(waitingFor('t-1'));
    replicas.shift();
    expect(readiness.now(true)).toEqual(waitingFor('t-0'));
    carryOut(state, {
      records: [{ type: 'RemoveTopicRecord', value: { topicId: state.image.topic('t')!.id } }],
      result: undefined,
    });
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });

  it('does not wait for a replica that a reassignment brings to it', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const assignments = [{ partitionIndex: 0, brokerIds: [2, 3] }];
    const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
    carryOut(state, decideCreateTopics(state, [asked]));
    const moving = { topic: 't', partition: 0, replicas: [1, 2] };
    const moved = decideReassignments(state, {
      reassignments: [moving],
      allowReplicationFactorChange: true,
    });
    carryOut(state, moved);
    expect(state.image.topic('t')!.partitions[0]!.adding).toEqual([1]);
    const readiness = new NodeReadiness({
      nodeId: 1,
      clock: new ManualClock(),
      cluster: {
        image: state.image,
        standing: 'in-service',
        replicasHere: () => allWantedReplicas(state.image, 1),
      },
      leaderships: new Leaderships(),
      partitions: {
        replica: () => ({
          identity: { topicId: state.image.topic('t')!.id },
          failed: false,
          hasDamage: false,
        }),
      },
    });
    expect(readiness.now(true)).toEqual({ kind: 'ready' });
  });
});

it('a node that the cluster does not count on is not ready, whatever its replicas have', () => {
  const { readiness, says, cluster } = settling(noticeMsMin);
  for (const partition of [0, 1]) says(1, partition, [1]);
  for (const standing of ['fenced', 'no-controller'] as const) {
    cluster.standing = standing;
    expect(readiness.now(true)).toMatchObject({ kind: 'waiting', reason: standing });
  }
  cluster.standing = 'in-service';
  expect(readiness.now(false)).toMatchObject({ kind: 'waiting', reason: 'stopping' });
  expect(readiness.now(true)).toEqual({ kind: 'ready' });
});
