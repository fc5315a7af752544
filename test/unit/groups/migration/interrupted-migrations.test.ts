import { describe, expect, test } from 'vitest';
import { Group } from '../../../../broker/groups/group.ts';
import { ConsumerClient } from '../consumer/consumer-client.ts';
import type { MachineDriver } from '../machine-driver.ts';
import { classics, consumerGroup, driverWith, durable, settle } from './mixed-groups.ts';

describe('a change of protocol that was interrupted', () => {
  /** Coordinators that have read up to each record of the last step, and what they made of it. */
  function afterEachRecord(driver: MachineDriver, check: (next: MachineDriver) => void): number {
    const { recordsBefore, records } = driver;
    for (let count = recordsBefore; count <= records.length; count++) {
      const next = driver.reloaded(count);
      check(next);
      // What does not count has been written off, so that it never comes back.
      const group = next.machine.groups.get('g');
      const again = next.reloaded();
      expect(durable(again)).toEqual(durable(next));
      expect(again.machine.groups.get('g')?.constructor).toBe(group?.constructor);
      expect(again.records.length).toBe(next.records.length);
    }
    return records.length - recordsBefore;
  }

  test('upwards is none', () => {
    const driver = driverWith();
    const [a, b] = classics(driver, ['a', 'b']);
    a!.commit({ 't-1': 1 });
    const { generationId } = driver.group()!;
    const memberIds = [...driver.group()!.members.keys()];
    const held = [a!, b!].map(({ owned }) => owned);
    new ConsumerClient(driver, { memberId: 'c' }).heartbeat();
    let [downs, ups] = [0, 0];
    const count = afterEachRecord(driver, (next) => {
      expect(next.committed()).toEqual({ 't-1': 1 });
      const group = next.machine.groups.get('g')!;
      if (group instanceof Group) {
        downs++;
        expect([...group.members.keys()]).toEqual(memberIds);
        expect(group.generationId).toBe(generationId);
      } else {
        ups++;
        expect(group.members.get(a!.memberId)!.assigned).toEqual(held[0]);
        expect(group.members.get(b!.memberId)!.assigned).toEqual(held[1]);
      }
    });
    expect([downs > 5, ups > 1, downs + ups]).toEqual([true, true, count + 1]);
  });

  test('downwards is done', () => {
    const driver = driverWith();
    const [a] = classics(driver, ['a']);
    const c = new ConsumerClient(driver, { memberId: 'c' });
    settle(driver, [a!, c]);
    a!.commit({ 't-1': 1 });
    const before = [...consumerGroup(driver).members.keys()];
    c.leave();
    let [downs, ups] = [0, 0];
    afterEachRecord(driver, (next) => {
      expect(next.committed()).toEqual({ 't-1': 1 });
      const group = next.machine.groups.get('g')!;
      if (group instanceof Group) {
        downs++;
        expect([...group.members.keys()]).toEqual([a!.memberId]);
      } else {
        ups++;
        expect([...group.members.keys()]).toEqual(before);
      }
    });
    expect([ups, downs > 5]).toEqual([1, true]);
  });
});
