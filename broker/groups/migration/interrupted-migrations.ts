/**
 * While the log is replayed: records of a consumer group next to that of a classic one with the same id. A group that changes its
 * protocol has them between the first record of the change and the last (`upgrade.ts`, `downgrade.ts`), and may have been left so by
 * a coordinator that came to its end between two batches. As long as there is a record of the classic group, the group is that.
 */
import type { AnyGroup } from '../any-group.ts';
import { ConsumerGroup } from '../consumer/consumer-group.ts';
import { applyConsumerRecord } from '../consumer/consumer-replay.ts';
import type { ConsumerGroupRecord } from '../consumer/consumer-records.ts';
import { dropMember } from '../consumer/consumer-step.ts';
import { writeOffConsumerGroup } from '../consumer/taking-over.ts';
import type { GroupStep } from '../group-step.ts';
import type { Group } from '../group.ts';

export class InterruptedMigrations {
  /** Consumer groups that do not count, by id. */
  readonly #hidden = new Map<string, ConsumerGroup>();

  /** A record of the consumer group came while there is that of the classic one. */
  replay(former: Group, record: ConsumerGroupRecord, writtenAtMs: number): void {
    const { groupId, offsets } = former;
    const hidden = this.#hidden.get(groupId) ?? new ConsumerGroup(groupId, { offsets, isReplayed: true });
    const isWrittenOff = record.kind === 'consumer-group' && record.value === null;
    if (isWrittenOff) this.#hidden.delete(groupId);
    else {
      this.#hidden.set(groupId, hidden);
      applyConsumerRecord(hidden, record, writtenAtMs);
    }
  }

  /** A record of the classic group has taken its place. */
  hide(group: AnyGroup | undefined): void {
    if (group instanceof ConsumerGroup) this.#hidden.set(group.groupId, group);
  }

  /** The record of the classic group was written off: this is the consumer group that counts from now on. */
  reveal(groupId: string): ConsumerGroup | undefined {
    const hidden = this.#hidden.get(groupId);
    this.#hidden.delete(groupId);
    return hidden;
  }

  /** All of the log has been replayed: what does not count is written off. */
  finish(step: GroupStep): void {
    for (const group of this.#hidden.values()) {
      const memberIds = new Set([...group.members.keys(), ...group.target.keys()]);
      for (const memberId of memberIds) dropMember(step, group, memberId);
      writeOffConsumerGroup(step, group);
    }
    this.#hidden.clear();
  }
}
