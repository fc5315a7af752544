/** The end of a history of whole nodes: no fault any more, and what has to be true after a while. */
import { decodeBatch, iterateBatches } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';
import { inOrder, quorumFault, viewOf } from './cluster-view.ts';
import type { ClusterView } from './cluster-view.ts';
import { drainedSetting } from './member-operator.ts';
import { changedSetting } from './node-admin.ts';
import { endManyLeaderships } from './many-groups.ts';
import { NoAnswer } from './node-client.ts';
import { LeaderView, Producer, insist } from './node-load.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesSimulation } from './nodes-simulation.ts';
import type { TopicBook } from './topic-book.ts';

const startMsMax = 120_000;
const restMsMax = 120_000;
const stopMsMax = 60_000;
const followMsMax = 10_000;
const lateMsMax = 30_000;
const callMs = 5_000;

export async function endNodeFaults(simulation: NodesSimulation): Promise<void> {
  const { machines, network, say, admin, producers, readers } = simulation;
  say('faults end');
  simulation.haveFaultsEnded = true;
  network.heal();
  for (const machine of machines) {
    machine.disk.becomeSteady();
    machine.clock.runAt(1);
    machine.thaw();
    // As docs/operations.md says of a disk that was full, or has failed and is as it was.
    if (machine.needsRestart) machine.kill();
  }
  const stopped = await simulation.until(() => machines.every(({ isStopping }) => !isStopping), stopMsMax);
  check(stopped, () => `a node does not stop within ${stopMsMax} ms`);
  const areUp = await simulation.until(() => {
    // Also those that have given up meanwhile.
    for (const machine of simulation.present) machine.start();
    return !simulation.operator.isMending && simulation.present.every(({ isRunning }) => isRunning);
  }, startMsMax);
  check(areUp, () => {
    const missing = simulation.present.filter(({ isRunning }) => !isRunning).map(({ nodeId }) => nodeId);
    return `nodes ${missing.join(', ')} do not start within ${startMsMax} ms`;
  });
  for (const producer of producers) producer.stop();
  for (const reader of readers) reader.stop();
  const isQuiet = await simulation.until(
    () => !admin.isBusy && producers.every(({ hasEnded }) => hasEnded),
    restMsMax,
  );
  check(isQuiet, () => `writes are not acknowledged within ${restMsMax} ms`);
  await settleMembers(simulation);
  // A request that was not answered may be carried out late, by a node that was frozen.
  const mayGo = [...simulation.topics.values()].some(({ deletion }) => deletion === 'asked');
  if (mayGo) await simulation.until(() => false, lateMsMax);
  await comeToRest(simulation);
  if (simulation.options.manyGroups > 0) {
    await endManyLeaderships(simulation);
    await comeToRest(simulation);
  }
  const live = await checkTopics(simulation);
  await simulation.finish(writeEverywhere(simulation, live), restMsMax, 'a write to every partition');
  await simulation.finish(readAll(simulation, live), restMsMax, 'reading everything');
  const replicas = await comeToRest(simulation);
  await simulation.finish(checkDrained(simulation, replicas), restMsMax, 'asking for drained nodes');
  await checkDisks(simulation, replicas);
  for (const machine of machines) machine.stop();
  const haveStopped = await simulation.until(() => machines.every(({ isUp }) => !isUp), stopMsMax);
  check(haveStopped, () => `nodes do not stop within ${stopMsMax} ms`);
}

/** Nodes that were to leave have left, and those that were taken out have ended by themselves. */
async function settleMembers(simulation: NodesSimulation): Promise<void> {
  const { operator, machines } = simulation;
  const isDone = await simulation.until(() => {
    // The operator starts again those that cannot start as one has left.
    for (const machine of simulation.present) machine.start();
    return !operator.isBusy && simulation.present.every(({ isRunning }) => isRunning);
  }, restMsMax);
  check(isDone, () => `a node that was to leave has not left within ${restMsMax} ms: ${operator.waitsFor}`);
  const leaving = (): NodeMachine | undefined => machines.find(({ isRetired, isUp }) => isRetired && isUp);
  const haveEnded = await simulation.until(() => leaving() === undefined, restMsMax);
  check(haveEnded, () => `node ${leaving()?.nodeId} was taken out and does not end within ${restMsMax} ms`);
}

/** Until all nodes say the same, and that all is well; returns where replicas are. */
async function comeToRest(simulation: NodesSimulation): Promise<ClusterView['replicas']> {
  const { client } = simulation.context;
  const members = inOrder(simulation.present.map(({ nodeId }) => nodeId));
  let fault = 'no node was asked';
  let isAtRest = false;
  let replicas: ClusterView['replicas'] = new Map();
  const look = async (): Promise<void> => {
    while (!isAtRest) {
      try {
        const views = [];
        for (const nodeId of members) views.push(await viewOf(client, nodeId, members));
        const text = views[0]!.text;
        fault = views.find((view) => view.fault !== undefined)?.fault ?? '';
        const other = views.find((view) => view.text !== text)?.text;
        if (fault === '' && other !== undefined) fault = `nodes differ: ${text} and ${other}`;
        if (fault === '') fault = (await quorumFault(client, members[0]!, members)) ?? '';
        isAtRest = fault === '';
        replicas = views[0]!.replicas;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        fault = error.message;
      }
      if (!isAtRest) await client.pause(500);
    }
  };
  const task = look();
  task.catch(() => undefined);
  check(
    await simulation.until(() => isAtRest, restMsMax),
    () => `the cluster does not come to rest: ${fault}`,
  );
  await task;
  return replicas;
}

/** Drained nodes hold nothing, and are those that were asked for, as far as answers came. */
async function checkDrained(
  { context, present, operator, tally }: NodesSimulation,
  replicas: ClusterView['replicas'],
): Promise<void> {
  const resources = [{ resourceType: 4, resourceName: '', configurationKeys: [drainedSetting] }];
  const { client } = context;
  const { results } = await client.call(present[0]!.nodeId, 'DescribeConfigs', { resources }, callMs);
  const value = results[0]!.configs.find(({ name }) => name === drainedSetting)?.value ?? '';
  const drained = value === '' ? [] : value.split(',').map(Number);
  for (const [machine, isDrained] of operator.drained) {
    const { nodeId } = machine;
    if (isDrained === 'unknown' || machine.isRetired) continue;
    const isListed = drained.includes(nodeId);
    check(isListed === (isDrained === 'yes'), () => `node ${nodeId} is drained: ${isDrained}, not ${value}`);
  }
  for (const nodeId of drained) {
    check(
      present.some((machine) => machine.nodeId === nodeId),
      () => `node ${nodeId} was taken out and is still drained`,
    );
    const held = [...replicas].find(([, nodes]) => nodes.includes(nodeId));
    check(held === undefined, () => `node ${nodeId} is drained and has ${held?.[0]}`);
    tally.count('members', 'drained nodes without replicas');
  }
}

/** Topics that are there; what was acknowledged of topics must be true. */
async function checkTopics(simulation: NodesSimulation): Promise<TopicBook[]> {
  const { client } = simulation.context;
  const machine = simulation.present[0]!;
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
async function checkDisks(simulation: NodesSimulation, replicas: ClusterView['replicas']): Promise<void> {
  let fault: string | undefined;
  const isSame = await simulation.until(() => {
    fault = undefined;
    for (const [name, nodeIds] of replicas) fault ??= differenceOf(simulation, name, nodeIds);
    return fault === undefined;
  }, followMsMax);
  check(isSame, () => fault!);
  simulation.tally.count('clients', 'partitions compared', replicas.size);
}

function differenceOf(
  { present, options }: NodesSimulation,
  name: string,
  nodeIds: readonly number[],
): string | undefined {
  let first: { readonly nodeId: number; readonly bytes: Buffer } | undefined;
  for (const { nodeId, disk } of present) {
    const segments: string[] = [];
    for (const directory of options.directories) {
      const names = disk.namesIn(directory);
      const copy = names.find((each) => each.endsWith('-future'));
      if (copy !== undefined) return `node ${nodeId} is still moving ${copy} to ${directory}`;
      const files = disk.namesIn(`${directory}/${name}`).filter((file) => file.endsWith('.log'));
      if (files.length > 0 && segments.length > 0) return `node ${nodeId} has ${name} in two directories`;
      segments.push(...files.map((file) => `${directory}/${name}/${file}`));
    }
    const isReplica = nodeIds.includes(nodeId);
    if (isReplica !== segments.length > 0)
      return `node ${nodeId} ${isReplica ? 'lacks' : 'still has'} ${name}`;
    if (!isReplica) continue;
    const bytes = Buffer.concat(segments.map((file) => disk.contentOf(file)!));
    first ??= { nodeId, bytes };
    if (!first.bytes.equals(bytes)) {
      return `nodes ${first.nodeId} and ${nodeId} have ${first.bytes.length} and ${bytes.length} bytes of ${name} that differ`;
    }
  }
  return undefined;
}
