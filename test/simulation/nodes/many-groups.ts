/**
 * More groups on each node than may hold elections at one time: some histories end with a topic of many partitions that one node is to
 * lead, which ends, or all nodes do. All groups must have a leader again within a bounded time, one after the other though they elect
 * theirs; what comes after in `after-faults.ts` writes to each and reads it.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import { check } from '../simulation-failure.ts';
import { expectPassing, insist } from './node-load.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesSimulation } from './nodes-simulation.ts';
import { TopicBook } from './topic-book.ts';

export const manyGroupsKind = 'many-groups';

const topicName = 'many';
const groups = 150;
/** One history in so many. */
const drawnOneIn = 40;
const rounds = 3;
const callMs = 5_000;
const lookEveryMs = 100;
const madeMsMax = 60_000;
const startMsMax = 120_000;
/** From when as many nodes run as are to. */
const ledMsMax = 15_000;

const ends = ['kill', 'kill', 'power-loss', 'stop', 'all'] as const;

/** How many groups there are to be; 0: as few as there are topics. */
export function drawManyGroups(
  random: Random,
  { without, isFocus }: { readonly without: ReadonlySet<string>; readonly isFocus: boolean },
): number {
  const isDrawn = random.below(drawnOneIn) === 0;
  return (isFocus || isDrawn) && !without.has(manyGroupsKind) ? groups : 0;
}

/** All is well: nothing has failed for long, and all nodes run. */
export async function endManyLeaderships(simulation: NodesSimulation): Promise<void> {
  const { options, present, tally, say } = simulation;
  const random = simulation.random.fork('many groups');
  const preferred = present[random.below(present.length)]!;
  const others = present.filter((machine) => machine !== preferred).slice(0, 2);
  const made = makeTopic(simulation, [preferred, ...others]);
  await simulation.finish(made, madeMsMax, `to make ${options.manyGroups} partitions`);
  await untilLed(simulation, preferred, 'their creation');
  for (let round = 0; round < rounds; round++) {
    const end = ends[random.below(ends.length)]!;
    const ending = end === 'all' ? present : [preferred];
    say(`${end} of ${end === 'all' ? 'all nodes' : 'who leads most groups'}`);
    await endProcesses(simulation, ending, end);
    const asked = end === 'all' ? preferred : others[0]!;
    if (end === 'all') await startAll(simulation);
    await untilLed(simulation, asked, end, end === 'all' ? undefined : preferred);
    await startAll(simulation);
    await simulation.finish(giveBack(simulation, preferred), startMsMax, 'to give leaderships back');
    tally.count('many groups', end);
  }
}

async function makeTopic(
  { context, topics, options, tally }: NodesSimulation,
  machines: readonly NodeMachine[],
): Promise<void> {
  const topic = new TopicBook(topicName, options.manyGroups);
  const brokerIds = machines.map(({ nodeId }) => nodeId);
  const assignments = topic.partitions.map((_, partitionIndex) => ({ partitionIndex, brokerIds }));
  const usual = { numPartitions: options.manyGroups, replicationFactor: machines.length };
  let shape: object = { numPartitions: -1, replicationFactor: -1, assignments };
  await insist(
    context,
    () => false,
    async () => {
      const request = { topics: [{ name: topicName, ...usual, ...shape }], timeoutMs: callMs };
      const answer = await context.client.call(brokerIds[0]!, 'CreateTopics', request, callMs + 1_000);
      const { errorCode } = answer.topics[0]!;
      if (errorCode === 0 || errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return true;
      // One of these is drained.
      if (errorCode === ErrorCode.INVALID_REPLICA_ASSIGNMENT) shape = {};
      else expectPassing(errorCode, `${options.manyGroups} partitions`);
      return undefined;
    },
  );
  topic.creation = 'done';
  topics.set(topicName, topic);
  tally.count('many groups', 'made', options.manyGroups);
}

async function endProcesses(
  simulation: NodesSimulation,
  machines: readonly NodeMachine[],
  how: (typeof ends)[number],
): Promise<void> {
  for (const machine of machines) {
    if (how === 'stop') machine.stop();
    else if (how === 'power-loss') machine.losePower();
    else machine.kill();
  }
  const haveEnded = await simulation.until(() => machines.every(({ isUp }) => !isUp), startMsMax);
  check(haveEnded, () => `nodes do not stop within ${startMsMax} ms`);
}

async function startAll(simulation: NodesSimulation): Promise<void> {
  const areUp = await simulation.until(() => {
    for (const machine of simulation.present) machine.start();
    return simulation.present.every(({ isRunning }) => isRunning);
  }, startMsMax);
  check(areUp, () => `nodes do not start within ${startMsMax} ms`);
}

/** All groups have a leader, as one node says, and another one than the node that has ended. */
async function untilLed(
  simulation: NodesSimulation,
  { nodeId }: NodeMachine,
  after: string,
  ended?: NodeMachine,
): Promise<void> {
  const { context, clock, options, tally } = simulation;
  const request = { topics: [{ name: topicName }], allowAutoTopicCreation: false };
  const sinceMs = clock.monotonicMs();
  let led = 0;
  const look = insist(
    context,
    () => false,
    async () => {
      const { topics } = await context.client.call(nodeId, 'Metadata', request, callMs);
      const leaders = (topics[0]?.partitions ?? []).map(({ leaderId }) => leaderId);
      led = leaders.filter((leader) => leader >= 0 && leader !== ended?.nodeId).length;
      return led === options.manyGroups ? true : undefined;
    },
  );
  let isDone = false;
  const watched = look.then(() => {
    isDone = true;
  });
  const isLed = await simulation.until(() => isDone, ledMsMax);
  check(
    isLed,
    () => `after ${after} only ${led} of ${options.manyGroups} groups have a leader within ${ledMsMax} ms`,
  );
  await watched;
  const tookMs = clock.monotonicMs() - sinceMs;
  const withinMs = [1_000, 2_000, 5_000, 10_000].find((limitMs) => tookMs <= limitMs);
  tally.count('many groups', withinMs === undefined ? 'all led late' : `all led within ${withinMs} ms`);
}

/** Replicas catch up before that. */
async function giveBack({ context, options }: NodesSimulation, { nodeId }: NodeMachine): Promise<void> {
  const partitions = Array.from({ length: options.manyGroups }, (_, index) => index);
  const request = { electionType: 0, topicPartitions: [{ topic: topicName, partitions }], timeoutMs: callMs };
  await insist(
    context,
    () => false,
    async () => {
      const { replicaElectionResults } = await context.client.call(
        nodeId,
        'ElectLeaders',
        request,
        callMs + 1_000,
      );
      const results = replicaElectionResults[0]?.partitionResult ?? [];
      const codes = results.map(({ errorCode }) => errorCode);
      const isGiven = (code: number): boolean => code === 0 || code === ErrorCode.ELECTION_NOT_NEEDED;
      if (results.length === options.manyGroups && codes.every(isGiven)) return true;
      await context.client.pause(lookEveryMs);
      return undefined;
    },
  );
}
