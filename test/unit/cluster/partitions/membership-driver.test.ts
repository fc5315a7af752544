import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { MembershipDriver } from '../../../../broker/cluster/partitions/membership-driver.ts';
import type { DrivenReplica } from '../../../../broker/cluster/partitions/membership-driver.ts';
import type { WantedMembers } from '../../../../broker/cluster/partitions/membership-step.ts';
import type { MetadataChange, PartitionImage } from '../../../../broker/cluster/metadata/metadata-image.ts';
import { MetadataLogError } from '../../../../broker/cluster/metadata/metadata-log.ts';
import {
  decideCompletions,
  decideReassignments,
} from '../../../../broker/cluster/controller/reassignments.ts';
import type { Configuration } from '../../../../broker/raft/configuration.ts';
import { nodeOf } from '../../../../broker/raft/member.ts';
import type { MemberId } from '../../../../broker/raft/member.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { carryOut, stateOf, topicNamed, uuid } from '../cluster-fixtures.ts';
import { settle } from '../memory-cluster.ts';

const memberOn = (nodeId: number): MemberId => `${nodeId}/${uuid(1000 + nodeId)}`;

/** A group that commits, and whose learners catch up, when the test says so. It refuses what Raft would refuse. */
class Group {
  configuration: Configuration;
  committed: Configuration;
  readonly caughtUp = new Set<MemberId>();
  readonly history: string[] = [];

  constructor(nodeIds: readonly number[]) {
    this.configuration = { voters: nodeIds.map(memberOn), outgoing: [], learners: [], revision: 0 };
    this.committed = this.configuration;
  }

  change({ voters, learners, revision }: WantedMembers): string | undefined {
    if (this.configuration !== this.committed) return 'change-under-way';
    const joining = voters.filter((voter) => !this.configuration.voters.includes(voter));
    if (joining.some((each) => !this.configuration.learners.includes(each) || !this.caughtUp.has(each)))
      return 'learner-behind';
    const isSame = joining.length === 0 && voters.length === this.configuration.voters.length;
    this.configuration = { voters, learners, revision, outgoing: isSame ? [] : this.configuration.voters };
    const ids = (members: readonly MemberId[]): string => members.map(nodeOf).join();
    this.history.push(`${ids(voters)}/${ids(learners)}@${revision}`);
    return undefined;
  }

  commit(): void {
    this.committed = this.configuration;
    if (this.configuration.outgoing.length > 0) this.configuration = { ...this.configuration, outgoing: [] };
  }
}

/** A partition 't-0' on these nodes, led by whichever driver the test makes its leader. */
class World {
  readonly state = stateOf({ nodes: [1, 2, 3, 4, 5] });
  readonly clock = new ManualClock();
  readonly group: Group;
  driver: MembershipDriver;
  replica: DrivenReplica;
  isControllerThere = true;

  constructor(nodeIds: readonly number[]) {
    const assignments = [{ partitionIndex: 0, brokerIds: nodeIds }];
    const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
    carryOut(this.state, decideCreateTopics(this.state, [asked]));
    this.group = new Group(nodeIds);
    [this.driver, this.replica] = this.#leader();
  }

  get partition(): PartitionImage {
    return this.state.image.topic('t')!.partitions[0]!;
  }

  /** Another node leads the group from now on; the one before is gone. */
  elect(): void {
    this.driver.close();
    [this.driver, this.replica] = this.#leader();
    this.driver.replicaChanged(this.replica);
  }

  reassign(replicas: readonly number[] | null): void {
    const reassignments = [{ topic: 't', partition: 0, replicas }];
    const asked = { reassignments, allowReplicationFactorChange: true };
    this.#tell(carryOut(this.state, decideReassignments(this.state, asked)).changes);
  }

  async pass(ms = 100): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }

  /** Everything goes well until nothing is left to be done. */
  async finish(): Promise<void> {
    this.isControllerThere = true;
    for (let round = 0; round < 30; round++) {
      for (const learner of this.group.configuration.learners) this.group.caughtUp.add(learner);
      this.group.commit();
      this.driver.replicaChanged(this.replica);
      await this.pass();
    }
  }

  #leader(): [MembershipDriver, DrivenReplica] {
    const { group } = this;
    const topicId = this.state.image.topic('t')!.id;
    const replica: DrivenReplica = {
      identity: { topic: 't', topicId, partition: 0 },
      isLeader: true,
      closed: false,
      get configuration() {
        return group.configuration;
      },
      get committedConfiguration() {
        return { index: 0, configuration: { ...group.committed } };
      },
      acknowledgements: {
        progress: () =>
          group.configuration.learners.map((member) => {
            const isThere = group.caughtUp.has(member);
            return { member, state: isThere ? 'replicate' : 'probe', lagEntries: isThere ? 0 : 9_999 };
          }),
      },
      changeMembers: (members) => group.change(members),
    };
    const driver = new MembershipDriver({
      clock: this.clock,
      image: () => this.state.image,
      replica: () => replica,
      complete: async (completed) => {
        await Promise.resolve();
        if (!this.isControllerThere) throw new MetadataLogError('not-leader', 'nobody leads');
        this.#tell(carryOut(this.state, decideCompletions(this.state.image, completed)).changes);
      },
      onFailure: (error) => {
        throw error;
      },
    });
    return [driver, replica];
  }

  #tell(changes: readonly MetadataChange[]): void {
    for (const change of changes) this.driver.metadataChanged(change);
  }
}

describe('the driver of memberships', () => {
  it('takes learners in, lets them catch up, changes the voters, and reports', async () => {
    const world = new World([1, 2, 3]);
    world.reassign([1, 4, 5]);
    await world.pass(1_000);
    expect(world.group.history).toEqual(['1,2,3/4,5@1']);
    world.group.commit();
    world.group.caughtUp.add(memberOn(4));
    await world.pass(1_000);
    expect(world.group.history).toHaveLength(1);
    world.group.caughtUp.add(memberOn(5));
    await world.pass();
    expect(world.group.history).toEqual(['1,2,3/4,5@1', '1,4,5/@1']);
    expect(world.partition.removing).toEqual([2, 3]);
    world.group.commit();
    await world.pass();
    expect(world.partition.removing).toEqual([2, 3]);
    world.group.commit();
    await world.pass();
    expect(world.partition).toMatchObject({ replicas: [1, 4, 5], adding: [], removing: [] });
    await world.pass(500);
    expect(world.driver.workCount).toBe(0);
    expect(world.group.history).toHaveLength(2);
  });

  it('leaves groups alone that are as they should be', async () => {
    const world = new World([1, 2, 3]);
    world.driver.replicaChanged(world.replica);
    expect(world.driver.workCount).toBe(0);
    await world.pass(60_000);
    expect(world.group.history).toEqual([]);
  });

  it('goes on where the leader before it was, and reports until it is heard', async () => {
    const world = new World([1, 2]);
    world.reassign([2, 3]);
    await world.pass();
    world.group.commit();
    world.elect();
    world.group.caughtUp.add(memberOn(3));
    await world.pass();
    expect(world.group.history).toEqual(['1,2/3@1', '2,3/@1']);
    world.isControllerThere = false;
    world.group.commit();
    world.group.commit();
    await world.pass(1_000);
    expect(world.partition.removing).toEqual([1]);
    world.isControllerThere = true;
    await world.pass(200);
    expect(world.partition).toMatchObject({ replicas: [2, 3], removing: [] });
  });

  it('undoes what was taken back, whatever of it had been done', async () => {
    const world = new World([1, 2]);
    world.reassign([3, 4]);
    await world.pass();
    world.group.commit();
    for (const id of [3, 4]) world.group.caughtUp.add(memberOn(id));
    await world.pass();
    world.reassign(null);
    await world.finish();
    expect(world.group.committed.voters).toEqual([1, 2].map(memberOn));
    expect(world.partition).toMatchObject({ replicas: [1, 2], adding: [], removing: [] });
  });

  it('brings any history of intents, elections and silences to the last intent', async () => {
    const target = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 });
    const step = fc.oneof(
      target.map((replicas) => ({ kind: 'reassign' as const, replicas })),
      fc
        .constantFrom('cancel', 'elect', 'commit', 'pass', 'silence', 'heal')
        .map((kind) => ({ kind, replicas: [] })),
      fc.integer({ min: 1, max: 5 }).map((id) => ({ kind: 'catch-up' as const, replicas: [id] })),
    );
    await fc.assert(
      fc.asyncProperty(target, fc.array(step, { maxLength: 40 }), async (first, steps) => {
        const world = new World(first);
        for (const { kind, replicas } of steps) {
          if (kind === 'reassign') world.reassign(replicas);
          else if (kind === 'cancel') world.reassign(null);
          else if (kind === 'elect') world.elect();
          else if (kind === 'commit') world.group.commit();
          else if (kind === 'catch-up') world.group.caughtUp.add(memberOn(replicas[0]!));
          else if (kind === 'pass') await world.pass();
          else world.isControllerThere = kind === 'heal';
          // Whoever may vote is known to the metadata, and so keeps its files.
          const { voters, outgoing } = world.group.configuration;
          for (const member of [...voters, ...outgoing])
            expect(world.partition.replicas).toContain(nodeOf(member));
        }
        await world.finish();
        const { replicas, adding, removing } = world.partition;
        expect([adding, removing]).toEqual([[], []]);
        expect(world.group.committed.voters).toEqual(replicas.map(memberOn));
        expect(world.group.committed.learners).toEqual([]);
        expect(world.driver.workCount).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
