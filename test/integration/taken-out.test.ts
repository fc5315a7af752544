import { expect, it } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

it('a node that was taken out for good is not let in again with what it had, and is with an empty disk', async () => {
  await using cluster = await EmbeddedCluster.start();
  const first = await cluster.connect(1);
  const { whenFailed } = cluster.node(3).broker;
  const { errorCode } = await first.call('UnregisterBroker', 0, { brokerId: 3 });
  expect(errorCode).toBe(ErrorCode.NONE);
  expect((await whenFailed).message).toContain('taken out of the cluster for good');
  await cluster.stopNode(3);
  for (let start = 0; start < 2; start++) {
    await expect(cluster.startNode(3)).rejects.toThrow(
      'Node 3 was taken out of the cluster with the data directory that it has. Give it an empty one',
    );
  }
  cluster.loseDisk(3);
  await cluster.startNode(3);
  const { brokers } = await first.call('DescribeCluster', 0, {});
  expect(brokers.map(({ brokerId }) => brokerId).toSorted((left, right) => left - right)).toEqual([1, 2, 3]);
}, 60_000);
