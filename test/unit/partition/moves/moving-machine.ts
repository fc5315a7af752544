/** A machine with one node, three data directories and one partition, on a simulated disk that can lose what was not synced. */
import { ReadPool } from '../../../../broker/log/reading/read-pool.ts';
import { TailCache } from '../../../../broker/log/reading/tail-cache.ts';
import { WriteFiles } from '../../../../broker/log/write-files.ts';
import { ConsensusNode } from '../../../../broker/partition/consensus/consensus-node.ts';
import { LogDirectory } from '../../../../broker/partition/log-directory.ts';
import { MovePace } from '../../../../broker/partition/moves/move-pace.ts';
import { ReplicaMoves } from '../../../../broker/partition/moves/replica-moves.ts';
import { Partitions } from '../../../../broker/partition/partitions.ts';
import { raftSettings, raftTickMs } from '../../../../broker/partition/raft-settings.ts';
import type { WantedReplica } from '../../../../broker/partition/replica-places.ts';
import type { Replica } from '../../../../broker/partition/replica.ts';
import { ReplicaVotes } from '../../../../broker/partition/replica-votes.ts';
import type { Disk } from '../../../../platform/disk.ts';
import { RandomIds } from '../../../../platform/random-ids.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { SimulatedClock, drainMicrotasks } from '../../../simulation/simulated-clock.ts';
import { SimulatedDisk } from '../../../simulation/simulated-disk.ts';
import { Trace } from '../../../simulation/trace.ts';
import { logConfigDefaults } from '../../../support/log-config.ts';
import { appended, eventsTo, topic, topicId, valuesOf } from '../replica-group.ts';

export const group = { topicId, partition: 0 };
export const identity = { topic, ...group };
export const paths = ['/a', '/b', '/c'] as const;
export type Path = (typeof paths)[number];

export function idOf(path: Path): string {
  return Buffer.alloc(16, path.charCodeAt(1)).toString('base64url');
}

export interface StartOptions {
  /** Directories that cannot be read. */
  readonly without?: readonly Path[];
  /** What the metadata names; undefined: it says that the partition is new here. */
  readonly named?: Path;
  readonly bytesPerSecondMax?: number;
}

/** Of the clock. */
const stepsMax = 10_000;

export class MovingMachine {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  directories: readonly LogDirectory[] = [];
  partitions!: Partitions;
  moves!: ReplicaMoves;
  told: string[] = [];
  /** In order; what was acknowledged, and what was written at all. */
  readonly acknowledged: string[] = [];
  readonly written: string[] = [];
  readonly #seed: number;
  readonly #journalBytes: number;
  #incarnation = 0;
  /** The disk of the present process. */
  life!: Disk;

  constructor(seed: number, journalBytes = 0) {
    this.#seed = seed;
    this.#journalBytes = journalBytes;
    this.disk = new SimulatedDisk({
      clock: this.clock,
      random: new SeededRandom(seed),
      behaviour: { latencyMs: 1, spikeOneIn: 0, shortReadOneIn: 50, evicts: true },
      trace: new Trace({ keepsLines: false }),
    });
  }

  /** Until the promise is settled; or, false, until so many operations of the disk have begun. */
  async run(promise: Promise<unknown>, operationsMax = Infinity): Promise<boolean> {
    const state = { isSettled: false, error: undefined as unknown };
    promise.then(
      () => {
        state.isSettled = true;
      },
      (error: unknown) => {
        state.isSettled = true;
        state.error = error;
      },
    );
    const limit = this.disk.operationCount + operationsMax;
    await drainMicrotasks();
    while (!state.isSettled) {
      if (this.disk.operationCount >= limit) return false;
      if (!this.clock.step()) throw new Error('nothing more happens');
      await drainMicrotasks();
    }
    if (state.error !== undefined) throw state.error;
    return true;
  }

  /** The node, and its replica, which it makes where there is none yet. */
  async start(options: StartOptions = {}): Promise<void> {
    await this.run(this.#start(options));
  }

  async #start({ without = [], named, bytesPerSecondMax = Infinity }: StartOptions): Promise<void> {
    const disk = this.disk.boot();
    this.life = disk;
    const clock = this.clock.life();
    const random = new SeededRandom(this.#seed).fork(`life ${++this.#incarnation}`);
    const writeFiles = new WriteFiles();
    this.told = [];
    const opening = paths.map(async (path) => {
      if (without.includes(path)) return LogDirectory.unusable(path, undefined, new Error('no such disk'));
      await disk.makeDirectory(path);
      await disk.syncDirectory('/');
      const own = { disk, clock, path, id: idOf(path), syncsMax: 2, writeFiles, random: random.fork(path) };
      return LogDirectory.open({ ...own, journalBytes: this.#journalBytes });
    });
    this.directories = await Promise.all(opening);
    const votes = new ReplicaVotes();
    const consensus = new ConsensusNode({
      nodeId: 1,
      incarnation: this.#incarnation,
      clock,
      settings: raftSettings,
      tickMs: raftTickMs,
      transport: { send: (_, __, release) => release() },
      persist: (name, state) => votes.put(name, state),
      onPersistFailure: (name, error) => votes.failed(name, error),
    });
    this.partitions = new Partitions({
      nodeId: 1,
      directories: this.directories,
      clock,
      disk,
      ids: new RandomIds(random.fork('ids')),
      boot: { id: 'boot' },
      tailCache: new TailCache({ maxBytes: 1 << 20 }),
      readPool: new ReadPool({ disk, maxBytes: 1 << 20, openFilesMax: 16 }),
      random,
      consensus,
      raftSettings,
      votes,
      copying: undefined,
      keepsSnapshots: false,
      logConfig: () => ({ ...logConfigDefaults, segmentBytes: 600 }),
      producerExpirationMs: () => 86_400_000,
      minInSyncReplicas: () => 1,
      lagMsMax: () => 30_000,
      serviceEpoch: () => 0,
      events: eventsTo(this.told),
    });
    const wanted: WantedReplica = { ...identity, directoryId: named && idOf(named) };
    this.moves = new ReplicaMoves({
      disk,
      clock,
      random: random.fork('moves'),
      partitions: this.partitions,
      pace: new MovePace({ clock, bytesPerSecondMax: () => bytesPerSecondMax }),
      wanted: () => wanted,
      release: () => Promise.resolve(),
      onMoved: () => this.told.push('moved'),
      onFailure: (_, { path }, error) => this.told.push(`not moved to ${path}: ${String(error)}`),
    });
    if (named === undefined) await this.partitions.open([wanted]);
    else await this.partitions.openExisting([wanted]);
    await this.partitions.setAsideStrays([]);
    await this.moves.resume();
  }

  end(how: 'kill' | 'power-loss'): void {
    if (how === 'kill') this.disk.kill();
    else this.disk.losePower();
  }

  /** Undefined: it is offline. */
  get replica(): Replica | undefined {
    return this.partitions.replica(topic, 0);
  }

  directory(path: Path): LogDirectory {
    return this.directories[paths.indexOf(path)]!;
  }

  /** Written at once; acknowledged when the clock has gone on. */
  append(value: string): void {
    const { replica } = this;
    if (replica === undefined || !replica.isLeader || replica.closed) return;
    this.written.push(value);
    replica.acknowledgements.whenCommitted(appended(replica, [value.padEnd(100, '.')]), (isSafe) => {
      if (isSafe) this.acknowledged.push(value);
    });
  }

  async until(holds: () => boolean, operationsMax = Infinity): Promise<boolean> {
    const limit = this.disk.operationCount + operationsMax;
    await drainMicrotasks();
    for (let steps = 0; !holds(); steps++) {
      if (this.disk.operationCount >= limit) return false;
      if (steps > stepsMax || !this.clock.step()) throw new Error('it does not come about');
      await drainMicrotasks();
    }
    return true;
  }

  get isMoving(): boolean {
    return [...this.moves.futures()].length > 0;
  }

  /** Says whether it ended before so many operations of the disk. */
  move(to: Path, operationsMax = Infinity): Promise<boolean> {
    this.moves.ask(topic, 0, this.directory(to));
    return this.until(() => !this.isMoving && this.replica?.ready === true, operationsMax);
  }

  async values(): Promise<string[]> {
    let values: string[] = [];
    await this.run(
      valuesOf(this.replica!).then((read) => {
        values = read.map((value) => value.replaceAll('.', ''));
      }),
    );
    return values;
  }

  /** Directories of the partition, whatever their state, by data directory. */
  async places(): Promise<string[]> {
    const places: string[] = [];
    const list = async (): Promise<void> => {
      for (const { path, isOnline } of this.directories) {
        if (!isOnline) continue;
        const names = await this.life.list(path);
        for (const name of names) if (/^t-0|future|stray|delete/.test(name)) places.push(`${path}/${name}`);
      }
    };
    await this.run(list());
    return places;
  }
}
