/** Messages on their way from what was fetched to the application. */
import type { Message } from '../messages.ts';
import type { PartitionState } from './partition-state.ts';

/** Messages of one partition on their way to the application, in order; never empty. */
export interface Handout {
  readonly state: PartitionState;
  readonly messages: readonly Message[];
  /** Where reading goes on behind them. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  /** The state's epochs when they were taken. */
  readonly fetchEpoch: number;
  readonly seekEpoch: number;
}

/** The partition's next messages. What holds none (control records, aborted ones, gaps) is passed over, and finished with it. */
export function takeHandout(state: PartitionState): Handout | undefined {
  while (state.head !== undefined) {
    const { head } = state;
    const { messages, nextOffset } = head.decode(state.readOffset, state.endOffset);
    if (head.isUsedUp || nextOffset >= state.endOffset) state.shift();
    state.readOffset = nextOffset;
    if (messages.length > 0) {
      return {
        state,
        messages,
        nextOffset,
        highWatermark: head.highWatermark,
        fetchEpoch: state.fetchEpoch,
        seekEpoch: state.seekEpoch,
      };
    }
    state.finish(nextOffset, -1);
  }
  return undefined;
}
