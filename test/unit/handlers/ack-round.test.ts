import { describe, expect, it } from 'vitest';
import { AckRound, acksAll } from '../../../broker/handlers/ack-round.ts';
import type { Replica } from '../../../broker/partition/replica.ts';
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import { ReplicaGroup, append, appended } from '../partition/replica-group.ts';

/** What a client is told that sends a batch of producer 7 which the leader asked refuses. */
async function refusal(
  group: ReplicaGroup,
  replica: Replica,
  timeoutMs = 30_000,
): Promise<string | undefined> {
  expect(append(replica, ['after a gap'], 9)).toEqual({
    kind: 'refused',
    error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  });
  const round = new AckRound(acksAll, group.clock);
  const answer = {
    errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
  };
  round.confirm(replica, answer);
  let isOver = false;
  void round.finish(timeoutMs).then(() => {
    isOver = true;
  });
  await group.until('an answer', () => isOver);
  expect(round.pending).toBe(0);
  return errorName(answer.errorCode);
}

async function withProducer(nodeIds: readonly number[]): Promise<{ group: ReplicaGroup; leader: Replica }> {
  const group = new ReplicaGroup();
  await group.create(nodeIds);
  const leader = await group.leader();
  expect(await group.acknowledged(leader, appended(leader, ['first'], 0))).toBe(true);
  return { group, leader };
}

describe('a refusal that ends a producer', () => {
  it('is told by the only member of a group, and by a leader that is followed', async () => {
    for (const nodeIds of [[1], [1, 2, 3]]) {
      const { group, leader } = await withProducer(nodeIds);
      const askedAtMs = group.clock.monotonicMs();
      expect(await refusal(group, leader)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
      expect(group.clock.monotonicMs() - askedAtMs).toBeLessThan(200);
    }
  });

  it('is not told by a leader that nobody follows any more: the client is to look for another', async () => {
    const { group, leader } = await withProducer([1, 2, 3]);
    group.links.cut(1, 2);
    group.links.cut(1, 3);
    expect(leader.isLeader).toBe(true);
    expect(await refusal(group, leader)).toBe('NOT_LEADER_OR_FOLLOWER');
    expect(leader.isLeader).toBe(false);
  });

  it('is not waited for beyond the time that the request gives', async () => {
    const { group, leader } = await withProducer([1, 2, 3]);
    group.links.cut(1, 2);
    group.links.cut(1, 3);
    expect(await refusal(group, leader, 10)).toBe('REQUEST_TIMED_OUT');
  });
});
