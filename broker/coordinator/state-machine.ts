/**
 * The contract between the runtime of coordinators and what they coordinate. A state machine is deterministic: it does
 * no IO, reads no clock and draws no chance; time comes with the effects, chance with the command.
 *
 * Its state runs ahead of the log (it is speculative): the runtime appends the records of each step as it is made and lets
 * nobody see a reply before everything appended until then is committed. When that cannot happen any more, the whole
 * machine is thrown away and another is built from the log. So a machine never has to undo anything.
 */
import type { ShardTimer } from './shard-timers.ts';

/** Identifies a waiting request within one shard. */
export type RequestId = number;

export interface StateMachine<Command, Reply, TimerEvent> {
  /** Carries out one command. The reply may come now or from a later step; there is exactly one for each request. */
  execute(command: Command, request: RequestId, effects: Effects<Reply, TimerEvent>): void;
  /** A timer armed by an earlier step has come due. */
  expire(event: TimerEvent, effects: Effects<Reply, TimerEvent>): void;
  /** Takes in one committed record while loading, in the order of the log. Throws where it cannot be understood. */
  replay(record: ReplayedRecord): void;
  /** All of the log has been replayed: the place to arm timers. */
  activate(effects: Effects<Reply, TimerEvent>): void;
}

/** What one step of a state machine brings about. Valid during that step only. */
export interface Effects<Reply, TimerEvent> {
  /** Steady time in ms, for durations. */
  readonly monotonicMs: number;
  /** Time in ms since the epoch, for what is stored. */
  readonly wallMs: number;
  /** Largest sum of the sizes of a record's key and value that the log takes. */
  readonly recordSizeBytesMax: number;
  /** Adds a record to the log; `value` null is a tombstone. Records of one step keep their order. */
  append(key: Buffer, value: Buffer | null): void;
  /** Answers a waiting request, once all that was appended until the end of this step is committed. */
  reply(request: RequestId, reply: Reply): void;
  /** Lets `timer` fire in `delayMs`, and not at the time it was armed for before. */
  arm(timer: ShardTimer<TimerEvent>, delayMs: number): void;
  disarm(timer: ShardTimer<TimerEvent>): void;
}

/** The bytes are valid only while it is replayed: a machine copies what it keeps. */
export interface ReplayedRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer;
  readonly value: Buffer | null;
  /** -1 unless a producer wrote the batch. */
  readonly producerId: number;
}
