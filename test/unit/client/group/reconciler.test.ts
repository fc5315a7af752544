import { expect, it } from 'vitest';
import { Reconciler } from '../../../../client/group/reconciler.ts';
import { ScriptedBroker, Told } from './scripted-broker.ts';

const topicId = 'a'.padEnd(22, 'A');

it('goes on to a target that comes while it takes what the one before said', async () => {
  const broker = await ScriptedBroker.start({});
  broker.topics.set('a', topicId);
  const told = new Told();
  const events = {
    onRevoke: (partitions: Parameters<Told['onRevoke']>[0]) => told.onRevoke(partitions),
    onLost: (partitions: Parameters<Told['onLost']>[0]) => told.onLost(partitions),
    onAssign(partitions: Parameters<Told['onAssign']>[0]): void {
      told.onAssign(partitions);
      if (told.owned.has('a0')) subject.aim([{ topicId, partitions: [1] }]);
    },
  };
  let changes = 0;
  const { signal } = new AbortController();
  const subject = new Reconciler(broker.cluster(), events, { onChanged: () => changes++, signal });
  subject.aim([{ topicId, partitions: [0] }]);
  await broker.clock.advanceAsync(1_000);
  expect(told.log).toEqual(['assign a0', 'revoke a0', 'assign a1']);
  expect(subject.owned).toEqual([{ topicId, topic: 'a', partition: 1 }]);
  expect(changes).toBe(3);
  broker.close();
});
