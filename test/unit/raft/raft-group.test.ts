import { describe, expect, it } from 'vitest';
import { RaftGroup } from '../../../broker/raft/raft-group.ts';

function group(options: Partial<ConstructorParameters<typeof RaftGroup>[0]> = {}): RaftGroup {
  return new RaftGroup({
    nodeId: 1,
    voters: [1],
    hardState: { term: 0, votedFor: -1 },
    endIndex: 1,
    lastTerm: 0,
    ...options,
  });
}

describe('RaftGroup of one voter', () => {
  it('leads only once its vote is durable', () => {
    const raft = group();
    expect(raft.campaign()).toEqual({ term: 1, votedFor: 1 });
    expect(raft.role).toBe('candidate');
    raft.voteDurable();
    expect(raft.role).toBe('leader');
  });

  it('begins a term above both its vote and its log', () => {
    expect(group({ hardState: { term: 7, votedFor: 1 }, lastTerm: 3 }).campaign().term).toBe(8);
    expect(group({ hardState: { term: 2, votedFor: 1 }, lastTerm: 5 }).campaign().term).toBe(6);
  });

  it('commits nothing of earlier terms before the first entry of its own is durable', () => {
    const raft = group({ endIndex: 50, lastTerm: 4, hardState: { term: 4, votedFor: 1 } });
    raft.campaign();
    raft.voteDurable();
    expect(raft.flushed(50)).toBe(false);
    raft.termStarted(50);
    expect(raft.flushed(50)).toBe(false);
    expect(raft.termStartCommitted).toBe(false);
    expect(raft.flushed(51)).toBe(true);
    expect(raft.termStartCommitted).toBe(true);
    expect(raft.committedEndIndex).toBe(51);
  });

  it('never takes a commit back', () => {
    const raft = group();
    raft.campaign();
    raft.voteDurable();
    raft.termStarted(1);
    expect(raft.flushed(9)).toBe(true);
    expect(raft.flushed(5)).toBe(false);
    expect(raft.committedEndIndex).toBe(9);
  });

  it('commits nothing after it has resigned', () => {
    const raft = group();
    raft.campaign();
    raft.voteDurable();
    raft.termStarted(1);
    raft.flushed(2);
    raft.resign();
    expect(raft.flushed(9)).toBe(false);
    expect(raft.committedEndIndex).toBe(2);
    expect(raft.role).toBe('follower');
  });

  it('refuses a group that it cannot serve', () => {
    expect(() => group({ voters: [1, 2, 3] })).toThrow(/only voter/);
  });
});
