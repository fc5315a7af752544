/**
 * The end of a history: all faults are over, and nothing happens any more. Then every group must come to rest: each member has what it
 * was told, all partitions that somebody subscribes to are with exactly one who does, shared out fairly, and all of it, offsets too, is
 * the same at a coordinator that begins anew.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import { sizeOf } from './classic-assignment.ts';
import type { GroupsWorld } from './groups-world.ts';
import type { Membership, SimulatedGroup } from './membership.ts';
import { SimulatedClassic } from './simulated-classic.ts';
import { SimulatedConsumer } from './simulated-consumer.ts';
import type { SimulatedMember } from './simulated-member.ts';

export interface Ending {
  readonly world: GroupsWorld;
  readonly members: Membership;
  readonly until: (isReached: () => boolean, limitMs: number) => Promise<boolean>;
  readonly pass: (durationMs: number) => Promise<void>;
}

/** Until then all members that are gone have been missed, and what they were to give up or join for is out of time. */
const missingMs = 120_000;
/** The longest that groups may take after it. */
const restLimitMs = 60_000;
/** So long it must have been at rest. */
const restMs = 15_000;

export async function endFaults(ending: Ending): Promise<void> {
  const { world, members } = ending;
  world.say('all faults are over');
  world.nodes.endFaults();
  for (const partition of world.nodes.leaderless) world.nodes.elect(partition);
  for (const member of members.live) member.thaw();
  await ending.pass(missingMs);
  await rest(ending);
  for (const group of members.groups) checkShares(world, group, membersOf(members, group));
  const before = await lookAtAll(ending);
  world.say('coordinators begin anew');
  for (const partition of world.nodes.partitionNumbers) world.nodes.elect(partition);
  await rest(ending);
  for (const group of members.groups) checkShares(world, group, membersOf(members, group));
  const after = await lookAtAll(ending);
  checkEqual(after, before, () => 'groups at a coordinator that begins anew');
}

function membersOf(members: Membership, { groupId }: SimulatedGroup): SimulatedMember[] {
  return members.live.filter((member) => member.groupId === groupId);
}

/** Waits until all have settled, and stay so for a while. */
async function rest({ world, members, until }: Ending): Promise<void> {
  let sinceMs = world.clock.monotonicMs();
  let seen = '';
  const isAtRest = (): boolean => {
    const now = members.live
      .map(({ name, hasSettled, round, owned }) => `${name} ${hasSettled} ${round} ${text(owned)}`)
      .join();
    if (now !== seen || members.live.some(({ hasSettled }) => !hasSettled))
      sinceMs = world.clock.monotonicMs();
    seen = now;
    return world.clock.monotonicMs() - sinceMs >= restMs;
  };
  if (await until(isAtRest, restLimitMs)) return;
  check(false, () => `groups do not come to rest: ${seen}`);
}

function checkShares(world: GroupsWorld, group: SimulatedGroup, members: readonly SimulatedMember[]): void {
  const { topics } = world;
  const { groupId } = group;
  for (const name of topics.names()) {
    const topicId = topics.idOf(name)!;
    const readers = members.filter((member) => subscriptionsOf(world, member).includes(name));
    const owners = Array.from({ length: topics.partitionCount(topicId) }, (_, partition) =>
      members.filter((member) => member.owned.get(topicId)?.includes(partition) === true),
    );
    for (const [partition, [owner, ...others]] of owners.entries()) {
      const what = () => `${groupId}: ${name}-${partition} at the end`;
      checkEqual(
        others.map((other) => other.name),
        [],
        () => `${what()}, who else reads it beside ${owner?.name}`,
      );
      check((owner === undefined) === (readers.length === 0), () => `${what()} is read by ${owner?.name}`);
      check(owner === undefined || readers.includes(owner), () => `${what()} is read by ${owner?.name}`);
    }
  }
  for (const member of members) {
    for (const topicId of member.owned.keys()) {
      check(topics.nameOf(topicId) !== undefined, () => `${member.name} reads a topic that is gone`);
    }
  }
  checkFairness(world, members);
}

/** Where all subscribe to the same, the shares of the uniform assignor differ by one at most. */
function checkFairness(world: GroupsWorld, members: readonly SimulatedMember[]): void {
  const subscriptions = new Set(members.map((member) => subscriptionsOf(world, member).join()));
  const isUniform = world.options.consumerConfig.assignors[0] === 'uniform';
  if (!isUniform || subscriptions.size !== 1 || members.every((member) => member instanceof SimulatedClassic))
    return;
  const sizes = members.map(({ owned }) => sizeOf(owned));
  check(Math.max(...sizes) - Math.min(...sizes) <= 1, () => `shares are unfair: ${sizes.join()}`);
}

function subscriptionsOf({ topics }: GroupsWorld, member: SimulatedMember): string[] {
  const pattern =
    member instanceof SimulatedConsumer && member.pattern !== ''
      ? new RegExp(`^(?:${member.pattern})$`, 'u')
      : undefined;
  const names = topics.names().filter((name) => member.topics.includes(name) || pattern?.test(name) === true);
  return names.toSorted();
}

interface Look {
  readonly groupId: string;
  readonly described: unknown;
  readonly offsets: unknown;
}

async function lookAtAll(ending: Ending): Promise<Look[]> {
  const looks: Look[] = [];
  for (const group of ending.members.groups) looks.push(await lookAt(ending, group));
  return looks;
}

/** A group as its coordinator describes it, with all that it has committed. */
async function lookAt(ending: Ending, group: SimulatedGroup): Promise<Look> {
  const { world } = ending;
  const { groupId } = group;
  const beganMs = world.clock.monotonicMs();
  const offsets = await answered(ending, group, (service) => service.fetchOffsets({ groupId, topics: null }));
  const committed = new Map<string, number>();
  for (const { topicId, partitions } of offsets.topics) {
    for (const { partitionIndex, committedOffset } of partitions) {
      committed.set(`${groupId} ${topicId} ${partitionIndex}`, committedOffset);
    }
  }
  for (const name of world.topics.names()) {
    const topicId = world.topics.idOf(name)!;
    for (let partition = 0; partition < world.topics.partitionCount(topicId); partition++) {
      const register = `${groupId} ${topicId} ${partition}`;
      world.history.read(register, committed.get(register) ?? -1, beganMs);
    }
  }
  const byConsumer = await answered(ending, group, (service) => service.describeConsumerGroup(groupId));
  const byClassic = await answered(ending, group, (service) => service.describeGroup(groupId));
  const members = ending.members.live.filter((member) => member.groupId === groupId);
  if (members.length > 0) {
    const described = byConsumer.errorCode === ErrorCode.NONE ? byConsumer : byClassic;
    checkEqual(described.groupState, 'Stable', () => `${groupId} at the end`);
    const ids = described.members.map(({ memberId }) => memberId).toSorted();
    checkEqual(ids, members.map(({ memberId }) => memberId).toSorted(), () => `members of ${groupId}`);
  }
  return {
    groupId,
    described: [inOrder(byConsumer.members), byConsumer.groupEpoch, inOrder(byClassic.members)],
    offsets: [...committed].toSorted(([left], [right]) => (left < right ? -1 : 1)),
  };
}

function inOrder<Member extends { readonly memberId: string }>(members: readonly Member[]): Member[] {
  return members.toSorted((left, right) => (left.memberId < right.memberId ? -1 : 1));
}

async function answered<Reply>(
  { world, until }: Ending,
  { groupId }: SimulatedGroup,
  call: Parameters<typeof world.nodes.ask<Reply>>[1],
): Promise<Reply> {
  let reply: Reply | undefined;
  let isUnderWay = false;
  const isAnswered = (): boolean => {
    if (reply !== undefined) return true;
    if (isUnderWay) return false;
    isUnderWay = true;
    void world.nodes.ask(groupId, call).then((answer) => {
      isUnderWay = false;
      if (answer?.isCoordinators === true) reply = answer.reply;
    });
    return false;
  };
  check(await until(isAnswered, 120_000), () => `nobody answers for ${groupId}`);
  return reply!;
}

function text(owned: ReadonlyMap<string, readonly number[]>): string {
  return Array.from(owned, ([topicId, partitions]) => `${topicId}:${partitions.join('.')}`).join(' ');
}
