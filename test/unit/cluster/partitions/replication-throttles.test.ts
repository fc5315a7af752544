import { describe, expect, it } from 'vitest';
import { decideAlterConfigs } from '../../../../broker/cluster/controller/alter-configs.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { Leaderships } from '../../../../broker/cluster/partitions/leaderships.ts';
import { ConfigResourceType } from '../../../../broker/cluster/metadata/metadata-image.ts';
import { decideReassignments } from '../../../../broker/cluster/controller/reassignments.ts';
import { ReplicationThrottles } from '../../../../broker/cluster/partitions/replication-throttles.ts';
import { resolveTopicConfig } from '../../../../broker/config/topic-config.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

const { BROKER, TOPIC } = ConfigResourceType;
const clock = new ManualClock();

/** Four nodes, and a topic 't' whose two partitions lie on nodes 1 and 2 and are led by them; this is node 1. */
function open() {
  const state = stateOf({ nodes: [1, 2, 3, 4] });
  const assignments = [
    { partitionIndex: 0, brokerIds: [1, 2] },
    { partitionIndex: 1, brokerIds: [2, 1] },
  ];
  const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
  carryOut(state, decideCreateTopics(state, [asked]));
  const topicId = state.image.topic('t')!.id;
  const leaderships = new Leaderships();
  for (const [partition, leader] of [1, 2].entries()) {
    leaderships.merge({
      topicId,
      partition,
      leader,
      term: 1,
      version: 1,
      inSync: [leader],
      revision: 0,
      epoch: 0,
    });
  }
  const throttles = new ReplicationThrottles({
    nodeId: 1,
    clock,
    image: () => state.image,
    leaderships,
    topicConfig: (name) => resolveTopicConfig(state.image.settings(TOPIC, name), state.config),
  });
  return { state, throttles, group: (partition: number) => `${topicId}:${partition}` };
}

function set(state: TestState, resourceType: number, resourceName: string, configs: Record<string, string>) {
  const settings = Object.entries(configs).map(([name, value]) => ({ name, value, configOperation: 0 }));
  const resource = { resourceType, resourceName, configs: settings };
  const [result] = carryOut(state, decideAlterConfigs(state, [resource])).result;
  expect(result?.refusal).toBeUndefined();
}

function reassign(state: TestState, partition: number, replicas: readonly number[]): void {
  const reassignments = [{ topic: 't', partition, replicas }];
  const [outcome] = carryOut(
    state,
    decideReassignments(state, { reassignments, allowReplicationFactorChange: true }),
  ).result;
  expect(outcome).toEqual({ kind: 'accepted' });
}

describe('throttles of replication', () => {
  it('hold for nobody unless they are set', () => {
    const { throttles, group } = open();
    expect([throttles.isLeaderThrottled(group(0)), throttles.isFollowerThrottled(group(0), 3)]).toEqual([
      false,
      false,
    ]);
    expect([throttles.leaderPerSecondMax(), throttles.followerPerSecondMax(3)]).toEqual([Infinity, Infinity]);
    expect(throttles.isLeaderThrottled('AAAAAAAAAAAAAAAAAAAAZZ:0')).toBe(false);
  });

  it('hold for the replicas that the topic names', () => {
    const { state, throttles, group } = open();
    set(state, TOPIC, 't', {
      'leader.replication.throttled.replicas': '0:1,1:2',
      'follower.replication.throttled.replicas': '0:3',
    });
    expect([0, 1].map((partition) => throttles.isLeaderThrottled(group(partition)))).toEqual([true, false]);
    expect([3, 4].map((nodeId) => throttles.isFollowerThrottled(group(0), nodeId))).toEqual([true, false]);
    expect(throttles.isFollowerThrottled(group(1), 3)).toBe(false);
    // This node is not named as a follower: what counts is who sends.
    expect([1, 2].map((from) => throttles.isCopyThrottled(group(1), from))).toEqual([false, true]);
    set(state, TOPIC, 't', { 'follower.replication.throttled.replicas': '0:3,1:1' });
    expect(throttles.isCopyThrottled(group(1), 1)).toBe(true);
    set(state, TOPIC, 't', { 'leader.replication.throttled.replicas': '*' });
    expect(throttles.isLeaderThrottled(group(1))).toBe(true);
  });

  it('have the rate of the node, else of all', () => {
    const { state, throttles } = open();
    set(state, BROKER, '', { 'leader.replication.throttled.rate': '1000' });
    expect(throttles.leaderPerSecondMax()).toBe(1_000);
    set(state, BROKER, '1', { 'leader.replication.throttled.rate': '5000' });
    set(state, BROKER, '2', { 'leader.replication.throttled.rate': '7' });
    expect(throttles.leaderPerSecondMax()).toBe(5_000);
    set(state, BROKER, '1', { 'leader.replication.throttled.rate': '9223372036854775807' });
    expect(throttles.leaderPerSecondMax()).toBe(Infinity);
  });

  it('give each of several leaders an equal part of what a follower may be sent', () => {
    const { state, throttles } = open();
    set(state, BROKER, '3', { 'follower.replication.throttled.rate': '1000' });
    reassign(state, 0, [1, 2, 3]);
    clock.advance(1_000);
    expect(throttles.followerPerSecondMax(3)).toBe(1_000);
    reassign(state, 1, [2, 1, 3, 4]);
    clock.advance(1_000);
    expect(throttles.followerPerSecondMax(3)).toBe(500);
    expect(throttles.followerPerSecondMax(4)).toBe(Infinity);
  });
});
