/** Rebuilds a group from its metadata record: stable with its members and their assignments, or empty. */
import type { GroupMetadataValue } from '../../protocol/index.ts';
import { ShardTimer } from '../coordinator/shard-timers.ts';
import type { CommittedOffsets } from './committed-offsets.ts';
import { Group } from './group.ts';
import type { Member } from './group.ts';

/** `offsets`: what has been replayed so far. */
export function groupFromRecord(
  groupId: string,
  value: GroupMetadataValue,
  offsets: CommittedOffsets | undefined,
): Group {
  const group = new Group(groupId, value.currentStateTimestamp, offsets);
  group.hasRecord = true;
  group.generationId = value.generation;
  group.protocolName = value.protocol ?? undefined;
  for (const record of value.members)
    group.add(memberFromRecord(groupId, record, value.protocol), value.protocolType);
  group.protocolType = value.protocolType === '' ? undefined : value.protocolType;
  group.leaderId = value.members.some(({ memberId }) => memberId === value.leader)
    ? value.leader!
    : group.leaderId;
  group.isRebalanceDue = value.leader === null && value.members.length > 0;
  group.state = value.members.length === 0 ? 'Empty' : 'Stable';
  return group;
}

function memberFromRecord(
  groupId: string,
  record: GroupMetadataValue['members'][number],
  protocolName: string | null,
): Member {
  const { memberId, sessionTimeout, rebalanceTimeout } = record;
  return {
    memberId,
    groupInstanceId: record.groupInstanceId,
    clientId: record.clientId,
    clientHost: record.clientHost,
    sessionTimeoutMs: sessionTimeout,
    rebalanceTimeoutMs: rebalanceTimeout === -1 ? sessionTimeout : rebalanceTimeout,
    protocols: [{ name: protocolName ?? '', metadata: Buffer.from(record.subscription) }],
    assignment: Buffer.from(record.assignment),
    isNew: false,
    awaitingJoin: undefined,
    awaitingSync: undefined,
    sessionTimer: new ShardTimer({ kind: 'session', groupId, memberId }),
  };
}
