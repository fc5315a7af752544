/** One simulated machine with a data directory, and the lives of the whole node on it: started, stopped, killed, without power. */
import { startBroker } from '../../../broker/node.ts';
import type { Broker } from '../../../broker/node.ts';
import { StartError } from '../../../broker/start-error.ts';
import type { Logger } from '../../../broker/logger.ts';
import { CountedYield } from '../../../platform/counted-yield.ts';
import type { Address } from '../../../platform/network.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import type { Random } from '../../../platform/random.ts';
import { MachineClock } from '../cluster/machine-clock.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SimulationFailure } from '../simulation-failure.ts';
import { FrozenClock } from './frozen-clock.ts';
import type { HostLife } from './host-network.ts';
import type { NodesWorld } from './nodes-world.ts';

export const kafkaPort = 9092;
export const internalPort = 9093;

export function hostOf(nodeId: number): string {
  return `node-${nodeId}`;
}

interface Life {
  readonly clock: FrozenClock;
  readonly network: HostLife;
  broker: Broker | undefined;
  isStopping: boolean;
  /** Its disk has failed it, or may have: it may say so, and end, until it is started again. */
  mayFail: boolean;
}

export type NodeStart = { readonly voters: ReadonlyMap<number, Address> } | { readonly join: Address };

export class NodeMachine {
  readonly nodeId: number;
  readonly host: string;
  readonly disk: SimulatedDisk;
  readonly clock: MachineClock;
  readonly #world: NodesWorld;
  readonly #random: Random;
  #start: NodeStart;
  #life: Life | undefined;
  /** How often its machine was started. */
  #boots = 1;
  /** Grows with each start of the process. */
  lives = 0;
  /** It is to be taken out of the cluster, or was, and is not to come back. */
  isRetired = false;
  /** No process may run there: an operator is at its disk. */
  isInRepair = false;
  /** Bits have rotted on its disk: what it reads, and gives, need not be what was written. */
  isSpoilt = false;
  /** It may say so; until it is known that others have made good for it. */
  mayFindDamage = false;
  hasFoundDamage = false;
  /** It is to join with the disk that it has, and has not served yet. */
  hasToBegin: boolean;

  constructor(world: NodesWorld, nodeId: number, start: NodeStart) {
    this.#world = world;
    this.nodeId = nodeId;
    this.host = hostOf(nodeId);
    this.#start = start;
    this.hasToBegin = 'join' in start;
    this.#random = world.random.fork(`machine ${nodeId}`);
    this.clock = new MachineClock(world.clock, this.#random.below(1_000_000));
    this.disk = new SimulatedDisk({
      clock: {
        monotonicMs: () => world.clock.monotonicMs(),
        wallMs: () => world.clock.wallMs(),
        after: (delayMs, action) =>
          world.clock.after(delayMs, () => {
            if (this.isInRepair) action();
            else this.#life?.clock.arrive(action);
          }),
      },
      random: this.#random.fork('disk'),
      behaviour: { ...world.options.disk, syncMs: world.options.syncMs },
      trace: world.trace,
    });
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** It answers requests. */
  get isRunning(): boolean {
    return this.#life?.broker !== undefined && !this.#life.isStopping;
  }

  get isStopping(): boolean {
    return this.#life?.isStopping === true;
  }

  /** Its process has met faults of its disk, which it gets over by a start. */
  get needsRestart(): boolean {
    return this.#life?.mayFail === true && !this.#life.isStopping;
  }

  /** Its disk is about to fail. */
  failDisk(what: string, fail: (disk: SimulatedDisk) => void): void {
    this.#world.say(`node ${this.nodeId}: ${what}`);
    fail(this.disk);
    if (this.#life !== undefined) this.#life.mayFail = true;
  }

  start(): void {
    if (this.#life !== undefined || this.isRetired || this.isInRepair) return;
    const { say, tally, network, options } = this.#world;
    const random = this.#random.fork(`life ${++this.lives}`);
    const clock = new FrozenClock(this.clock.life());
    const life: Life = {
      clock,
      network: network.boot(this.host, clock),
      broker: undefined,
      isStopping: false,
      mayFail: this.disk.isFaulty,
    };
    this.#life = life;
    tally.count('processes', 'starts');
    say(`node ${this.nodeId} starts`);
    const yielding = new CountedYield(
      () =>
        new Promise<void>((resolve) => {
          clock.after(0, resolve);
        }),
    );
    startBroker({
      nodeId: this.nodeId,
      host: this.host,
      port: kafkaPort,
      internalPort,
      ...this.#start,
      machine: this.host,
      httpPort: false,
      dataDir: options.directories,
      storage: 'memory',
      settings: options.settings,
      logger: this.#logger(life),
      platform: {
        clock,
        disk: this.disk.boot(),
        network: life.network,
        random,
        ids: new RandomIds(random.fork('ids')),
        yielding,
        boot: { id: `${this.nodeId}/${this.#boots}` },
      },
    }).then(
      (broker) => this.#started(life, broker),
      (error: unknown) => {
        if (this.#life !== life) return;
        // The session of the process before may last for as long as nobody leads the metadata: it is to be started again.
        const gaveUp = this.hasToBegin && error instanceof StartError && error.code === 'cluster';
        const isDiskError =
          life.mayFail && error instanceof StartError && error.code === 'directory-not-usable';
        if (isDiskError) this.#world.tally.count('disks', `no start: ${error.code}`);
        if (gaveUp || isDiskError || this.isRetired)
          this.#leave(`node ${this.nodeId} gives up: ${String(error)}`);
        else this.#break(`node ${this.nodeId} did not start`, error);
      },
    );
  }

  /** Its data directory is gone. It is empty at its next start, which is by the same command, but for whom it asks to be taken in. */
  loseDirectory(member: Address): void {
    this.losePower();
    this.#beginAnew(member);
    this.#world.say(`node ${this.nodeId} has lost its data directory`);
  }

  /** One of several data directories is gone, and is empty at the next start. The first has what it knows of its cluster. */
  loseOneDirectory(directory: string, member: Address): void {
    this.losePower();
    if (this.disk.namesIn(directory).length > 0) this.disk.loseFile(directory);
    if (directory === this.#world.options.directories[0]) {
      this.joinThrough(member);
      this.hasToBegin = true;
    }
    this.#world.say(`node ${this.nodeId} has lost ${directory}`);
  }

  /** Whom it is to ask at its next start, where it does not know its cluster by then. */
  joinThrough(member: Address): void {
    if ('join' in this.#start) this.#start = { join: member };
  }

  /** Another machine gets its number, which was taken out of the cluster. */
  replace(member: Address): void {
    this.kill();
    this.#beginAnew(member);
    this.#start = { join: member };
    this.isRetired = false;
    this.#world.say(`another node gets number ${this.nodeId}`);
  }

  #beginAnew(member: Address): void {
    this.disk.loseEverything();
    this.isSpoilt = false;
    this.joinThrough(member);
    this.hasToBegin = true;
  }

  /** The process ends, as by kill -9. */
  kill(): void {
    if (!this.#end(false)) return;
    this.#world.say(`node ${this.nodeId} is killed`);
    this.#world.tally.count('processes', 'killed');
    this.disk.kill();
  }

  losePower(): void {
    if (!this.#end(true)) return;
    this.#boots++;
    this.#world.say(`node ${this.nodeId} loses power`);
    this.#world.tally.count('processes', 'power lost');
    const lostSectors = (): number => this.disk.faultCounts.get('lost sector') ?? 0;
    const before = lostSectors();
    this.disk.losePower();
    if (lostSectors() > before) this.#world.tally.count('processes', 'power lost with unsynced bytes');
  }

  /** Asks the process to stop; it has ended when it is no longer up. */
  stop(): void {
    const life = this.#life;
    if (life?.broker === undefined || life.isStopping || life.clock.isFrozen) return;
    life.isStopping = true;
    this.#world.say(`node ${this.nodeId} is to stop`);
    life.broker.close().then(
      () => {
        if (this.#life !== life) return;
        this.#end(false);
        this.disk.kill();
        this.#world.say(`node ${this.nodeId} has stopped`);
        this.#world.tally.count('processes', 'stopped');
      },
      (error: unknown) => {
        if (this.#life === life) this.#break(`node ${this.nodeId} could not be stopped`, error);
      },
    );
  }

  /** The process does nothing for so long, or until it is thawed, and then all at once. */
  freeze(durationMs: number): void {
    const life = this.#life;
    if (life === undefined || life.clock.isFrozen) return;
    this.#world.say(`node ${this.nodeId} is frozen for ${durationMs} ms`);
    this.#world.tally.count('processes', 'frozen');
    life.clock.freeze();
    this.#world.clock.after(durationMs, () => {
      if (this.#life === life) this.thaw();
    });
  }

  thaw(): void {
    const clock = this.#life?.clock;
    if (clock?.isFrozen !== true) return;
    const waiting = clock.thaw();
    this.#world.say(`node ${this.nodeId} goes on, with ${waiting} events that have waited`);
    this.#world.tally.count('processes', 'thawed');
  }

  #started(life: Life, broker: Broker): void {
    if (this.#life !== life) return;
    life.broker = broker;
    this.hasToBegin = false;
    this.#world.say(`node ${this.nodeId} serves`);
    this.#world.tally.count('processes', 'serving');
    void broker.whenFailed.then((error) => {
      if (this.#life !== life) return;
      if (this.isRetired) this.#leave(`node ${this.nodeId} has left`);
      else if (life.mayFail) {
        this.#world.tally.count('disks', 'nodes stopped by themselves');
        this.#leave(`node ${this.nodeId} has stopped by itself: ${error.message}`);
      } else this.#break(`node ${this.nodeId} has stopped by itself`, error);
    });
  }

  #leave(what: string): void {
    this.#end(false);
    this.disk.kill();
    this.#world.say(what);
    this.#world.tally.count('processes', 'ended by themselves');
  }

  #end(silently: boolean): boolean {
    const life = this.#life;
    if (life === undefined) return false;
    this.#life = undefined;
    life.clock.end();
    life.network.end(silently);
    return true;
  }

  #break(what: string, error: unknown): void {
    const text = error instanceof Error ? error.stack : String(error);
    this.#world.broken(new SimulationFailure(`${what}: ${text}`));
  }

  #logger(life: Life): Logger {
    const { say, tally } = this.#world;
    const tell = (level: string, fields: object, message: string): void => {
      if (this.#life !== life) return;
      tally.count(`${level} of nodes`, message.replaceAll(/\d+/g, '#'));
      const { err } = { err: undefined, ...fields };
      say(`node ${this.nodeId} ${level}: ${message}${err === undefined ? '' : ` (${String(err)})`}`);
      const tellsOfDamage = this.mayFindDamage && /damaged|could not be read/.test(message);
      if (tellsOfDamage) this.hasFoundDamage = true;
      const isExpected = life.mayFail || tellsOfDamage || this.isRetired;
      if (level === 'error' && !isExpected) this.#break(`node ${this.nodeId} says: ${message}`, err);
    };
    return {
      debug: () => undefined,
      info: () => undefined,
      warn: (fields, message) => tell('warning', fields, message),
      error: (fields, message) => tell('error', fields, message),
    };
  }
}
