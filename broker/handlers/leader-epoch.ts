import type { Replica } from '../partition/replica.ts';

/** Kafka's fencing by leader epoch (KIP-320): -1 asks for no check. */
export function checkLeaderEpoch(
  replica: Replica,
  currentLeaderEpoch: number,
): 'FENCED_LEADER_EPOCH' | 'UNKNOWN_LEADER_EPOCH' | undefined {
  if (currentLeaderEpoch < 0 || currentLeaderEpoch === replica.term) return undefined;
  return currentLeaderEpoch < replica.term ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH';
}
