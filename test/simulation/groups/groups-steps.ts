/** What can happen at a step of a history of groups. */
import type { Random } from '../../../platform/random.ts';
import type { GroupsStep } from './groups-options.ts';
import type { GroupsWorld } from './groups-world.ts';
import type { Membership } from './membership.ts';
import { oneOf } from './simulated-member.ts';

export interface StepContext {
  readonly world: GroupsWorld;
  readonly members: Membership;
  readonly random: Random;
}

type StepAction = (context: StepContext) => void;

const topicNamesMax = 5;
const partitionsMax = 6;

/** Names that the patterns of members match in part. */
export const topicNames = Array.from({ length: topicNamesMax }, (_, number) => `t${number}`);

export const groupsStepActions: Readonly<Record<GroupsStep, StepAction>> = {
  wait: () => {},

  join: ({ members, random }) => members.join(random),

  commit: ({ members, random, world }) => {
    for (const member of members.live) {
      const kind = random.below(4);
      if (kind < 2) void guarded(world, member.commit(random.fork(member.name)));
      else if (kind === 2) void guarded(world, member.look());
    }
  },

  leave: ({ members, random, world }) => {
    const member = oneOf(random, members.live);
    if (member === undefined) return;
    world.say(`${member.name} leaves`);
    member.end(false);
  },

  crash: ({ members, random, world }) => {
    const member = oneOf(random, members.live);
    if (member === undefined) return;
    world.say(`${member.name} crashes`);
    member.crash();
  },

  freeze: ({ members, random, world }) => {
    const member = oneOf(random, members.live);
    if (member === undefined) return;
    const forMs = 1000 * (1 + random.below(60));
    world.say(`${member.name} hangs for ${forMs / 1000} s`);
    member.freeze(forMs);
  },

  subscribe: ({ members, random, world }) => {
    const member = oneOf(random, members.live);
    if (member === undefined) return;
    member.topics = members.drawTopics(random);
    world.say(`${member.name} subscribes to ${member.topics.join()}`);
  },

  restart: ({ members, random }) => members.restart(random),

  'make-topic': ({ random, world }) => makeTopic(world, random),

  'grow-topic': ({ random, world: { topics, say } }) => {
    const name = oneOf(random, topics.names());
    if (name === undefined || topics.partitionCount(topics.idOf(name)!) >= 2 * partitionsMax) return;
    topics.grow(name, 1 + random.below(3));
    say(`${name} has ${topics.partitionCount(topics.idOf(name)!)} partitions`);
  },

  'delete-topic': ({ random, world: { topics, nodes, say } }) => {
    const name = oneOf(random, topics.names());
    if (name === undefined || topics.names().length === 1) return;
    topics.delete(name);
    nodes.forgetTopic(name);
    say(`${name} is deleted`);
  },

  elect: ({ random, world: { nodes, say } }) => {
    const partition = oneOf(random, nodes.partitionNumbers)!;
    if (nodes.elect(partition)) say(`node ${nodes.leaderOf(partition)} leads partition ${partition}`);
  },

  kill: ({ random, world: { nodes, say } }) => {
    const nodeId = random.below(nodes.count);
    if (!nodes.isUp(nodeId)) return;
    say(`node ${nodeId} is killed`);
    nodes.kill(nodeId);
  },

  start: ({ random, world: { nodes, say } }) => {
    const nodeId = random.below(nodes.count);
    if (!nodes.isUp(nodeId)) say(`node ${nodeId} starts`);
    nodes.start(nodeId);
    for (const partition of nodes.leaderless) {
      if (nodes.elect(partition)) say(`node ${nodes.leaderOf(partition)} leads partition ${partition}`);
    }
  },

  'cut-off': ({ random, world: { nodes, say } }) => {
    const partition = oneOf(random, nodes.partitionNumbers)!;
    const nodeId = nodes.leaderOf(partition);
    if (nodeId === undefined) return;
    const forMs = 1000 * (1 + random.below(40));
    nodes.cutOff(nodeId, forMs);
    say(`node ${nodeId} is cut off for ${forMs / 1000} s`);
    if (nodes.elect(partition)) say(`node ${nodes.leaderOf(partition)} leads partition ${partition}`);
  },

  refuse: ({ random, world: { nodes, clock, say } }) => {
    const partition = oneOf(random, nodes.partitionNumbers)!;
    const forMs = random.below(3_000);
    nodes.log(partition).refusesUntilMs = clock.monotonicMs() + forMs;
    say(`partition ${partition} takes nothing for ${forMs} ms`);
  },

  'failed-read': ({ random, world: { nodes, say } }) => {
    const partition = oneOf(random, nodes.partitionNumbers)!;
    nodes.log(partition).failingReads = 1 + random.below(3);
    if (nodes.elect(partition)) say(`node ${nodes.leaderOf(partition)} cannot read partition ${partition}`);
  },

  'wall-jump': ({ random, world: { clock, say } }) => {
    const byMs = 1000 * (random.below(7_200) - 3_600);
    clock.jumpWall(byMs);
    say(`wall clocks jump by ${byMs / 1000} s`);
  },
};

export function makeTopic({ topics, say }: GroupsWorld, random: Random): void {
  const name = oneOf(
    random,
    topicNames.filter((topic) => topics.idOf(topic) === undefined),
  );
  if (name === undefined) return;
  topics.make(name, 1 + random.below(partitionsMax));
  say(`${name} is made, with ${topics.partitionCount(topics.idOf(name)!)} partitions`);
}

async function guarded(world: GroupsWorld, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    world.broken(error instanceof Error ? error : new Error(String(error)));
  }
}
