/** What groups of both protocols have in common: an id, members or none, and what they have committed. */
import type { CommittedOffsets } from './committed-offsets.ts';
import type { ConsumerGroup } from './consumer/consumer-group.ts';
import type { Group } from './group.ts';

export type AnyGroup = Group | ConsumerGroup;

export interface CoordinatedGroup {
  readonly groupId: string;
  readonly offsets: CommittedOffsets;
  /** It has no members. */
  readonly isEmpty: boolean;
  /** Nothing would be lost with it: it was made by a request that came to nothing. */
  readonly isForgettable: boolean;
  /** Whether a live member may be reading the topic: its offsets are kept. */
  isSubscribedTo(topic: string): boolean;
  /** Wall time (ms) from which the retention of its offsets is counted; 'commit': from each commit; undefined: it has members, and keeps them. */
  readonly retentionFrom: number | 'commit' | undefined;
}
