/** Rebuilds consumer groups from their records, which may come in any order that compaction leaves. */
import type { AnyGroup } from '../any-group.ts';
import { Group } from '../group.ts';
import type { InterruptedMigrations } from '../migration/interrupted-migrations.ts';
import type { ConsumerGroupRecord } from './consumer-records.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { newMember } from './consumer-member.ts';
import type { ConsumerMember } from './consumer-member.ts';

type ReplayedGroups = Map<string, AnyGroup>;

/** A group was written off as one of its protocol. What it has committed, it has until that is written off as well. */
export function keepOffsetsOnly(groups: ReplayedGroups, { groupId, offsets }: AnyGroup): void {
  if (offsets.topics.size === 0) groups.delete(groupId);
  else groups.set(groupId, new Group(groupId, -1, offsets));
}

/** `writtenAtMs`: the record's timestamp. */
export function replayConsumerRecord(
  { groups, interrupted }: { readonly groups: ReplayedGroups; readonly interrupted: InterruptedMigrations },
  record: ConsumerGroupRecord,
  writtenAtMs: number,
): void {
  const found = groups.get(record.group);
  if (found instanceof Group && found.hasRecord) {
    interrupted.replay(found, record, writtenAtMs);
    return;
  }
  let group = found instanceof ConsumerGroup ? found : undefined;
  if (group === undefined) {
    // A tombstone of what is not there: the record before it has been compacted away.
    if (record.value === null) return;
    group = new ConsumerGroup(record.group, { offsets: found?.offsets, isReplayed: true });
    groups.set(record.group, group);
  }
  if (record.kind === 'consumer-group' && record.value === null) keepOffsetsOnly(groups, group);
  else applyConsumerRecord(group, record, writtenAtMs);
}

/** Of any but the one that writes the group off. */
export function applyConsumerRecord(
  group: ConsumerGroup,
  record: ConsumerGroupRecord,
  writtenAtMs: number,
): void {
  switch (record.kind) {
    case 'consumer-group':
      if (record.value === null) return;
      group.epoch = record.value.epoch;
      group.epochBeganAtMs = writtenAtMs;
      group.metadataHash = record.value.metadataHash;
      return;
    case 'target-metadata':
      group.assignedFor(record.value?.epoch ?? 0, record.value?.assignedAtMs ?? 0);
      return;
    case 'target':
      if (record.value === null) group.removeTarget(record.memberId);
      else group.setTarget(record.memberId, record.value);
      return;
    case 'pattern':
      if (record.value === null) group.removePattern(record.pattern);
      else group.setPattern(record.pattern, record.value);
      return;
    case 'member':
      if (record.value === null) group.remove(record.memberId);
      else group.put({ ...memberOf(group, record.memberId), ...record.value });
      return;
    case 'current': {
      const { memberId, value } = record;
      const gone = newMember(memberId);
      // Without its metadata it is either about to be known, or gone but for this.
      if (value !== null) group.put({ ...memberOf(group, memberId), ...value });
      else if (group.members.has(memberId)) {
        const { epoch, previousEpoch, state, assigned, pendingRevocation } = gone;
        group.put({ ...memberOf(group, memberId), epoch, previousEpoch, state, assigned, pendingRevocation });
      }
    }
  }
}

function memberOf(group: ConsumerGroup, memberId: string): ConsumerMember {
  return group.members.get(memberId) ?? newMember(memberId);
}
