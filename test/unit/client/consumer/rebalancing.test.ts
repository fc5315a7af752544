import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Commits } from '../../../../client/consumer/commits.ts';
import { Hand } from '../../../../client/consumer/hand.ts';
import { PartitionSet } from '../../../../client/consumer/partition-set.ts';
import { PartitionState } from '../../../../client/consumer/partition-state.ts';
import { Rebalancing } from '../../../../client/consumer/rebalancing.ts';
import type { KafkaError } from '../../../../client/errors.ts';
import type { Message, TopicPartition } from '../../../../client/messages.ts';
import type { RebalanceListener } from '../../../../client/options.ts';
import { silentLogger } from '../../../../client/telemetry/logger.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { ScriptedBroker } from '../group/scripted-broker.ts';

const rebalanceTimeoutMs = 10_000;
const [a, b]: [TopicPartition, TopicPartition] = [
  { topic: 't', partition: 0 },
  { topic: 't', partition: 1 },
];

let broker: ScriptedBroker;
let partitions: PartitionSet;
let hand: Hand;
let commits: Commits;
/** What happened, in order. */
let log: string[];
/** To the next commits, in order; afterwards all is well. */
let refusals: (keyof typeof ErrorCode)[];
/** Of partition 0 alone, for as long as it is set. */
let refusalOfFirst: keyof typeof ErrorCode;
let epoch: number;
let errors: KafkaError[];

beforeEach(async () => {
  log = [];
  refusals = [];
  refusalOfFirst = 'NONE';
  errors = [];
  epoch = 1;
  broker = await ScriptedBroker.start({
    OffsetCommit({ topics, generationIdOrMemberEpoch, memberId }) {
      const error = refusals.shift() ?? 'NONE';
      const offsets = topics.flatMap((topic) =>
        topic.partitions.map(({ partitionIndex, committedOffset }) => `${partitionIndex}:${committedOffset}`),
      );
      log.push(`commit ${offsets.join(' ')} in ${generationIdOrMemberEpoch} by ${memberId}: ${error}`);
      const answers = topics.map((topic) => ({
        name: topic.name,
        partitions: topic.partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: ErrorCode[partitionIndex === 0 && error === 'NONE' ? refusalOfFirst : error],
        })),
      }));
      return { topics: answers };
    },
  });
  partitions = new PartitionSet([]);
  hand = new Hand();
  commits = new Commits(broker.cluster(), {
    autoCommitIntervalMs: 5_000,
    partitions,
    isMember: true,
    committer: () => ({ groupId: 'g', groupInstanceId: null, generation: epoch, memberId: 'me' }),
  });
});
afterEach(() => broker.close());

/** `autoCommit` unless told otherwise. */
function rebalancing(listener: RebalanceListener = {}, isAutoCommit = true): Rebalancing {
  return new Rebalancing({
    clock: broker.clock,
    logger: silentLogger,
    name: { clientId: 'c', groupId: 'g' },
    partitions,
    hand,
    commits,
    listener,
    isAutoCommit,
    rebalanceTimeoutMs,
    onChanged: () => {},
    onFailed: (error) => errors.push(error),
  });
}

/** The application has finished with all before the offset. */
function read(at: TopicPartition, offset: number): PartitionState {
  const state = partitions.at(at);
  state.moveTo(offset);
  state.committed = 0;
  return state;
}

/** And lets the application hear of it. */
async function assign(subject: Rebalancing, list: readonly TopicPartition[]): Promise<void> {
  subject.onAssign(list);
  await broker.clock.advanceAsync(0);
}

function message(at: TopicPartition, offset: number): Message {
  return { ...at, offset, leaderEpoch: -1, timestamp: 0, key: null, value: null, headers: [] };
}

const shown = (list: readonly TopicPartition[]): string =>
  list
    .map(({ partition }) => String(partition))
    .sort()
    .join(' ');
const telling: RebalanceListener = {
  onAssigned: (list) => void log.push(`assigned ${shown(list)}`),
  onRevoked: (list) => void log.push(`revoked ${shown(list)}`),
  onLost: (list) => void log.push(`lost ${shown(list)}`),
};

describe('partitions that are given up', () => {
  it('are finished with, committed, told, and then let go', async () => {
    const subject = rebalancing(telling);
    await assign(subject, [a, b]);
    const state = read(a, 5);
    hand.fill(state);
    const revoked = subject.onRevoke([a]);
    expect(partitions.read).toEqual([partitions.at(b)]);
    await broker.clock.advanceAsync(1_000);
    expect(log).toEqual(['assigned 0 1']);
    // What was in hand is finished now.
    state.finish(6, -1);
    hand.empty(state);
    await broker.settled(revoked);
    expect(log.slice(1)).toEqual(['commit 0:6 in 1 by me: NONE', 'revoked 0']);
    expect(partitions.isHeld(state)).toBe(false);
  });

  it('do not wait for what is in hand of others', async () => {
    const subject = rebalancing(telling);
    await assign(subject, [a, b]);
    read(a, 5);
    hand.fill(partitions.at(b));
    await broker.settled(subject.onRevoke([a]), 100);
    expect(log.at(-1)).toBe('revoked 0');
  });

  it('may be committed by the callback, and by nobody afterwards', async () => {
    const commit = (): Promise<void> => commits.commitMessages([message(a, 7)], {});
    const subject = rebalancing({ onRevoked: commit }, false);
    await assign(subject, [a]);
    read(a, 5);
    await broker.settled(subject.onRevoke([a]));
    expect(log).toEqual(['commit 0:8 in 1 by me: NONE']);
    await expect(broker.settled(commit())).rejects.toMatchObject({ code: 'ILLEGAL_GENERATION' });
    expect(log).toHaveLength(1);
  });

  it('go though the application does not finish, and though its callback does not end, in four fifths of the time', async () => {
    for (const holds of ['hand', 'callback'] as const) {
      const subject = rebalancing({
        onRevoked: () => (holds === 'callback' ? new Promise(() => {}) : undefined),
      });
      await assign(subject, [a]);
      const state = partitions.at(a);
      if (holds === 'hand') hand.fill(state);
      const fromMs = broker.clock.monotonicMs();
      await broker.settled(subject.onRevoke([a]));
      expect(broker.clock.monotonicMs() - fromMs).toBe(8_000);
      if (holds === 'hand') hand.empty(state);
    }
  });

  it('go though they cannot be committed', async () => {
    const subject = rebalancing(telling);
    await assign(subject, [a]);
    read(a, 5);
    broker.script.OffsetCommit = () => 'silence';
    const fromMs = broker.clock.monotonicMs();
    await broker.settled(subject.onRevoke([a]));
    expect(broker.clock.monotonicMs() - fromMs).toBeCloseTo(1_000);
    expect(log).toEqual(['assigned 0', 'revoked 0']);
  });

  it('are waited for no more when the consumer closes', async () => {
    const subject = rebalancing();
    await assign(subject, [a]);
    hand.fill(partitions.at(a));
    const revoked = subject.onRevoke([a]);
    subject.close(1_000);
    await broker.settled(revoked, 10);
    await assign(subject, [a]);
    await broker.settled(subject.onRevoke([a]), 10);
  });

  it('go soon though the callback does not end, when the consumer closes', async () => {
    const subject = rebalancing({ onRevoked: () => new Promise(() => {}) });
    await assign(subject, [a, b]);
    const revoked = subject.onRevoke([a]);
    const fromMs = broker.clock.monotonicMs();
    subject.close(1_000);
    await broker.settled(revoked);
    expect(broker.clock.monotonicMs() - fromMs).toBe(1_000);
    const again = subject.onRevoke([b]);
    subject.end();
    await broker.settled(again, 1);
    expect(broker.clock.pendingTimers).toBe(0);
  });

  it('are neither committed nor told where they are lost meanwhile', async () => {
    const subject = rebalancing(telling);
    await assign(subject, [a, b]);
    const state = read(a, 5);
    read(b, 5);
    hand.fill(state);
    const revoked = subject.onRevoke([a]);
    subject.onLost([a, b]);
    hand.empty(state);
    await broker.settled(revoked);
    expect(log).toEqual(['assigned 0 1', 'lost 0 1']);
    expect(partitions.held).toEqual([]);
  });

  it('cannot be lost any more when the application was told that they go', async () => {
    const subject = rebalancing({
      ...telling,
      onRevoked(list) {
        log.push(`revoked ${shown(list)}`);
        subject.onLost([a, b]);
      },
    });
    await assign(subject, [a, b]);
    await broker.settled(subject.onRevoke([a]));
    expect(log).toEqual(['assigned 0 1', 'revoked 0', 'lost 1']);
  });
});

describe('callbacks', () => {
  it('say nothing of what was taken away before they could', async () => {
    const subject = rebalancing(telling);
    subject.onAssign([a, b]);
    const revoked = subject.onRevoke([a]);
    subject.onLost([b]);
    await broker.settled(revoked);
    expect([log, errors]).toEqual([[], []]);
  });

  it('come one after another, and nothing is handed out before the first is over', async () => {
    let go: () => void = () => {};
    const subject = rebalancing(
      {
        ...telling,
        onAssigned: async (list) => {
          log.push(`assigned ${shown(list)}`);
          partitions.at(list[0]!).seek(42);
          await new Promise<void>((resolve) => {
            go = resolve;
          });
          log.push('ready');
        },
      },
      false,
    );
    await assign(subject, [a]);
    const revoked = subject.onRevoke([a]);
    await broker.clock.advanceAsync(0);
    subject.onAssign([b]);
    await broker.clock.advanceAsync(100);
    expect(log).toEqual(['assigned 0']);
    expect(partitions.at(b).isWithheld).toBe(true);
    go();
    await broker.settled(revoked);
    await broker.clock.advanceAsync(100);
    expect(log).toEqual(['assigned 0', 'ready', 'revoked 0', 'assigned 1']);
    go();
    await broker.clock.advanceAsync(1);
    expect(partitions.at(b)).toMatchObject({ isWithheld: false, position: 42 });
  });

  it.each(['onAssigned', 'onRevoked', 'onLost'] as const)('that fail are told: %s', async (name) => {
    const cause = new Error('no database');
    const subject = rebalancing({
      [name]: () => {
        throw cause;
      },
    });
    await assign(subject, [a, b]);
    await broker.settled(subject.onRevoke([a]));
    subject.onLost([b]);
    await broker.clock.advanceAsync(1);
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'CALLBACK_FAILED',
        cause,
        message: `The callback ${name} failed: no database`,
      }),
    ]);
    expect(partitions.held).toEqual([]);
  });
});

describe('commits of a member', () => {
  beforeEach(() => {
    partitions.add([new PartitionState(a, 0), new PartitionState(b, 0)]);
    read(a, 5);
    read(b, 7);
  });

  it.each(['STALE_MEMBER_EPOCH', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS'] as const)(
    'go on in the newer epoch after %s',
    async (error) => {
      refusals = [error, error];
      const committed = commits.commitPositions();
      await broker.until(() => log.length === 2);
      epoch = 2;
      await broker.settled(committed);
      expect(log.slice(1)).toEqual([
        `commit 0:5 1:7 in 1 by me: ${error}`,
        'commit 0:5 1:7 in 2 by me: NONE',
      ]);
      expect(partitions.read.map(({ committed: offset }) => offset)).toEqual([5, 7]);
    },
  );

  it('leave out what has gone elsewhere meanwhile, and say so', async () => {
    refusals = ['STALE_MEMBER_EPOCH'];
    const committed = commits.commitPositions();
    await broker.until(() => log.length === 1);
    epoch = 2;
    partitions.lose([a]);
    // It may be back, from where another left it.
    partitions.add([new PartitionState(a, 100)]);
    await expect(broker.settled(committed)).rejects.toMatchObject({
      code: 'ILLEGAL_GENERATION',
      message: expect.stringContaining('t-0'),
    });
    expect(log.slice(1)).toEqual(['commit 1:7 in 2 by me: NONE']);
  });

  it('hold what was taken, where some was refused, and ask again for the rest alone', async () => {
    refusalOfFirst = 'COORDINATOR_LOAD_IN_PROGRESS';
    const done = commits.commitPositions();
    await broker.until(() => log.length === 2);
    refusalOfFirst = 'NONE';
    await broker.settled(done);
    expect(log).toEqual([
      'commit 0:5 1:7 in 1 by me: NONE',
      'commit 0:5 in 1 by me: NONE',
      'commit 0:5 in 1 by me: NONE',
    ]);
  });

  it('of a topic that has been deleted end at once, and leave the others committed', async () => {
    refusalOfFirst = 'UNKNOWN_TOPIC_OR_PARTITION';
    await expect(broker.settled(commits.commitPositions())).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      message: expect.stringContaining('t-0'),
    });
    expect(log).toHaveLength(1);
    expect(partitions.read.map(({ committed }) => committed)).toEqual([0, 7]);
  });

  it('end at once where the group does not know the member', async () => {
    refusals = ['UNKNOWN_MEMBER_ID'];
    await expect(broker.settled(commits.commitPositions())).rejects.toMatchObject({
      code: 'UNKNOWN_MEMBER_ID',
    });
    expect(log).toHaveLength(1);
  });

  it('do not wait for another epoch when the member has stopped', async () => {
    refusals = ['STALE_MEMBER_EPOCH'];
    const { signal } = new AbortController();
    await expect(broker.settled(commits.stop(signal))).rejects.toMatchObject({ code: 'STALE_MEMBER_EPOCH' });
    expect(log).toHaveLength(1);
  });
});

it('commits without a group are not held to any partition', async () => {
  const alone = new Commits(broker.cluster(), {
    autoCommitIntervalMs: undefined,
    partitions,
    isMember: false,
    committer: () => ({ groupId: 'g', groupInstanceId: null, generation: -1, memberId: '' }),
  });
  await broker.settled(alone.commitMessages([message(a, 3)], {}));
  expect(log).toEqual(['commit 0:4 in -1 by : NONE']);
  refusals = ['REBALANCE_IN_PROGRESS'];
  await expect(broker.settled(alone.commitMessages([message(a, 4)], {}))).rejects.toMatchObject({
    code: 'REBALANCE_IN_PROGRESS',
  });
});
