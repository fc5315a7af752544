/** A machine of a simulated cluster: its disk and clocks, and the process on it, which starts, ends and starts again. */
import { DamagedConfiguration } from '../../../broker/partition/consensus/configuration-file.ts';
import { DamagedVotes } from '../../../broker/partition/vote-store.ts';
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import type { SimulatedClock } from '../simulated-clock.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SimulationFailure } from '../simulation-failure.ts';
import type { Trace } from '../trace.ts';
import type { ClusterChecker } from './cluster-checker.ts';
import type { ClusterAppends } from './cluster-appends.ts';
import { ClusterLife, directoryIdOf, logDirectory } from './cluster-life.ts';
import type { ClusterGroup } from './cluster-life.ts';
import type { ClusterOptions } from './cluster-options.ts';
import type { Fairness } from './fairness.ts';
import type { GroupObserver } from './group-listener.ts';
import { MachineClock } from './machine-clock.ts';
import type { ProcessClock } from './machine-clock.ts';
import type { SimulatedLinks } from './simulated-links.ts';
import type { Tally } from './tally.ts';

/** What all machines share. */
export interface ClusterWorld {
  readonly options: ClusterOptions;
  readonly clock: SimulatedClock;
  readonly trace: Trace;
  readonly links: SimulatedLinks;
  readonly checker: ClusterChecker;
  readonly appends: ClusterAppends;
  readonly fairness: Fairness;
  readonly tally: Tally;
  /** What the groups begin with. */
  readonly first: Configuration;
  readonly say: (line: string) => void;
  /** A promise has been broken: the history ends there. */
  readonly broken: (error: Error) => void;
  /** Of a read that a client has asked a leader for. */
  readonly readConfirmed: (token: number, endIndex: number | undefined) => void;
}

/** What a member's disk is known to hold, whoever runs. */
interface Held {
  /** What it may have acknowledged ends here. */
  ackedEndIndex: number;
  /** All records below it are committed and durable here. */
  safeEndOffset: number;
  /** The log has begun here at the latest. */
  startIndex: number;
  /** What its configuration's file has held, oldest first. */
  readonly configurations: { readonly index: number; readonly bytes: Buffer }[];
}

export class Machine {
  readonly nodeId: number;
  readonly clock: MachineClock;
  readonly #world: ClusterWorld;
  readonly #random: Random;
  disk: SimulatedDisk;
  #generation = 0;
  #incarnation = 0;
  #process: ProcessClock | undefined;
  #held: Held[] = [];
  /** Of the present process: takes an error, which is a broken promise where the disk works. */
  #explain: ((what: string, error: unknown) => void) | undefined;
  /** Of the present process; undefined until it is open. */
  life: ClusterLife | undefined;
  /** A log here takes nothing any more until it is opened anew. */
  needsRestart = false;
  /** What its disk has lost does not come back: its directory is to be replaced. */
  isSpoilt = false;

  constructor(world: ClusterWorld, nodeId: number, random: Random) {
    this.#world = world;
    this.nodeId = nodeId;
    this.#random = random;
    this.clock = new MachineClock(world.clock, 1000 * nodeId);
    const { drift } = world.options;
    if (random.below(2) === 0) this.clock.runAt(1 + (drift * (random.below(2001) - 1000)) / 1000);
    this.disk = this.#newDisk();
  }

  /** Whoever takes part from its present data directory. */
  get member(): MemberId {
    return memberId(this.nodeId, directoryIdOf(this.nodeId, this.#generation));
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  group(number: number): ClusterGroup | undefined {
    return this.life?.groups[number];
  }

  leads(number: number): boolean {
    const consensus = this.group(number)?.consensus;
    return consensus !== undefined && !consensus.hasEnded && consensus.raft.role === 'leader';
  }

  held(group: number): Held {
    const group_ = this.group(group);
    const held = this.#held[group]!;
    if (group_ !== undefined) this.#look(group_, held);
    return held;
  }

  /** Something that was asked of the present process has failed. */
  troubled(what: string, error: unknown): void {
    this.#explain?.(what, error);
  }

  start(): void {
    if (this.#process !== undefined) return;
    const { nodeId, disk } = this;
    const { options, links, tally, say, first, fairness, checker } = this.#world;
    const process = this.clock.life();
    this.#process = process;
    this.#incarnation++;
    this.needsRestart = false;
    tally.count('processes', 'starts');
    say(`node ${nodeId} starts`);
    const errorsBefore = disk.errorCount;
    ClusterLife.open({
      nodeId,
      directoryId: directoryIdOf(nodeId, this.#generation),
      incarnation: this.#incarnation,
      disk: disk.boot(),
      clock: process,
      random: this.#random.fork(`life ${this.#incarnation}`),
      transport: links.transportOf(nodeId),
      requests: links.requestsOf(nodeId, () => this.#process !== process),
      options,
      firstConfiguration: (group) => (this.#generation === 0 ? first : fairness.newest(group)),
      isForgetful: (group) => checker.book(group).forgetful.has(this.member),
      observer: this.#observer(process),
    }).then(
      (life) => {
        if (this.#process !== process) return;
        this.life = life;
        links.attach(nodeId, life.node);
        links.serve(nodeId, life.services);
        say(`node ${nodeId} is open`);
      },
      (error: unknown) => {
        if (this.#process === process) this.#couldNotStart(error, disk.errorCount > errorsBefore);
      },
    );
  }

  end(how: 'kill' | 'power-loss'): void {
    const { say, tally, links, checker, appends, options } = this.#world;
    if (this.#process === undefined) return;
    say(`${how} of node ${this.nodeId}`);
    tally.count('processes', how === 'kill' ? 'killed' : 'power lost');
    links.attach(this.nodeId, undefined);
    this.life?.node.stop();
    for (const group of this.life?.groups ?? []) {
      this.#look(group, this.#held[group.number]!);
      appends.gone(group);
    }
    this.#process.end();
    this.#process = undefined;
    this.life = undefined;
    if (how === 'kill') {
      this.disk.kill();
      return;
    }
    this.disk.losePower();
    for (const group of options.cachingGroups) checker.book(group).forgetful.add(this.member);
  }

  /** Its data directory is gone, and an empty one in its place: it is another member now. No process runs. */
  replaceDirectory(): void {
    this.#world.say(`node ${this.nodeId} gets an empty data directory`);
    this.#world.tally.addAll('faults', this.disk.faultCounts);
    this.#generation++;
    this.disk = this.#newDisk();
    this.isSpoilt = false;
  }

  #newDisk(): SimulatedDisk {
    const { clock, options, trace } = this.#world;
    this.#held = Array.from({ length: options.groups }, () => ({
      ackedEndIndex: 0,
      safeEndOffset: 0,
      startIndex: 1,
      configurations: [],
    }));
    const random = this.#random.fork(`disk ${this.#generation}`);
    return new SimulatedDisk({ clock, random, behaviour: options.disk, trace });
  }

  #look({ log, consensus }: ClusterGroup, held: Held): void {
    held.ackedEndIndex = log.ackableEndIndex;
    held.startIndex = Math.max(held.startIndex, consensus.raft.startIndex);
    const safeEndIndex = Math.min(log.flushedEndIndex, consensus.committedEndIndex, consensus.placedEndIndex);
    held.safeEndOffset = Math.max(held.safeEndOffset, log.offsetOfIndex(safeEndIndex));
  }

  #noteConfiguration(group: number): void {
    const bytes = this.disk.contentOf(`${logDirectory(group)}/raft-configuration`)!;
    const { configurations } = this.#held[group]!;
    if (configurations.at(-1)?.bytes.equals(bytes) === true) return;
    configurations.push({ index: Number(bytes.readBigInt64BE(12)), bytes });
  }

  #couldNotStart(error: unknown, hasDiskFailed: boolean): void {
    const { say, broken } = this.#world;
    const isExplained =
      (error instanceof DiskError && hasDiskFailed) ||
      (this.isSpoilt && (error instanceof DamagedVotes || error instanceof DamagedConfiguration));
    if (!isExplained) {
      broken(error instanceof Error ? error : new Error('no error'));
      return;
    }
    say(`node ${this.nodeId} cannot start: ${error.message}`);
    this.end('kill');
  }

  #observer(process: ProcessClock): GroupObserver {
    const { checker, appends, fairness, tally, say, broken, readConfirmed, options } = this.#world;
    const { nodeId, disk } = this;
    const isPast = (): boolean => this.#process !== process;
    const errorsBefore = disk.errorCount;
    const explain = (what: string, error: unknown): void => {
      if (isPast()) return;
      const text = error instanceof Error ? error.message : JSON.stringify(error);
      say(`node ${nodeId}: ${what}: ${text}`);
      if (disk.errorCount > errorsBefore || this.isSpoilt) return;
      broken(new SimulationFailure(`node ${nodeId}: ${what} failed on a disk that works: ${text}`));
    };
    this.#explain = explain;
    return {
      opened: (group, state) => {
        checker.promised(group, this.member, state);
        this.#noteConfiguration(group);
      },
      damaged: (group, damage) => {
        say(`node ${nodeId} finds damage in group ${group}: ${damage.reason}, ${damage.file}`);
        tally.count('consensus', 'damaged logs');
        if (!this.isSpoilt) broken(new SimulationFailure(`node ${nodeId} finds damage where there is none`));
      },
      promised: (group, state) => checker.promised(group, this.member, state),
      troubled: explain,
      roleChanged: (group) => {
        const { role, term } = group.consensus.raft;
        say(`node ${nodeId} is ${role} of ${group.number} in term ${term}`);
        if (role === 'leader') checker.leads(group);
        else appends.gone(group);
      },
      committed: (group) => {
        if (isPast()) return;
        checker.committed(group);
        appends.committed(group);
      },
      appended: (group, index, batch) => checker.appended(group, index, batch),
      truncated: () => tally.count('consensus', 'truncations'),
      configured: ({ number }, placed) => fairness.appended(number, placed),
      configurationCommitted: ({ number }, placed) => fairness.committed(number, placed),
      configurationKept: ({ number }) => this.#noteConfiguration(number),
      transferEnded: ({ number }, reason) => {
        say(`a transfer of ${number} by node ${nodeId} has ended: ${reason}`);
        tally.count('transfers', reason);
      },
      readConfirmed,
      repaired: ({ number, member }) => {
        say(`node ${nodeId} is whole again in group ${number}`);
        tally.count('consensus', 'repaired');
        checker.book(number).forgetful.delete(member);
      },
      dataLost: (group, fromIndex) => {
        const { number } = group;
        checker.dataLost(group);
        say(`node ${nodeId} has lost what was committed in ${number} from ${fromIndex} on`);
        tally.count('consensus', 'losses told');
        if (options.cachingGroups.has(number)) return;
        broken(new SimulationFailure(`node ${nodeId} has lost what was committed`));
      },
      catchUpRefused: ({ number }) => {
        broken(new SimulationFailure(`node ${nodeId} lacks what is gone from the logs of group ${number}`));
      },
      catchUpFailed: ({ number }, error) => {
        if (isPast()) return;
        say(`node ${nodeId} could not copy the log of ${number}: ${String(error)}`);
        tally.count('copies', 'failed');
      },
      logReplaced: ({ number }) => {
        say(`node ${nodeId} has a copy of the log of ${number}`);
        tally.count('copies', 'done');
      },
      failed: (group, cause) => {
        if (isPast()) return;
        explain(`the log of group ${group.number}`, cause);
        this.needsRestart = true;
        tally.count('consensus', 'failed logs');
        appends.gone(group);
        // What it has written and not flushed may be gone when it is opened again.
        if (options.cachingGroups.has(group.number)) checker.book(group.number).forgetful.add(group.member);
      },
    };
  }
}
