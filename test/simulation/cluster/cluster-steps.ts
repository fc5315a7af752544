/** The steps of a history: what users and operators do, and what goes wrong. Each draws from a source of chance of its own. */
import { encodeDeleteRecords } from '../../../broker/log/raft-only.ts';
import { membersOf } from '../../../broker/raft/configuration.ts';
import { nodeOf } from '../../../broker/raft/member.ts';
import { logDirectory } from './cluster-life.ts';
import type { ClusterGroup } from './cluster-life.ts';
import type { ClusterStep } from './cluster-options.ts';
import { injectDiskFault, loseDirectory, rot } from './disk-harm.ts';
import type { ClusterWorld, Machine } from './machine.ts';

import type { Random } from '../../../platform/random.ts';

export interface StepContext {
  readonly world: ClusterWorld;
  readonly machines: readonly Machine[];
  readonly random: Random;
  /** Whom it happens to: any, or one that leads, as what happens to those shows most. */
  readonly machine: Machine;
  /** Of changes of members; grows. */
  readonly nextRevision: () => number;
}

export const clusterStepActions: Readonly<Record<ClusterStep, (context: StepContext) => void>> = {
  append: ({ world, machines, random }) => {
    const { groups, valueBytesMax } = world.options;
    for (let count = 1 + random.below(4); count > 0; count--) {
      const group = random.below(groups);
      for (const machine of machines) {
        if (machine.leads(group)) world.appends.append(machine.group(group)!, { random, valueBytesMax });
      }
    }
  },
  wait: ({ world }) => world.say('wait'),
  restart: ({ machines }) => {
    for (const machine of machines) {
      if (machine.needsRestart) {
        machine.end('kill');
        machine.disk.repair();
      }
      machine.start();
    }
  },
  heal: ({ world, machines }) => {
    world.say('all links and disks work');
    world.links.heal();
    for (const { disk } of machines) disk.repair();
  },
  kill: ({ machine }) => machine.end('kill'),
  'power-loss': ({ machine }) => machine.end('power-loss'),
  reboot: ({ machine, random }) => {
    machine.end(random.below(2) === 0 ? 'kill' : 'power-loss');
    machine.start();
  },
  blackout: ({ machines }) => {
    for (const machine of machines) machine.end('power-loss');
    for (const machine of machines) machine.start();
  },
  'old-configuration': restoreOldConfiguration,
  cut: ({ world, machine, random }) => {
    const other = random.below(world.options.nodes);
    world.say(`cut ${machine.nodeId} > ${other}`);
    world.links.cut(machine.nodeId, other);
    if (random.below(2) === 0) world.links.cut(other, machine.nodeId);
  },
  isolate: ({ world, machines, machine }) => {
    world.say(`node ${machine.nodeId} is alone`);
    cutBetween(world, [machine], machines, 'both');
  },
  split: ({ world, machines, random }) => {
    const some = machines.filter(() => random.below(2) === 0);
    world.say(`nodes ${some.map(({ nodeId }) => nodeId).join()} are apart from the others`);
    cutBetween(world, some, machines, 'both');
  },
  mute: ({ world, machines, machine, random }) => {
    const isHeard = random.below(2) === 0;
    world.say(`node ${machine.nodeId} ${isHeard ? 'hears nobody' : 'is heard by nobody'}`);
    cutBetween(world, [machine], machines, isHeard ? 'in' : 'out');
  },
  'io-error': injectDiskFault,
  'full-disk': ({ world, machine, random }) => {
    const freeBytes = random.below(3000);
    world.say(`the disk of node ${machine.nodeId} has ${freeBytes} bytes left`);
    machine.disk.limitSpace(freeBytes);
  },
  'slow-disk': ({ world, machine, random }) => {
    const times = [5, 20, 100][random.below(3)]!;
    world.say(`the disk of node ${machine.nodeId} takes ${times} times as long`);
    machine.disk.slowDown(times);
  },
  rot,
  'lost-directory': loseDirectory,
  'wall-jump': ({ world, machine, random }) => {
    const byMs = (random.below(2001) - 1000) * [1, 1000, 1_000_000][random.below(3)]!;
    world.say(`the wall clock of node ${machine.nodeId} jumps by ${byMs} ms`);
    machine.clock.jumpWall(byMs);
  },
  drift: ({ world, machine, random }) => {
    const rate = 1 + (world.options.drift * (random.below(2001) - 1000)) / 1000;
    world.say(`the clock of node ${machine.nodeId} runs at ${rate.toFixed(4)}`);
    machine.clock.runAt(rate);
  },
  transfer: ({ world, machine, machines, random }) => {
    const to = machines[random.below(machines.length)]!.member;
    for (const group of openGroups(machine)) {
      const refusal = group.consensus.transferLeadership(to);
      world.say(`transfer of ${group.number} from ${machine.nodeId} to ${nodeOf(to)}: ${refusal ?? 'begun'}`);
      world.tally.count('transfers', refusal === undefined ? 'begun' : 'refused');
    }
  },
  change: ({ world, machine, machines, random, nextRevision }) => {
    for (const group of openGroups(machine)) {
      const present = membersOf(group.consensus.raft.configuration);
      const all = machines.map(({ member }) => member);
      const voters = all.filter((member) => present.includes(member) && random.below(4) > 0);
      changeVoters({ world, group, machines, voters, revision: nextRevision() });
    }
  },
  'delete-records': ({ world, machine, machines, random }) => {
    for (const group of openGroups(machine)) {
      const limit = Math.min(group.consensus.highWatermark, safeStartOffset(world, machines, group));
      const offset = random.below(limit + 1);
      if (offset <= group.log.logStartOffset) continue;
      const outcome = group.consensus.appendRaftOnly('delete-records', encodeDeleteRecords(offset));
      world.say(`records of ${group.number} below ${offset} are to go: ${outcome.kind}`);
      if (outcome.kind === 'refused') continue;
      mayBeDeleted(world, group.number, offset);
      world.tally.count('consensus', 'deletions of records');
    }
  },
  retention: ({ world, machine, machines }) => {
    for (const group of openGroups(machine)) {
      const limit = Math.min(group.consensus.highWatermark, safeStartOffset(world, machines, group));
      mayBeDeleted(world, group.number, limit);
      const startOffset = group.log.logStartOffset;
      const done = group.listener.retain(limit).then(() => {
        if (group.log.logStartOffset > startOffset) world.tally.count('consensus', 'shortened by retention');
      });
      done.catch((error: unknown) => machine.troubled('retention', error));
    }
  },
  usurp,
};

/** Members on this machine that take part. */
function openGroups(machine: Machine): ClusterGroup[] {
  return (machine.life?.groups ?? []).filter(({ consensus }) => !consensus.hasEnded);
}

/** All that is on a machine and no voter is a learner, so that at the end all logs can be compared. */
export function changeVoters(change: {
  readonly world: ClusterWorld;
  readonly group: ClusterGroup;
  readonly machines: readonly Machine[];
  readonly voters: readonly ClusterGroup['member'][];
  readonly revision: number;
}): void {
  const { world, group, machines, voters, revision } = change;
  if (!world.fairness.allows(group.number, voters)) return;
  const learners = machines.map(({ member }) => member).filter((member) => !voters.includes(member));
  const refusal = group.consensus.changeMembers({ voters, learners, revision });
  const names = voters.map(nodeOf).join();
  world.say(`change of ${group.number} on ${nodeOf(group.member)} to voters ${names}: ${refusal ?? 'begun'}`);
  world.tally.count('changes of members', refusal === undefined ? 'begun' : 'refused');
}

/** Leaders hand over and do not hear that they have been heeded: they lead on for themselves until they miss their followers. */
function usurp({ world, machine, machines }: StepContext): void {
  for (const { consensus, log, member, number } of openGroups(machine)) {
    if (!machine.leads(number)) continue;
    const to = consensus.raft.configuration.voters.find(
      (voter) => voter !== member && consensus.raft.progressOf(voter)?.matchedEndIndex === log.endIndex,
    );
    if (to === undefined) continue;
    const refusal = consensus.transferLeadership(to);
    world.say(
      `transfer of ${number} from ${machine.nodeId} to ${nodeOf(to)}, unheard: ${refusal ?? 'begun'}`,
    );
    world.tally.count('transfers', refusal === undefined ? 'begun' : 'refused');
  }
  cutBetween(world, [machine], machines, 'in');
}

function cutBetween(
  { links }: ClusterWorld,
  some: readonly Machine[],
  all: readonly Machine[],
  way: 'both' | 'in' | 'out',
): void {
  for (const { nodeId: one } of some) {
    for (const machine of all) {
      if (some.includes(machine)) continue;
      if (way !== 'in') links.cut(one, machine.nodeId);
      if (way !== 'out') links.cut(machine.nodeId, one);
    }
  }
}

/**
 * A log may start there. Where no logs are copied all members have to have the record, durably, and the leader has to know that:
 * then nobody needs what is gone, and nobody is taken to need it.
 */
function safeStartOffset(
  { options }: ClusterWorld,
  machines: readonly Machine[],
  group: ClusterGroup,
): number {
  if (options.copies) return Infinity;
  const { consensus, log, member, number } = group;
  const ends = machines.map((machine) => {
    const { safeEndOffset } = machine.held(number);
    if (machine.member === member) return safeEndOffset;
    const matchedEndIndex = consensus.raft.progressOf(machine.member)?.matchedEndIndex ?? 0;
    const knownIndex = Math.min(matchedEndIndex, consensus.committedEndIndex, consensus.placedEndIndex);
    const isThere = knownIndex > consensus.raft.startIndex;
    return isThere ? Math.min(safeEndOffset, log.offsetOfIndex(knownIndex)) : 0;
  });
  return Math.max(0, Math.min(...ends) - 1);
}

function mayBeDeleted({ checker }: ClusterWorld, group: number, offset: number): void {
  const book = checker.book(group);
  book.deletedBelow = Math.max(book.deletedBelow, offset);
}

/** The file with the configuration is one of a backup: what stands in the log after its index counts before it. */
function restoreOldConfiguration({ world, machine, random }: StepContext): void {
  const number = random.below(world.options.groups);
  const { configurations, startIndex } = machine.held(number);
  const fit = configurations.slice(0, -1).filter(({ index }) => startIndex <= 1 || index >= startIndex - 1);
  const older = fit[random.below(Math.max(1, fit.length))];
  machine.end('kill');
  if (older !== undefined) {
    world.say(`node ${machine.nodeId} has its configuration of ${number} from index ${older.index} again`);
    world.tally.count('faults', 'older configuration');
    machine.disk.putFile(`${logDirectory(number)}/raft-configuration`, older.bytes);
  }
  machine.start();
}
