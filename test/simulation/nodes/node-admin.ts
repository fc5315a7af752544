/** What operators ask of the cluster, one thing at a time for each of them; what was acknowledged has to stay. */
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import { SimulationFailure } from '../simulation-failure.ts';
import { isByDisk } from './disk-faults.ts';
import { NoAnswer } from './node-client.ts';
import { asError } from './node-load.ts';
import type { LoadContext } from './node-load.ts';
import { TopicBook } from './topic-book.ts';

const callMs = 5_000;
export const changedSetting = 'max.message.bytes';

export type Operation = 'create' | 'delete' | 'configure' | 'elect' | 'reassign';

/** The cluster cannot now: nothing was changed, or it is not known. */
const unsettled: ReadonlySet<number> = new Set([
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_CONTROLLER,
  ErrorCode.BROKER_NOT_AVAILABLE,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
]);

export class NodeAdmin {
  readonly #context: LoadContext;
  readonly #topics: Map<string, TopicBook>;
  #created = 0;
  #isBusy = false;

  constructor(context: LoadContext, topics: Map<string, TopicBook>) {
    this.#context = context;
    this.#topics = topics;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Asks in the background; nothing where the last question is not answered yet. */
  begin(operation: Operation, random: Random): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { world, nodeIds } = this.#context;
    const nodes = nodeIds();
    const nodeId = nodes[random.below(nodes.length)]!;
    this.#take(operation, nodeId, random)
      .catch((error: unknown) => {
        if (error instanceof NoAnswer) world.tally.count('operations', `${operation} without an answer`);
        else world.broken(asError(error));
      })
      .finally(() => {
        this.#isBusy = false;
      });
  }

  #take(operation: Operation, nodeId: number, random: Random): Promise<void> {
    const live = [...this.#topics.values()].filter((topic) => topic.isLive);
    const topic = live[random.below(Math.max(1, live.length))];
    if (operation === 'create') return this.#create(nodeId, random, live.length);
    if (topic === undefined) return Promise.resolve();
    switch (operation) {
      case 'delete':
        return this.#delete(nodeId, topic);
      case 'configure':
        return this.#configure(nodeId, topic, random);
      case 'elect':
        return this.#elect(nodeId, topic);
      default:
        return this.#reassign(nodeId, topic, random);
    }
  }

  async #create(nodeId: number, random: Random, live: number): Promise<void> {
    const { client, world } = this.#context;
    if (live >= world.options.topicsMax) return;
    const topic = new TopicBook(`topic-${this.#created++}`, 1 + random.below(world.options.partitionsMax));
    this.#topics.set(topic.name, topic);
    const { name } = topic;
    const { segmentBytes } = world.options;
    const configs =
      segmentBytes === undefined ? [] : [{ name: 'internal.segment.bytes', value: String(segmentBytes) }];
    const request = {
      topics: [{ name, numPartitions: topic.partitions.length, replicationFactor: 3, configs }],
      timeoutMs: callMs,
    };
    const answer = await client.call(nodeId, 'CreateTopics', request, callMs + 1_000);
    const { errorCode } = answer.topics[0]!;
    const isMissingNodes = errorCode === ErrorCode.INVALID_REPLICATION_FACTOR;
    if (this.#settled('create', name, isMissingNodes ? ErrorCode.REQUEST_TIMED_OUT : errorCode))
      topic.creation = 'done';
  }

  async #delete(nodeId: number, topic: TopicBook): Promise<void> {
    topic.deletion = 'asked';
    const request = { topicNames: [topic.name], timeoutMs: callMs };
    const { responses } = await this.#context.client.call(nodeId, 'DeleteTopics', request, callMs + 1_000);
    const { errorCode } = responses[0]!;
    // The node that was asked may not know of its creation yet.
    if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return;
    if (this.#settled('delete', topic.name, errorCode)) topic.deletion = 'done';
  }

  async #configure(nodeId: number, topic: TopicBook, random: Random): Promise<void> {
    const value = String(500_000 + random.below(100_000));
    topic.maybeSettings.add(value);
    const configs = [{ name: changedSetting, configOperation: 0, value }];
    const request = { resources: [{ resourceType: 2, resourceName: topic.name, configs }] };
    const answer = await this.#context.client.call(
      nodeId,
      'IncrementalAlterConfigs',
      request,
      callMs + 1_000,
    );
    const { errorCode } = answer.responses[0]!;
    if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return;
    if (!this.#settled('configure', topic.name, errorCode)) return;
    topic.maybeSettings.delete(value);
    topic.maybeSettings.delete(undefined);
    topic.setting = value;
  }

  async #elect(nodeId: number, topic: TopicBook): Promise<void> {
    const partitions = topic.partitions.map((_, index) => index);
    const request = {
      electionType: 0,
      topicPartitions: [{ topic: topic.name, partitions }],
      timeoutMs: callMs,
    };
    const { replicaElectionResults } = await this.#context.client.call(
      nodeId,
      'ElectLeaders',
      request,
      callMs + 1_000,
    );
    const { tally } = this.#context.world;
    for (const { errorCode } of replicaElectionResults[0]?.partitionResult ?? []) {
      tally.count('elections asked for', errorName(errorCode) ?? String(errorCode));
    }
  }

  async #reassign(nodeId: number, topic: TopicBook, random: Random): Promise<void> {
    const { client, nodeIds, world } = this.#context;
    const others = [...nodeIds()];
    const replicas: number[] = [];
    while (replicas.length < 3) replicas.push(...others.splice(random.below(others.length), 1));
    const partitionIndex = random.below(topic.partitions.length);
    const request = {
      timeoutMs: callMs,
      topics: [{ name: topic.name, partitions: [{ partitionIndex, replicas }] }],
    };
    world.say(`${topic.name}-${partitionIndex} is to be on ${replicas.join(', ')}`);
    const answer = await client.call(nodeId, 'AlterPartitionReassignments', request, callMs + 1_000);
    const errorCode = answer.errorCode || (answer.responses[0]?.partitions[0]?.errorCode ?? 0);
    world.tally.count('operations', `reassign: ${errorName(errorCode)}`);
  }

  /** Whether it is done; throws a SimulationFailure where it was refused without a reason. */
  #settled(operation: Operation, name: string, errorCode: number): boolean {
    const { world } = this.#context;
    const result = errorName(errorCode) ?? String(errorCode);
    world.tally.count('operations', errorCode === 0 ? operation : `${operation}: ${result}`);
    world.say(`${operation} ${name}: ${result}`);
    if (errorCode === 0) return true;
    if (!unsettled.has(errorCode) && !isByDisk(world.options, errorCode))
      throw new SimulationFailure(`to ${operation} ${name} was refused: ${result}`);
    return false;
  }
}
