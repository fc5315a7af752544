/** Whether a partition is being read as it should, and why not. */
import type { StallReason } from '../telemetry/payloads.ts';
import type { PartitionState } from './partition-state.ts';

/** What was seen of a partition when it was looked at last. */
export interface Sight {
  readonly fetchOffset: number;
  /** All was well then, at the latest. */
  readonly wellAtMs: number;
}

export interface StallContext {
  readonly nowMs: number;
  readonly isReadCommitted: boolean;
  readonly hasLeader: (state: PartitionState) => boolean;
}

/** Looks again: all is well where nothing is to be read, where more was read since, or where the answers say that there is no more. */
export function lookAt(state: PartitionState, last: Sight | undefined, context: StallContext): Sight {
  const { fetchOffset, answeredAtMs } = state;
  const { nowMs } = context;
  const isNew = last === undefined || last.fetchOffset !== fetchOffset;
  if (isNew || !isWanted(state)) return { fetchOffset, wellAtMs: nowMs };
  const isServed = state.target === undefined && lagOf(state, context) === 0;
  return { fetchOffset, wellAtMs: isServed ? Math.max(last.wellAtMs, answeredAtMs) : last.wellAtMs };
}

/** Of one that has not been well for a while. */
export function reasonOf(state: PartitionState, { wellAtMs }: Sight, context: StallContext): StallReason {
  if (state.target !== undefined) return 'no-position';
  if (!context.hasLeader(state)) return 'no-leader';
  if (state.trouble !== undefined) return 'fetch-failing';
  return state.answeredAtMs > wellAtMs ? 'no-records' : 'no-answer';
}

/** Whether a fetch should bring something: what waits for the application is the application's. */
function isWanted(state: PartitionState): boolean {
  return !state.isPaused && !state.isWithheld && !state.hasFetched && !state.isAtEnd;
}

/** Offsets that could be read by now. */
function lagOf(state: PartitionState, { isReadCommitted }: StallContext): number {
  const { highWatermark, lastStableOffset, fetchOffset, endOffset } = state;
  const isBound = isReadCommitted && lastStableOffset >= 0;
  const readable = isBound ? Math.min(highWatermark, lastStableOffset) : highWatermark;
  return Math.max(0, Math.min(readable, endOffset) - fetchOffset);
}
