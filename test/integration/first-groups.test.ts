import { expect, it } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

it('several groups that are looked for at once, the first of their cluster, all get their coordinators', async () => {
  await using cluster = await EmbeddedCluster.start();
  const connections = await Promise.all([1, 1, 1].map((id) => cluster.connect(id)));
  const asked = connections.map((connection, place) =>
    connection.call('FindCoordinator', 4, {
      keyType: 0,
      coordinatorKeys: [`a${place}`, `b${place}`, `c${place}`],
    }),
  );
  const coordinators = (await Promise.all(asked)).flatMap((answer) => answer.coordinators);
  expect(coordinators.map(({ errorCode }) => errorCode)).toEqual(Array(9).fill(ErrorCode.NONE));
  expect(coordinators.every(({ nodeId }) => cluster.running.includes(nodeId))).toBe(true);
}, 30_000);
