/**
 * Watches how far the groups that this node coordinates are behind. At an interval it goes through what they have committed and asks the
 * leaders of the partitions, in slices and with bounded questions; answers are kept until the next round, and rates over the last minutes.
 *
 * Invariant: no more partitions are kept than the setting allows. Those of the groups that come first by chance of the order count; how
 * many are left out is said.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { AnyGroup } from '../any-group.ts';
import { isOfTopic } from '../committed-offsets.ts';
import { groupLag, partitionLag } from './group-lag.ts';
import type { GroupLag, Reading } from './group-lag.ts';
import { askedPartitionsMax } from './lag-questions.ts';
import type { AskedPartition, FoundPartition } from './lag-questions.ts';
import { PartitionProgress } from './partition-progress.ts';

export interface GroupLagsOptions {
  readonly clock: Clock;
  /** Pause between rounds (ms); 0: nothing is watched. */
  readonly intervalMs: number;
  /** The most partitions, over all groups, that are watched. */
  readonly partitionsMax: number;
  /** The groups that this node coordinates, as they are now. */
  readonly groups: () => Iterable<Pick<AnyGroup, 'groupId' | 'offsets'>>;
  readonly topicId: (topic: string) => string | undefined;
  /** Node that leads the partition; undefined where none is known. */
  readonly leaderOf: (topicId: string, partition: number) => number | undefined;
  /** Rejects where the node gives no answer; the error's message says why. */
  readonly ask: (nodeId: number, asked: readonly AskedPartition[]) => Promise<readonly FoundPartition[]>;
}

interface Watched {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly progress: PartitionProgress;
  committed: number;
  found: Reading['found'];
  /** The committed offset for which the time of the first unread record is known. */
  timedAt: number | undefined;
}

const notAskedYet = 'its leader has not been asked yet';
/** Partitions that are looked at before other work has its turn. */
const sliceSize = 2_000;

export class GroupLags {
  readonly #options: GroupLagsOptions;
  #watched: ReadonlyMap<string, ReadonlyMap<string, Watched>> = new Map();
  #timer: Timer | undefined;
  #isClosed = false;
  /** Committed partitions that are not watched, as there are too many. */
  leftOut = 0;

  constructor(options: GroupLagsOptions) {
    this.#options = options;
    this.#later();
  }

  /** Undefined where the group is not watched: it has committed nothing, is coordinated elsewhere, or is one too many. */
  of(groupId: string): GroupLag | undefined {
    const watched = this.#watched.get(groupId);
    if (watched === undefined) return undefined;
    const wallMs = this.#options.clock.wallMs();
    const all = [...watched.values()];
    return groupLag(
      all.map((each) => partitionLag(each, wallMs)),
      all.map(({ progress }) => progress),
    );
  }

  /** Of all groups that are watched. */
  *all(): Generator<readonly [groupId: string, lag: GroupLag]> {
    for (const groupId of this.#watched.keys()) yield [groupId, this.of(groupId)!];
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Goes through all groups once; also for tests. Never rejects. */
  async round(): Promise<void> {
    const watched = new Map<string, Map<string, Watched>>();
    const questions = new Map<number, Watched[]>();
    const answers: Promise<void>[] = [];
    let [count, leftOut, looked] = [0, 0, 0];
    for (const { groupId, offsets } of this.#options.groups()) {
      for (const [topic, partitions] of offsets.topics) {
        const topicId = this.#options.topicId(topic);
        for (const [partition, offset] of partitions) {
          looked += 1;
          if (looked % sliceSize === 0) await this.#otherWork();
          if (this.#isClosed) return;
          // Offsets of a topic that is gone, or was there before this one, are behind nothing.
          if (topicId === undefined || !isOfTopic(offset, topicId)) continue;
          if (count === this.#options.partitionsMax) {
            leftOut += 1;
            continue;
          }
          count += 1;
          const each = this.#watch(groupId, { topic, topicId, partition }, offset.offset);
          let group = watched.get(groupId);
          if (group === undefined) watched.set(groupId, (group = new Map()));
          group.set(`${topic}/${partition}`, each);
          answers.push(...this.#question(each, questions));
        }
      }
    }
    for (const [nodeId, asked] of questions) answers.push(this.#ask(nodeId, asked));
    this.leftOut = leftOut;
    this.#watched = watched;
    await Promise.all(answers);
  }

  #watch(
    groupId: string,
    { topic, topicId, partition }: Pick<Watched, 'topic' | 'topicId' | 'partition'>,
    committed: number,
  ): Watched {
    const known = this.#watched.get(groupId)?.get(`${topic}/${partition}`);
    if (known?.topicId !== topicId) {
      const progress = new PartitionProgress();
      return { topic, topicId, partition, progress, committed, found: notAskedYet, timedAt: undefined };
    }
    known.committed = committed;
    return known;
  }

  /** Puts the partition with those of its leader; a question that is full goes out. */
  #question(watched: Watched, questions: Map<number, Watched[]>): Promise<void>[] {
    const leader = this.#options.leaderOf(watched.topicId, watched.partition);
    if (leader === undefined) {
      watched.found = 'no leader of it is known';
      return [];
    }
    const asked = questions.get(leader) ?? [];
    asked.push(watched);
    if (asked.length < askedPartitionsMax) {
      questions.set(leader, asked);
      return [];
    }
    questions.delete(leader);
    return [this.#ask(leader, asked)];
  }

  async #ask(nodeId: number, watched: readonly Watched[]): Promise<void> {
    const committed = watched.map((each) => each.committed);
    const asked = watched.map(({ topic, topicId, partition, timedAt }, place): AskedPartition => [
      topic,
      topicId,
      partition,
      committed[place]!,
      timedAt !== committed[place],
    ]);
    try {
      const found = await this.#options.ask(nodeId, asked);
      const atMs = this.#options.clock.monotonicMs();
      for (const [place, each] of watched.entries())
        take(each, found[place] ?? 'its leader said nothing of it', { atMs, committed: committed[place]! });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      for (const each of watched) each.found = `node ${nodeId}, which leads it, gave no answer: ${why}`;
    }
  }

  #later(): void {
    const { clock, intervalMs } = this.#options;
    if (this.#isClosed || intervalMs === 0) return;
    this.#timer = clock.after(intervalMs, () => void this.round().then(() => this.#later()));
  }

  #otherWork(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(0, resolve);
    });
  }
}

function take(
  watched: Watched,
  found: FoundPartition,
  { atMs, committed }: { readonly atMs: number; readonly committed: number },
): void {
  if (typeof found === 'string') {
    watched.found = found;
    return;
  }
  const [start, end, timestampMs] = found;
  const before = typeof watched.found === 'string' ? null : watched.found.unreadTimestampMs;
  const isTimed = watched.timedAt === committed;
  watched.found = { start, end, unreadTimestampMs: isTimed ? before : timestampMs };
  // What is left to read may begin later than it did, where the log does.
  watched.timedAt = committed >= start && committed < end ? committed : undefined;
  watched.progress.note({ atMs, committed, end });
}
