/**
 * Clients of a simulated cluster, several at once: each asks for one thing after the other, of the node that it believes to lead,
 * which may long have been another one, and goes on after a while without an answer. What they saw is in the history.
 */
import { nodeOf } from '../../../broker/raft/member.ts';
import type { Random } from '../../../platform/random.ts';
import { batchField, batchHeaderBytes, verifyBatchCrc } from '../../../protocol/index.ts';
import type { SimulatedClock } from '../simulated-clock.ts';
import type { TakenBatch } from './cluster-appends.ts';
import type { ClusterGroup } from './cluster-life.ts';
import type { FetchedBatch, History, Invocation } from './history.ts';
import type { PartitionInput } from './partition-specification.ts';

export interface ClientOptions {
  readonly clients: number;
  /** Between an answer and the next question, at most. */
  readonly thinkMs: number;
  /** Of each question and each answer, at most. */
  readonly delayMs: number;
  /** Without an answer, a client asks for something else. */
  readonly timeoutMs: number;
}

export function drawClientOptions(random: Random): ClientOptions {
  const oneOf = (...values: readonly number[]): number => values[random.below(values.length)]!;
  return {
    clients: oneOf(1, 3, 5),
    thinkMs: oneOf(50, 200, 800),
    delayMs: oneOf(0, 1, 20),
    timeoutMs: oneOf(100, 1000),
  };
}

/** What clients need of a cluster. */
export interface ClusterForClients {
  readonly nodes: number;
  /** Those that promise it all: not those that count what is not durable. */
  readonly groups: readonly number[];
  /** Undefined where the node is not there. */
  group(nodeId: number, group: number): ClusterGroup | undefined;
  /** Its disk gives other bytes than were written to it: a reader has to look at what it gets, as those of Kafka do. */
  isSpoilt(nodeId: number): boolean;
  /** A leader there appends a new batch, tells `taken`, and calls what that gives when it acknowledges. False where it does not lead. */
  append(nodeId: number, group: number, taken: (batch: TakenBatch) => () => void): boolean;
}

interface Client {
  readonly name: string;
  /** By group: who is believed to lead, and where the log ended when it was last seen. */
  readonly leaders: Map<number, number>;
  readonly ends: Map<number, number>;
  /** Counts questions, so that late answers and timeouts are told apart. */
  questions: number;
}

interface ConfirmedRead {
  readonly group: ClusterGroup;
  serve(): void;
  refuse(): void;
}

export class ConcurrentClients {
  readonly #options: ClientOptions;
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #cluster: ClusterForClients;
  readonly #history: History;
  /** By token. */
  readonly #reads = new Map<number, ConfirmedRead>();
  /** Numbers members from their start to their end. */
  readonly #lives = new Map<ClusterGroup, number>();
  #tokens = 0;
  #hasStopped = false;

  constructor(
    options: ClientOptions,
    parts: {
      readonly clock: SimulatedClock;
      readonly random: Random;
      readonly cluster: ClusterForClients;
      readonly history: History;
    },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#cluster = parts.cluster;
    this.#history = parts.history;
  }

  start(): void {
    const { groups, nodes } = this.#cluster;
    if (groups.length === 0) return;
    for (let number = 0; number < this.#options.clients; number++) {
      const client: Client = {
        name: `client ${number}`,
        leaders: new Map(groups.map((group) => [group, this.#random.below(nodes)])),
        ends: new Map(),
        questions: 0,
      };
      this.#later(this.#options.thinkMs, () => this.#ask(client));
    }
  }

  /** Nothing is asked any more. */
  stop(): void {
    this.#hasStopped = true;
  }

  /** To be told of every `readConfirmed`. */
  readConfirmed(token: number, endIndex: number | undefined): void {
    const read = this.#reads.get(token);
    if (read === undefined) return;
    this.#reads.delete(token);
    const { consensus } = read.group;
    const isCovered =
      endIndex !== undefined && Math.min(consensus.committedEndIndex, consensus.placedEndIndex) >= endIndex;
    if (isCovered) read.serve();
    else read.refuse();
  }

  /** The leader of a group is asked for all that there is, when nothing happens any more. Resolves when it has answered. */
  async readAll(number: number, nodeId: number): Promise<void> {
    const group = this.#cluster.group(nodeId, number)!;
    const invoke = (input: PartitionInput): Invocation =>
      this.#history.invoke({ group: number, client: 'the last reader', nodeId, input });
    const latest = invoke({ kind: 'list-latest' });
    await new Promise<void>((resolve, reject) => {
      const refuse = (): void => reject(new Error(`node ${nodeId} does not lead group ${number}`));
      if (!this.#request(group, { group, serve: resolve, refuse })) refuse();
    });
    const end = group.consensus.highWatermark;
    latest.answer({ offset: end });
    for (let offset = group.log.logStartOffset; offset < end;) {
      const invocation = invoke({ kind: 'read', offset });
      const [batch] = await this.#readBatches(group, offset, end, 1);
      if (batch === undefined) throw new Error(`nothing can be read at offset ${offset}`);
      invocation.answer({ offset: batch.offset, value: batch.value });
      offset = batch.offset + batch.count;
    }
  }

  #ask(client: Client): void {
    if (this.#hasStopped) return;
    const { groups, nodes } = this.#cluster;
    const group = groups[this.#random.below(groups.length)]!;
    // Now and then another one than the leader that it knows.
    const isAstray = this.#random.below(8) === 0;
    const nodeId = isAstray ? this.#random.below(nodes) : client.leaders.get(group)!;
    const question = ++client.questions;
    const kind = this.#random.below(12);
    const answered = (): void => this.#next(client, question);
    const refused = (): void => {
      if (client.questions !== question) return;
      const hint = this.#leaderAsSeenBy(nodeId, group);
      client.leaders.set(group, hint ?? this.#random.below(nodes));
      answered();
    };
    this.#later(
      this.#options.timeoutMs,
      () => {
        if (client.questions !== question) return;
        if (this.#random.below(2) === 0) client.leaders.set(group, this.#random.below(nodes));
        answered();
      },
      this.#options.timeoutMs,
    );
    const to = { client, group, nodeId, answered, refused };
    if (kind < 4) this.#append(to);
    else if (kind < 7) this.#read(to, { kind: 'read', offset: this.#drawOffset(client, group) });
    else if (kind < 9) this.#read(to, { kind: 'list-latest' });
    else this.#fetch(to, this.#drawOffset(client, group));
  }

  #next(client: Client, question: number): void {
    if (client.questions !== question) return;
    client.questions++;
    this.#later(this.#options.thinkMs, () => this.#ask(client));
  }

  #append({ client, group, nodeId, answered, refused }: Question): void {
    this.#later(this.#options.delayMs, () => {
      if (this.#hasStopped) return;
      const isTaken = this.#cluster.append(nodeId, group, (batch) => {
        const acknowledged = this.#history.taken({ group, client: client.name, nodeId }, batch);
        return () => {
          this.#later(this.#options.delayMs, () => {
            acknowledged();
            this.#seen(client, group, batch.offset + batch.count);
            answered();
          });
        };
      });
      if (!isTaken) this.#later(this.#options.delayMs, refused);
    });
  }

  /** By a leader that makes sure of it first. */
  #read({ client, group, nodeId, answered, refused }: Question, input: PartitionInput): void {
    const invocation = this.#history.invoke({ group, client: client.name, nodeId, input });
    const refuse = (): void => {
      this.#later(this.#options.delayMs, () => {
        invocation.refuse();
        refused();
      });
    };
    const answer = (offset: number, value?: number): void => {
      this.#later(this.#options.delayMs, () => {
        invocation.answer(value === undefined ? { offset } : { offset, value });
        this.#seen(client, group, offset);
        answered();
      });
    };
    this.#later(this.#options.delayMs, () => {
      const asked = this.#cluster.group(nodeId, group);
      if (asked === undefined) {
        refuse();
        return;
      }
      const serve = (): void => {
        const end = asked.consensus.highWatermark;
        if (input.kind !== 'read' || input.offset >= end) {
          answer(end);
          return;
        }
        this.#readBatches(asked, input.offset, end, 1).then(([batch]) => {
          if (batch === undefined) refuse();
          else answer(batch.offset, batch.value);
        }, refuse);
      };
      if (!this.#request(asked, { group: asked, serve, refuse })) refuse();
    });
  }

  #fetch({ client, group, nodeId, answered, refused }: Question, offset: number): void {
    this.#later(this.#options.delayMs, () => {
      const asked = this.#cluster.group(nodeId, group);
      if (asked === undefined) {
        this.#later(this.#options.delayMs, refused);
        return;
      }
      const session = `${client.name} on ${this.#lifeOf(asked)} of node ${nodeId}, term ${asked.consensus.raft.term}`;
      const end = asked.consensus.highWatermark;
      this.#history.fetching(group, session, end);
      const answer = (batches: readonly FetchedBatch[]): void => {
        this.#history.fetched({ group, offset, batches, end, reader: client.name });
        this.#later(this.#options.delayMs, answered);
      };
      if (offset >= end) answer([]);
      else this.#readBatches(asked, offset, end, 500).then(answer, refused);
    });
  }

  /** Nothing where the log has lost that. Never resolves where the node ends meanwhile; rejects with a DiskError, or where bytes have rotted. */
  async #readBatches(
    { log, member }: ClusterGroup,
    offset: number,
    endOffset: number,
    maxBytes: number,
  ): Promise<FetchedBatch[]> {
    if (offset < log.logStartOffset) return [];
    const read = await log.read({ offset, endOffset, maxBytes, minOneBatch: true });
    const bytes = Buffer.concat(read.parts);
    read.release();
    if (this.#cluster.isSpoilt(nodeOf(member)) && !areSound(bytes, offset)) throw new Error('rotten bytes');
    const batches: FetchedBatch[] = [];
    for (let position = 0; position < bytes.length; position += batchField.sizeBytes(bytes, position)) {
      batches.push({
        offset: batchField.baseOffset(bytes, position),
        value: batchField.baseSequence(bytes, position),
        count: batchField.lastOffsetDelta(bytes, position) + 1,
      });
    }
    return batches;
  }

  #request({ consensus }: ClusterGroup, read: ConfirmedRead): boolean {
    const token = ++this.#tokens;
    this.#reads.set(token, read);
    const isAsked = consensus.requestRead(token);
    if (!isAsked) this.#reads.delete(token);
    return isAsked;
  }

  #lifeOf(group: ClusterGroup): string {
    const number = this.#lives.get(group) ?? this.#lives.size + 1;
    this.#lives.set(group, number);
    return `life ${number}`;
  }

  #seen(client: Client, group: number, end: number): void {
    client.ends.set(group, Math.max(client.ends.get(group) ?? 0, end));
  }

  /** Mostly where something new is to be expected. */
  #drawOffset(client: Client, group: number): number {
    const back = this.#random.below(this.#random.below(3) === 0 ? 20 : 3);
    return Math.max(0, (client.ends.get(group) ?? 0) - back);
  }

  /** What a node that is not asked well says. */
  #leaderAsSeenBy(nodeId: number, group: number): number | undefined {
    const leader = this.#cluster.group(nodeId, group)?.consensus.raft.leader;
    return leader === undefined || this.#random.below(4) === 0 ? undefined : Number(leader.split('/')[0]);
  }

  #later(maxMs: number, action: () => void, minMs = 0): void {
    this.#clock.after(minMs + ((maxMs - minMs) * this.#random.below(1001)) / 1000, action);
  }
}

interface Question {
  readonly client: Client;
  readonly group: number;
  readonly nodeId: number;
  readonly answered: () => void;
  readonly refused: () => void;
}

/** Whole batches, one after the other, the first of which holds this offset. */
function areSound(bytes: Buffer, offset: number): boolean {
  let next: number | undefined;
  for (let position = 0; position < bytes.length;) {
    if (bytes.length - position < batchHeaderBytes) return false;
    const sizeBytes = batchField.sizeBytes(bytes, position);
    if (sizeBytes < batchHeaderBytes || position + sizeBytes > bytes.length) return false;
    const baseOffset = batchField.baseOffset(bytes, position);
    const isInPlace = next === undefined ? baseOffset <= offset : baseOffset === next;
    if (!isInPlace || !verifyBatchCrc(bytes, position)) return false;
    next = batchField.lastOffset(bytes, position) + 1;
    if (position === 0 && next <= offset) return false;
    position += sizeBytes;
  }
  return true;
}
