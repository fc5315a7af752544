/**
 * What can go wrong with processes, networks and disks, one kind at a time, each from its beginning to its end: when it resolves, nothing
 * is broken any more, though the cluster may still have to recover.
 */
import type { Random } from '../../platform/random.ts';
import { nodeIds, smallNodeId } from './chaos-nodes.ts';
import type { ChaosNodes } from './chaos-nodes.ts';

export interface FaultScene {
  readonly nodes: ChaosNodes;
  readonly random: Random;
  /** A node that leads some of the load; undefined where nobody knows. */
  readonly leader: number | undefined;
}

export type Fault = (scene: FaultScene) => Promise<void>;

export const faults: Readonly<Record<string, Fault>> = {
  'a leader is killed': async ({ nodes, random, leader }) => {
    const victim = leader ?? pick(nodeIds, random);
    await nodes.kill(victim);
    await pause(random.below(4_000));
    await nodes.start(victim);
  },
  'a node is killed': async ({ nodes, random }) => {
    const victim = pick(nodeIds, random);
    await nodes.kill(victim);
    await pause(random.below(4_000));
    await nodes.start(victim);
  },
  'two nodes are killed': async ({ nodes, random }) => {
    const [one, other] = shuffled(random);
    await nodes.kill(one!);
    await pause(random.below(1_000));
    await nodes.kill(other!);
    await pause(random.below(3_000));
    await nodes.start(one!, other!);
  },
  'all nodes are killed': async ({ nodes, random }) => {
    await nodes.kill(...nodeIds);
    await pause(random.below(2_000));
    await nodes.start(...nodeIds);
  },
  'a node is frozen': async ({ nodes, random, leader }) => {
    const pid = nodes.pid(leader ?? pick(nodeIds, random));
    process.kill(pid, 'SIGSTOP');
    await pause(1_000 + random.below(9_000));
    process.kill(pid, 'SIGCONT');
  },
  'a node hears nobody': async ({ nodes, random }) => {
    const deaf = pick(nodeIds, random);
    await cutFor(
      nodes,
      random,
      others(deaf).map((id) => [id, deaf]),
    );
  },
  'nobody hears a node': async ({ nodes, random }) => {
    const mute = pick(nodeIds, random);
    await cutFor(
      nodes,
      random,
      others(mute).map((id) => [mute, id]),
    );
  },
  'a node is cut off': async ({ nodes, random, leader }) => {
    const alone = leader ?? pick(nodeIds, random);
    await cutFor(
      nodes,
      random,
      others(alone).flatMap((id) => [
        [alone, id],
        [id, alone],
      ]),
    );
  },
  'two nodes do not hear each other': async ({ nodes, random }) => {
    const [one, other] = shuffled(random);
    await cutFor(nodes, random, [
      [one!, other!],
      [other!, one!],
    ]);
  },
  'nobody hears anybody': async ({ nodes, random }) => {
    await cutFor(
      nodes,
      random,
      nodeIds.flatMap((from) => others(from).map((to): [number, number] => [from, to])),
    );
  },
  'a node sends slowly': async ({ nodes, random, leader }) => {
    const slow = leader ?? pick(nodeIds, random);
    nodes.lab.throttle(slow, 200 + random.below(2_000));
    await pause(2_000 + random.below(8_000));
    nodes.lab.unthrottle(slow);
  },
  'clients are late at a node': async ({ nodes, random }) => {
    const proxy = nodes.proxy(pick(nodeIds, random));
    proxy.mode = { kind: 'late', delayMs: 20 + random.below(1_000) };
    await pause(2_000 + random.below(6_000));
    proxy.mode = { kind: 'clear' };
  },
  'bytes drip between clients and a node': async ({ nodes, random }) => {
    const proxy = nodes.proxy(pick(nodeIds, random));
    proxy.mode = { kind: 'drip', bytes: 1 + random.below(2_000) };
    await pause(2_000 + random.below(6_000));
    proxy.mode = { kind: 'clear' };
  },
  'clients do not reach a node': async ({ nodes, random }) => {
    const proxy = nodes.proxy(pick(nodeIds, random));
    proxy.mode = { kind: 'silent' };
    await pause(2_000 + random.below(8_000));
    proxy.mode = { kind: 'clear' };
  },
  'a disk is full': async ({ nodes, random }) => {
    nodes.disk.fill();
    await pause(1_000 + random.below(6_000));
    nodes.disk.empty();
    // As an operator would, who has made room; it may have ended by itself.
    await nodes.kill(smallNodeId);
    await nodes.start(smallNodeId);
  },
  'a clock jumps': async ({ nodes, random }) => {
    const victim = pick(nodeIds, random);
    // A broker whose clock is behind by more than message.timestamp.after.max.ms, an hour, refuses records of now.
    nodes.clocks.set(victim, random.below(86_400) - 3_000);
    await pause(2_000 + random.below(6_000));
    nodes.clocks.set(victim, 0);
    await pause(1_500);
  },
  'a node loses its disk': async ({ nodes, random }) => {
    const victim = pick(nodeIds, random);
    await nodes.kill(victim);
    nodes.loseDisk(victim);
    await pause(random.below(2_000));
    await nodes.start(victim);
  },
};

/** Each pair: from, to. */
async function cutFor(
  nodes: ChaosNodes,
  random: Random,
  pairs: readonly (readonly number[])[],
): Promise<void> {
  for (const [from, to] of pairs) nodes.lab.cut(from!, to!);
  await pause(1_000 + random.below(9_000));
  for (const [from, to] of pairs) nodes.lab.mend(from!, to!);
}

function others(nodeId: number): number[] {
  return nodeIds.filter((id) => id !== nodeId);
}

function pick(ids: readonly number[], random: Random): number {
  return ids[random.below(ids.length)]!;
}

function shuffled(random: Random): number[] {
  const left = [...nodeIds];
  const drawn: number[] = [];
  while (left.length > 0) drawn.push(...left.splice(random.below(left.length), 1));
  return drawn;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
