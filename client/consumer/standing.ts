/** Where a consumer stands, as it tells applications. */
import type { TopicPartition } from '../messages.ts';

export interface Position extends TopicPartition {
  /** The next offset that is not finished; -1 while it is being looked up. */
  readonly offset: number;
}

export interface Lag extends TopicPartition {
  /** Offsets between the position and the partition's end; -1 while either is unknown. */
  readonly lag: number;
}

export interface GroupMetadata {
  readonly groupId: string;
  /** In a group of the protocol 'consumer', the member's epoch. */
  readonly generation: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}
