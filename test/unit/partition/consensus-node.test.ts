import { describe, expect, it } from 'vitest';
import { ConsensusNode } from '../../../broker/partition/consensus/consensus-node.ts';
import type { GroupMember } from '../../../broker/partition/consensus/consensus-types.ts';
import { encodeFrame } from '../../../broker/raft/frame-codec.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { RaftSettings } from '../../../broker/raft/raft.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';

const group = 'AAAAAAAAAAAAAAAAAAAAAA:0';
const [here, there] = [1, 2].map((nodeId) => memberId(nodeId, 'AAAAAAAAAAAAAAAAAAAAAQ'));

interface Started {
  /** By so much the node's timers are late. */
  readonly late: { byMs: number };
  readonly node: ConsensusNode;
  /** What the node's one member is told. */
  readonly told: string[];
  /** The member is to be given the next tick, and each one after it. */
  readonly waitForTick: () => void;
}

function start(leases?: RaftSettings['leases']): Started {
  const clock = new ManualClock();
  const late = { byMs: 0 };
  const told: string[] = [];
  const node = new ConsensusNode({
    nodeId: 1,
    incarnation: 1,
    clock: {
      monotonicMs: () => clock.monotonicMs() + late.byMs,
      wallMs: () => clock.wallMs(),
      after: (delayMs, action) => clock.after(delayMs, action),
    },
    settings: {
      timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
      inflightBytesMax: 100_000,
      inflightMessagesMax: 16,
      messageBytesMax: 10_000,
      chunkBytes: 1000,
      leases,
    },
    tickMs: 10,
    transport: { send: (_nodeId, _frame, release) => release() },
    persist: () => Promise.resolve(),
    onPersistFailure: () => undefined,
  });
  let dueAt = Infinity;
  const waitForTick = (): void => {
    dueAt = node.peers.now + 1;
    node.dueAt(member, dueAt);
  };
  const member: GroupMember = {
    group,
    hasEnded: false,
    get dueAt() {
      return dueAt;
    },
    isLeader: true,
    isInElection: false,
    campaign: () => undefined,
    start: () => node.placed(member, { term: 1, leaderNode: 2, nodes: [1, 2] }),
    end: () => undefined,
    tick: () => {
      told.push('tick');
      waitForTick();
    },
    retryPersist: () => undefined,
    step: (message) => told.push(`${message.kind} of term ${message.term}`),
    nodeHeard: (nodeId) => told.push(`node ${nodeId} is heard`),
    nodeSilent: (nodeId) => told.push(`node ${nodeId} is silent`),
    nodeRestarted: (nodeId) => told.push(`node ${nodeId} has restarted`),
    leaderGone: () => undefined,
    unfollowed: () => undefined,
  };
  node.join(member);
  node.meet(2);
  return { late, node, told, waitForTick };
}

/** A sign of life of node 2, and a message for the group. */
function frameOf(incarnation: number, term: number): Buffer {
  const parts = encodeFrame({
    from: 2,
    to: 1,
    incarnation,
    nodeMessages: [{ kind: 'heartbeat', from: 2, to: 1, incarnation, sentAt: 1, ledDigest: 0 }],
    groupMessages: [{ group, message: { kind: 'term-notice', from: there!, to: here!, term }, bytes: [] }],
  });
  return Buffer.concat(parts);
}

describe('a node that hears another one', () => {
  it('takes nothing that was sent before the other one started', () => {
    const { node, told } = start();
    expect(node.received(frameOf(3, 5))).toBe(true);
    expect(told).toEqual(['node 2 is heard', 'term-notice of term 5']);
    told.length = 0;
    expect(node.received(frameOf(4, 7))).toBe(true);
    expect(node.received(frameOf(3, 6))).toBe(true);
    expect(told).toEqual(['node 2 has restarted', 'term-notice of term 7']);
  });

  it('counts the end of a connection as silence, but not where leases rely on time alone', () => {
    for (const leases of [undefined, { driftTicks: 1 }]) {
      const { node, told } = start(leases);
      node.received(frameOf(3, 5));
      told.length = 0;
      node.disconnected(2);
      expect(told).toEqual(leases === undefined ? ['node 2 is silent'] : []);
    }
  });

  it('gives the ticks that are due before what it has heard meanwhile, all of them where leases rely on time', () => {
    for (const leases of [undefined, { driftTicks: 1 }]) {
      const { node, told, late, waitForTick } = start(leases);
      node.received(frameOf(3, 5));
      node.ticking(node.group(group)!, true);
      waitForTick();
      told.length = 0;
      // The process stood still: its timers are late, and what others have said is still to be read.
      late.byMs = 205;
      node.received(frameOf(3, 6));
      const ticks = leases === undefined ? 4 : 20;
      expect(told.filter((each) => each === 'tick').length).toBe(ticks);
      expect(told.includes('node 2 is silent')).toBe(leases !== undefined);
      expect(told.at(-1)).toBe('term-notice of term 6');
    }
  });
});
