/** The end of a history of whole nodes: no fault any more, and what has to be true after a while. */
import { decodeBatch, iterateBatches } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';
import { changedSetting } from './node-admin.ts';
import { NoAnswer } from './node-client.ts';
import { LeaderView, Producer, insist } from './node-load.ts';
import { dataDirectory } from './node-machine.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesSimulation } from './nodes-simulation.ts';
import type { PartitionBook, TopicBook } from './topic-book.ts';

const startMsMax = 120_000;
const restMsMax = 120_000;
const stopMsMax = 60_000;
const followMsMax = 10_000;
const callMs = 5_000;

export async function endNodeFaults(simulation: NodesSimulation): Promise<void> {
  const { machines, network, say, admin, producers, readers } = simulation;
  say('faults end');
  network.heal();
  for (const { disk, clock } of machines) {
    disk.becomeSteady();
    clock.runAt(1);
  }
  const stopped = await simulation.until(() => machines.every(({ isStopping }) => !isStopping), stopMsMax);
  check(stopped, () => `a node does not stop within ${stopMsMax} ms`);
  for (const machine of machines) machine.start();
  const areUp = await simulation.until(() => machines.every(({ isRunning }) => isRunning), startMsMax);
  check(areUp, () => {
    const missing = machines.filter(({ isRunning }) => !isRunning).map(({ nodeId }) => nodeId);
    return `nodes ${missing.join(', ')} do not start within ${startMsMax} ms`;
  });
  for (const producer of producers) producer.stop();
  for (const reader of readers) reader.stop();
  const isQuiet = await simulation.until(
    () => !admin.isBusy && producers.every(({ hasEnded }) => hasEnded),
    restMsMax,
  );
  check(isQuiet, () => `writes are not acknowledged within ${restMsMax} ms`);
  await comeToRest(simulation);
  const live = await checkTopics(simulation);
  await simulation.finish(writeEverywhere(simulation, live), restMsMax, 'a write to every partition');
  await simulation.finish(readAll(simulation, live), restMsMax, 'reading everything');
  await comeToRest(simulation);
  await checkDisks(simulation, live);
  for (const machine of machines) machine.stop();
  const haveStopped = await simulation.until(() => machines.every(({ isUp }) => !isUp), stopMsMax);
  check(haveStopped, () => `nodes do not stop within ${stopMsMax} ms`);
}

/** What one node says of the cluster, as text; undefined where it has no answer, or is not where it should be. */
async function viewOf(
  simulation: NodesSimulation,
  { nodeId }: NodeMachine,
): Promise<{ text: string; fault?: string }> {
  const { client } = simulation.context;
  const answer = await client.call(nodeId, 'Metadata', { topics: null }, callMs);
  const reassigned = await client.call(
    nodeId,
    'ListPartitionReassignments',
    { topics: null, timeoutMs: callMs },
    callMs,
  );
  const brokers = answer.brokers.map((broker) => broker.nodeId).sort((a, b) => a - b);
  let fault: string | undefined;
  if (brokers.length !== simulation.machines.length)
    fault = `node ${nodeId} knows of nodes ${brokers.join(', ')}`;
  if (reassigned.topics.length > 0) fault = `${reassigned.topics[0]!.name} is still being reassigned`;
  const topics = answer.topics
    .map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions
        .map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes }) => {
          const isr = [...isrNodes].sort((a, b) => a - b);
          if (leaderId < 0) fault = `${name}-${partitionIndex} has no leader, as node ${nodeId} says`;
          if (isr.length !== replicaNodes.length) {
            fault = `${name}-${partitionIndex} on ${replicaNodes.join(', ')} has in sync ${isr.join(', ')}, as node ${nodeId} says`;
          }
          return { partitionIndex, leaderId, leaderEpoch, replicaNodes, isr };
        })
        .sort((a, b) => a.partitionIndex - b.partitionIndex),
    }))
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
  const resources = topics.map(({ name }) => ({
    resourceType: 2,
    resourceName: name ?? '',
    configurationKeys: null,
  }));
  const described = await client.call(nodeId, 'DescribeConfigs', { resources }, callMs);
  const configs = described.results.map(({ resourceName, configs: settings }) => [
    resourceName,
    settings.filter(({ configSource }) => configSource === 1).map(({ name, value }) => [name, value]),
  ]);
  const text = JSON.stringify({ brokers, topics, configs });
  return fault === undefined ? { text } : { text, fault };
}

/** Until all nodes say the same, and that all is well. */
async function comeToRest(simulation: NodesSimulation): Promise<void> {
  let fault = 'no node was asked';
  let isAtRest = false;
  const look = async (): Promise<void> => {
    while (!isAtRest) {
      try {
        const views = [];
        for (const machine of simulation.machines) views.push(await viewOf(simulation, machine));
        const text = views[0]!.text;
        fault = views.find((view) => view.fault !== undefined)?.fault ?? '';
        const other = views.find((view) => view.text !== text)?.text;
        if (fault === '' && other !== undefined) fault = `nodes differ: ${text} and ${other}`;
        isAtRest = fault === '';
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        fault = error.message;
      }
      if (!isAtRest) await simulation.context.client.pause(500);
    }
  };
  const task = look();
  task.catch(() => undefined);
  check(
    await simulation.until(() => isAtRest, restMsMax),
    () => `the cluster does not come to rest: ${fault}`,
  );
  await task;
}

/** Topics that are there; what was acknowledged of topics must be true. */
async function checkTopics(simulation: NodesSimulation): Promise<TopicBook[]> {
  const { client } = simulation.context;
  const machine = simulation.machines[0]!;
  const asked = client.call(machine.nodeId, 'Metadata', { topics: null }, callMs);
  const answer = await simulation.finish(asked, restMsMax, 'metadata');
  const names = new Set(answer.topics.map(({ name }) => name));
  const live: TopicBook[] = [];
  for (const topic of simulation.topics.values()) {
    const { name, creation, deletion } = topic;
    const isThere = names.has(name);
    check(creation === 'asked' || deletion !== undefined || isThere, () => `${name} was created and is gone`);
    check(deletion !== 'done' || !isThere, () => `${name} was deleted and is there`);
    if (!isThere) continue;
    topic.creation = 'done';
    topic.deletion = undefined;
    live.push(topic);
    const resources = [{ resourceType: 2, resourceName: name, configurationKeys: [changedSetting] }];
    const described = await simulation.finish(
      client.call(machine.nodeId, 'DescribeConfigs', { resources }, callMs),
      restMsMax,
      'settings',
    );
    const setting =
      described.results[0]!.configs.find(({ configSource }) => configSource === 1)?.value ?? undefined;
    check(
      setting === topic.setting || topic.maybeSettings.has(setting),
      () => `${changedSetting} of ${name} is ${setting}, not ${topic.setting}`,
    );
  }
  return live;
}

/** By a producer of its own: others have given up writes to topics whose deletion came to nothing. */
async function writeEverywhere({ context }: NodesSimulation, live: readonly TopicBook[]): Promise<void> {
  const producer = new Producer('last', context);
  await producer.begin();
  for (const topic of live) {
    for (const partition of topic.partitions) await producer.write(topic, partition);
  }
}

async function readAll(simulation: NodesSimulation, live: readonly TopicBook[]): Promise<void> {
  const { context, readers } = simulation;
  const leaders = new LeaderView(context);
  for (const topic of live) {
    for (const partition of topic.partitions) {
      const read = new Map<number, string>();
      let next = 0;
      await insist(
        context,
        () => false,
        async () => {
          const leader = await leaders.leader(topic, partition);
          if (leader === undefined) return undefined;
          leaders.forget(partition);
          const answer = await readers[0]!.read(leader, topic, partition, next);
          if (answer === undefined) return undefined;
          for (const { header, bytes } of iterateBatches(answer.records)) {
            if (header.isControl) continue;
            for (const { offset, value } of decodeBatch(bytes)) read.set(offset, value!.toString());
          }
          next = answer.next;
          return next >= answer.highWatermark ? true : undefined;
        },
      );
      partition.checkAll(read);
      simulation.tally.count('clients', 'records at the end', read.size);
    }
  }
}

/** All that is on the disks of a partition's replicas is the same, as soon as followers have it all. */
async function checkDisks(simulation: NodesSimulation, live: readonly TopicBook[]): Promise<void> {
  const partitions = live.flatMap((topic) => topic.partitions);
  let fault: string | undefined;
  const isSame = await simulation.until(() => {
    fault = undefined;
    for (const partition of partitions) fault ??= differenceOf(simulation, partition);
    return fault === undefined;
  }, followMsMax);
  check(isSame, () => fault!);
  simulation.tally.count('clients', 'partitions compared', partitions.length);
}

function differenceOf({ machines }: NodesSimulation, { name }: PartitionBook): string | undefined {
  let first: { readonly nodeId: number; readonly bytes: Buffer } | undefined;
  for (const { nodeId, disk } of machines) {
    const directory = `${dataDirectory}/${name}`;
    const segments = disk.namesIn(directory).filter((file) => file.endsWith('.log'));
    if (segments.length === 0) continue;
    const bytes = Buffer.concat(segments.map((file) => disk.contentOf(`${directory}/${file}`)!));
    first ??= { nodeId, bytes };
    if (!first.bytes.equals(bytes)) {
      return `nodes ${first.nodeId} and ${nodeId} have ${first.bytes.length} and ${bytes.length} bytes of ${name} that differ`;
    }
  }
  return first === undefined ? `${name} is on no disk` : undefined;
}
