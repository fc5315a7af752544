import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assignors } from '../../../../client/group/assignors.ts';
import { ClassicMembership } from '../../../../client/group/classic-membership.ts';
import type { ClassicOptions } from '../../../../client/group/classic-membership.ts';
import { decodeSubscription } from '../../../../client/group/consumer-protocol.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import type { JoinGroupRequest } from '../../../../protocol/index.ts';
import { ScriptedBroker, Told } from './scripted-broker.ts';

const idOf = (name: string): string => name.padEnd(22, 'A');
const options: ClassicOptions = {
  groupId: 'g',
  groupInstanceId: null,
  topics: ['a'],
  pattern: undefined,
  assignors: [assignors.range],
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  heartbeatIntervalMs: 1_000,
};

let broker: ScriptedBroker;
let told: Told;
let joins: JoinGroupRequest[];
/** To the next heartbeats, in order; afterwards all is well. */
let beats: (keyof typeof ErrorCode)[];
/** What the member is given, as its leader has it or as the test says. */
let given: Buffer | undefined;

beforeEach(async () => {
  joins = [];
  beats = [];
  given = undefined;
  told = new Told();
  broker = await ScriptedBroker.start({
    JoinGroup(request) {
      joins.push(request);
      const { name, metadata } = request.protocols[0]!;
      return {
        errorCode: ErrorCode.NONE,
        generationId: joins.length,
        protocolType: 'consumer',
        protocolName: name,
        leader: 'me',
        memberId: 'me',
        members: [{ memberId: 'me', metadata: Buffer.from(metadata) }],
      };
    },
    SyncGroup: ({ assignments }) => ({
      errorCode: ErrorCode.NONE,
      assignment: given ?? Buffer.from(assignments[0]!.assignment),
    }),
    Heartbeat: () => ({ errorCode: ErrorCode[beats.shift() ?? 'NONE'] }),
  });
  broker.topics.set('a', idOf('a'));
});
afterEach(() => broker.close());

function join(change: Partial<ClassicOptions> = {}): ClassicMembership {
  const membership = new ClassicMembership(broker.cluster(), { ...options, ...change }, told);
  membership.start();
  return membership;
}

const topicsOf = ({ protocols }: JoinGroupRequest): readonly string[] =>
  decodeSubscription(Buffer.from(protocols[0]!.metadata)).topics;

describe('a member that leaves', () => {
  async function leaving(error: keyof typeof ErrorCode): Promise<void> {
    broker.script.LeaveGroup = ({ members }) => ({
      errorCode: ErrorCode.NONE,
      members: members.map((member) => ({ ...member, errorCode: ErrorCode[error] })),
    });
    const membership = join();
    await broker.until(() => told.owned.size === 4);
    await broker.settled(membership.stop());
    await broker.settled(membership.leave(2_000));
  }

  it('has left where the group does not know it', async () => {
    await leaving('UNKNOWN_MEMBER_ID');
    expect(broker.count('LeaveGroup')).toBe(1);
  });

  it('says why it could not, also where the answer as a whole has no error', async () => {
    await expect(leaving('FENCED_INSTANCE_ID')).rejects.toMatchObject({ code: 'FENCED_INSTANCE_ID' });
  });

  it('tries again where that may pass', async () => {
    await expect(leaving('COORDINATOR_LOAD_IN_PROGRESS')).rejects.toMatchObject({ retriable: true });
    expect(broker.count('LeaveGroup')).toBeGreaterThan(3);
  });
});

describe('a member that is put out while the application finishes', () => {
  it('has lost what it was giving up, and joins as a new one', async () => {
    join();
    await broker.until(() => told.owned.size === 4);
    told.isBusy = true;
    beats = ['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID'];
    await broker.clock.advanceAsync(10_000);
    expect(told.log).toEqual(['assign a0 a1 a2 a3', 'revoke a0 a1 a2 a3', 'lost a0 a1 a2 a3']);
    told.finish();
    await broker.until(() => joins.length === 2);
    expect(joins.map(({ memberId }) => memberId)).toEqual(['', '']);
    await broker.until(() => told.owned.size === 4);
    expect(told.log.slice(3)).toEqual(['assign a0 a1 a2 a3']);
  });

  it('has lost what it would have kept as well', async () => {
    join({ assignors: [assignors['cooperative-sticky']] });
    await broker.until(() => told.owned.size === 4);
    told.isBusy = true;
    const none = Buffer.alloc(0);
    given = none;
    beats = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION'];
    await broker.until(() => told.log.includes('lost a0 a1 a2 a3'));
    expect(told.log).toEqual(['assign a0 a1 a2 a3', 'revoke a0 a1 a2 a3', 'lost a0 a1 a2 a3']);
    given = undefined;
    told.finish();
    await broker.until(() => told.owned.size === 4);
    const said = joins.map(({ protocols }) => decodeSubscription(Buffer.from(protocols[0]!.metadata)));
    expect(said.map(({ owned, generation }) => [owned.length, generation])).toEqual([
      [0, -1],
      [4, 1],
      [0, -1],
    ]);
  });
});

describe('a member that ends for good', () => {
  it('has lost all that it had', async () => {
    const membership = join({ groupInstanceId: 'i' });
    await broker.until(() => told.owned.size === 4);
    beats = ['FENCED_INSTANCE_ID'];
    await broker.until(() => told.error !== undefined);
    expect(told.log.slice(1)).toEqual(['lost a0 a1 a2 a3', 'fatal FENCED_INSTANCE_ID']);
    await broker.settled(membership.stop());
  });
});

describe('a member that subscribes by a pattern', () => {
  const pattern = /^(?:a.*)$/;

  it('names the topics that match, and joins again when there are others', async () => {
    broker.topics.set('b', idOf('b'));
    broker.topics.set('__a', idOf('__a'));
    broker.topics.set('a__internal', idOf('a_'));
    join({ topics: [], pattern });
    await broker.until(() => told.owned.size === 8);
    expect(topicsOf(joins[0]!)).toEqual(['a', 'a__internal']);
    broker.topics.set('a2', idOf('a2'));
    broker.topics.delete('a__internal');
    const fromMs = broker.clock.monotonicMs();
    await broker.until(() => joins.length === 2);
    // As old as metadata may be.
    expect(broker.clock.monotonicMs() - fromMs).toBeLessThan(12_000);
    expect(topicsOf(joins[1]!)).toEqual(['a', 'a2']);
    const looks = broker.count('Metadata');
    await broker.clock.advanceAsync(60_000);
    expect(joins).toHaveLength(2);
    expect(broker.count('Metadata') - looks).toBeLessThan(14);
  });

  it('is in the group also while nothing matches, and looks more often then', async () => {
    broker.topics.clear();
    join({ topics: [], pattern });
    await broker.until(() => joins.length === 1);
    expect(topicsOf(joins[0]!)).toEqual([]);
    await broker.clock.advanceAsync(3_000);
    broker.topics.set('a', idOf('a'));
    const fromMs = broker.clock.monotonicMs();
    await broker.until(() => told.owned.size === 4);
    expect(broker.clock.monotonicMs() - fromMs).toBeLessThan(6_100);
  });

  it('never joins before it has looked', async () => {
    broker.script.Metadata = () => 'cut';
    join({ topics: [], pattern });
    await broker.clock.advanceAsync(20_000);
    expect(joins).toEqual([]);
    delete broker.script.Metadata;
    await broker.until(() => told.owned.size === 4);
    expect(topicsOf(joins[0]!)).toEqual(['a']);
  });
});
