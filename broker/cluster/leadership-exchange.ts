/**
 * Tells every other node which partitions this one leads, and hears from them: each change once to each node, what comes while
 * the answer to a question is awaited together in the next one; everything to a node that was (re)connected, as it may have been
 * started anew. Where nothing changes nothing is sent.
 */
import type { Clock } from '../../platform/clock.ts';
import { PeerError } from '../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../peers/peer-requests.ts';
import type { Leaderships, SaidLeadership } from './leaderships.ts';
import { fromJson, toJson } from './peer-json.ts';

export const leadershipsKind = 'leaderships';

/** What a node leads of one topic: partition, term, version, then the nodes that are in sync. */
interface SaidOfTopic {
  readonly topicId: string;
  readonly partitions: readonly (readonly number[])[];
}

/** A partition that this node leads now. */
export interface LedPartition {
  readonly topicId: string;
  readonly partition: number;
  readonly term: number;
  readonly inSync: readonly number[];
}

export interface LeadershipExchangeOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  /** Undefined: there are no other nodes. */
  readonly peers: PeerRequests | undefined;
  readonly leaderships: Leaderships;
  /** All other nodes that belong to the cluster. */
  readonly otherNodes: () => Iterable<number>;
  /** All that this node leads. */
  readonly ledPartitions: () => Iterable<LedPartition>;
}

interface Listener {
  readonly waiting: Map<string, SaidLeadership>;
  isAsking: boolean;
}

const partitionsPerQuestion = 4096;
const questionMs = 2_000;
/** After a question that was not answered. */
const retryMs = 200;

export class LeadershipExchange {
  readonly #options: LeadershipExchangeOptions;
  readonly #nodes = new Map<number, Listener>();
  #version = 0;
  #isClosed = false;

  constructor(options: LeadershipExchangeOptions) {
    this.#options = options;
  }

  get service(): PeerService {
    return ({ from, payload }) => {
      const { leaderships } = this.#options;
      for (const { topicId, partitions } of fromJson<SaidOfTopic[]>(payload)) {
        for (const [partition = 0, term = 0, version = 0, ...inSync] of partitions) {
          leaderships.hear({ topicId, partition, leader: from, term, version, inSync });
        }
      }
      return Promise.resolve([]);
    };
  }

  /** This node has come to lead the partition, or the nodes in sync are others. */
  led(partition: LedPartition): void {
    const said = this.#say(partition);
    this.#options.leaderships.hear(said);
    for (const nodeId of this.#options.otherNodes()) this.#tell(nodeId, [said]);
  }

  /** The node is there, perhaps without anything that it was told before. */
  connected(nodeId: number): void {
    this.#tell(
      nodeId,
      [...this.#options.ledPartitions()].map((partition) => this.#say(partition)),
    );
  }

  close(): void {
    this.#isClosed = true;
  }

  #say({ topicId, partition, term, inSync }: LedPartition): SaidLeadership {
    const leader = this.#options.nodeId;
    return { topicId, partition, leader, term, version: ++this.#version, inSync };
  }

  #tell(nodeId: number, said: readonly SaidLeadership[]): void {
    const { peers } = this.#options;
    if (peers === undefined || this.#isClosed || said.length === 0) return;
    const node = this.#nodes.get(nodeId) ?? { waiting: new Map<string, SaidLeadership>(), isAsking: false };
    this.#nodes.set(nodeId, node);
    for (const each of said) node.waiting.set(`${each.topicId}:${each.partition}`, each);
    if (!node.isAsking) void this.#ask(peers, nodeId, node);
  }

  async #ask(peers: PeerRequests, nodeId: number, node: Listener): Promise<void> {
    node.isAsking = true;
    // What else this turn brings goes along.
    await Promise.resolve();
    while (node.waiting.size > 0 && !this.#isClosed) {
      const batch = [...node.waiting].slice(0, partitionsPerQuestion);
      for (const [key] of batch) node.waiting.delete(key);
      try {
        const question = toJson(byTopic(batch.map(([, said]) => said)));
        await peers.request(nodeId, leadershipsKind, [question], { timeoutMs: questionMs });
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        for (const [key, said] of batch) if (!node.waiting.has(key)) node.waiting.set(key, said);
        await this.#pause();
        // A node that has left the cluster is told nothing more.
        if (![...this.#options.otherNodes()].includes(nodeId)) node.waiting.clear();
      }
    }
    node.isAsking = false;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(retryMs, resolve);
    });
  }
}

function byTopic(said: readonly SaidLeadership[]): SaidOfTopic[] {
  const topics = new Map<string, number[][]>();
  for (const { topicId, partition, term, version, inSync } of said) {
    const partitions = topics.get(topicId) ?? [];
    partitions.push([partition, term, version, ...inSync]);
    topics.set(topicId, partitions);
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}
