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
  // A read asks the majority: leases trust that clocks run equally fast, and are used where an operator says so.
  leases: undefined,
};

/** Broker settings of these names: see docs/operations.md, "Leases". */
export interface LeaseSettings {
  readonly kappalogLeaderLeaseEnable: boolean;
  /** From 1 to 50. */
  readonly kappalogLeaderLeaseClockDriftPercent: number;
}

/** For all groups of a node, as long as it runs. */
export function raftSettingsFrom(settings: LeaseSettings): RaftSettings {
  if (!settings.kappalogLeaderLeaseEnable) return raftSettings;
  const { electionTicks } = raftSettings.timing;
  const driftTicks = Math.ceil((electionTicks * settings.kappalogLeaderLeaseClockDriftPercent) / 100);
  return { ...raftSettings, leases: { driftTicks } };
}
