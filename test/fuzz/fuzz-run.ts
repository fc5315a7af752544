/**
 * Sends mutated requests to a running broker over several connections, in rounds, and checks between and during the rounds
 * that it lives, answers, and keeps its memory and file descriptors. A request counts once the broker has dealt with it: it
 * was answered, or the connection ended on it, or the broker still waits for its rest.
 */
import { readdirSync } from 'node:fs';
import { SeededRandom } from '../../platform/seeded-random.ts';
import type { Random } from '../../platform/random.ts';
import { type ApiDescription, apiByKey, apis, decodeResponse, encodeRequest } from '../../protocol/index.ts';
import type { BrokerProcess } from '../support/broker-process.ts';
import { residentBytes } from '../support/process-stats.ts';
import { ControlConnection } from './control-connection.ts';
import { type Frame, type Mutation, mutate } from './mutations.ts';
import { RawConnection } from './raw-connection.ts';
import { SchemaValues, fuzzTopics } from './schema-values.ts';

export interface FuzzOptions {
  readonly broker: BrokerProcess;
  readonly requests: number;
  readonly rounds: number;
  readonly seed: number;
  readonly connections: number;
  /** Written and read before anything is counted, so that the growth of caches is not taken for a leak. */
  readonly fillBytes: number;
  readonly log: (line: string) => void;
}

export interface FuzzResult {
  readonly requests: number;
  readonly answered: number;
  readonly closed: number;
  readonly waiting: number;
  readonly canaries: number;
  readonly mutations: Readonly<Partial<Record<Mutation, number>>>;
  /** After each round. */
  readonly residentBytes: readonly number[];
  readonly openFiles: readonly number[];
}

/** The most that the broker's memory may have grown between the first and the last rounds: caches fill, leaks go on. */
const growthBytesMax = 64 << 20;
const openFilesGrowthMax = 100;

/** How long the harness waits for a burst before it gives the connection up: some requests may rightly wait. */
const patienceMs = 400;
const burstMax = 12;

/** Sound frames made anew for each round; all else is a mutation of one of them. */
const poolSize = 3000;

interface SoundFrame {
  readonly bytes: Buffer;
  readonly api: ApiDescription;
  readonly version: number;
}

interface Counts {
  requests: number;
  answered: number;
  closed: number;
  waiting: number;
  mutations: Partial<Record<Mutation, number>>;
}

/** Rejects with the first thing that should not have happened. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { broker, log } = options;
  const random = new SeededRandom(options.seed);
  const values = new SchemaValues(random.fork('values'));
  const control = await ControlConnection.open(broker.host, broker.port);
  const served = await control.served();
  const bystander = new Bystander(await ControlConnection.open(broker.host, broker.port));
  const counts: Counts = { requests: 0, answered: 0, closed: 0, waiting: 0, mutations: {} };
  const memory: number[] = [];
  const files: number[] = [];
  await control.resetTopics([]);
  await control.waitForCanary();
  await control.fillCaches(options.fillBytes);
  const watching = bystander.run();
  for (let round = 1; round <= options.rounds; round += 1) {
    const topics = await control.resetTopics(fuzzTopics);
    values.topicIds = topics.filter(({ name }) => fuzzTopics.includes(name)).map(({ id }) => id);
    const pool = soundFrames(values, served, random.fork(`pool ${round}`));
    const target = Math.round((options.requests * round) / options.rounds);
    const senders = Array.from({ length: options.connections }, (_, i) =>
      new Sender(options.broker, pool, random.fork(`sender ${round} ${i}`), counts).run(target),
    );
    await Promise.race([Promise.all(senders), bystander.failed]);
    if ((await control.served()).length !== served.length)
      throw new Error('ApiVersions has changed its answer.');
    memory.push(residentBytes(broker.pid));
    files.push(readdirSync(`/proc/${broker.pid}/fd`).length);
    const mebibytes = ((memory.at(-1) ?? 0) / 2 ** 20).toFixed(0);
    log(
      `${counts.requests} requests, ${bystander.canaries} canaries, ${mebibytes} MiB, ${files.at(-1)} open files`,
    );
  }
  bystander.stop();
  await watching;
  control.close();
  checkGrowth(memory, growthBytesMax, 'resident bytes');
  checkGrowth(files, openFilesGrowthMax, 'open files');
  return { ...counts, canaries: bystander.canaries, residentBytes: memory, openFiles: files };
}

/** The last third of the rounds against the highest of the first third. */
function checkGrowth(series: readonly number[], most: number, what: string): void {
  const third = Math.max(1, Math.floor(series.length / 3));
  const before = Math.max(...series.slice(0, third));
  const after = Math.min(...series.slice(-third));
  if (after - before > most)
    throw new Error(`The broker's ${what} grew from ${before} to ${after}: ${series.join(', ')}.`);
}

/** Goes round with canary records on one connection for the whole run. */
class Bystander {
  readonly failed: Promise<never>;
  canaries = 0;
  readonly #connection: ControlConnection;
  readonly #fail: (error: Error) => void;
  #stopped = false;

  constructor(connection: ControlConnection) {
    this.#connection = connection;
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
  }

  async run(): Promise<void> {
    try {
      while (!this.#stopped) {
        await this.#connection.roundTrip(this.canaries);
        this.canaries += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#connection.close();
    }
  }

  stop(): void {
    this.#stopped = true;
  }
}

function isUnknownOrOrder(apiKey: number): boolean {
  const api = apiByKey(apiKey);
  return api === undefined || orders.has(api.name);
}

/** Mostly what is served in versions that are served; some of all else. */
function soundFrames(
  values: SchemaValues,
  served: readonly { key: number; min: number; max: number }[],
  random: Random,
): SoundFrame[] {
  const known = served.filter(({ key }) => !isUnknownOrOrder(key));
  const others = apis.filter(({ listeners, name }) => listeners.includes('broker') && !orders.has(name));
  const frames: SoundFrame[] = [];
  while (frames.length < poolSize) {
    const offer = known[random.below(known.length)]!;
    const isServed = random.below(20) > 0;
    const api = isServed ? apiByKey(offer.key)! : others[random.below(others.length)]!;
    const min = Math.max(api.min, isServed ? offer.min : api.min);
    const max = Math.min(api.max, isServed ? offer.max : api.max);
    // What changes the broker for good is rarer than what only asks.
    if (stateful.has(api.name) && random.below(4) > 0) continue;
    const version = min + random.below(max - min + 1);
    const clientId = random.below(10) === 0 ? null : 'fuzz';
    const head = { api: api.key, apiVersion: version, correlationId: random.below(1 << 30), clientId };
    frames.push({
      bytes: Buffer.concat(encodeRequest(head, values.request(api.name, version))),
      api,
      version,
    });
  }
  return frames;
}

/** Orders that a sound broker obeys by no longer serving what the bystander needs. */
const orders: ReadonlySet<string> = new Set([
  'UnregisterBroker',
  'UnregisterController',
  'AddRaftVoter',
  'RemoveRaftVoter',
  'UpdateFeatures',
  'AlterPartitionReassignments',
]);

const stateful: ReadonlySet<string> = new Set([
  'CreateTopics',
  'DeleteTopics',
  'CreatePartitions',
  'JoinGroup',
  'SyncGroup',
]);

/** Correlation id of the request that ends each burst: its answer says that all before it were dealt with. */
const sentinelId = 0x7eaf_beef;
const sentinel = Buffer.from('0000000a00120000' + sentinelId.toString(16) + 'ffff', 'hex');

interface Planned {
  readonly frame: Frame;
  readonly sound: SoundFrame;
}

class Sender {
  readonly #broker: BrokerProcess;
  readonly #pool: readonly SoundFrame[];
  readonly #random: Random;
  readonly #counts: Counts;
  #connection: RawConnection | undefined;
  /** Made, and not yet known to be dealt with. */
  #planned: Planned[] = [];

  constructor(broker: BrokerProcess, pool: readonly SoundFrame[], random: Random, counts: Counts) {
    this.#broker = broker;
    this.#pool = pool;
    this.#random = random;
    this.#counts = counts;
  }

  /** Sends until all senders together have reached the target. */
  async run(target: number): Promise<void> {
    while (this.#counts.requests < target) await this.#burst();
    this.#connection?.destroy();
  }

  async #burst(): Promise<void> {
    const size = 1 + this.#random.below(burstMax);
    while (this.#planned.length < size) this.#planned.push(this.#plan());
    const hanging = this.#planned.findIndex(({ frame }) => frame.hangs);
    if (hanging === 0) {
      await this.#sendHanging(this.#planned.shift()!);
      return;
    }
    const burst = this.#planned.slice(0, hanging < 0 ? size : hanging);
    const connection = await this.#open();
    connection.send(Buffer.concat([...burst.map(({ frame }) => frame.bytes), sentinel]));
    // Without an answer to acks=0 the sentinel's comes earlier than counted: it is recognised by its id.
    const { frames, outcome } = await this.#takeUntilSentinel(connection, burst.length + 1);
    checkAnswers(burst, frames);
    const done = outcome === 'answered' ? burst.length : Math.min(burst.length, frames.length + 1);
    for (const { frame } of burst.slice(0, done)) this.#count(frame);
    this.#counts.answered += Math.min(done, frames.length);
    if (outcome === 'closed') this.#counts.closed += 1;
    if (outcome === 'silent') this.#counts.waiting += 1;
    if (outcome !== 'answered') connection.destroy();
    this.#planned = this.#planned.slice(done);
  }

  async #takeUntilSentinel(
    connection: RawConnection,
    most: number,
  ): Promise<{ frames: Buffer[]; outcome: 'answered' | 'closed' | 'silent' }> {
    const frames: Buffer[] = [];
    for (;;) {
      const taken = await connection.take(1, patienceMs);
      frames.push(...taken.frames);
      if (frames.at(-1)?.readInt32BE(0) === sentinelId)
        return { frames: frames.slice(0, -1), outcome: 'answered' };
      if (taken.outcome !== 'answered') return { frames, outcome: taken.outcome };
      // A frame that the mutation made two of may be answered twice; an endless stream of answers may not be.
      if (frames.length > most + 100) throw new Error(`${frames.length} answers came to ${most} requests.`);
    }
  }

  async #sendHanging({ frame }: Planned): Promise<void> {
    const connection = await this.#open();
    await connection.sendAndEnd(frame.bytes);
    connection.destroy();
    this.#count(frame);
    this.#counts.waiting += 1;
  }

  async #open(): Promise<RawConnection> {
    if (this.#connection === undefined || this.#connection.closed) {
      this.#connection = await RawConnection.open(this.#broker.host, this.#broker.port);
    }
    return this.#connection;
  }

  #plan(): Planned {
    const sound = this.#pool[this.#random.below(this.#pool.length)]!;
    const other = this.#pool[this.#random.below(this.#pool.length)]!;
    return { frame: mutate(sound.bytes, other.bytes, this.#random), sound };
  }

  #count({ mutation }: Frame): void {
    this.#counts.requests += 1;
    this.#counts.mutations[mutation] = (this.#counts.mutations[mutation] ?? 0) + 1;
  }
}

/** An answer to a sound request must be decodable in the version that was asked for, and carry its correlation id. */
function checkAnswers(burst: readonly Planned[], frames: readonly Buffer[]): void {
  const byId = new Map(frames.map((frame) => [frame.length >= 4 ? frame.readInt32BE(0) : -1, frame]));
  for (const { frame, sound } of burst) {
    if (frame.mutation !== 'sound') continue;
    const answer = byId.get(sound.bytes.readInt32BE(8));
    // An ApiVersions of a version that is not served is answered in version 0.
    if (answer === undefined || (sound.api.name === 'ApiVersions' && answer.readInt16BE(4) === 35)) continue;
    try {
      decodeResponse(sound.api.key, sound.version, answer);
    } catch (error) {
      const asked = `${sound.api.name} v${sound.version}: ${sound.bytes.toString('hex').slice(0, 600)}`;
      throw new Error(
        `An answer cannot be read. Asked ${asked}; answered ${answer.toString('hex').slice(0, 600)}.`,
        {
          cause: error,
        },
      );
    }
  }
}
