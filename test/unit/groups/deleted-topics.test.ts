import { expect, test } from 'vitest';
import { decodeGroupRecord } from '../../../broker/groups/group-records.ts';
import { noTopicId } from '../../../broker/groups/group-commands.ts';
import { Topics, topicId } from './consumer/consumer-client.ts';
import { commitCommand, MachineDriver } from './machine-driver.ts';

const oldId = 'AAAAAAAAAAAAAAAAAAAABQ';

/** The group has committed for a topic that was deleted while nobody coordinated it, and for others. */
function withDeletedTopic(): { driver: MachineDriver; topics: Topics } {
  const topics = new Topics({ t: 2, u: 1 });
  const driver = new MachineDriver({}, [], { topics });
  const commit = (name: string, id: string, committedOffset: number): void => {
    const command = commitCommand({ [`${name}-0`]: committedOffset });
    driver.answer({ ...command, topics: command.topics.map((topic) => ({ ...topic, topicId: id })) });
  };
  commit('t', oldId, 5);
  commit('u', topicId('u'), 6);
  commit('unknown', noTopicId, 7);
  topics.noteDeleted(oldId);
  return { driver, topics };
}

test('what was committed for a topic that has been deleted is not shown', () => {
  const { driver } = withDeletedTopic();
  expect(driver.committed()).toEqual({ 'u-0': 6, 'unknown-0': 7 });
});

test('and goes when the group is loaded next', () => {
  const { driver } = withDeletedTopic();
  const reloaded = driver.reloaded();
  const written = reloaded.records.slice(driver.records.length);
  expect(written.map(({ key, value }) => decodeGroupRecord(key, value))).toEqual([
    { kind: 'offset', group: 'g', topic: 't', partition: 0, value: null },
  ]);
  expect([...reloaded.group()!.offsets.topics.keys()]).toEqual(['u', 'unknown']);
  expect(reloaded.reloaded().records).toEqual(reloaded.records);
});
