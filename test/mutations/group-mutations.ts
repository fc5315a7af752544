/** Bugs that somebody might make in the coordinator of consumer groups: the simulator of groups has to find them, or else a unit test. */
import type { Mutation } from './mutation.ts';

interface Planted {
  readonly name: string;
  /** Below broker. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const planted: readonly Planted[] = [
  {
    name: 'coordinator: answers before what it has written is committed',
    file: 'coordinator/shard.ts',
    from: 'if (held.endOffset > committedOffset) break;',
    to: 'void committedOffset;',
  },
  {
    name: 'coordinator: what it says of offsets is not confirmed by a majority',
    file: 'groups/group-service.ts',
    from: '(await shard?.confirm()) === true',
    to: 'shard !== undefined',
  },
  {
    name: 'coordinator: sessions run while nobody can be heard of',
    file: 'coordinator/shard.ts',
    from: 'if (this.#refused !== undefined) this.#stoodStillMs += this.#clock.monotonicMs() - this.#refusedSinceMs;',
    to: '',
  },
  {
    name: 'coordinator: a step goes on though the log has not taken the one before',
    file: 'coordinator/shard.ts',
    from: 'if (this.#refused !== undefined) return Promise.resolve(isBusy);',
    to: 'void isBusy;',
  },
  {
    name: 'coordinator: a leader that was deposed goes on',
    file: 'coordinator/shard.ts',
    from: "if (this.#state !== 'active') return Promise.resolve(notCoordinator);",
    to: "if (this.#state === 'loading') return Promise.resolve(notCoordinator);",
  },
  {
    name: 'loading: the last records of a long log are not read',
    file: 'coordinator/loader.ts',
    from: 'if (record.offset < readFrom || record.key === null) continue;',
    to: 'if (record.offset < readFrom || record.key === null || (endOffset > 40 && record.offset === endOffset - 1)) continue;',
  },
  {
    name: 'loading: sessions of classic members do not begin anew',
    file: 'groups/group-machine.ts',
    from: 'for (const member of group.members.values()) armSession(step, member);\n',
    to: '',
  },
  {
    name: 'loading: sessions of members do not begin anew',
    file: 'groups/consumer/consumer-events.ts',
    from: '    armMemberSession(step, group, member.memberId);\n',
    to: '',
  },
  {
    name: 'loading: tombstones of members are passed over',
    file: 'groups/consumer/consumer-step.ts',
    from: "for (const kind of ['current', 'target', 'member'] as const) {",
    to: "for (const kind of ['current', 'target'] as const) {",
  },
  {
    name: 'consumer groups: a partition is given out while somebody has it still',
    file: 'groups/consumer/consumer-step.ts',
    from: 'return holder === undefined || holder === memberId;',
    to: 'return holder === undefined || memberId !== "";',
  },
  {
    name: 'consumer groups: nobody waits until a member has given up what it is to',
    file: 'groups/consumer/reconciliation.ts',
    from: 'return owned !== undefined && intersection(owned, partitions).size === 0;',
    to: 'return owned === undefined || intersection(owned, partitions).size >= 0;',
  },
  {
    name: 'consumer groups: what a member is still to give up counts as free',
    file: 'groups/consumer/reconciliation.ts',
    from: "{ state: 'unrevoked', assigned: kept, pendingRevocation }",
    to: "{ state: 'unrevoked', assigned: kept, pendingRevocation: noPartitions }",
  },
  {
    name: 'consumer groups: members that are gone keep what they had',
    file: 'groups/consumer/consumer-step.ts',
    from: 'step.effects.arm(group.timersOf(memberId).session, sessionTimeoutMs);',
    to: 'step.effects.arm(group.timersOf(memberId).session, sessionTimeoutMs * 100);',
  },
  {
    name: 'consumer groups: a member is put out without another share for the others',
    file: 'groups/consumer/consumer-leaving.ts',
    from: '  dropUnusedPatterns(step, group);\n  bumpEpoch(step, group);\n',
    to: '  dropUnusedPatterns(step, group);\n',
  },
  {
    name: 'consumer groups: that topics have changed is not noticed',
    file: 'groups/consumer/consumer-step.ts',
    from: '!== group.metadataHash) bumpEpoch(step, group);',
    to: '=== -1) bumpEpoch(step, group);',
  },
  {
    name: 'consumer groups: topics that match a pattern are not looked for again',
    file: 'groups/group-service.ts',
    from: '    this.#patterns.refresh(groupId, reply.stalePatterns, maySee);\n',
    to: '',
  },
  {
    name: 'classic groups: those who have not joined in time are not waited for',
    file: 'groups/rebalance.ts',
    from: '  if (group.hasAllMembersJoined) completeJoin(step, group);\n}',
    to: '  completeJoin(step, group);\n}',
  },
  {
    name: 'classic groups: an assignment is told before it is written',
    file: 'groups/group-step.ts',
    from: '  step.effects.append(key, value);\n',
    to: '  if (value.length % 3 > 0) step.effects.append(key, value);\n',
  },
  {
    name: 'classic groups: a static leader that comes back takes the assignment to be whole',
    file: 'groups/static-return.ts',
    from: 'return group.leaderId !== returned.memberId || isAllAssigned(group, topics);',
    to: 'return true;',
  },
  {
    name: 'classic groups: a static member that comes back gets what it subscribed to before',
    file: 'groups/static-return.ts',
    from: 'before.join() !== now.join()) return false;',
    to: 'before.join() !== now.join()) return true;',
  },
  {
    name: 'migration: members keep what they have, unknown to the consumer group',
    file: 'groups/migration/upgrade.ts',
    from: '    setTarget(step, group, [member.memberId, member.assigned]);\n',
    to: '    if (member.instanceId !== null) setTarget(step, group, [member.memberId, member.assigned]);\n',
  },
  {
    name: 'migration: what several members say that they have, several have',
    file: 'groups/migration/upgrade.ts',
    from: 'return withoutOverlaps(read).map((each)',
    to: 'return read.map((each)',
  },
  {
    name: 'migration: the classic group that comes of a consumer group counts from the beginning',
    file: 'groups/migration/downgrade.ts',
    from: '  group.generationId = epoch;\n',
    to: '',
  },
  {
    name: 'migration: nobody is told to join the classic group',
    file: 'groups/migration/downgrade.ts',
    from: '  prepareRebalance(step, group);\n',
    to: '',
  },
  {
    name: 'offsets: what was committed for a topic is shown for its namesake',
    file: 'groups/committed-offsets.ts',
    from: '    offset.topicId === topicId\n',
    to: '    offset.topicId !== ""\n',
  },
  {
    name: 'offsets: of a group that goes over to the other protocol they are lost',
    file: 'groups/consumer/taking-over.ts',
    from: 'new Group(groupId, step.effects.wallMs, offsets)',
    to: 'new Group(groupId, step.effects.wallMs, undefined ?? (offsets.topics.clear(), offsets))',
  },
];

export const groupMutations: readonly Mutation[] = planted.map(({ file, ...mutation }) => ({
  ...mutation,
  file: `broker/${file}`,
  hunts: [
    { kind: 'seeds', simulator: 'groups' },
    { kind: 'tests', folders: ['test/unit/groups', 'test/unit/coordinator'] },
  ],
}));
