import { describe, expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { LeaderBalance, transfersToPreferred } from '../../../../broker/cluster/partitions/leader-balance.ts';
import type {
  TransferOutcome,
  WantedTransfer,
} from '../../../../broker/cluster/partitions/leadership-transfers.ts';
import { Leaderships } from '../../../../broker/cluster/partitions/leaderships.ts';
import { decideRegistrationChange } from '../../../../broker/cluster/controller/registration.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';
import { settle } from '../memory-cluster.ts';

/** Node 1 leads all of twenty partitions that node 2 is to lead. */
function unbalanced(inSync: readonly number[] = [1, 2]) {
  const state = stateOf({ nodes: [1, 2] });
  const assignments = Array.from({ length: 20 }, (_, partitionIndex) => ({
    partitionIndex,
    brokerIds: [2, 1],
  }));
  const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
  carryOut(state, decideCreateTopics(state, [asked]));
  const leaderships = new Leaderships();
  const topicId = state.image.topic('t')!.id;
  const lead = (partition: number, leader: number, term: number): void => {
    leaderships.merge({ topicId, partition, leader, term, version: 1, inSync, revision: 0, epoch: 0 });
  };
  for (let partition = 0; partition < 20; partition++) lead(partition, 1, 1);
  return { state, leaderships, lead };
}

function balanceOf(
  { state, leaderships, lead }: ReturnType<typeof unbalanced>,
  outcome: TransferOutcome = 'transferred',
) {
  const clock = new ManualClock();
  const rounds: (readonly WantedTransfer[])[] = [];
  const balance = new LeaderBalance({
    nodeId: 1,
    clock,
    image: () => state.image,
    leaderships,
    transfers: {
      transfer: (wanted) => {
        rounds.push(wanted);
        if (outcome === 'transferred') for (const { partition, to } of wanted) lead(partition, to, 2);
        return Promise.resolve(wanted.map(() => outcome));
      },
    },
    isEnabled: () => true,
    intervalMs: () => 300_000,
    onFailure: (error) => {
      throw error;
    },
  });
  return { clock, rounds, balance };
}

describe('the balance of leaders', () => {
  it('gives back what others are to lead, a few at a time, when it is time', async () => {
    const world = unbalanced();
    const { clock, rounds } = balanceOf(world);
    clock.advance(299_999);
    await settle();
    expect(rounds).toEqual([]);
    clock.advance(1);
    await settle();
    expect(rounds.map(({ length }) => length)).toEqual([8, 8, 4]);
    clock.advance(300_000);
    await settle();
    expect(rounds).toHaveLength(3);
  });

  it('stops where nothing can be given away, and tries again later', async () => {
    const { clock, rounds } = balanceOf(unbalanced(), 'not-taken');
    clock.advance(300_000);
    await settle();
    expect(rounds.map(({ length }) => length)).toEqual([8]);
    clock.advance(300_000);
    await settle();
    expect(rounds).toHaveLength(2);
  });

  it('gives nothing to a node that is not in sync, is fenced, or about to stop', () => {
    const behind = unbalanced([1]);
    expect(transfersToPreferred(1, behind.state.image, behind.leaderships)).toEqual([]);
    for (const change of [{ fenced: true }, { inControlledShutdown: true }]) {
      const { state, leaderships } = unbalanced();
      expect(transfersToPreferred(1, state.image, leaderships)).toHaveLength(20);
      const { epoch } = state.image.brokers.get(2)!;
      carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, ...change }));
      expect(transfersToPreferred(1, state.image, leaderships)).toEqual([]);
    }
  });
});
