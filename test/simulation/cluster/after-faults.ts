/**
 * The end of every history: all faults end, operators replace what is spoilt, and every group has to have a leader, take appends
 * and be the same everywhere within a bounded number of ticks; then all of them go quiet.
 */
import { isJoint, membersOf } from '../../../broker/raft/configuration.ts';
import { nodeOf } from '../../../broker/raft/member.ts';
import type { Random } from '../../../platform/random.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import type { SimulatedDisk } from '../simulated-disk.ts';
import { changeVoters } from './cluster-steps.ts';
import { entriesOf, logDirectory, producersOf } from './cluster-life.ts';
import type { ClusterGroup } from './cluster-life.ts';
import { replace } from './disk-harm.ts';
import { checkSame } from './log-comparison.ts';
import type { ClusterWorld, Machine } from './machine.ts';

export interface AfterFaults {
  readonly world: ClusterWorld;
  readonly machines: readonly Machine[];
  readonly random: Random;
  readonly nextRevision: () => number;
  /** By group: how often operators have found it without a leader, and without memory. */
  readonly looks: Map<number, number>;
  /** Lets true time pass until that is so, or the time is up. Returns whether it is. */
  readonly until: (isReached: () => boolean, limitMs: number) => Promise<boolean>;
}

/** How often operators look after the cluster. */
const lookTicks = 20;

/** Election timeouts within which a group is whole again, once nothing goes wrong any more, and everything that was begun has ended. */
const wholeTimeouts = 60;

/** A group without a leader for so many looks needs more than that its members may lead. */
const looksUntilForced = 5;

/** What was begun by then may still take as long as a disk's slowest operations. */
const slowestOperations = 4;

export async function endFaults(context: AfterFaults): Promise<void> {
  const { world, machines, random } = context;
  const { options, appends } = world;
  world.say('all faults end');
  world.links.becomeFaultless();
  for (const machine of machines) {
    machine.disk.becomeSteady();
    if (machine.isSpoilt || machine.needsRestart) machine.end('kill');
    if (machine.isSpoilt) replace(world, machine);
    machine.disk.becomeSteady();
    machine.start();
  }
  await becomeWhole(context, 'every group has a leader, and all logs end where it does');
  for (let number = 0; number < options.groups; number++) {
    const leader = machines.find((machine) => machine.leads(number));
    appends.append(leader!.group(number)!, { random, valueBytesMax: options.valueBytesMax });
  }
  await becomeWhole(context, 'what is appended afterwards is everywhere');
  for (let number = 0; number < options.groups; number++) await compare(context, number);
  await checkRest(context);
}

async function becomeWhole(context: AfterFaults, what: string): Promise<void> {
  const { world, machines } = context;
  const { tickMs } = world.options;
  const beganMs = world.clock.monotonicMs();
  while (!(await context.until(() => isWhole(context), lookTicks * tickMs))) {
    const limitMs = limitMsOf(context);
    check(
      world.clock.monotonicMs() - beganMs < limitMs,
      () => `not within ${limitMs} ms: ${what}${positions(machines)}`,
    );
    for (const machine of machines) {
      if (machine.needsRestart) machine.end('kill');
      machine.start();
    }
    for (let number = 0; number < world.options.groups; number++) lookAfter(context, number);
  }
  const tookMs = world.clock.monotonicMs() - beganMs;
  world.tally.count('recovery', 'histories');
  world.tally.count('recovery', 'ticks', Math.round(tookMs / tickMs));
}

/** What an operator does: members that are gone are taken out, new ones in; and says so where nobody remembers what was written. */
function lookAfter(context: AfterFaults, number: number): void {
  const { world, machines, nextRevision } = context;
  const all = machines.map(({ member }) => member);
  const leader = machines.find((machine) => machine.leads(number))?.group(number);
  if (leader === undefined) {
    const members = machines.flatMap((machine) => machine.group(number) ?? []);
    const { forgetful } = world.checker.book(number);
    // A minority that remembers may lack what the others have, and be refused by them.
    if (forgetful.size === 0 || world.fairness.canElectWithout(number, forgetful)) return;
    answerForForgotten(context, number, members);
    return;
  }
  const { configuration, isReady } = leader.consensus.raft;
  if (!isReady || isJoint(configuration)) return;
  const members = membersOf(configuration);
  if (members.length === all.length && all.every((member) => members.includes(member))) return;
  const voters = all.filter((member) => configuration.voters.includes(member));
  changeVoters({ world, group: leader, machines, voters, revision: nextRevision() });
}

/** Whoever may lack what was acknowledged may lead nevertheless; where that does not help either, whoever has most does, alone. */
function answerForForgotten(
  { world, machines, nextRevision, looks }: AfterFaults,
  number: number,
  members: readonly ClusterGroup[],
): void {
  // Nobody decides that without those who are still starting: they may hold the most.
  if (members.length < machines.length) return;
  const count = (looks.get(number) ?? 0) + 1;
  looks.set(number, count);
  const [best] = members.toSorted(
    (one, other) => other.log.lastTerm - one.log.lastTerm || other.log.endIndex - one.log.endIndex,
  );
  // One that has forgotten the newest members, too, could be elected by the ones before.
  const agreed = JSON.stringify(best?.consensus.raft.configuration);
  for (const { consensus } of members) {
    const { isImpaired, configuration } = consensus.raft;
    if (!isImpaired || JSON.stringify(configuration) !== agreed) continue;
    world.say(`an operator answers for what is forgotten in group ${number}`);
    consensus.overrideImpairment();
  }
  if (count % looksUntilForced > 0) return;
  if (best === undefined) return;
  const learners = machines.map(({ member }) => member).filter((member) => member !== best.member);
  world.say(`an operator makes node ${nodeOf(best.member)} the only voter of group ${number}`);
  world.tally.count('changes of members', 'forced');
  best.consensus.forceConfiguration({ voters: [best.member], learners, revision: nextRevision() });
}

/** A leader for each group, that all logs are equal to, as far as positions say, and that all know is committed. */
function isWhole({ world, machines }: AfterFaults): boolean {
  const all = machines.map(({ member }) => member);
  for (let number = 0; number < world.options.groups; number++) {
    const leader = machines.find((machine) => machine.leads(number))?.group(number);
    if (leader === undefined || !leader.consensus.raft.isReady) return false;
    const { configuration, term } = leader.consensus.raft;
    const members = membersOf(configuration);
    if (isJoint(configuration) || members.length !== all.length) return false;
    if (!all.every((member) => members.includes(member))) return false;
    const { endIndex } = leader.log;
    for (const machine of machines) {
      const group = machine.group(number);
      if (group === undefined || machine.needsRestart) return false;
      const { log, consensus } = group;
      if (consensus.raft.term !== term || consensus.raft.isImpaired) return false;
      if (log.endIndex !== endIndex || log.ackableEndIndex !== endIndex) return false;
      if (consensus.committedEndIndex !== endIndex) return false;
      if (consensus.highWatermark !== log.logEndOffset) return false;
    }
  }
  return true;
}

async function compare({ world, machines, until }: AfterFaults, number: number): Promise<void> {
  const logs = machines.map((machine) => {
    const { log } = machine.group(number)!;
    return {
      name: `node ${machine.nodeId}`,
      segments: segmentsOf(machine.disk, number),
      startOffset: log.logStartOffset,
      endIndex: log.endIndex,
    };
  });
  checkSame(number, logs, world.checker.book(number));
  for (const machine of machines) {
    const group = machine.group(number)!;
    if (group.log.logStartOffset === 0) await compareProducers(machine, group, until);
  }
}

/** A member's states of producers are what its log says, whatever was cut and restored on the way. */
async function compareProducers(
  { life, nodeId }: Machine,
  group: ClusterGroup,
  until: AfterFaults['until'],
): Promise<void> {
  let expected: string[] | undefined;
  const restored = producersOf(group, life!.disk, life!.clock).then((entries) => {
    expected = entries;
  });
  check(await until(() => expected !== undefined, 60_000), () => 'producers are read from a log');
  await restored;
  // A deletion that has become known meanwhile takes its records from the log, and not from the states.
  if (group.log.logStartOffset > 0) return;
  const seen = entriesOf(group.producers.states.snapshot());
  checkEqual(seen, expected, () => `producers of group ${group.number} on node ${nodeId}`);
}

/** Groups in which nothing happens send nothing, and ask for no ticks. */
async function checkRest(context: AfterFaults): Promise<void> {
  const { world, machines, until } = context;
  const { tickMs, settings } = world.options;
  const timeoutMs = settings.timing.electionTicks * tickMs;
  const ticking = (): string =>
    machines.map(({ life, nodeId }) => `${life?.node.tickingGroups} on node ${nodeId}`).join(', ');
  // A vote that a disk is slow to keep holds back what its member says.
  const isAtRest = await until(
    () => machines.every(({ life }) => life?.node.tickingGroups === 0),
    limitMsOf(context),
  );
  check(isAtRest, () => `groups at rest want ticks: ${ticking()}${positions(machines)}`);
  await until(() => false, timeoutMs);
  const before = world.links.counts['group messages'];
  await until(() => false, 10 * timeoutMs);
  const sent = world.links.counts['group messages'] - before;
  check(sent === 0, () => `groups at rest have sent ${sent} messages: ${ticking()}${positions(machines)}`);
}

/** How long it may take, in true time: a newcomer may have to be brought up by messages of one batch each. */
function limitMsOf({ world, machines }: AfterFaults): number {
  const { tickMs, settings, disk, links, drift } = world.options;
  const spikesMs = disk.spikeOneIn === 0 ? 0 : disk.latencyMs * 4000 * slowestOperations;
  const ticksMs = (wholeTimeouts * settings.timing.electionTicks * tickMs) / (1 - drift);
  const ends = machines.flatMap(({ life }) => (life?.groups ?? []).map(({ log }) => log.endIndex));
  const entriesMs = Math.max(0, ...ends) * (disk.latencyMs + links.delayMs) * 8;
  return ticksMs + spikesMs + entriesMs + disk.latencyMs * 1000;
}

export function positions(machines: readonly Machine[]): string {
  const lines = machines.flatMap(({ life, nodeId }) =>
    (life?.groups ?? []).map(({ consensus, log, number }) => {
      const { role, term, leader, configuration, isReady, isImpaired } = consensus.raft;
      const state = [
        consensus.hasEnded ? ', has left' : '',
        role === 'leader' && !isReady ? ', not ready' : '',
        isImpaired ? ', impaired' : '',
      ].join('');
      const ends = `from ${consensus.raft.startIndex} to ${log.endIndex}, flushed ${log.flushedEndIndex}, committed ${consensus.committedEndIndex}`;
      const voters = configuration.voters.map(nodeOf).join();
      const joint = isJoint(configuration) ? ` and ${configuration.outgoing.map(nodeOf).join()}` : '';
      const learners = configuration.learners.map(nodeOf).join();
      return `group ${number} on ${nodeId}: ${role}${state}, term ${term}, leader ${leader ?? '?'}, ${ends}, voters ${voters}${joint}, learners ${learners}`;
    }),
  );
  return ['', ...lines].join('\n');
}

function segmentsOf(disk: SimulatedDisk, group: number): Buffer[] {
  const directory = logDirectory(group);
  const names = disk.namesIn(directory).filter((name) => /^\d{20}\.log$/.test(name));
  return names.map((name) => disk.contentOf(`${directory}/${name}`)!);
}
