/**
 * The timing of consensus, the same on all nodes. A leader whose process has ended is noticed by its closed connections at once;
 * the election timeout is for those that hang or cannot be reached, and longer than a disk or a busy processor makes one wait.
 */
import type { RaftSettings } from '../raft/raft.ts';

export const raftTickMs = 10;

export const raftSettings: RaftSettings = {
  // A heartbeat every 100 ms, an election after 1 s of silence, by the next in order of preference 50 ms later.
  timing: { heartbeatTicks: 10, electionTicks: 100, rankTicks: 5 },
  inflightBytesMax: 16 * 1024 * 1024,
  inflightMessagesMax: 256,
  messageBytesMax: 1024 * 1024,
  chunkBytes: 256 * 1024,
  // A read asks the majority: leases trust that clocks run equally fast.
  leases: undefined,
};
