/** Numbered records, one after another into every partition of some topics, as long as a group is looked at. */
import type { Kappalog, Producer } from '../../../client/index.ts';
import { pause } from '../suite.ts';
import { recordValue } from './line-protocol.ts';

/** Between two records of one partition. */
const intervalMs = 40;

export class Feed {
  /** By `topic/partition`: how many records are acknowledged. */
  readonly ends = new Map<string, number>();
  readonly #producer: Producer;
  readonly #topics: ReadonlyMap<string, number>;
  #isStopped = false;
  #halted: Promise<void> | undefined;
  #round = Promise.resolve();
  #running: Promise<void> | undefined;
  #failure: unknown;

  /** `topics`: names with their numbers of partitions. Nothing else may produce into them. */
  constructor(kappalog: Kappalog, topics: ReadonlyMap<string, number>) {
    this.#producer = kappalog.producer({ lingerMs: 0 });
    this.#topics = topics;
  }

  start(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Writes nothing while `body` runs, which begins when all is acknowledged. */
  async halt(body: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#halted = promise;
    try {
      await this.#round;
      await body();
    } finally {
      this.#halted = undefined;
      resolve();
    }
  }

  /** Resolves when all is acknowledged; rejects where something was not. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    await this.#producer.close();
    if (this.#failure !== undefined)
      throw new Error('Records could not be produced.', { cause: this.#failure });
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#isStopped; number++) {
      await this.#halted;
      this.#round = this.#writeAll(number);
      await this.#round;
      await pause(intervalMs);
    }
  }

  async #writeAll(number: number): Promise<void> {
    const places = [...this.#topics].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition })),
    );
    await Promise.all(
      places.map(async ({ topic, partition }) => {
        const value = recordValue(topic, partition, number);
        const { offset } = await this.#producer.send({ topic, partition, value });
        if (offset !== number)
          throw new Error(`Record ${number} of ${topic}-${partition} was stored at ${offset}.`);
        this.ends.set(`${topic}/${partition}`, number + 1);
      }),
    );
  }
}
