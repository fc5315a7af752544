/**
 * The disk of one simulated machine, with every fault that a log has to live with, from one seed.
 *
 * **The fault model.** Each operation takes simulated time, drawn anew; so operations in flight overtake each other. Its effect
 * on the page cache is there when it completes. Then:
 *
 * - `kill` ends the process. The page cache stays. Of each operation in flight, nothing, all, or (of a write) the first bytes
 *   have happened. Pages that a failed sync has left behind may be evicted: then reads show what the platter has.
 * - `losePower` ends the machine. On the platter is all that a completed sync covers: a file's bytes and size that were written
 *   before the sync began, a directory's names that were there before its sync began. Of what was not synced:
 *   - each sector of each write is there or not, whatever the order of the writes; now and then a sector is torn at a byte;
 *   - sizes and truncations are journaled in order: those up to some point hold, so that a file may be shorter than what was
 *     written to it, or longer, with zeros where its bytes did not make it;
 *   - each name made, renamed or removed in a directory holds or not, on its own, but for this: a change that holds implies all
 *     earlier unsynced ones to the same names and files. A rename holds as a whole. A directory whose removal is lost has any of
 *     its files. Syncing a file does not make its name durable.
 * - A failed sync loses any of the sectors that it should have written and leaves their pages clean: reads go on showing them, the
 *   next sync succeeds and does not write them. Only writing them again does.
 * - Injected on demand (`arm`): errors of any operation (of a write after a part of it), a disk that is full or read-only, or gives
 *   nothing below some directory, until it is `repaired`. Between lives: flipped bits and lost files, for which the test must answer that they are fair.
 * - Latency: every so often an operation takes a thousand times as long as others.
 * - The system call behind a read may return less than asked, and the file may change before the rest is read: `read` hides that,
 *   as platform/disk.ts demands, but it reads in parts at different moments.
 *
 * What is never harmed: what was synced, but for injected damage. So every loss of it is the log's mistake.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskErrorCode } from '../../platform/disk.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import { LifeDisk, find, parentOf } from './life-disk.ts';
import type { Access, Effect, SimulatedOperation } from './life-disk.ts';
import { evict, losePower, losePowerOfNames, newDirectory, walk } from './simulated-files.ts';
import type { CountLoss, DirectoryNode } from './simulated-files.ts';
import type { Trace } from './trace.ts';

export interface DiskBehaviour {
  /** Of an operation that touches the platter, on average; those of the page cache take a tenth. */
  readonly latencyMs: number;
  /** Of a sync, on average; `latencyMs` unless it is there. */
  readonly syncMs?: number | undefined;
  /** One operation in so many takes a thousand times as long; 0: none does. */
  readonly spikeOneIn: number;
  /** One read in so many comes in parts; 0: none does. */
  readonly shortReadOneIn: number;
  /** Whether a kill may evict what a failed sync has left in the page cache. */
  readonly evicts: boolean;
}

export interface ArmedFault {
  readonly operation: SimulatedOperation;
  readonly code: DiskErrorCode;
  /** Operations of this kind that pass before the one that fails. */
  skip: number;
}

const modifying: ReadonlySet<SimulatedOperation> = new Set(['write', 'truncate', 'rename', 'remove']);
const onPlatter: ReadonlySet<SimulatedOperation> = new Set(['sync', 'sync-directory', 'read']);

/** An operation whose effect is still to come. */
interface InFlight {
  /** The process dies: what of it has happened anyway. */
  interrupt(): void;
}

export class SimulatedDisk {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #behaviour: DiskBehaviour;
  readonly #trace: Trace;
  readonly #root = newDirectory();
  readonly #inFlight = new Set<InFlight>();
  #armed: ArmedFault[] = [];
  #isReadOnly = false;
  /** Every operation below fails. */
  #brokenDirectory: string | undefined;
  /** What writes may still add to files before the disk is full. */
  #freeBytes = Infinity;
  /** How many times as long as usual everything takes. */
  #slowness = 1;
  /** No operation takes long by chance any more, and no read comes in parts. */
  #isSteady = false;
  #sequence = 0;
  #life = 0;
  #openFiles = 0;
  /** Faults that have struck, by name. */
  readonly faultCounts = new Map<string, number>();
  /** Operations that have failed by injection. */
  errorCount = 0;
  operationCount = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly behaviour: DiskBehaviour;
    readonly trace: Trace;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#behaviour = options.behaviour;
    this.#trace = options.trace;
  }

  /** The disk as the process that starts now sees it. The one before must have ended. */
  boot(): Disk {
    return new LifeDisk(this.#access(++this.#life), this.#root);
  }

  /** The process ends; the operating system goes on. */
  kill(): void {
    this.#end('kill');
    if (!this.#behaviour.evicts) return;
    for (const [, node] of walk(this.#root)) {
      if (node.kind === 'file' && node.hasLostPages && this.#random.below(2) === 0) {
        this.#count('evicted pages');
        evict(node);
      }
    }
  }

  /** The machine ends. */
  losePower(): void {
    this.#end('power');
    this.#losePowerBelow(this.#root);
  }

  /** Makes one operation of a kind fail, once. */
  arm(fault: ArmedFault): void {
    this.#armed.push(fault);
  }

  /** From now on nothing can be changed. */
  becomeReadOnly(): void {
    this.#isReadOnly = true;
  }

  /** From now on every operation at or below a directory fails. */
  breakBelow(directory: string): void {
    this.#brokenDirectory = directory;
  }

  /** From now on files may grow by this much together. */
  limitSpace(freeBytes: number): void {
    this.#freeBytes = freeBytes;
  }

  /** From now on everything takes so many times as long as usual. */
  slowDown(times: number): void {
    this.#slowness = times;
  }

  /** No fault is pending any more: there is space, and the disk can be written to, as fast as usual. */
  repair(): void {
    this.#armed = [];
    this.#isReadOnly = false;
    this.#brokenDirectory = undefined;
    this.#freeBytes = Infinity;
    this.#slowness = 1;
  }

  /** Operations may fail that an undamaged disk with enough room would carry out. */
  get isFaulty(): boolean {
    return (
      this.#isReadOnly ||
      this.#brokenDirectory !== undefined ||
      this.#freeBytes < Infinity ||
      this.#armed.length > 0
    );
  }

  /** From now on the disk is as good as disks are. */
  becomeSteady(): void {
    this.repair();
    this.#isSteady = true;
  }

  /** Files that the present process has open. */
  get openFiles(): number {
    return this.#openFiles;
  }

  /** Whether a loss of power now would meet bytes that were written and not synced. */
  get hasUnsyncedBytes(): boolean {
    for (const [, node] of walk(this.#root)) {
      if (node.kind === 'file' && node.pending.some(({ kind }) => kind === 'write')) return true;
    }
    return false;
  }

  /** What reads of a file would show, without reading; undefined where there is none. */
  contentOf(path: string): Buffer | undefined {
    const node = find(this.#root, path);
    if (node?.kind !== 'file') return undefined;
    const bytes = Buffer.alloc(node.cache.sizeBytes);
    node.cache.read(bytes, 0);
    return bytes;
  }

  /** Names in a directory, sorted; none where there is no such directory. */
  namesIn(directory: string): string[] {
    const node = find(this.#root, directory);
    return node?.kind === 'directory' ? [...node.entries.keys()].sort() : [];
  }

  /** Flips one bit, on the platter and in the cache. */
  flipBit(path: string, position: number, bit: number): void {
    const node = find(this.#root, path);
    if (node?.kind !== 'file') throw new Error(`There is no ${path} to damage.`);
    this.#count('flipped bit');
    for (const content of [node.cache, node.platter]) {
      const byte = Buffer.alloc(1);
      if (content.read(byte, position) === 1) content.write(Buffer.from([byte[0]! ^ (1 << bit)]), position);
    }
  }

  /** A file holds this, durably: what a restored backup leaves. */
  putFile(path: string, content: Buffer): void {
    const node = find(this.#root, path);
    if (node?.kind !== 'file') throw new Error(`There is no ${path} to replace.`);
    this.#count('replaced file');
    node.pending = [];
    node.hasLostPages = false;
    for (const bytes of [node.cache, node.platter]) {
      bytes.truncate(0);
      bytes.write(content, 0);
    }
  }

  /** A file, or a directory with all that it holds, is gone, durably. */
  loseFile(path: string): void {
    const { directory, name } = parentOf(this.#root, path);
    this.#count('lost file');
    directory.entries.delete(name);
    directory.durable.delete(name);
    directory.pending = directory.pending.filter(({ names }) => names.every(([other]) => other !== name));
  }

  /** All files are gone, durably: another disk is in the place of this one. The process that used it must have ended. */
  loseEverything(): void {
    this.#count('lost disk');
    this.#root.entries.clear();
    this.#root.durable.clear();
    this.#root.pending = [];
  }

  #end(how: string): void {
    this.#trace.note(this.#clock.monotonicMs(), how, '', this.#inFlight.size);
    this.#life++;
    for (const operation of this.#inFlight) operation.interrupt();
    this.#inFlight.clear();
    this.#openFiles = 0;
  }

  #losePowerBelow(directory: DirectoryNode): void {
    const count: CountLoss = (loss) => this.#count(loss);
    losePowerOfNames(directory, this.#random, count);
    for (const node of directory.entries.values()) {
      if (node.kind === 'directory') this.#losePowerBelow(node);
      else losePower(node, this.#random, count);
    }
  }

  #access(life: number): Access {
    return {
      run: (operation, path, effect) => this.#run(life, operation, path, effect),
      nextSequence: () => ++this.#sequence,
      sequence: () => this.#sequence,
      random: this.#random,
      grant: (bytes) => {
        const granted = Math.min(bytes, this.#freeBytes);
        this.#freeBytes -= granted;
        if (granted < bytes) {
          this.errorCount++;
          this.#count('full disk');
        }
        return granted;
      },
      freeBytes: () => this.#freeBytes,
      opened: (count) => {
        if (life === this.#life) this.#openFiles += count;
      },
      readsInParts: () => {
        const { shortReadOneIn } = this.#behaviour;
        const isShort = shortReadOneIn > 0 && !this.#isSteady && this.#random.below(shortReadOneIn) === 0;
        if (isShort) this.#count('short read');
        return isShort;
      },
    };
  }

  /** One operation from call to completion. It never ends for a process that has. */
  #run<T>(life: number, operation: SimulatedOperation, path: string, effect: Effect<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (life !== this.#life) return;
      this.operationCount++;
      const fault = this.#faultOf(operation, path);
      this.#trace.note(this.#clock.monotonicMs(), operation, path, effect.sizeBytes ?? 0);
      const entry: InFlight = {
        interrupt: () => {
          if (fault === undefined) effect.interrupt?.(this.#random);
        },
      };
      this.#inFlight.add(entry);
      this.#clock.after(this.#durationMs(operation), () => {
        if (life !== this.#life) return;
        this.#inFlight.delete(entry);
        try {
          if (fault !== undefined) {
            effect.fail?.(this.#random);
            throw new DiskError(fault, path, `Could not ${operation} ${path}: ${fault}, injected.`);
          }
          resolve(effect.complete());
        } catch (error) {
          this.#trace.note(this.#clock.monotonicMs(), `${operation} failed`, path);
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #faultOf(operation: SimulatedOperation, path: string): DiskErrorCode | undefined {
    if (this.#brokenDirectory !== undefined && `${path}/`.startsWith(`${this.#brokenDirectory}/`)) {
      this.errorCount++;
      this.#count('broken directory');
      return 'io';
    }
    if (this.#isReadOnly && modifying.has(operation)) {
      this.errorCount++;
      this.#count('read-only disk');
      return 'read-only';
    }
    for (const [place, fault] of this.#armed.entries()) {
      if (fault.operation !== operation) continue;
      if (fault.skip-- > 0) continue;
      this.#armed.splice(place, 1);
      this.errorCount++;
      this.#count(`${operation}: ${fault.code}`);
      return fault.code;
    }
    return undefined;
  }

  #durationMs(operation: SimulatedOperation): number {
    const { latencyMs, spikeOneIn, syncMs = latencyMs } = this.#behaviour;
    const drawn = this.#random.uint32();
    const share = (1 + (drawn & 1023)) / 512;
    const usualMs = share * (onPlatter.has(operation) ? latencyMs : latencyMs / 10);
    const isSync = onPlatter.has(operation) && operation !== 'read';
    const durationMs = isSync ? share * syncMs : usualMs;
    if (spikeOneIn === 0 || this.#isSteady || (drawn >>> 10) % spikeOneIn !== 0) {
      return durationMs * this.#slowness;
    }
    this.#count('latency spike');
    // A disk that is slow to sync has no worse spikes than another.
    return Math.max(usualMs * Math.max(1000, this.#slowness), durationMs * this.#slowness);
  }

  #count(fault: string): void {
    this.faultCounts.set(fault, (this.faultCounts.get(fault) ?? 0) + 1);
  }
}
