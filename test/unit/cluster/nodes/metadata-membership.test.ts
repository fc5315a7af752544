import { describe, expect, it } from 'vitest';
import { MemoryFleet } from '../memory-fleet.ts';
import { directoryOf } from '../memory-group.ts';

describe('the members of the metadata group', () => {
  it('become voters when they are registered and hold the log, learners first', async () => {
    const fleet = new MemoryFleet([1, 2, 3, 4], { voterIds: [1] });
    await fleet.form();
    await fleet.pass(2_000);
    const { configuration } = fleet.group;
    expect(configuration.voters).toEqual([1, 2, 3].map((id) => `${id}/${directoryOf(id)}`));
    expect(configuration.learners).toEqual([`4/${directoryOf(4)}`]);
    expect(fleet.node(1).replica.changes).toEqual(['1 + 2', '1 + 2 3', '1 2 3 + ', '1 2 3 + 4']);
    expect(configuration.revision).toBeLessThanOrEqual(fleet.node(1).cluster.image.endOffset);
    await fleet.close();
  });

  it('are left when a node is unregistered, and another one votes instead', async () => {
    const fleet = new MemoryFleet([1, 2, 3, 4]);
    await fleet.form();
    await fleet.pass(1_000);
    await fleet.run(fleet.node(1).cluster.unregister(2));
    await fleet.pass(1_000, [2]);
    expect(fleet.group.configuration.voters.map((member) => Number.parseInt(member, 10))).toEqual([1, 3, 4]);
    expect(fleet.group.configuration.learners).toEqual([]);
  });

  it('are left by the leader itself when it is drained, and by nobody for whom there is no other', async () => {
    const fleet = new MemoryFleet([1, 2, 3, 4]);
    await fleet.form();
    await fleet.pass(1_000);
    const drain = (value: string) =>
      fleet.run(
        fleet.node(2).cluster.alterConfigs([
          {
            resourceType: 4,
            resourceName: '',
            configs: [{ name: 'kappalog.drained.nodes', configOperation: 0, value }],
          },
        ]),
      );
    const voters = (): number[] =>
      fleet.group.configuration.voters.map((member) => Number.parseInt(member, 10)).toSorted((a, b) => a - b);
    expect(await drain('1')).toEqual([{ resourceType: 4, resourceName: '' }]);
    await fleet.pass(1_000);
    expect(voters()).toEqual([2, 3, 4]);
    expect(fleet.group.configuration.learners).toEqual([`1/${directoryOf(1)}`]);
    const { replica } = fleet.node(2);
    fleet.group.elect(replica, [...fleet.group.replicas.values()]);
    await fleet.pass(1_000);
    await drain('1,3');
    await fleet.pass(1_000);
    expect(voters()).toEqual([2, 3, 4]);
  });

  it('are taken in before they are registered, by whomever they ask, and asked about until they are', async () => {
    const fleet = new MemoryFleet([1, 2, 3], { voterIds: [1] });
    const all = [...fleet.group.replicas.values()];
    fleet.group.elect(all[0]!, all);
    const [one, two] = fleet.nodes;
    await fleet.run(Promise.all([one!.cluster.start(), two!.cluster.start()]));
    await fleet.run(one!.cluster.register(fleet.registration(1)));
    await fleet.run(two!.cluster.register(fleet.registration(2)));
    const joining = { nodeId: 3, directoryId: directoryOf(3), host: 'host-3', port: 9093 };
    expect(await fleet.run(two!.cluster.admit(joining, 5_000))).toEqual({ endOffset: expect.any(Number) });
    expect(fleet.group.configuration.learners).toContain(`3/${directoryOf(3)}`);
    expect(one!.addresses[0]).toBe('3 host-3:9093');
    for (const { replica } of fleet.nodes) replica.follow(9, undefined);
    expect(await fleet.run(two!.cluster.admit({ ...joining, directoryId: 'other' }, 1_000))).toBeUndefined();
  });

  it('need no timer once they are as they should be', async () => {
    const fleet = new MemoryFleet([1]);
    await fleet.form();
    await fleet.pass(1_000);
    expect(fleet.clock.pendingTimers).toBe(0);
    expect(fleet.node(1).replica.changes).toEqual([]);
  });
});
