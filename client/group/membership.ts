/**
 * A consumer's place in a group, as the consumer sees it: whichever protocol the group goes by, partitions are given, taken back or
 * lost, and offsets are committed under a name that changes as the group does.
 */
import type { KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { Committer, OffsetReader } from './committed-offsets.ts';

/** What both protocols need to know. */
export interface MembershipOptions {
  readonly groupId: string;
  readonly groupInstanceId: string | null;
  /** Empty where there is a pattern. */
  readonly topics: readonly string[];
  readonly rebalanceTimeoutMs: number;
}

export interface MembershipEvents {
  /** Partitions are to be given up: resolves when the application has finished with them and its offsets are committed. Never rejects. */
  onRevoke(partitions: readonly TopicPartition[]): Promise<void>;
  /** Partitions are gone already, also those that are being given up: nothing of them can be committed any more. */
  onLost(partitions: readonly TopicPartition[]): void;
  onAssign(partitions: readonly TopicPartition[]): void;
  /** The coordinator has answered as it should (undefined), or could not be asked, or refused, which may pass. */
  onHeartbeat?(failure: KafkaError | undefined): void;
  /** Membership has ended for good, and all partitions have been lost. */
  onFatal(error: KafkaError): void;
}

export interface Membership {
  /** Joins, and stays until `stop`. */
  start(): void;
  /** Under what name offsets are committed now. */
  readonly committer: Committer;
  /** Under what name they are asked for. */
  readonly reader: OffsetReader;
  /** Takes no further part; the member still belongs to the group, so that offsets can be committed. Settles within a second or so. */
  stop(): Promise<void>;
  /** After `stop`: tells the group, so that it need not wait for the session to time out. Rejects when that fails. */
  leave(timeoutMs: number): Promise<void>;
}
