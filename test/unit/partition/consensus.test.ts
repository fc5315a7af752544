import { describe, expect, it } from 'vitest';
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { encodeRaftOnly } from '../../../broker/log/raft-only.ts';
import type { RaftOnlyEntry } from '../../../broker/log/raft-only.ts';
import { ConsensusNode } from '../../../broker/partition/consensus/consensus-node.ts';
import { Consensus } from '../../../broker/partition/consensus/consensus.ts';
import type { ConsensusListener } from '../../../broker/partition/consensus/consensus-types.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { Append } from '../../../broker/raft/messages.ts';
import type { HardState, RaftSettings } from '../../../broker/raft/raft.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { setBaseOffset, setPartitionLeaderEpoch } from '../../../protocol/index.ts';
import { batchOf, openLog } from '../log/log-harness.ts';

const member = memberId(1, 'a');
const settings: RaftSettings = {
  timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
  inflightBytesMax: 100_000,
  inflightMessagesMax: 16,
  messageBytesMax: 10_000,
  chunkBytes: 1000,
  leases: undefined,
};

interface Started {
  readonly clock: ManualClock;
  readonly node: ConsensusNode;
  readonly log: CommitLog;
  readonly consensus: Consensus;
  readonly told: string[];
  readonly persisted: HardState[];
  /** Whether terms and votes can be made durable. */
  readonly votes: { areFailing: boolean };
}

/** A node whose one group has no other member. */
async function start(): Promise<Started> {
  const clock = new ManualClock();
  const { log } = await openLog({ disk: new MemoryDisk(), clock });
  const told: string[] = [];
  const persisted: HardState[] = [];
  const votes = { areFailing: false };
  const node = new ConsensusNode({
    nodeId: 1,
    incarnation: 1,
    clock,
    settings,
    tickMs: 10,
    transport: { send: (_nodeId, _frame, release) => release() },
    persist: async (_group, state) => {
      await Promise.resolve();
      if (votes.areFailing) throw new Error('no space');
      persisted.push(state);
    },
    onPersistFailure: (group) => told.push(`votes of ${group} failed`),
  });
  const listener: ConsensusListener = {
    roleChanged: (role, term) => told.push(`${role} in term ${term}`),
    committed: () => undefined,
    stored: () => undefined,
    batchReceived: () => undefined,
    raftOnlyAppended: ({ kind }) => told.push(kind),
    truncated: () => Promise.resolve(),
    configurationChanged: () => undefined,
    configurationCommitted: () => undefined,
    transferEnded: () => undefined,
    readConfirmed: (token, endIndex) => told.push(`read ${token} at ${endIndex}`),
    dataLost: () => undefined,
    repaired: () => undefined,
    catchUpRefused: () => undefined,
    readFailed: () => undefined,
    failed: () => told.push('failed'),
  };
  const consensus = new Consensus({
    group: 'g',
    member,
    settings,
    peers: node.peers,
    random: new SeededRandom(1),
    hardState: { term: 0, votedFor: undefined },
    log,
    configuration: {
      index: 0,
      configuration: { voters: [member], outgoing: [], learners: [], revision: 0 },
    },
    impairment: undefined,
    host: node,
    listener,
  });
  node.join(consensus);
  return { clock, node, log, consensus, told, persisted, votes };
}

async function ready(consensus: Consensus): Promise<void> {
  await expect.poll(() => consensus.raft.isReady, { interval: 0 }).toBe(true);
}

describe('a member alone', () => {
  it('leads as soon as it is asked to, commits what is synced, and then wants no time', async () => {
    const { consensus, log, told, persisted, clock, node } = await start();
    expect(consensus.append(batchOf({ values: ['a'] }))).toEqual({ kind: 'refused', reason: 'not-leader' });
    consensus.campaign();
    await ready(consensus);
    expect(persisted).toEqual([{ term: 1, votedFor: member }]);
    expect(told).toEqual([
      'pre-candidate in term 0',
      'candidate in term 1',
      'term-start',
      'leader in term 1',
    ]);
    const outcome = consensus.append(batchOf({ values: ['a', 'b'] }));
    expect(outcome).toMatchObject({ kind: 'appended', baseIndex: 2, endIndex: 4, baseOffset: 0, term: 1 });
    expect([consensus.highWatermark, consensus.committedEndIndex]).toEqual([0, 2]);
    await expect.poll(() => consensus.highWatermark, { interval: 0 }).toBe(2);
    expect(log.flushedEndIndex).toBe(4);
    expect(consensus.requestRead(7)).toBe(true);
    expect(told.at(-1)).toBe('read 7 at 4');
    clock.advance(10);
    expect([node.tickingGroups, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('gives its vote again, later, where it could not be made durable', async () => {
    const { consensus, told, persisted, clock, votes } = await start();
    votes.areFailing = true;
    consensus.campaign();
    await expect.poll(() => told.includes('votes of g failed'), { interval: 0 }).toBe(true);
    expect(consensus.raft.role).toBe('candidate');
    expect(persisted).toEqual([]);
    votes.areFailing = false;
    clock.advance(150);
    await ready(consensus);
    expect(persisted.at(-1)).toEqual(consensus.raft.hardState);
  });

  it('leads no more when it has left, and takes nothing', async () => {
    const { consensus, node, told, clock } = await start();
    consensus.campaign();
    await ready(consensus);
    node.leave(consensus);
    expect(told.at(-1)).toBe('follower in term 1');
    expect(consensus.append(batchOf({ values: ['a'] }))).toEqual({ kind: 'refused', reason: 'failed' });
    clock.advance(10);
    expect([node.group('g'), clock.pendingTimers]).toEqual([undefined, 0]);
  });

  it('refuses what is no frame, or is for another node', async () => {
    const { node } = await start();
    expect(node.received(Buffer.from('no frame'))).toBe(false);
    expect(node.received(Buffer.alloc(0))).toBe(false);
  });

  it('drops entries whose base offset is another than what stands before them says', async () => {
    const { consensus, log } = await start();
    const leader = memberId(2, 'b');
    const append = (fromIndex: number, batches: readonly Buffer[]): void => {
      const isFirst = fromIndex === 1;
      const message: Append = {
        kind: 'append',
        from: leader,
        to: member,
        term: 1,
        fromIndex,
        endIndex: fromIndex + batches.length,
        previousTerm: isFirst ? 0 : 1,
        terms: isFirst ? [{ index: 1, term: 1 }] : [],
        configurations: [],
        committedEndIndex: 1,
        sentAt: 0,
        readSequence: 0,
      };
      consensus.step(message, Buffer.concat(batches));
    };
    const data = (baseOffset: number): Buffer => {
      const batch = batchOf({ values: ['a'] });
      setBaseOffset(batch, 0, baseOffset);
      setPartitionLeaderEpoch(batch, 0, 1);
      return batch;
    };
    const own: RaftOnlyEntry = { kind: 'term-start', term: 1, payload: Buffer.alloc(0) };
    append(1, [encodeRaftOnly({ ...own, index: 1, offset: 0 }), data(0)]);
    expect([log.endIndex, log.logEndOffset]).toEqual([3, 1]);
    append(3, [data(5)]);
    expect([log.endIndex, consensus.malformedMessages]).toEqual([3, 1]);
    append(3, [data(1)]);
    expect([log.endIndex, log.logEndOffset, consensus.malformedMessages]).toEqual([4, 2, 1]);
  });
});
