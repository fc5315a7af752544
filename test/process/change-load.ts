/**
 * Commits of a group's offsets and changes of topics, for as long as the load runs. A call that a kill left unanswered may
 * or may not have been done: the journal then holds both possibilities until the next answer.
 */
import { type Kappalog, KafkaError } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import type { Journal, TopicPromise } from './journal.ts';
import { loadPartitions, loadTopic } from './record-load.ts';

export const loadGroup = 'kill-group';

/** Topics that exist at a time, at most. */
const topicsMax = 12;

export interface ChangeLoad {
  readonly counts: { commits: number; changes: number };
  /** Answers that should not have come. */
  readonly failures: string[];
  stop(): Promise<void>;
}

export function startChangeLoad(
  kappalog: Kappalog,
  journal: Journal,
  random: Random,
  life: number,
): ChangeLoad {
  const failures: string[] = [];
  const counts = { commits: 0, changes: 0 };
  const stopping = new AbortController();
  const admin = kappalog.admin();
  const changes = new TopicChanges({ admin, journal, random: random.fork('topics'), life, counts });
  const loop = async (step: () => Promise<void>, pauseMs: number): Promise<void> => {
    while (!stopping.signal.aborted && failures.length === 0) {
      await step().catch((error: unknown) => {
        if (!(error instanceof KafkaError && error.retriable)) failures.push(String(error));
      });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const commits = random.fork('commits');
  const running = [
    loop(() => commitOnce(admin, journal, commits).then(() => void (counts.commits += 1)), 10),
    loop(() => changes.step(), 60),
  ];
  return {
    counts,
    failures,
    async stop() {
      stopping.abort();
      await Promise.all(running);
      await admin.close();
      journal.write();
    },
  };
}

type AdminClient = ReturnType<Kappalog['admin']>;

async function commitOnce(admin: AdminClient, journal: Journal, random: Random): Promise<void> {
  const partition = random.below(loadPartitions);
  const possible = journal.commits.get(partition) ?? [-1];
  const offset = Math.max(...possible) + 1 + random.below(5);
  journal.commit(partition, [...possible, offset]);
  await admin.commitGroupOffsets(loadGroup, [{ topic: loadTopic, partition, offset }]);
  journal.commit(partition, [offset]);
}

interface TopicChangesParts {
  readonly admin: AdminClient;
  readonly journal: Journal;
  readonly random: Random;
  readonly life: number;
  readonly counts: { changes: number };
}

class TopicChanges {
  readonly #parts: TopicChangesParts;
  #created = 0;

  constructor(parts: TopicChangesParts) {
    this.#parts = parts;
  }

  /** Creates, alters or deletes one topic. */
  async step(): Promise<void> {
    const { journal, random, counts } = this.#parts;
    const existing = [...journal.topics].filter(([, promise]) => promise.state !== 'gone');
    const unsure = existing.find(([, promise]) => promise.state === 'unsure');
    // What a kill left open is settled first: its deletion succeeds or finds nothing.
    if (unsure !== undefined) await this.#delete(...unsure);
    else if (existing.length < topicsMax && random.below(3) === 0) await this.#create();
    else if (existing.length > topicsMax / 2 && random.below(3) === 0)
      await this.#delete(...pick(existing, random));
    else if (existing.length > 0) await this.#alter(...pick(existing, random));
    counts.changes += 1;
  }

  async #create(): Promise<void> {
    const { admin, journal, random, life } = this.#parts;
    const name = `kill-topic-${life}-${this.#created}`;
    this.#created += 1;
    const promise: TopicPromise = {
      retentions: [String(3_600_000 + random.below(1000))],
      partitions: 1 + random.below(3),
      state: 'unsure',
    };
    journal.topic(name, promise);
    const configs = { 'retention.ms': promise.retentions[0] ?? '' };
    try {
      await admin.createTopics([{ name, partitions: promise.partitions, configs }]);
    } catch (error) {
      // The client repeats a request whose answer a kill took away; the first one had been done then.
      if (!(error instanceof KafkaError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
    }
    journal.topic(name, { ...promise, state: 'there' });
  }

  async #alter(name: string, promise: TopicPromise): Promise<void> {
    const { admin, journal, random } = this.#parts;
    const retention = String(7_200_000 + random.below(1_000_000));
    journal.topic(name, { ...promise, retentions: [...promise.retentions, retention] });
    await admin.alterConfigs([{ type: 'topic', name, set: { 'retention.ms': retention } }]);
    journal.topic(name, { ...promise, retentions: [retention] });
  }

  async #delete(name: string, promise: TopicPromise): Promise<void> {
    const { admin, journal } = this.#parts;
    journal.topic(name, { ...promise, state: 'unsure' });
    try {
      await admin.deleteTopics([name]);
    } catch (error) {
      if (!(error instanceof KafkaError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
    }
    journal.topic(name, { ...promise, state: 'gone' });
  }
}

function pick<T>(list: readonly T[], random: Random): T {
  const element = list[random.below(list.length)];
  if (element === undefined) throw new Error('Nothing to pick from.');
  return element;
}
