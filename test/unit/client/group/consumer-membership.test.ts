import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConsumerMembership } from '../../../../client/group/consumer-membership.ts';
import type { ConsumerProtocolOptions } from '../../../../client/group/heartbeat-request.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import type { ConsumerGroupHeartbeatRequest, Encodable, MessageTypes } from '../../../../protocol/index.ts';
import { refusal, ScriptedBroker, Told } from './scripted-broker.ts';

type Heartbeat = ConsumerGroupHeartbeatRequest;
type Answer = Encodable<MessageTypes['ConsumerGroupHeartbeatResponse']>;
const intervalMs = 5_000;
const idOf = (name: string): string => name.padEnd(22, 'A');

const options: ConsumerProtocolOptions = {
  groupId: 'g',
  groupInstanceId: null,
  topics: ['a', 'b'],
  pattern: undefined,
  remoteAssignor: null,
  rackId: null,
  rebalanceTimeoutMs: 60_000,
};

let broker: ScriptedBroker;
let told: Told;
let heartbeats: Heartbeat[];
/** When each of them came. */
let cameAtMs: number[];
/** To the next ones, in order; afterwards `then` holds. */
let answers: (Answer | 'silence' | 'cut')[];
let then: (request: Heartbeat) => Answer | 'silence' | 'cut';

beforeEach(async () => {
  heartbeats = [];
  cameAtMs = [];
  answers = [];
  then = ({ memberEpoch }) => ok(memberEpoch);
  told = new Told();
  broker = await ScriptedBroker.start({
    ConsumerGroupHeartbeat(request) {
      heartbeats.push(request);
      cameAtMs.push(broker.clock.monotonicMs());
      return answers.shift() ?? then(request);
    },
  });
  for (const name of ['a', 'b']) broker.topics.set(name, idOf(name));
});
afterEach(() => broker.close());

function ok(memberEpoch: number, assigned?: Readonly<Record<string, readonly number[]>>): Answer {
  const topicPartitions = Object.entries(assigned ?? {}).map(([name, partitions]) => ({
    topicId: idOf(name),
    partitions,
  }));
  return {
    errorCode: ErrorCode.NONE,
    memberEpoch,
    heartbeatIntervalMs: intervalMs,
    assignment: assigned === undefined ? null : { topicPartitions },
  };
}

function join(change: Partial<ConsumerProtocolOptions> = {}): ConsumerMembership {
  const membership = new ConsumerMembership(broker.cluster(), { ...options, ...change }, told);
  membership.start();
  return membership;
}

/** What a heartbeat said that the member has; null where it did not say. */
function saidOwned({ topicPartitions }: Heartbeat): string | null {
  if (topicPartitions === null) return null;
  const names = topicPartitions.map(({ topicId, partitions }) => `${topicId[0]}${partitions.join('')}`);
  return names.sort().join(' ');
}

function isWhole({ rebalanceTimeoutMs, subscribedTopicNames }: Heartbeat): boolean {
  return rebalanceTimeoutMs !== -1 && subscribedTopicNames !== null;
}

const heard = (count: number): Promise<void> => broker.until(() => heartbeats.length >= count);

describe('a member that joins', () => {
  it('says all of itself once, and then only that it is there, as often as it is told', async () => {
    answers = [ok(3)];
    join({ remoteAssignor: 'range', rackId: 'r1', groupInstanceId: 'i' });
    await heard(4);
    const [first, ...later] = heartbeats;
    expect(first).toMatchObject({
      groupId: 'g',
      memberEpoch: 0,
      instanceId: 'i',
      rackId: 'r1',
      rebalanceTimeoutMs: 60_000,
      subscribedTopicNames: ['a', 'b'],
      subscribedTopicRegex: null,
      serverAssignor: 'range',
      topicPartitions: [],
    });
    expect(first!.memberId).toMatch(/^[\w-]{22}$/);
    for (const request of later) {
      expect(request).toEqual({
        groupId: 'g',
        memberId: first!.memberId,
        memberEpoch: 3,
        instanceId: 'i',
        rackId: null,
        rebalanceTimeoutMs: -1,
        subscribedTopicNames: null,
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: null,
      });
    }
    const gaps = cameAtMs.slice(1).map((atMs, index) => Math.round((atMs - cameAtMs[index]!) / 100) * 100);
    expect(gaps).toEqual([intervalMs, intervalMs, intervalMs]);
  });

  it('names a pattern in place of topics', async () => {
    join({ topics: [], pattern: 'a.*' });
    await heard(1);
    expect(heartbeats[0]).toMatchObject({ subscribedTopicNames: [], subscribedTopicRegex: 'a.*' });
  });

  it('takes what it is given, and says so at once', async () => {
    answers = [ok(1, { a: [0, 1], b: [2] })];
    const membership = join();
    await heard(2);
    expect(told.log).toEqual(['assign a0 a1 b2']);
    expect(saidOwned(heartbeats[1]!)).toBe('a01 b2');
    expect(isWhole(heartbeats[1]!)).toBe(false);
    expect(cameAtMs[1]! - cameAtMs[0]!).toBeLessThan(100);
    expect(membership.committer).toMatchObject({ generation: 1, memberId: heartbeats[0]!.memberId });
    await heard(3);
    expect(saidOwned(heartbeats[2]!)).toBeNull();
  });

  it('takes what it knows the names of, and the rest when it finds them', async () => {
    broker.topics.delete('b');
    answers = [ok(1, { a: [0], b: [1] })];
    join();
    await heard(2);
    await broker.clock.advanceAsync(2_000);
    expect(told.log).toEqual(['assign a0']);
    broker.topics.set('b', idOf('b'));
    await heard(3);
    expect(told.log).toEqual(['assign a0', 'assign b1']);
    expect(saidOwned(heartbeats[2]!)).toBe('a0 b1');
  });
});

describe('a member whose target changes', () => {
  beforeEach(async () => {
    answers = [ok(1, { a: [0, 1, 2] })];
    join();
    await heard(2);
    told.log.length = 0;
  });

  it('gives up first, acknowledges, and takes afterwards', async () => {
    answers = [ok(1, { a: [0] })];
    then = (request) => (saidOwned(request) === 'a0' ? ok(2, { a: [0], b: [3] }) : ok(request.memberEpoch));
    await broker.until(() => told.owned.has('b3'));
    expect(told.log).toEqual(['revoke a1 a2', 'assign b3']);
    await heard(5);
    expect(heartbeats.slice(3, 5).map(saidOwned)).toEqual(['a0', 'a0 b3']);
    expect(heartbeats.slice(3, 5).map(({ memberEpoch }) => memberEpoch)).toEqual([1, 2]);
  });

  it('goes on saying that it is there, and says nothing of what it has, until the application has finished', async () => {
    told.isBusy = true;
    answers = [ok(1, { a: [0] })];
    await heard(7);
    expect(told.log).toEqual(['revoke a1 a2']);
    expect(heartbeats.slice(3).map(saidOwned)).toEqual([null, null, null, null]);
    told.finish();
    await heard(8);
    expect(saidOwned(heartbeats[7]!)).toBe('a0');
  });

  it('goes by the newest target when it has given up', async () => {
    told.isBusy = true;
    answers = [ok(1, { a: [0] }), ok(1, { a: [0, 1] }), ok(1, { a: [0, 1], b: [0] })];
    await heard(6);
    told.finish();
    await heard(9);
    expect(told.log).toEqual(['revoke a1 a2', 'assign a1 b0']);
    expect(heartbeats.slice(6, 9).map(saidOwned)).toEqual(['a0', 'a01 b0', null]);
  });

  it('takes nothing that it is not to have any more when it knows the name', async () => {
    const named = {
      errorCode: ErrorCode.NONE,
      name: 'c',
      topicId: idOf('c'),
      isInternal: false,
      partitions: [],
    };
    let tell: () => void = () => {};
    broker.script.Metadata = () =>
      new Promise((resolve) => {
        tell = () => resolve({ brokers: [], clusterId: 'scripted', controllerId: 1, topics: [named] });
      });
    answers = [ok(2, { a: [0, 1, 2], c: [0] }), ok(2, { a: [0, 1, 2] })];
    await heard(4);
    await broker.clock.advanceAsync(10);
    tell();
    await broker.clock.advanceAsync(1_000);
    expect(told.log).toEqual([]);
  });

  it('changes nothing where it is told what it has', async () => {
    answers = [ok(2, { a: [2, 1, 0] })];
    await heard(4);
    expect(told.log).toEqual([]);
    expect(heartbeats.slice(2).map(saidOwned)).toEqual([null, null]);
  });
});

describe('a member that is put out', () => {
  it.each(['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'GROUP_ID_NOT_FOUND'] as const)(
    'gives up everything with %s, and joins again at once as the same',
    async (name) => {
      answers = [ok(1, { a: [0] }), ok(1), refusal(name), ok(4, { a: [1] })];
      join();
      await heard(5);
      expect(told.log).toEqual(['assign a0', 'lost a0', 'assign a1']);
      const again = heartbeats[3]!;
      expect(again).toMatchObject({ memberEpoch: 0, memberId: heartbeats[0]!.memberId, topicPartitions: [] });
      expect(isWhole(again)).toBe(true);
      expect(cameAtMs[3]! - cameAtMs[2]!).toBeLessThan(100);
      expect(heartbeats[4]).toMatchObject({ memberEpoch: 4 });
      expect(saidOwned(heartbeats[4]!)).toBe('a1');
    },
  );

  it('has lost also what the application was finishing with', async () => {
    answers = [
      ok(1, { a: [0, 1] }),
      ok(1, { a: [0] }),
      ok(1),
      refusal('FENCED_MEMBER_EPOCH'),
      ok(2, { b: [0] }),
    ];
    told.isBusy = true;
    join();
    await heard(6);
    expect(told.log).toEqual(['assign a0 a1', 'revoke a1', 'lost a0 a1']);
    told.finish();
    await broker.until(() => told.owned.has('b0'));
    expect(told.log.slice(3)).toEqual(['assign b0']);
    await heard(7);
    expect(heartbeats.slice(4).map(saidOwned)).toEqual(['', null, 'b0']);
  });

  it('takes nothing of what it was to have before', async () => {
    answers = [ok(1, { a: [0, 1] }), ok(1, { b: [0] }), ok(1), refusal('FENCED_MEMBER_EPOCH')];
    then = () => refusal('COORDINATOR_LOAD_IN_PROGRESS');
    told.isBusy = true;
    join();
    await heard(8);
    told.finish();
    await heard(10);
    expect(told.log).toEqual(['assign a0 a1', 'revoke a0 a1', 'lost a0 a1']);
  });

  it('pauses longer each time where it is put out again and again', async () => {
    then = () => refusal('UNKNOWN_MEMBER_ID');
    join();
    await broker.clock.advanceAsync(10_000);
    expect(heartbeats.length).toBeGreaterThan(8);
    expect(heartbeats.length).toBeLessThan(25);
  });

  it('ends where another one has come in its place', async () => {
    answers = [ok(1, { a: [0] }), ok(1), refusal('FENCED_INSTANCE_ID', 'b has it')];
    join({ groupInstanceId: 'i' });
    await broker.until(() => told.error !== undefined);
    expect(told.log).toEqual(['assign a0', 'lost a0', 'fatal FENCED_INSTANCE_ID']);
    expect(told.error!.message).toContain('groupInstanceId');
    await broker.clock.advanceAsync(60_000);
    expect(heartbeats).toHaveLength(3);
  });
});

describe('a member whose coordinator', () => {
  it.each(['cut', 'silence'] as const)('gives no answer (%s) says all of itself anew', async (failure) => {
    answers = [ok(1, { a: [0] }), ok(1), failure];
    join();
    await heard(4);
    expect(told.log).toEqual(['assign a0']);
    expect(heartbeats[3]).toMatchObject({ memberEpoch: 1 });
    expect([isWhole(heartbeats[3]!), saidOwned(heartbeats[3]!)]).toEqual([true, 'a0']);
    await heard(5);
    expect([isWhole(heartbeats[4]!), saidOwned(heartbeats[4]!)]).toEqual([false, null]);
  });

  it.each(['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'] as const)(
    'answers %s looks for it again, and keeps what it has',
    async (name) => {
      answers = [ok(1, { a: [0] }), ok(1), refusal(name), refusal(name)];
      join();
      await heard(6);
      expect(broker.count('FindCoordinator')).toBe(3);
      expect(told.log).toEqual(['assign a0']);
    },
  );

  it('loads goes on asking', async () => {
    then = () => refusal('COORDINATOR_LOAD_IN_PROGRESS');
    join();
    await heard(10);
    expect(broker.count('FindCoordinator')).toBe(1);
    then = () => ok(1);
    await heard(12);
    expect(told.log).toEqual([]);
  });
});

describe('a member that cannot take part', () => {
  it.each([
    ['UNSUPPORTED_ASSIGNOR', 'no such assignor'],
    ['INVALID_REGULAR_EXPRESSION', 'missing )'],
    ['GROUP_MAX_SIZE_REACHED', 'full'],
    ['INVALID_REQUEST', 'what?'],
    ['GROUP_AUTHORIZATION_FAILED', 'no'],
  ] as const)('ends with %s, in the broker’s words', async (name, message) => {
    answers = [refusal(name, message)];
    join();
    await broker.until(() => told.error !== undefined);
    expect(told.log).toEqual([`fatal ${name}`]);
    expect(told.error).toMatchObject({ retriable: false });
    expect(told.error!.message).toContain(`${name} (${ErrorCode[name]}): ${message}.`);
    await broker.clock.advanceAsync(60_000);
    expect(heartbeats).toHaveLength(1);
  });

  it('is told what to set where the broker does not serve the protocol', async () => {
    broker.versionsMax.ConsumerGroupHeartbeat = -1;
    join();
    await broker.until(() => told.error !== undefined);
    expect(told.error).toMatchObject({ code: 'UNSUPPORTED_VERSION' });
    expect(told.error!.message).toContain("groupProtocol: 'classic'");
    expect(told.error!.message).toContain('group.version');
  });

  it('is told the same where the broker has it switched off', async () => {
    answers = [refusal('UNSUPPORTED_VERSION')];
    join();
    await broker.until(() => told.error !== undefined);
    expect(told.error!.message).toContain("groupProtocol: 'classic'");
  });

  it('is told that the broker resolves no patterns', async () => {
    broker.versionsMax.ConsumerGroupHeartbeat = 0;
    join({ topics: [], pattern: 'a' });
    await broker.until(() => told.error !== undefined);
    expect(told.error!.message).toMatch(/resolves no patterns.*groupProtocol: 'classic'/);
    expect(heartbeats).toEqual([]);
  });

  it('is told of a group that goes by the other protocol', async () => {
    answers = [refusal('GROUP_ID_NOT_FOUND', 'Group g is not a consumer group.')];
    join();
    await broker.until(() => told.error !== undefined);
    expect(told.error!.message).toMatch(/not a consumer group.*group\.consumer\.migration\.policy/);
  });

  it('waits for its former self to be put out, and not for another that stays', async () => {
    then = () => refusal('UNRELEASED_INSTANCE_ID');
    const waiting = join({ groupInstanceId: 'i' });
    await broker.clock.advanceAsync(45_000);
    expect(told.log).toEqual([]);
    then = ({ memberEpoch }) => (memberEpoch === 0 ? ok(7, { a: [0] }) : ok(memberEpoch));
    await broker.until(() => told.owned.has('a0'));
    expect(waiting.committer.generation).toBe(7);
    await broker.settled(waiting.stop());
    told = new Told();
    then = () => refusal('UNRELEASED_INSTANCE_ID', 'it is used');
    const fromMs = broker.clock.monotonicMs();
    join({ groupInstanceId: 'i' });
    await broker.until(() => told.error !== undefined);
    expect(told.error).toMatchObject({ code: 'UNRELEASED_INSTANCE_ID' });
    expect(told.error!.message).toMatch(/it is used.*needs one of its own/);
    expect(broker.clock.monotonicMs() - fromMs).toBeGreaterThan(60_000);
  });
});

describe('a member that stops', () => {
  it('has the epoch of the answer that was on its way, and leaves with it', async () => {
    answers = [ok(1, { a: [0] }), ok(1)];
    const membership = join();
    await heard(2);
    let release: (answer: Answer) => void = () => {};
    broker.script.ConsumerGroupHeartbeat = (request) => {
      heartbeats.push(request);
      return new Promise<Answer>((resolve) => {
        release = resolve;
      });
    };
    await heard(3);
    const stopping = membership.stop();
    release(ok(2));
    await broker.settled(stopping);
    expect(membership.committer.generation).toBe(2);
    expect(told.log).toEqual(['assign a0']);
    broker.script.ConsumerGroupHeartbeat = (request) => {
      heartbeats.push(request);
      return ok(request.memberEpoch);
    };
    await broker.settled(membership.leave(5_000));
    expect(heartbeats).toHaveLength(4);
    expect(heartbeats[3]).toMatchObject({ memberEpoch: -1, memberId: heartbeats[0]!.memberId });
  });

  it('does not wait long for a coordinator that says nothing', async () => {
    then = () => 'silence';
    const membership = join();
    await heard(1);
    const fromMs = broker.clock.monotonicMs();
    await broker.settled(membership.stop());
    expect(broker.clock.monotonicMs() - fromMs).toBeLessThan(1_100);
  });

  it('leaves for a while as a static member', async () => {
    const membership = join({ groupInstanceId: 'i' });
    await heard(1);
    await broker.settled(membership.stop());
    await broker.settled(membership.leave(5_000));
    expect(heartbeats.at(-1)).toMatchObject({ memberEpoch: -2, instanceId: 'i' });
  });

  it('has left where it was out already, and says so where it could not', async () => {
    const membership = join();
    await heard(1);
    await broker.settled(membership.stop());
    answers = [refusal('UNKNOWN_MEMBER_ID'), refusal('GROUP_AUTHORIZATION_FAILED', 'no')];
    await broker.settled(membership.leave(5_000));
    await expect(broker.settled(membership.leave(5_000))).rejects.toMatchObject({
      code: 'GROUP_AUTHORIZATION_FAILED',
      brokerMessage: 'no',
    });
  });
});
